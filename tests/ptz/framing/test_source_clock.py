"""A camera's own clock: what is late was taken when it was taken."""

from __future__ import annotations

import math

import pytest

from ptz.framing.source_clock import LATEST_S, SourceClock

FPS = 15


def test_a_picture_that_is_late_was_not_taken_late() -> None:
    clock = SourceClock()
    for index in range(60):
        late_s = 0.55 if 20 <= index < 40 else 0.0
        source_s = index / FPS
        steady_s = clock.steady_s(1000.25 + source_s + late_s, source_s)
        assert steady_s == pytest.approx(1000.25 + source_s, abs=1e-9)
        assert clock.late_s == pytest.approx(late_s, abs=1e-9)


def test_clocks_that_drift_apart_are_not_late() -> None:
    clock = SourceClock()
    for index in range(20_000):
        source_s = index / FPS
        clock.steady_s(1000.0 + source_s * (1 + 50e-6), source_s)
    assert abs(clock.late_s) < 0.01


def test_a_camera_that_begins_anew_begins_anew() -> None:
    clock = SourceClock()
    for index in range(30):
        clock.steady_s(1000.0 + index / FPS, 500.0 + index / FPS)
    assert clock.steady_s(1010.0, 0.0) == 1010.0 and clock.late_s == 0.0
    assert clock.steady_s(1010.5, 0.4) == pytest.approx(1010.4, abs=0.001)
    # Later than anything: its clock was set.
    assert clock.steady_s(1011.0 + 2 * LATEST_S, 0.5) == 1011.0 + 2 * LATEST_S


def test_what_was_seen_before_tells_nothing_new() -> None:
    clock = SourceClock()
    clock.steady_s(1000.0, 0.0)
    clock.steady_s(1000.1, 0.1)
    clock.steady_s(1001.0, 0.1)
    assert clock.steady_s(1000.2, 0.2) == pytest.approx(1000.2) and clock.late_s == pytest.approx(0.0)


def test_without_a_clock_of_its_own_a_picture_was_taken_when_it_came() -> None:
    clock = SourceClock()
    assert clock.steady_s(5.0, math.nan) == 5.0 and clock.late_s == 0.0
