"""Axes: limits of speed, acceleration and jerk are kept, stops cost the way that physics asks for."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from ptz.simulator.mechanics import Axis, AxisLimits

LIMITS = AxisLimits(80.0, 200.0, 2000.0, 0.1, 210.0)
STOPS = replace(LIMITS, low=-90.0, high=90.0)


def test_a_step_of_speed_is_the_analytic_s_curve() -> None:
    axis = Axis(LIMITS, 0.0, 0.0)
    axis.turn(1.0, 60.0)
    # 0.1 s to full acceleration, 0.2 s at it, 0.1 s back: 60 °/s after 0.4 s and 12°.
    assert axis.at(1.1).acceleration == pytest.approx(200.0)
    assert axis.at(1.1).speed == pytest.approx(10.0)
    assert axis.at(1.2).speed == pytest.approx(30.0)
    assert axis.at(1.4).speed == pytest.approx(60.0)
    assert axis.at(1.4).position == pytest.approx(12.0)
    assert axis.at(2.4).position == pytest.approx(72.0)


def test_a_stop_takes_its_way() -> None:
    sharp = replace(LIMITS, most_jerk=1e6)
    axis = Axis(sharp, 0.0, 0.0)
    axis.turn(0.0, 60.0)
    before = axis.at(5.0)
    axis.turn(5.0, 0.0)
    after = axis.at(10.0)
    assert after.speed == 0.0
    assert after.position - before.position == pytest.approx(60.0**2 / (2 * 200.0), rel=0.05)


def test_whatever_is_commanded_the_limits_are_kept() -> None:
    dice = random.Random(1)
    for _ in range(60):
        axis, now_s, target = Axis(STOPS, 0.0, dice.uniform(-80, 80)), 0.0, None
        for _ in range(10):
            now_s += dice.uniform(0.01, 0.6)
            if dice.random() < 0.4:
                target = dice.uniform(-90.0, 90.0)
                axis.go(now_s, target, dice.uniform(5, 200))
            else:
                target = None
                axis.turn(now_s, dice.choice([0.0, dice.uniform(-80, 80)]))
        step_s = 0.005
        motions = [axis.at(at) for at in np.arange(0.0, now_s + 10.0, step_s)]
        position, speed, acceleration = (
            np.array([getattr(motion, name) for motion in motions])
            for name in ("position", "speed", "acceleration")
        )
        assert np.abs(np.diff(position) / step_s - (speed[1:] + speed[:-1]) / 2).max() < 0.01
        assert np.abs(np.diff(speed)).max() <= 200.0 * step_s + 1e-6
        assert np.abs(np.diff(acceleration)).max() <= 2000.0 * step_s + 1e-6
        assert np.abs(position).max() < 90.001
        if target is not None:
            assert axis.at(now_s + 60.0).position == pytest.approx(target)


def test_it_brakes_before_a_stop() -> None:
    axis = Axis(STOPS, 0.0, 0.0)
    axis.turn(0.0, 80.0)
    assert axis.at(1.0).speed == pytest.approx(80.0)
    assert axis.at(10.0).position == 90.0
    assert axis.rests_from() == pytest.approx(90 / 80 + 80 / 200 + 200 / 2000, abs=0.01)
    axis.turn(11.0, 50.0)
    assert axis.at(12.0).position == 90.0


def test_a_new_command_in_the_middle_of_a_move_wins() -> None:
    axis = Axis(STOPS, 0.0, 0.0)
    axis.go(0.0, 80.0, 100.0)
    axis.go(0.3, -10.0, 100.0)
    assert axis.at(0.3).speed > 0
    assert axis.at(5.0).position == pytest.approx(-10.0)


def test_the_past_can_be_asked_for() -> None:
    axis = Axis(LIMITS, 0.0, 0.0)
    axis.turn(0.0, 40.0)
    was = axis.at(1.0)
    axis.turn(2.0, -40.0)
    assert axis.at(1.0) == was


def test_play_is_taken_up_before_the_lens_follows() -> None:
    axis = Axis(LIMITS, 0.0, 0.0, play=0.3)
    axis.go(0.0, 10.0, 50.0)
    assert axis.shown(5.0) == pytest.approx(9.85)
    axis.go(5.0, 9.9, 50.0)
    assert axis.shown(8.0) == pytest.approx(9.85)
    axis.go(8.0, 0.0, 50.0)
    assert axis.shown(12.0) == pytest.approx(0.15)
    # There and back within the play of one piece of motion.
    axis.go(12.0, 5.0, 50.0)
    axis.turn(12.3, 0.0)
    axis.go(14.0, 0.0, 50.0)
    assert axis.shown(20.0) == pytest.approx(0.15)


def test_an_hour_of_commands_is_quick_and_bounded() -> None:
    axis = Axis(STOPS, 0.0, 0.0)
    for step in range(36_000):
        axis.turn(step * 0.1, 30.0 * (1 if step // 7 % 2 else -1))
    assert len(axis._pieces) < 4000
