"""Target rates: exact over time, whatever the camera's own rate is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batching.thinning import Thinning


def taken(target_fps: float, times_ns: list[int]) -> list[int]:
    thinning = Thinning(target_fps)
    return [number for number, time_ns in enumerate(times_ns) if thinning.takes(time_ns)]


def times(fps: float, seconds: float, jitter_ms: float = 0.0) -> list[int]:
    rng = random.Random(7)
    jitter_ns = jitter_ms * 1e6
    return sorted(
        round(number * 1e9 / fps + rng.uniform(-jitter_ns, jitter_ns)) for number in range(round(fps * seconds))
    )  # fmt: skip


def test_without_a_target_every_frame_is_taken() -> None:
    assert taken(0, times(25, 2)) == list(range(50))


def test_fifteen_thinned_to_ten_are_ten_not_seven_and_a_half() -> None:
    assert len(taken(10, times(15, 60))) == pytest.approx(600, abs=1)
    assert taken(10, times(15, 1)) == [0, 2, 3, 5, 6, 8, 9, 11, 12, 14]


@pytest.mark.parametrize("fps", [5, 9.99, 10, 10.01, 12, 15, 24, 25, 29.97, 30, 60])
@pytest.mark.parametrize("target", [0.5, 1, 5, 7, 10, 15, 25])
def test_the_rate_is_the_lower_of_the_two(fps: float, target: float) -> None:
    assert len(taken(target, times(fps, 100))) / 100 == pytest.approx(min(fps, target), rel=0.01, abs=0.011)


@pytest.mark.parametrize("target", [5, 10, 15])
def test_jitter_costs_no_frames(target: float) -> None:
    assert len(taken(target, times(15, 100, jitter_ms=15))) == pytest.approx(min(15, target) * 100, rel=0.02)


@given(gaps_ms=st.lists(st.integers(0, 3000), max_size=300), target=st.floats(0.5, 60))
def test_never_more_than_asked_for(gaps_ms: list[int], target: float) -> None:
    now_ns, frames = 0, []
    for gap_ms in gaps_ms:
        now_ns += gap_ms * 1_000_000
        frames.append(now_ns)
    assert len(taken(target, frames)) <= now_ns / 1e9 * target + 2.2


def test_what_was_missed_in_a_pause_is_not_made_up_for() -> None:
    burst = [10_000_000_000 + number * 5_000_000 for number in range(10)]
    found = taken(10, [*times(15, 5), *burst])
    assert len([number for number in found if number >= 75]) == 2


def test_time_that_goes_backwards_begins_anew() -> None:
    once = times(30, 2)
    found = taken(10, once + once)
    assert found == [*range(0, 60, 3), *range(60, 120, 3)]


def test_a_file_without_times_counts_as_25_frames_a_second() -> None:
    assert len(taken(10, [-1] * 250)) == 100


@pytest.mark.parametrize(("target", "frames"), [(0, 1), (25, 1), (12.5, 2), (5, 5), (1, 25)])
def test_when_the_next_one_will_be_taken_is_known(target: float, frames: int) -> None:
    thinning = Thinning(target)
    assert thinning.takes(0)
    expected_ns = thinning.next_taken_ns(40_000_000)
    assert expected_ns == frames * 40_000_000
    seen = [thinning.takes(number * 40_000_000) for number in range(1, frames + 1)]
    assert seen == [False] * (frames - 1) + [True]
