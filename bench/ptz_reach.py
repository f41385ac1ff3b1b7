"""What is asked of following people, judged: the goals of `bench.ptz` that are measured in virtual time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from bench.ptz_runs import BASELINES, Outcome, default, mean, worst
from ptz.simulator.closed_loop import LoopSettings
from ptz.simulator.crew_loop import CrewReport

Outcomes = list[Outcome]


@dataclass(frozen=True)
class Verdict:
    """How a goal came out, in words, and whether it was met."""

    said: str
    met: bool


@dataclass(frozen=True)
class Reach:
    """One line of the table: what is run, what is asked, and how it is judged. The worst seed is judged."""

    key: str
    what: str
    asked: str
    settings: LoopSettings
    judge: Callable[[Outcomes], Verdict]


def percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def walk(outcomes: Outcomes) -> Verdict:
    rms, inside = worst(outcomes, "rms_x"), worst(outcomes, "in_frame", least=True)
    full = worst(outcomes, "full_in_frame", least=True)
    said = f"RMS {percent(rms)} W, in frame {percent(inside)} (all of the body {percent(full)})"
    return Verdict(said, rms <= 0.05 and inside >= 0.995)


def in_frame(least: float) -> Callable[[Outcomes], Verdict]:
    def judge(outcomes: Outcomes) -> Verdict:
        inside, full = (worst(outcomes, name, least=True) for name in ("in_frame", "full_in_frame"))
        return Verdict(f"{percent(inside)} (all of the body {percent(full)})", inside >= least)

    return judge


def group(outcomes: Outcomes) -> Verdict:
    full = worst(outcomes, "full_in_frame", least=True)
    inside = worst(outcomes, "in_frame", least=True)
    return Verdict(f"all of everybody {percent(full)}, everybody's middle {percent(inside)}", full >= 0.95)


def step(outcomes: Outcomes) -> Verdict:
    every = [one for each in outcomes for one in each.steps]
    if not every:
        return Verdict("no step was recorded", False)
    over = max(one.overshoot for one in every)
    settle = [one.settle_s for one in every]
    never = sum(math.isnan(value) for value in settle)
    known = [value for value in settle if not math.isnan(value)] or [math.nan]
    said = (
        f"overshoot {percent(over)} at most ({percent(statistics.median(one.overshoot for one in every))} median), "
        f"settled in {max(known):.2f} s at most ({statistics.median(known):.2f} s median), {len(every)} steps"
    )
    if never:
        said += f", {never} never settled"
    return Verdict(said, over <= 0.05 and max(known) <= 1.4 and not never)


def sway(outcomes: Outcomes) -> Verdict:
    commands, turns = worst(outcomes, "commands_s"), worst(outcomes, "reversals_per_minute")
    return Verdict(f"{commands:.2f} commands/s, {turns:.1f} reversals/min", commands <= 0.5 and turns == 0)


REACH = (
    Reach("walk", "walking at 12 m", "RMS ≤ 5 % W, in frame ≥ 99.5 %", default("walk_across"), walk),
    Reach("run", "running, instant reversals", "in frame ≥ 97 %", default("run_reverse"), in_frame(0.97)),
    Reach("step", "12° step", "overshoot ≤ 5 %, settled to 5 % W in ≤ 1.4 s", default("step_teleport"), step),
    Reach("sway", "standing, swaying", "≤ 0.5 commands/s, 0 reversals", default("sway"), sway),
    Reach("group", "five merging and splitting", "all in frame ≥ 95 %", default("group_5_merge_split"), group),
    Reach("late video", "the run with video 0.5 s late", "in frame ≥ 85 %",
          default("run_reverse", video_delay_s=0.5), in_frame(0.85)),
)  # fmt: skip


HANDOFF = "two cameras, handing over"
HANDOFF_ASKED = "visible on the owner ≥ 97 %, ≤ 1 change of owner a pass"
PASS_S = 48.0 / 1.4
"""Walking from one camera's side of `two_cameras_handoff` to the other's."""


def handoff(reports: list[CrewReport]) -> Verdict:
    """The worst seed: share of time visible on the owner, and changes of owner a pass."""
    visible = min(report.visible for report in reports)
    possible = min(report.possible for report in reports)
    changes = max(report.changes for report in reports)
    scene = reports[0].settings.script
    passes = math.ceil((scene.duration_s - reports[0].settings.warm_up_s) / PASS_S)
    said = f"{percent(visible)} (on any of the two {percent(possible)}), {changes} changes in {passes} passes"
    return Verdict(said, visible >= 0.97 and changes <= passes)


def against_baselines(own: Outcomes, others: dict[str, Outcomes]) -> Verdict:
    """Better than each of the baselines on error and on commands."""
    ours = mean(own)
    parts, worse = [], []
    for law in BASELINES:
        theirs = mean(others[law])
        parts.append(f"{law} {percent(theirs.rms_x)}, {theirs.commands_s:.1f}/s")
        lost = [what for what, name in (("error", "rms_x"), ("commands", "commands_s"))
                if not getattr(ours, name) < getattr(theirs, name)]  # fmt: skip
        worse += [f"{' and '.join(lost)} of {law}"] if lost else []
    said = f"RMS {percent(ours.rms_x)}, {ours.commands_s:.1f} commands/s against " + "; ".join(parts)
    return Verdict(said + (f"; not below the {', '.join(worse)}" if worse else ""), not worse)
