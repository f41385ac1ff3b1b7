"""When the next call begins."""

from __future__ import annotations

import pytest

from engine.batching.pipeline import MARGIN, MARGIN_NS, Pipeline

MS = 1_000_000


def test_a_free_lane_is_taken_at_once() -> None:
    pipeline = Pipeline(2, 3, live=True)
    assert pipeline.begins_at(7, 0.01) == 7
    pipeline.begin(7, 0.01, 0.1)
    assert pipeline.begins_at(8, 0.01) == 8


def test_live_a_call_ahead_is_ready_when_the_lane_falls_free() -> None:
    pipeline = Pipeline(1, 2, live=True)
    pipeline.begin(0, 0.010, 0.100)
    begins_ns = pipeline.begins_at(1 * MS, 0.020)
    assert begins_ns == 110 * MS - round(20 * MS * MARGIN) - MARGIN_NS
    ahead = pipeline.begin(begins_ns, 0.020, 0.100)
    assert ahead.end_ns == 210 * MS, "it computes behind the first"
    assert pipeline.begins_at(begins_ns, 0.020) is None, "there is no room for a third"


def test_offline_a_call_ahead_begins_at_once() -> None:
    pipeline = Pipeline(1, 2, live=False)
    pipeline.begin(0, 0.010, 0.100)
    assert pipeline.begins_at(1 * MS, 0.020) == 1 * MS
    pipeline.begin(1 * MS, 0.020, 0.100)
    assert pipeline.begins_at(2 * MS, 0.020) is None


def test_the_lane_that_is_free_first_counts() -> None:
    pipeline = Pipeline(2, 3, live=True)
    pipeline.begin(0, 0.0, 0.300)
    pipeline.begin(50 * MS, 0.0, 0.100)
    begins_ns = pipeline.begins_at(60 * MS, 0.0)
    assert begins_ns == 150 * MS - MARGIN_NS


def test_a_call_that_takes_longer_than_expected_is_waited_for_from_now_on() -> None:
    pipeline = Pipeline(1, 2, live=True)
    pipeline.begin(0, 0.0, 0.100)
    begins_ns = pipeline.begins_at(500 * MS, 0.010)
    assert begins_ns is not None and begins_ns <= 500 * MS


def test_without_experience_nothing_is_begun_ahead() -> None:
    """Or its frames would wait for as long as a call takes, which nobody knows."""
    pipeline = Pipeline(1, 2, live=True)
    running = pipeline.begin(0, 0.0, 0.0)
    assert pipeline.begins_at(10 * MS, 0.0) is None
    pipeline.end(running)
    assert pipeline.begins_at(11 * MS, 0.0) == 11 * MS and pipeline.in_flight == 0


@pytest.mark.parametrize("lanes", [1, 3])
def test_without_a_call_more_than_lanes_nothing_is_begun_ahead(lanes: int) -> None:
    pipeline = Pipeline(lanes, lanes, live=True)
    for _ in range(lanes):
        pipeline.begin(0, 0.01, 0.1)
    assert pipeline.begins_at(1, 0.01) is None
