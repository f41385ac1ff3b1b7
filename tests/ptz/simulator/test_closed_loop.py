"""Following from end to end in virtual time: the least that it must reach, with room to what it does reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptz.metrics import Scores
from ptz.simulator.closed_loop import (
    START_S,
    LoopSettings,
    RunReport,
    lens_of,
    run_scene,
    speeds_of,
    told_apart,
)
from ptz.simulator.crew_loop import run_crew
from ptz.simulator.device import Command
from ptz.simulator.faults import Fault
from ptz.simulator.profiles import PROFILES
from ptz.types import HeadState, Levels


def run(scene: str, duration_s: float = 30.0, **changed: object) -> RunReport:
    return run_scene(replace(LoopSettings(scene, duration_s=duration_s), **changed))  # type: ignore[arg-type]  # by name


def states(report: RunReport, from_s: float, to_s: float) -> set[str]:
    """What the head said of itself between two times of the run."""
    before = [state for at_s, _, state in report.states if at_s <= START_S + from_s]
    during = [state for at_s, _, state in report.states if START_S + from_s < at_s <= START_S + to_s]
    return {*before[-1:], *during}


def test_the_same_settings_give_the_same_run() -> None:
    first, second = (run("walk_across", 8.0) for _ in range(2))
    assert np.array_equal(first.series.pan_deg, second.series.pan_deg)
    assert first.states == second.states
    assert not np.array_equal(first.series.pan_deg, run("walk_across", 8.0, seed=1).series.pan_deg)


def test_a_walk() -> None:
    scores = run("walk_across").scores
    assert scores.rms_x <= 0.07 and scores.in_frame >= 0.995


def test_a_runner_who_turns_round_in_no_time() -> None:
    assert run("run_reverse", 20.0).scores.in_frame >= 0.97
    assert run("run_reverse", 20.0, video_delay_s=0.5).scores.in_frame >= 0.8


def test_a_step_of_twelve_degrees() -> None:
    steps = run("step_teleport", 32.0).steps
    assert len(steps) == 3
    assert np.median([step.overshoot for step in steps]) <= 0.10
    assert np.median([step.settle_s for step in steps]) <= 2.0


@pytest.mark.parametrize("policy", ["group", "selected", "runner", "zone"])
def test_every_policy_keeps_somebody_who_is_alone(policy: str) -> None:
    assert run("stand", 10.0, policy=policy).scores.in_frame == 1.0


def test_swaying_moves_nothing() -> None:
    scores = run("sway").scores
    assert scores.commands_s <= 0.5 and scores.reversals_per_minute == 0


def test_a_group_that_merges_and_splits() -> None:
    assert run("group_5_merge_split", 24.0).scores.full_in_frame >= 0.95


def test_below_the_camera_the_head_neither_races_nor_flips() -> None:
    report = run("nadir_pass", 20.0)
    profile = PROFILES["hik-2sf8c442"]
    turning = report.turning
    steep = np.interp(turning.time_s, report.series.time_s, report.series.tilt_deg) < -79
    assert steep.any()
    assert np.abs(turning.pan_deg_s[steep]).max() <= profile.pan.most_speed / 2 * 1.1
    assert report.series.tilt_deg.min() > -91


def test_round_the_camera_never_the_long_way() -> None:
    report = run("pan_wrap_360", 34.0)
    assert report.scores.in_frame >= 0.97
    assert np.abs(report.series.pan_deg - report.series.target_pan_deg)[90:].max() < 90


@pytest.mark.parametrize(("driver", "profile"), [("hikvision", "hik-8425ix"), ("onvif", "onvif-fov")])
def test_over_the_protocols_it_follows_as_well(driver: str, profile: str) -> None:
    scores = run("walk_across", 20.0, driver=driver, profile=profile).scores
    assert scores.rms_x <= 0.1 and scores.in_frame >= 0.97


def test_a_device_that_does_not_move_is_told() -> None:
    report = run("walk_across", 16.0, profile="encoder-mh6171", driver="hikvision")
    assert HeadState.NOT_MOVING in states(report, 8.0, 16.0)
    assert report.scores.commands_s < 2.0


@pytest.mark.parametrize("kind", ["dead", "refused", "report_nan", "foreign", "video_freeze", "busy"])
def test_after_a_fault_it_follows_again(kind: str) -> None:
    fault = Fault(kind, START_S + 10.0, 5.0, value=30.0 if kind == "foreign" else 0.0)
    report = run("walk_across", 24.0, driver="hikvision", faults=(fault,))
    assert HeadState.OK in states(report, 19.0, 24.0)
    assert report.series.in_frame[report.series.time_s > START_S + 21.0].all()
    if kind == "dead":
        assert HeadState.NOT_MOVING in states(report, 10.0, 15.5)


def test_without_pictures_the_head_stops() -> None:
    report = run("run_reverse", 20.0, faults=(Fault("video_freeze", START_S + 12.0),))
    turning = report.turning
    # The newest picture is known 0.36 s later; 0.5 s of silence, 0.2 s of slowing down, command and brakes.
    late = turning.time_s > START_S + 12.0 + 0.36 + 0.9
    assert np.abs(turning.pan_deg_s[late]).max() < 0.5


def test_two_cameras_hand_somebody_over() -> None:
    report = run_crew(LoopSettings("two_cameras_handoff", duration_s=26.0))
    assert {owner for _, owner in report.owner} >= {"left", "right"}
    assert report.visible >= 0.9
    assert report.changes <= 2


def test_renewals_are_told_from_commands() -> None:
    turn = Command("turn", values=(20.0, 0.0, 0.0))
    other = Command("turn", values=(30.0, 0.0, 0.0))
    stop = Command("stop")
    history = [(0.0, turn), (0.2, turn), (0.4, other), (0.6, other), (0.8, stop), (1.0, turn)]
    assert told_apart(history) == ([0.0, 0.4, 0.8, 1.0], [0.2, 0.6])


@pytest.mark.parametrize("name", sorted(set(PROFILES) - {"encoder-mh6171"}))
def test_what_is_believed_after_calibration_is_what_the_profile_does(name: str) -> None:
    profile = PROFILES[name]
    table, lens = speeds_of(profile, calibrated=True), lens_of(profile, calibrated=True)
    for level in (20, 50, 100):
        told = table.velocity(Levels(pan=level), 1.0).pan_deg_s
        real = max(profile.level_share(level) * profile.pan.most_speed, profile.pan.least_speed)
        assert told == pytest.approx(real, rel=0.08)
    for zoom in (1.0, 2.0, profile.optics.most_zoom):
        assert lens.hfov_deg(zoom) == pytest.approx(profile.optics.hfov_deg(zoom), rel=1e-6)


def test_scores_are_numbers() -> None:
    report = run("leave_return", 12.0)
    assert isinstance(report.scores, Scores)
    assert 0 <= report.scores.in_frame <= 1
