"""Histograms and the ranges chosen from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.types import F32
from tools.calibration import Histogram, channel_scales, identity, relu, silu


def filled(values: F32) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def loss(values: F32, low: float, high: float) -> float:
    """Mean square error of 256 steps over this range, without any histogram."""
    step = (high - low) / 255
    zero = np.round(-low / step)
    restored = (np.clip(np.round(values / step) + zero, 0, 255) - zero) * step
    return float(((restored - values) ** 2).mean())


@given(
    st.lists(arrays.arrays(np.float32, 20, elements=st.floats(-1e4, 1e4, width=32)), min_size=1, max_size=5)
)
@settings(max_examples=40, deadline=None)
def test_every_value_is_counted_where_it_lies(parts: list[F32]) -> None:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    everything = np.concatenate(parts)
    assert histogram.counts.sum() == everything.size
    assert histogram.lowest == min(0, everything.min()) and histogram.highest == max(0, everything.max())
    width = 2 * histogram.limit / len(histogram.counts)
    for value in everything:
        # Bins were merged and values are float32: the next one at most.
        index = min(int((value + histogram.limit) / width), len(histogram.counts) - 1)
        assert histogram.counts[max(0, index - 1) : index + 2].any()


def test_numbers_that_are_none_are_left_out() -> None:
    histogram = filled(np.array([np.nan, np.inf, -np.inf, 3], np.float32))
    assert histogram.counts.sum() == 1 and histogram.highest == 3


def test_one_value_far_out_does_not_cost_all_others_their_steps() -> None:
    values = np.random.default_rng(0).normal(0, 1, 1_000_000).astype(np.float32)
    values[0] = 30
    low, high = filled(values).best_range()
    assert high < 15
    assert loss(values, low, high) < 0.6 * loss(values, float(values.min()), float(values.max()))


def test_evenly_spread_values_keep_the_whole_range() -> None:
    low, high = filled(np.linspace(-2, 6, 10_000, dtype=np.float32)).best_range()
    assert low == pytest.approx(-2, rel=0.06) and high == pytest.approx(6, rel=0.06)


def test_what_silu_flattens_gets_no_steps() -> None:
    values = np.random.default_rng(0).normal(-8, 6, 100_000).astype(np.float32)
    plain, seen_through = filled(values).best_range(identity)[0], filled(values).best_range(silu)[0]
    assert plain < -20 < seen_through < -2
    assert filled(values).best_range(relu)[0] > -1


def test_zero_is_always_in_the_range() -> None:
    for values in (np.full(9, 5, np.float32), np.full(9, -5, np.float32), np.zeros(9, np.float32)):
        low, high = filled(values).best_range()
        assert low <= 0 <= high


@pytest.mark.parametrize("levels", [127, 64])
def test_weights_on_a_grid_are_met_exactly(levels: int) -> None:
    """A model that was quantised by tensor before: each channel reaches another part of the grid."""
    noise = np.random.default_rng(0)
    steps = noise.integers(-levels // 2, levels // 2 + 1, (8, 4, 3, 3)) // np.arange(1, 9).reshape(
        -1, 1, 1, 1
    )
    weight = (steps * 0.0123).astype(np.float32)
    scales = channel_scales(weight, levels).reshape(-1, 1, 1, 1)
    rounded = np.clip(np.round(weight / scales), -levels, levels) * scales
    np.testing.assert_allclose(rounded, weight, atol=1e-6)


def test_no_scale_is_worse_than_the_plain_one() -> None:
    weight = np.random.default_rng(1).standard_t(3, (16, 8, 3, 3)).astype(np.float32)
    axes = (1, 2, 3)

    def error(scales: F32) -> F32:
        shaped = scales.reshape(-1, 1, 1, 1)
        wrong: F32 = ((np.clip(np.round(weight / shaped), -127, 127) * shaped - weight) ** 2).sum(axis=axes)
        return wrong

    plain = np.abs(weight).max(axis=axes) / np.float32(127)
    assert np.all(error(channel_scales(weight, 127)) <= error(plain) * 1.001)
    assert error(channel_scales(weight, 127)).sum() < 0.95 * error(plain).sum()


def test_a_channel_of_zeros_has_a_scale() -> None:
    assert np.all(channel_scales(np.zeros((2, 3, 1, 1), np.float32), 127) > 0)
