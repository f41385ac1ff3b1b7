"""Following people with simulated cameras: what was asked for, and the scoreboard of scenes, profiles, policies, laws.

    python -m bench.ptz [--quick] [--seeds N] [--jobs N] [--plots DIR] [--json FILE]
    python -m bench.ptz --faults | --safety | --detector MODEL [--json FILE]
    python -m bench.ptz --scene NAME … [--profile NAME …] [--policy NAME …] [--law NAME …]

All in virtual time (`ptz.simulator.closed_loop`): boxes from an oracle at 15 fps (2 % noise, 5 % missed, 0.5 % false),
video 0.25 s late with the camera's own time stamps, 80 ms of inference, commands, motors and reports as the profile
says. Requests that renew a running
turn before its end are counted apart from commands. Nothing here is measured on a real camera. The first 6 s of a run
(start-up probe, first zoom) are not judged. Goals are judged by the worst seed.

Without --scene: the goals with the default profile; then every law on every scene, every profile on every scene, every
policy on every scene. With it: just what is named, every combination. --full: all scenes × profiles × policies × laws.
--faults: every fault of a camera. --safety: with real processes and sockets. --detector: the goals again, with a real
detector and tracker on rendered pictures.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.ptz_reach import HANDOFF, HANDOFF_ASKED, REACH, Reach, Verdict, against_baselines, handoff, percent
from bench.ptz_runs import BASELINES, LAWS, Outcome, default, in_processes, mean, run_all, run_handoff
from ptz.simulator.closed_loop import LoopSettings
from ptz.simulator.profiles import DEFAULT_PROFILE, PROFILES
from ptz.simulator.scenes import SCENES, SUITE

POLICIES = ("group", "selected", "runner", "zone")
"""Those that follow people; `manual` and `tour` do what they are told."""
DEAF = "encoder-mh6171"
"""Does not move: there is nothing to score."""
HEADS = (
    "scene", "profile", "policy", "law", "in frame", "all of the body", "RMS % W", "p95 % W", "RMS % H",
    "size, octaves", "lag s", "back in s", "commands/s", "renewals/s", "turns back/min", "moving", "jerk °/s³",
)  # fmt: skip


def note(line: str) -> None:
    """What goes on, where nobody takes it for a result."""
    print(f".. {line}", flush=True, file=sys.stderr)


def row(outcomes: Sequence[Outcome]) -> tuple[object, ...]:
    """A line of the scoreboard: means over seeds."""
    settings, scores = outcomes[0].settings, mean(list(outcomes))
    script = settings.script
    numbers = (
        100 * scores.rms_x, 100 * scores.p95_x, 100 * scores.rms_y, scores.size_error_octaves, scores.lag_s,
        scores.reacquire_s, scores.commands_s, scores.renewals_s,
        scores.reversals_per_minute,
    )  # fmt: skip
    return (
        settings.scene, settings.profile or script.heads[0].profile, settings.policy or script.policy, settings.law,
        percent(scores.in_frame), percent(scores.full_in_frame), *(_number(value) for value in numbers),
        percent(scores.moving), f"{scores.jerk_rms_deg_s3:.0f}",
    )  # fmt: skip


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def scoreboard(
    title: str, wanted: Iterable[LoopSettings], args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Run, print a table, and give the figures for --json."""
    rows = []
    for outcomes in run_all(wanted, args.board_seeds, args.jobs, args.plots):
        note(" ".join(str(cell) for cell in row(outcomes)[:6]))
        rows.append(row(outcomes))
        settings = outcomes[0].settings
        yield {
            "scene": settings.scene, "profile": row(outcomes)[1], "policy": row(outcomes)[2], "law": settings.law,
            "seeds": len(outcomes), **asdict(mean(list(outcomes))),
        }  # fmt: skip
    print(f"### {title}\n\n{markdown_table(HEADS, rows)}\n", flush=True)


def reach(args: argparse.Namespace) -> dict[str, str]:
    """The goals, each with the same scene under the baselines; prints their table and gives the sentences."""
    lines: list[tuple[object, ...]] = []
    said: dict[str, str] = {}
    compared: list[tuple[Reach, Verdict]] = []
    for goal in REACH:
        laws = (goal.settings.law, *BASELINES)
        settings = [replace(goal.settings, law=law) for law in laws]
        found = dict(zip(laws, run_all(settings, args.seeds, args.jobs, args.plots), strict=True))
        verdict = goal.judge(found[goal.settings.law])
        compared.append((goal, against_baselines(found[goal.settings.law], found)))
        note(f"{goal.key}: {verdict.said}")
        lines.append((goal.what, goal.asked, verdict.said, _met(verdict.met)))
        said[goal.key] = verdict.said
    pairs = [LoopSettings("two_cameras_handoff", seed=seed) for seed in range(args.seeds)]
    verdict = handoff(list(in_processes(run_handoff, pairs, args.jobs)))
    lines.append((HANDOFF, HANDOFF_ASKED, verdict.said, _met(verdict.met)))
    said["handoff"] = verdict.said
    for goal, verdict in compared:
        lines.append((f"{goal.what}: against the baselines", "better on error and on commands/s", verdict.said,
                      _met(verdict.met)))  # fmt: skip
    said["baselines"] = (
        f"better on both in {sum(verdict.met for _, verdict in compared)} of {len(compared)} scenes; "
        + "; ".join(f"{goal.key}: {verdict.said}" for goal, verdict in compared if not verdict.met)
    ).removesuffix("; ")
    print(f"### Goals\n\n{markdown_table(('what', 'asked for', 'measured', 'met'), lines)}\n", flush=True)
    return said


def _met(met: bool) -> str:
    return "yes" if met else "no"


def everything(args: argparse.Namespace) -> dict[str, Any]:
    """What is run when nothing is named."""
    said = reach(args)
    scenes = ("walk_across", "run_reverse", "sway") if args.quick else SUITE
    profiles = [name for name in PROFILES if name not in (DEAF, DEFAULT_PROFILE)]
    laws = list(scoreboard("Laws, default profile", (
        default(scene, law) for scene, law in product(scenes, LAWS)
    ), args))  # fmt: skip
    by_profile = list(scoreboard("Profiles, law `predictive`", (
        LoopSettings(scene, profile) for profile, scene in product(profiles, scenes)
    ), args))  # fmt: skip
    by_policy = list(scoreboard("Policies, default profile, law `predictive`", (
        default(scene, policy=policy) for scene, policy in product(scenes, POLICIES)
        if policy != SCENES[scene].policy
    ), args))  # fmt: skip
    return {"reach": said, "scoreboard": [*laws, *by_profile, *by_policy]}


def named(args: argparse.Namespace) -> dict[str, Any]:
    """Every combination of what is named; what is not named is the default one, or all of it with --full."""
    scenes = args.scene or SUITE
    profiles = args.profile or (
        [name for name in PROFILES if name != DEAF] if args.full else [DEFAULT_PROFILE]
    )
    policies = args.policy or (POLICIES if args.full else [""])
    laws = args.law or (LAWS if args.full else ["predictive"])
    wanted = (LoopSettings(*each) for each in product(scenes, profiles, policies, laws))
    return {"scoreboard": list(scoreboard("Scoreboard", wanted, args))}


def options() -> argparse.ArgumentParser:
    parser = argument_parser(__doc__)
    for name, known in (("scene", SCENES), ("profile", PROFILES), ("policy", POLICIES), ("law", LAWS)):
        parser.add_argument(f"--{name}", action="append", choices=list(known), help="may be repeated")
    parser.add_argument("--full", action="store_true", help="every combination")
    parser.add_argument("--quick", action="store_true", help="one seed, three scenes in the scoreboard")
    parser.add_argument(
        "--seeds", type=int, default=None, help="how often each run is done (default: goals 3, scoreboard 1)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write PNG plots of the first seed there")
    parser.add_argument("--faults", action="store_true", help="only every fault of the simulated cameras")
    parser.add_argument("--safety", action="store_true", help="only the goals that need real processes")
    parser.add_argument(
        "--detector", metavar="MODEL", help="only the goals, with this detector on rendered pictures"
    )
    return parser


def main() -> None:
    args = options().parse_args()
    args.board_seeds = args.seeds or 1
    args.seeds = args.seeds or (1 if args.quick else 3)
    print(heading())
    if args.faults:
        from bench.ptz_faults import all_faults

        figures: dict[str, Any] = all_faults(args)
    elif args.safety:
        from bench.ptz_safety import safety

        figures = safety()
    elif args.detector:
        from bench.ptz_detector import with_detector

        figures = with_detector(args.detector, args)
    elif args.scene or args.profile or args.policy or args.law or args.full:
        figures = named(args)
    else:
        figures = everything(args)
    print("\n".join(f"* {sentence}" for sentence in figures.get("reach", {}).values()))
    write_json(args.json, **figures)


if __name__ == "__main__":
    main()
