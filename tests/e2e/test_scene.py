"""A rendered world through the whole engine: two cameras from one source, and truth that fits the results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.e2e.engine import EngineRun

Start = Callable[..., EngineRun]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_truth_and_results_lie_side_by_side(engine_run: Start, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    source = f"scene://plaza?cameras=2&width=320&height=180&frames=12&truth={truth}"
    run = engine_run("--source", source, "--model", "motion", "--offline", "--no-overlay")
    assert run.wait(90) == 0, run.text()
    for camera in ("overview", "ptz"):
        exact, found = lines(truth / f"{camera}.truth"), lines(run.out / f"{camera}.jsonl")
        assert len(exact) == len(found) == 12
        assert [line["time"] for line in exact] == [line["time"] for line in found]
