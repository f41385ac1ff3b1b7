"""Rates and times from what the engine writes."""

from __future__ import annotations

import numpy as np
import pytest

from bench.throughput import counted, finished_s, rate_of


def test_rate_is_frames_by_time() -> None:
    assert rate_of(np.arange(100) / 25.0 + 1_700_000_000) == pytest.approx(25.0)


def test_rate_does_not_depend_on_where_batches_begin() -> None:
    """Frames of a batch are finished all at once; 20 frames/s are 20, whichever frame is counted first."""
    for batch in (1, 2, 4, 8):
        times_s = np.repeat(np.arange(160 // batch) * batch / 20.0, batch)
        for left_out in range(batch):
            assert rate_of(times_s[left_out:]) == pytest.approx(20.0, rel=0.01)


def test_start_and_end_do_not_count() -> None:
    """A slow start and a slow end of a tenth each leave the rate as it is."""
    steps_s = np.full(100, 0.1)
    steps_s[:10] = steps_s[-10:] = 5.0
    assert rate_of(steps_s.cumsum()) == pytest.approx(10.0)


def test_counted_sorts_and_leaves_a_tenth_at_both_ends() -> None:
    assert counted([9, 3, 1, 2, 4, 5, 6, 7, 8, 0]).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_frame_is_finished_when_it_reaches_the_output() -> None:
    line = {"time": 1_700_000_000.25, "latency_ms": {"decode": 2.0, "total": 500.0}}
    assert finished_s(line) == pytest.approx(1_700_000_000.75)
