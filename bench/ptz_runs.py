"""Runs of the closed loop for `bench.ptz`: several at a time, and their figures over seeds."""

from __future__ import annotations

import math
import multiprocessing
import statistics
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from engine.ptz_plots import write_plots
from ptz.metrics import Scores, Step
from ptz.simulator.closed_loop import LoopSettings, run_scene
from ptz.simulator.crew_loop import CrewReport, run_crew
from ptz.simulator.profiles import DEFAULT_PROFILE

Result = TypeVar("Result")
LAWS = ("predictive", "ema", "p", "pid", "stop_and_go")
BASELINES = ("p", "pid", "stop_and_go")
"""What the goal compares with; `ema` is in the scoreboard as well."""


@dataclass(frozen=True)
class Outcome:
    """One run: its settings, and what came of it."""

    settings: LoopSettings
    scores: Scores
    steps: tuple[Step, ...]
    failure: str = ""


def run_one(settings: LoopSettings, plots: Path | None = None) -> Outcome:
    """One run in this process; a plot of the first seed where a folder is given."""
    report = run_scene(settings)
    if plots is not None and settings.seed == 0:
        write_plots(report, plots)
    return Outcome(settings, report.scores, report.steps)


def run_handoff(settings: LoopSettings) -> CrewReport:
    """One run of all heads of a scene."""
    return run_crew(settings)


def run_all(
    wanted: Iterable[LoopSettings], seeds: int, jobs: int, plots: Path | None = None
) -> Iterator[list[Outcome]]:
    """Every setting with `seeds` seeds, as lists, in order."""
    settings = [replace(each, seed=seed) for each in wanted for seed in range(seeds)]
    return grouped(in_processes(run_one, settings, jobs, plots), seeds)


def in_processes(
    run: Callable[..., Result], settings: list[LoopSettings], jobs: int, *arguments: object
) -> Iterator[Result]:
    """`run` of every setting with these arguments, so many at a time in fresh processes, in order."""
    if jobs <= 1:
        yield from (run(each, *arguments) for each in settings)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(partial(_run, run, arguments), settings)


def _run(run: Callable[..., Result], arguments: tuple[object, ...], settings: LoopSettings) -> Result:
    return run(settings, *arguments)


def grouped(outcomes: Iterable[Outcome], seeds: int) -> Iterator[list[Outcome]]:
    """So many at a time."""
    group: list[Outcome] = []
    for outcome in outcomes:
        group.append(outcome)
        if len(group) == seeds:
            yield group
            group = []


def mean(outcomes: list[Outcome]) -> Scores:
    """Figures averaged over seeds; what is NaN in one is left out."""
    values = {}
    for field in fields(Scores):
        known = [value for each in outcomes if not math.isnan(value := getattr(each.scores, field.name))]
        values[field.name] = statistics.fmean(known) if known else math.nan
    return Scores(**values)


def worst(outcomes: list[Outcome], name: str, *, least: bool = False) -> float:
    """The worst value of a figure over seeds: the greatest, or the least."""
    values = [float(getattr(each.scores, name)) for each in outcomes]
    return min(values) if least else max(values)


def default(scene: str, law: str = "predictive", **changed: object) -> LoopSettings:
    """A run with the default profile."""
    return replace(LoopSettings(scene, DEFAULT_PROFILE, law=law), **changed)  # type: ignore[arg-type]  # by name
