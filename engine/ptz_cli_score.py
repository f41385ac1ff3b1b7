"""`engine-ptz score`: simulated scenes in virtual time, how well they were followed, in numbers and plots."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any, Final

from engine.config.files import unknown_name
from engine.errors import ConfigError
from engine.ptz_plots import write_plots
from ptz.laws.base import law_names
from ptz.settings import POLICIES
from ptz.simulator.closed_loop import LoopSettings, RunReport, run_scene
from ptz.simulator.profiles import PROFILES
from ptz.simulator.scenes import SCENES

MOST_SEEDS: Final = 100
COLUMNS: Final = (
    ("in frame", "in_frame", 100.0, "%"),
    ("all of it", "full_in_frame", 100.0, "%"),
    ("rms", "rms_x", 100.0, "%W"),
    ("p95", "p95_x", 100.0, "%W"),
    ("lag", "lag_s", 1.0, "s"),
    ("commands", "commands_s", 1.0, "/s"),
    ("reversals", "reversals_per_minute", 1.0, "/min"),
)
"""Title, figure, factor and unit."""


def score(args: argparse.Namespace) -> int:
    """Run and print. Raises `ConfigError` for a name that there is not, `OutputError` where plots cannot be written."""
    scenes, laws = args.scene or ["walk_across"], args.law or ["predictive"]
    check_names(args, scenes, laws)
    rows = []
    if not args.json:
        titles = "".join(f"{f'{title} {unit}':>15}" for title, _, _, unit in COLUMNS)
        print(f"{'scene':<22}{'law':<13}{titles}")
    for scene, law in product(scenes, laws):
        settings = LoopSettings(scene, args.profile, args.policy, law)
        reports = [run_scene(replace(settings, seed=seed)) for seed in range(args.seeds)]
        figures = mean_of(reports)
        rows.append({"scene": scene, "profile": args.profile, "policy": args.policy, "law": law, **figures})
        if not args.json:
            print(f"{scene:<22}{law:<13}" + "".join(cell(figures[key] * by) for _, key, by, _ in COLUMNS))
        if args.plots is not None:
            write_plots(reports[0], args.plots)
    if args.json:
        print(json.dumps([{k: None if v != v else v for k, v in row.items()} for row in rows], indent=2))
    return 0


def check_names(args: argparse.Namespace, scenes: Sequence[str], laws: Sequence[str]) -> None:
    """Raise `ConfigError` for a name that there is not, and for a number of runs that cannot be meant."""
    for flag, names, known in (
        ("--scene", scenes, SCENES),
        ("--law", laws, law_names()),
        ("--profile", [args.profile], PROFILES),
        ("--policy", [args.policy], POLICIES),
    ):
        for name in names:
            if name not in known:
                raise unknown_name(f"flag {flag}", "name", name, known)
    if not 1 <= args.seeds <= MOST_SEEDS:
        raise ConfigError(f"flag --seeds: must be from 1 to {MOST_SEEDS}, found {args.seeds}")


def mean_of(reports: Sequence[RunReport]) -> dict[str, float]:
    """Means over the runs of every figure that a run has."""
    figures: dict[str, Any] = {}
    for key in asdict(reports[0].scores):
        values = [value for report in reports if math.isfinite(value := getattr(report.scores, key))]
        figures[key] = sum(values) / len(values) if values else math.nan
    return figures


def cell(value: float) -> str:
    """A number of a table, a dash where there is none."""
    return f"{'–' if math.isnan(value) else format(value, '.2f'):>15}"
