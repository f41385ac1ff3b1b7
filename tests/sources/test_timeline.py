"""Presentation times: units, passes and the pace of streams that come in bursts."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine.sources.timeline import Timeline

MS = Fraction(1, 1000)


def test_units_and_missing_times() -> None:
    timeline = Timeline()
    assert timeline.pts_ns(3003, Fraction(1, 90000)) == 33_366_666
    assert timeline.pts_ns(None, MS) == -1
    assert timeline.pts_ns(5, None) == -1


def test_times_before_zero_are_moved_up() -> None:
    timeline = Timeline()
    assert [timeline.pts_ns(pts, MS) for pts in (-80, -40, 0)] == [0, 40_000_000, 80_000_000]


def test_another_pass_goes_on_a_frame_later() -> None:
    timeline = Timeline()
    for pts in (100, 140, 180):
        timeline.pts_ns(pts, MS)
    timeline.start_again(25.0)
    assert [timeline.pts_ns(pts, MS) for pts in (100, 140)] == [220_000_000, 260_000_000]


def test_bursts_are_handed_out_at_their_pace() -> None:
    timeline = Timeline()
    assert timeline.seconds_until(1_000_000_000, now_ns=5_000_000_000) == 0
    assert timeline.seconds_until(1_040_000_000, now_ns=5_001_000_000) == pytest.approx(0.039)
    assert timeline.seconds_until(1_080_000_000, now_ns=5_200_000_000) == 0
    # A jump in time is a new start, not a long wait.
    assert timeline.seconds_until(90_000_000_000, now_ns=5_210_000_000) == 0
    assert timeline.seconds_until(90_000_000_000, now_ns=5_220_000_000) == 0
    assert timeline.seconds_until(90_040_000_000, now_ns=5_230_000_000) == pytest.approx(0.03)
