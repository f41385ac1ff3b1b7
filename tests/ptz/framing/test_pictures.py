"""Whether pictures come."""

from __future__ import annotations

import pytest

from ptz.framing.pictures import PictureClock
from ptz.settings import LossSettings

LOSS = LossSettings(stall_s=0.5)


def after(interval_s: float, count: int = 30, late_s: float = 0.1) -> tuple[PictureClock, float]:
    clock = PictureClock()
    for n in range(count):
        clock.came(10.0 + n * interval_s, None)
        clock.tick(10.0 + n * interval_s + late_s)
    return clock, 10.0 + (count - 1) * interval_s + late_s


def test_silence_counts_from_the_last_result() -> None:
    clock, now_s = after(1 / 15)
    assert clock.silent_s(now_s + 0.45, LOSS) == 0.0
    assert clock.silent_s(now_s + 0.8, LOSS) == pytest.approx(0.3)
    assert clock.interval_s == pytest.approx(1 / 15)
    assert clock.processing_s == pytest.approx(0.1)


def test_late_pictures_are_not_missing_ones() -> None:
    clock, now_s = after(1 / 15, late_s=0.9)
    assert clock.silent_s(now_s + 0.3, LOSS) == 0.0


def test_rare_pictures_are_waited_for_but_not_for_long() -> None:
    clock, now_s = after(0.4)
    assert clock.silent_s(now_s + 0.7, LOSS) == 0.0
    clock, now_s = after(1.5)
    assert clock.silent_s(now_s + 1.2, LOSS) == pytest.approx(0.2)


def test_no_picture_ever_is_silence() -> None:
    assert PictureClock().silent_s(5.0, LOSS) > 0


def test_a_clock_that_was_set_back_is_no_silence() -> None:
    clock, now_s = after(1 / 15)
    clock.tick(now_s - 1000.0)
    assert clock.silent_s(now_s - 999.8, LOSS) == 0.0
