"""What recent calls let us expect."""

import pytest

from engine.models.timings import CallTimes


def test_nothing_is_known_at_first() -> None:
    assert CallTimes().expected_s(4) == (0.0, 0.0)


def test_the_median_of_recent_calls_counts() -> None:
    times = CallTimes()
    for seconds in [9.0] * 20 + [0.010] * 8 + [3.0]:
        times.computed(2, seconds)
        times.prepared(2, 2 * seconds)
    assert times.expected_s(2) == pytest.approx((0.020, 0.010))


def test_other_numbers_of_frames_are_reckoned_from_the_nearest() -> None:
    times = CallTimes()
    times.prepared(1, 0.001)
    times.computed(1, 0.010)
    assert times.expected_s(4) == pytest.approx((0.004, 0.040))
    times.computed(8, 0.040)
    assert times.expected_s(6)[1] == pytest.approx(0.030)
    assert times.expected_s(2)[1] == pytest.approx(0.020)
    assert times.expected_s(8)[1] == pytest.approx(0.040)
    assert times.expected_s(0)[1] == 0.0


def test_another_device_begins_anew() -> None:
    times = CallTimes()
    times.prepared(1, 0.001)
    times.computed(1, 0.010)
    times.forget()
    assert times.expected_s(1) == (0.0, 0.0)
