"""The tracker's time only goes forward."""

from __future__ import annotations

import math

import pytest

from engine.tracking.pace import SHORTEST_INTERVAL_S, UNKNOWN_INTERVAL_S, Pace


def test_steps_are_those_of_the_timestamps() -> None:
    pace = Pace()
    assert pace.step(100.0) == UNKNOWN_INTERVAL_S
    assert pace.step(100.5) == pytest.approx(0.5)
    assert pace.step(102.5) == pytest.approx(2.0)
    assert pace.time_s == pytest.approx(2.5 + UNKNOWN_INTERVAL_S)


@pytest.mark.parametrize("odd", [0.9, -50.0, math.nan, math.inf])
def test_a_timestamp_that_does_not_advance_is_one_ordinary_interval(odd: float) -> None:
    pace = Pace()
    for k in range(10):
        pace.step(k / 10)
    assert pace.step(odd) == pytest.approx(0.1)


def test_goes_on_from_the_earlier_time_after_a_step_back() -> None:
    pace = Pace()
    for time_s in (10.0, 10.1, 10.2, 0.0):
        pace.step(time_s)
    assert pace.step(0.1) == pytest.approx(0.1)


def test_a_gap_does_not_change_the_ordinary_interval() -> None:
    pace = Pace()
    for k in range(10):
        pace.step(k / 10)
    assert pace.step(60.0) == pytest.approx(59.1)
    assert pace.interval_s == pytest.approx(0.1)


def test_time_that_all_but_stands_still_still_passes() -> None:
    pace = Pace()
    pace.step(0.0)
    assert pace.step(1e-9) == SHORTEST_INTERVAL_S
