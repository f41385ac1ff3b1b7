"""What was asked for and what was measured: the first section of docs/benchmarks.md.

Reads the figures that benchmarks have left with --json, so that no number in the table is written by hand. A goal whose
benchmark has not run here (there is no GPU, say) is shown without a figure. Does not run anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import markdown_table


@dataclass(frozen=True)
class Goal:
    """One line: what is measured, what was asked for, whose figures tell, and how they read."""

    what: str
    asked: str
    benchmark: str
    measured: Callable[[Any], str]


def times_as_fast_as_peers(cameras: int) -> Callable[[Any], str]:
    def read(figures: Any) -> str:
        verdict = next(each for each in figures["verdicts"] if each["cameras"] == cameras)
        not_run = "".join(f"; not run: {name}" for name in verdict["not_run"])
        return f"{verdict['times']:.2f} × the fastest of them ({verdict['closest']}){not_run}"

    return read


GOALS = (
    Goal("engine on one stream, against ultralytics, OpenCV loops", "faster than each", "peers",
         times_as_fast_as_peers(1)),
    Goal("engine on four streams, against the same and a process per camera", "faster than each", "peers",
         times_as_fast_as_peers(4)),
)  # fmt: skip

JUDGED = frozenset(goal.benchmark for goal in GOALS)
"""Names of the benchmarks whose figures are kept."""


def measured(goal: Goal, results: Path) -> str:
    """The figure in words, or that there is none."""
    file = results / f"{goal.benchmark}.json"
    return goal.measured(json.loads(file.read_text())) if file.exists() else "not measured"


def section(results: Path) -> str:
    """The table, from the kept figures."""
    rows: list[tuple[object, ...]] = [
        (goal.what, goal.asked, measured(goal, results), f"`python -m bench.{goal.benchmark}`")
        for goal in GOALS
    ]
    return f"## Reach\n\n{markdown_table(('what', 'asked for', 'measured', 'command'), rows)}\n"
