"""Figures of runs whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptz.metrics import Series, Turning, reversals_of, score, steps

TIMES = np.arange(0.0, 60.0, 1 / 15)


def series(offset_x: np.ndarray | float = 0.0, **changed: np.ndarray) -> Series:
    ones, zeros = np.ones(len(TIMES)), np.zeros(len(TIMES))
    yes = ones.astype(bool)
    known = Series(
        TIMES,
        zeros,
        zeros,
        ones,
        zeros,
        zeros,
        zeros + offset_x,
        zeros,
        0.5 * ones,
        0.5 * ones,
        yes,
        yes,
        yes,
        yes,
    )
    return replace(known, **changed)


def still() -> Turning:
    times = np.arange(0.0, 60.0, 0.02)
    return Turning(times, np.zeros_like(times), np.zeros_like(times))


def test_a_constant_offset() -> None:
    scores = score(series(0.1), still(), ())
    assert (scores.rms_x, scores.p50_x, scores.p95_x) == pytest.approx((0.1, 0.1, 0.1))
    assert (scores.rms_y, scores.in_frame, scores.moving, scores.commands_s) == (0.0, 1.0, 0.0, 0.0)
    assert scores.size_error_octaves == 0.0
    assert np.isnan(scores.lag_s) and np.isnan(scores.reacquire_s)


def test_behind_the_lens_is_a_whole_picture_off() -> None:
    assert score(series(np.nan), still(), ()).rms_x == 1.0
    assert score(series(7.0), still(), ()).rms_x == 1.0


def test_nobody_there_is_not_judged() -> None:
    half = TIMES < 30
    scores = score(series(np.where(half, 0.0, np.nan), present=half, in_frame=half), still(), ())
    assert (scores.rms_x, scores.in_frame) == (0.0, 1.0)
    assert np.isnan(score(series(present=TIMES < 0), still(), ()).in_frame)


def test_leaving_the_picture_and_coming_back() -> None:
    out = ((TIMES >= 10) & (TIMES < 12)) | ((TIMES >= 40) & (TIMES < 41))
    scores = score(series(in_frame=~out), still(), ())
    assert scores.lost_per_minute == pytest.approx(2.0, rel=0.01)
    assert scores.reacquire_s == pytest.approx(1.5, abs=0.1)
    assert scores.in_frame == pytest.approx(0.95, abs=0.002)


def test_commands_within_the_series_count() -> None:
    scores = score(series().between(30.0), still(), [1.0, 31.0, 32.0, 33.0])
    assert scores.commands_s == pytest.approx(0.1, rel=0.01)


def test_turning_back_counts_also_after_standing() -> None:
    assert reversals_of(np.array([5.0, 5.0, 0.0, 0.1, -0.1, 4.0, 0.0, -3.0, -3.0, 2.0])) == 2
    assert reversals_of(np.zeros(5)) == 0


def test_a_step_with_overshoot() -> None:
    after = TIMES - 20.0
    pan = np.where(after < 0, 0.0, 12.0 * np.clip(after / 0.5, 0, 1.1))
    pan = np.where(after > 1.0, 12.0, pan)
    target = np.where(after < 0, 0.0, 12.0)
    found = steps(series((target - pan) / 30.0, pan_deg=pan, target_pan_deg=target))
    assert len(found) == 1
    assert found[0].step_deg == 12.0
    assert found[0].overshoot == pytest.approx(0.1)
    # Within 1.5° (5 % of 30°) from 0.44 s on; the overshoot of 1.2° stays inside.
    assert found[0].settle_s == pytest.approx(0.44, abs=0.07)
    never = steps(series(0.2, pan_deg=pan, target_pan_deg=target))
    assert np.isnan(never[0].settle_s)


def test_the_lag_of_a_head_that_follows_late() -> None:
    times = np.arange(0.0, 60.0, 0.02)
    pan = 20 * np.sin(TIMES)
    late = Turning(times, 20 * np.cos(times - 0.4), np.zeros_like(times))
    assert score(series(target_pan_deg=pan), late, ()).lag_s == pytest.approx(0.4, abs=0.05)


def test_jerk_is_the_third_derivative() -> None:
    times = np.arange(0.0, 10.0, 0.02)
    turning = Turning(times, 10 * np.sin(2 * times), np.zeros_like(times))
    assert score(series(), turning, ()).jerk_rms_deg_s3 == pytest.approx(40 / np.sqrt(2), rel=0.05)


def test_nothing_recorded_gives_nothing_and_no_error() -> None:
    scores = score(series().between(1e9), still().between(1e9), ())
    assert np.isnan(scores.in_frame) and np.isnan(scores.rms_x)
    assert steps(series().between(1e9)) == []
