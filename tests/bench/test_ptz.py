"""The scoreboard of following: how goals are judged, and that runs come in order."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from bench.ptz import options, row
from bench.ptz_faults import Faulty, settings_of
from bench.ptz_reach import REACH, against_baselines, step, sway, walk
from bench.ptz_runs import BASELINES, LAWS, Outcome, default, mean, run_all
from engine.ptz_plots import write_plots
from ptz.laws.base import law_names
from ptz.metrics import Scores, Step
from ptz.simulator.closed_loop import START_S, run_scene
from ptz.simulator.fault_kinds import KINDS

GOOD = replace(Scores(*([0.0] * len(fields(Scores)))), in_frame=1.0, full_in_frame=1.0, rms_x=0.04)


def outcome(scores: Scores, *steps: Step) -> Outcome:
    return Outcome(default("walk_across"), scores, steps)


def test_laws_of_the_scoreboard_are_all_there_are() -> None:
    assert sorted(LAWS) == law_names()
    assert set(BASELINES) < set(LAWS)


def test_the_worst_seed_is_judged() -> None:
    assert walk([outcome(GOOD), outcome(GOOD)]).met
    assert not walk([outcome(GOOD), outcome(replace(GOOD, rms_x=0.06))]).met
    assert not walk([outcome(GOOD), outcome(replace(GOOD, in_frame=0.99))]).met
    assert not sway([outcome(GOOD), outcome(replace(GOOD, reversals_per_minute=1.0))]).met


def test_a_step_that_never_settles_is_not_met() -> None:
    fine = Step(12.0, 0.02, 1.2)
    assert step([outcome(GOOD, fine)]).met
    assert not step([outcome(GOOD, fine, Step(12.0, 0.02, float("nan")))]).met
    assert not step([outcome(GOOD, fine, Step(12.0, 0.08, 1.2))]).met
    assert not step([outcome(GOOD)]).met


def test_baselines_must_be_beaten_on_both() -> None:
    worse = [outcome(replace(GOOD, rms_x=0.1, commands_s=1.0))]
    others = dict.fromkeys(BASELINES, worse)
    assert against_baselines([outcome(GOOD)], others).met
    quiet = [outcome(replace(GOOD, rms_x=0.1))]
    verdict = against_baselines([outcome(GOOD)], {**others, "stop_and_go": quiet})
    assert not verdict.met and "commands of stop_and_go" in verdict.said


def test_means_leave_out_what_is_not_known() -> None:
    unknown = replace(GOOD, lag_s=float("nan"))
    assert mean([outcome(unknown), outcome(replace(GOOD, lag_s=0.4))]).lag_s == pytest.approx(0.4)
    assert mean([outcome(unknown)]).lag_s != mean([outcome(unknown)]).lag_s


def test_runs_come_by_setting_and_seed() -> None:
    wanted = [default(scene, duration_s=7.0) for scene in ("stand", "sway")]
    groups = list(run_all(wanted, seeds=2, jobs=1))
    assert [[(each.settings.scene, each.settings.seed) for each in group] for group in groups] == [
        [("stand", 0), ("stand", 1)],
        [("sway", 0), ("sway", 1)],
    ]
    assert row(groups[0])[:4] == ("stand", "hik-8425ix", "group", "predictive")


def test_goals_have_names_of_their_own() -> None:
    assert len({goal.key for goal in REACH}) == len(REACH)


def test_every_fault_has_a_run() -> None:
    for kind in KINDS:
        fault = settings_of(kind).faults[0]
        assert fault.kind == kind and fault.start_s > START_S
    assert not Faulty("unauthorized", "hikvision", ("ok",), 0.0, "").right
    assert Faulty("unauthorized", "hikvision", ("ok", "locked"), 0.0, "").right
    assert not Faulty("slow", "hikvision", ("ok",), 0.0, "", "ValueError: x").right


def test_a_plot_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = run_scene(default("stand", duration_s=7.0))
    files = write_plots(report, tmp_path / "plots")
    assert [file.read_bytes()[:4] for file in files] == [b"\x89PNG"]


def test_the_command_line_knows_its_words() -> None:
    args = options().parse_args(["--scene", "sway", "--law", "p", "--law", "pid", "--seeds", "2"])
    assert args.scene == ["sway"] and args.law == ["p", "pid"] and args.seeds == 2
    with pytest.raises(SystemExit):
        options().parse_args(["--scene", "swaying"])
