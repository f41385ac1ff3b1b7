"""How often a camera gives a frame, from frames that really came."""

from __future__ import annotations

import itertools

import pytest

from engine.batching.arrivals import HORIZON_NS, SETTLED_NS, SPAN_NS, Arrivals
from tests.batching.traces import START_NS, steady, trace

SECOND_NS = 1_000_000_000


def estimates_ms(name: str, after_s: float) -> list[float]:
    """Every estimate of the period while a recording is played."""
    arrivals, found = Arrivals(), []
    for frame in trace(name):
        arrivals.add(frame.available_ns)
        if frame.available_ns > START_NS + after_s * SECOND_NS and arrivals.period_ns:
            found.append(arrivals.period_ns / 1e6)
    return found


@pytest.mark.parametrize(("name", "period_ms"), [("file", 40.0), ("rtsp", 40.0)])
def test_the_period_of_a_camera_that_keeps_its_time(name: str, period_ms: float) -> None:
    found = estimates_ms(name, 5.0)  # the stream began with a few frames at once
    assert found == pytest.approx([period_ms] * len(found), rel=0.05)


def test_a_bursty_camera_does_not_make_it_swing() -> None:
    """The gaps of this recording are between 0 and 567 ms."""
    gaps_ms = [(b.available_ns - a.available_ns) / 1e6 for a, b in itertools.pairwise(trace("bursty"))]
    assert min(gaps_ms) < 5 and max(gaps_ms) > 450
    found = estimates_ms("bursty", 5.0)
    assert found == pytest.approx([1000 / 15] * len(found), rel=0.12)


def test_nothing_is_said_before_there_is_a_span() -> None:
    arrivals = Arrivals()
    assert arrivals.period_ns is None and arrivals.last_ns is None
    for number in range(30):  # the burst with which a stream begins
        arrivals.add(number * 1_000_000)
    assert arrivals.period_ns is None
    arrivals.add(SETTLED_NS)
    assert arrivals.period_ns == SETTLED_NS // 30


def test_frames_that_were_not_looked_at_count() -> None:
    arrivals = Arrivals()
    for number in range(10):
        arrivals.add(number * 300_000_000, frames=3)
    assert arrivals.period_ns == 100_000_000


def test_a_camera_is_live_for_as_long_as_the_horizon() -> None:
    arrivals = Arrivals()
    assert not arrivals.live(0)
    arrivals.add(SECOND_NS)
    assert arrivals.live(SECOND_NS + HORIZON_NS)
    assert not arrivals.live(SECOND_NS + HORIZON_NS + 1)


def test_a_camera_that_comes_back_is_looked_at_anew() -> None:
    arrivals = Arrivals()
    for frame in steady(25, 3):
        arrivals.add(frame.available_ns)
    for frame in steady(10, 3, delay_ms=6000):
        arrivals.add(frame.available_ns)
    assert arrivals.period_ns == pytest.approx(100_000_000, rel=0.01)


def test_a_camera_that_changes_its_rate_is_followed() -> None:
    arrivals = Arrivals()
    for frame in [*steady(30, 10), *steady(10, 9, delay_ms=10_000)]:
        arrivals.add(frame.available_ns)
    assert arrivals.period_ns == pytest.approx(100_000_000, rel=0.01)


def test_memory_is_bounded_by_the_span() -> None:
    arrivals = Arrivals()
    for frame in steady(100, 60):
        arrivals.add(frame.available_ns)
    assert len(arrivals._times_ns) == SPAN_NS // 10_000_000 + 1
