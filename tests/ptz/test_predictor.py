"""The filter of a target: velocity, the gate and its restart, north, and times that run back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptz.geometry import wrap_deg
from ptz.predictor import Outcome, TargetFilter

FPS = 15.0


def follow(
    filter_: TargetFilter, path: list[float], seed: int = 0, noise: float = 0.1, start_s: float = 0.0
) -> list[Outcome]:
    """Azimuths at 15 a second, with noise; 12 m away."""
    dice = np.random.default_rng(seed)
    return [
        filter_.observe(
            start_s + index / FPS,
            pan + dice.normal(0, noise),
            -10.0 + dice.normal(0, noise),
            8.0 * dice.normal(1, 0.02),
        )
        for index, pan in enumerate(path)
    ]


def test_a_walk_across_north() -> None:
    filter_ = TargetFilter()
    outcomes = follow(filter_, [(350.0 + 7.0 * index / FPS) % 360 for index in range(60)])
    found = filter_.at(60 / FPS)
    assert wrap_deg(found.pan_deg - (350 + 7 * 4)) == pytest.approx(0.0, abs=0.3)
    assert found.pan_deg_s == pytest.approx(7.0, abs=1.5)
    assert abs(found.tilt_deg_s) < 1.0
    assert found.size_deg == pytest.approx(8.0, rel=0.05)
    assert outcomes[0] is Outcome.STARTED
    assert outcomes.count(Outcome.UPDATED) >= 57
    ahead = filter_.at(6.0)
    assert ahead.pan_deg == pytest.approx(32.0, abs=3.0)
    assert ahead.pan_sigma_deg > found.pan_sigma_deg


def test_a_step_is_believed_at_the_second_picture_and_leaves_no_velocity() -> None:
    filter_ = TargetFilter()
    outcomes = follow(filter_, [0.0] * 30 + [12.0] * 15)
    assert outcomes[30:32] == [Outcome.GATED, Outcome.RESTARTED]
    assert filter_.at(45 / FPS).pan_deg == pytest.approx(12.0, abs=0.2)
    assert abs(filter_.at(45 / FPS).pan_deg_s) < 2.0
    assert filter_.restarts == 1


def test_one_outlier_is_not_believed() -> None:
    filter_ = TargetFilter()
    outcomes = follow(filter_, [0.0] * 30 + [12.0] + [0.0] * 10)
    assert outcomes[30] is Outcome.GATED
    assert filter_.restarts == 0
    assert abs(filter_.at(41 / FPS).pan_deg) < 0.3 or filter_.at(41 / FPS).pan_deg > 359.7


def test_a_runner_who_turns_round_is_known_again_within_three_pictures() -> None:
    filter_ = TargetFilter()
    there = [23.0 * index / FPS for index in range(30)]
    back = [there[-1] - 23.0 * index / FPS for index in range(1, 5)]
    follow(filter_, there + back)
    found = filter_.at(34 / FPS)
    assert found.pan_deg_s == pytest.approx(-23.0, abs=6.0)
    assert filter_.restarts == 1


def test_nonsense_is_ignored() -> None:
    filter_ = TargetFilter()
    with pytest.raises(ValueError, match="never"):
        filter_.at(0.0)
    for bad in ((math.nan, 0.0, 1.0), (0.0, math.inf, 1.0), (0.0, 0.0, 0.0)):
        assert filter_.observe(0.0, *bad) is Outcome.IGNORED
    assert not filter_.started


def test_times_that_run_back_are_ignored_until_they_stay_back() -> None:
    filter_ = TargetFilter()
    follow(filter_, [0.0] * 10, start_s=100.0)
    outcomes = follow(filter_, [5.0] * 8, start_s=3.0)
    assert outcomes[:4] == [Outcome.IGNORED] * 4
    assert outcomes[4] is Outcome.RESTARTED
    assert outcomes[-1] is not Outcome.IGNORED
    assert filter_.time_s < 10


def test_after_a_long_gap_it_begins_again() -> None:
    filter_ = TargetFilter()
    follow(filter_, [0.0] * 10)
    assert filter_.observe(30.0, 40.0, 0.0, 8.0) is Outcome.RESTARTED


def test_while_the_camera_turns_a_measurement_says_less() -> None:
    still, turning = TargetFilter(), TargetFilter()
    for filter_, speed in ((still, 0.0), (turning, 80.0)):
        for index in range(20):
            filter_.observe(index / FPS, 0.0, 0.0, 8.0, speed)
        filter_.observe(20 / FPS, 0.4, 0.0, 8.0, speed)
    assert wrap_deg(still.at(20 / FPS).pan_deg) > wrap_deg(turning.at(20 / FPS).pan_deg)


def test_nearly_below_the_camera_an_azimuth_says_little() -> None:
    filter_ = TargetFilter()
    outcomes = [filter_.observe(index / FPS, 30.0 * index, -86.0, 20.0) for index in range(4)]
    assert Outcome.RESTARTED not in outcomes
