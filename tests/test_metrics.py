"""Histograms and rates."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.metrics import UPPER_BOUNDS_MS, BusyMeter, LatencyHistogram, RateMeter

durations = st.lists(st.floats(0, 200_000, allow_nan=False), min_size=1, max_size=60)


def histogram_of(durations_ms: list[float]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for duration_ms in durations_ms:
        histogram.add(duration_ms)
    return histogram


def test_an_empty_histogram_knows_nothing() -> None:
    histogram = LatencyHistogram()
    assert (histogram.count, histogram.p50_ms, histogram.p99_ms) == (0, None, None)
    assert LatencyHistogram.from_dict(histogram.to_dict()).p50_ms is None


def test_percentiles_of_known_durations() -> None:
    rng = random.Random(4)
    durations_ms = [math.exp(rng.gauss(3, 1)) for _ in range(5000)]
    histogram = histogram_of(durations_ms)
    durations_ms.sort()
    for estimate, share in ((histogram.p50_ms, 0.5), (histogram.p95_ms, 0.95), (histogram.p99_ms, 0.99)):
        assert estimate == pytest.approx(durations_ms[round(share * 5000) - 1], rel=0.06)


@given(durations, st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_true_one(durations_ms: list[float], share: float) -> None:
    estimate = histogram_of(durations_ms).quantile_ms(share)
    true = sorted(durations_ms)[math.ceil(share * len(durations_ms)) - 1]
    assert estimate is not None
    upper = min((bound for bound in UPPER_BOUNDS_MS if bound >= true), default=math.inf)
    lower = max((bound for bound in UPPER_BOUNDS_MS if bound < true), default=0.0)
    assert lower * (1 - 1e-9) <= estimate <= upper * (1 + 1e-9)
    assert min(durations_ms) <= estimate <= max(durations_ms)


@given(durations, durations)
def test_merging_is_counting_both_and_since_takes_one_away(first: list[float], second: list[float]) -> None:
    both = histogram_of(first)
    earlier = LatencyHistogram.from_dict(both.to_dict())
    both.merge(histogram_of(second))
    together = histogram_of(first + second)
    assert both.to_dict()["counts"] == together.to_dict()["counts"]
    assert (both.count, both.min_ms, both.max_ms) == (together.count, together.min_ms, together.max_ms)
    later = both.since(earlier)
    assert later.to_dict()["counts"] == histogram_of(second).to_dict()["counts"]
    assert later.sum_ms == pytest.approx(sum(second), abs=1e-6)


def test_since_refuses_a_histogram_that_is_not_a_predecessor() -> None:
    with pytest.raises(ValueError, match="counted more"):
        histogram_of([1.0]).since(histogram_of([1.0, 1.0]))


@given(durations)
def test_a_snapshot_survives_json(durations_ms: list[float]) -> None:
    histogram = histogram_of(durations_ms)
    restored = LatencyHistogram.from_dict(json.loads(json.dumps(histogram.to_dict())))
    assert restored.to_dict() == histogram.to_dict()
    assert restored.p95_ms == histogram.p95_ms


def test_a_snapshot_with_an_unknown_bucket_is_refused() -> None:
    snapshot = histogram_of([1.0]).to_dict()
    for bucket in ("-1", "122"):
        with pytest.raises(ValueError, match="does not exist"):
            LatencyHistogram.from_dict({**snapshot, "counts": {bucket: 1}})


@given(durations)
def test_cumulative_counts_are_those_up_to_each_bound(durations_ms: list[float]) -> None:
    for bound_ms, count in histogram_of(durations_ms).cumulative():
        assert count == sum(duration_ms <= bound_ms for duration_ms in durations_ms)


def test_the_ends_of_the_scale() -> None:
    histogram = histogram_of([-5.0, 0.0, 1e9])
    assert (histogram.min_ms, histogram.max_ms, histogram.count) == (0.0, 1e9, 3)
    assert histogram.quantile_ms(1.0) == 1e9
    assert histogram.cumulative()[-1] == (math.inf, 3)
    assert histogram.cumulative()[-2][1] == 2


def test_a_steady_rate_is_measured_and_falls_to_zero_when_nothing_comes() -> None:
    clock = ManualClock()
    meter = RateMeter(clock, window_s=5.0)
    assert meter.per_second() == 0.0
    for _ in range(70):
        clock.advance(1 / 7)
        meter.tick()
    assert meter.per_second() == pytest.approx(7.0, abs=0.21)
    assert meter.total == 70
    clock.advance(2.5)
    assert meter.per_second() == pytest.approx(3.5, abs=0.3)
    clock.advance(3.0)
    assert meter.per_second() == 0.0


def test_the_first_second_does_not_exaggerate() -> None:
    clock = ManualClock()
    meter = RateMeter(clock)
    clock.advance(0.001)
    meter.tick(4)
    assert meter.per_second() == pytest.approx(4.0)
    clock.advance(1.999)
    assert meter.per_second() == pytest.approx(2.0)


def test_the_busy_share_counts_what_lies_in_the_window() -> None:
    clock = ManualClock()
    meter = BusyMeter(clock, window_s=10)
    assert meter.share() == 0
    clock.advance(2)
    meter.begin()
    clock.advance(2)
    assert meter.share() == pytest.approx(0.5), "what is under way counts"
    meter.end()
    clock.advance(4)
    assert meter.share() == pytest.approx(0.25)
    clock.advance(5)
    assert meter.share() == pytest.approx(0.1), "half of it has left the window"
    clock.advance(5)
    assert meter.share() == 0
    meter.end()
    assert meter.share() == 0, "nothing was under way"
