"""Motion of one axis in closed form: it gets where it should, without jumps, within its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptz.axis_path import AxisPath

ACCEL, FASTEST = 200.0, 100.0
jerks = st.sampled_from([2000.0, math.inf])
turns = st.tuples(st.just("turn"), st.floats(0.01, 0.5), st.floats(-80, 80), jerks)
gotos = st.tuples(st.just("go"), st.floats(0.01, 0.5), st.floats(-60, 60), jerks)


@settings(max_examples=60)
@given(st.lists(st.one_of(turns, gotos), min_size=1, max_size=6))
def test_commands_in_any_order(commands: list[tuple[str, float, float, float]]) -> None:
    path, now = AxisPath(3.0), 0.0
    for kind, wait, value, jerk in commands:
        now += wait
        if kind == "turn":
            path.turn(now, value, ACCEL, jerk)
        else:
            path.go_to(now, value, FASTEST, ACCEL)
    place, speed, _ = path.at(now + 10)
    if commands[-1][0] == "turn":
        assert speed == pytest.approx(commands[-1][2], abs=1e-6)
    else:
        assert place == pytest.approx(commands[-1][2], abs=1e-6)
        assert speed == 0.0
        assert path.rests_since is not None
    times = np.arange(0.0, now + 3.0, 0.002)
    states = np.array([path.at(float(time_s)) for time_s in times])
    assert np.abs(np.diff(states[:, 0])).max() <= 0.002 * 170
    assert np.abs(np.diff(states[:, 1])).max() <= 0.002 * ACCEL * 1.01
    assert np.abs(states[:, 2]).max() <= ACCEL * 1.001


def test_a_step_of_speed_takes_the_time_it_should() -> None:
    path = AxisPath(0.0)
    path.turn(1.0, 40.0, ACCEL, 2000.0)
    assert path.at(1.0)[1] == 0.0
    assert path.at(1.3)[1] == pytest.approx(40.0)  # 40/200 + 200/2000
    assert path.at(1.15)[1] == pytest.approx(20.0)
    assert path.at(2.3)[0] == pytest.approx(40.0 * 1.15)
    assert path.at(-5.0)[0] == 0.0


def test_a_limit_is_where_it_stands() -> None:
    path = AxisPath(0.0)
    path.turn(0.0, 50.0, ACCEL, 2000.0)
    path.stop_at(-10.0, 10.0, 0.0)
    assert path.at(9.0) == (10.0, 0.0, 0.0)
    assert path.rests_since == pytest.approx(0.375, abs=1e-6)
    path.turn(10.0, 5.0, ACCEL, 2000.0)
    path.stop_at(-10.0, 10.0, 10.0)
    assert path.at(11.0)[0] == pytest.approx(10.0)
    path.turn(12.0, -5.0, ACCEL, 2000.0)
    path.stop_at(-10.0, 10.0, 12.0)
    assert path.at(13.0)[0] < 6.0


def test_the_past_is_forgotten_only_as_far_as_asked() -> None:
    path = AxisPath(0.0)
    for second in range(10):
        path.turn(float(second), float(second % 3), ACCEL, math.inf)
    before = path.at(7.5)
    path.forget_before(7.0)
    assert path.at(7.5) == before
