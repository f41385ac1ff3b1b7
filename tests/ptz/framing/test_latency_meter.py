"""What the pace of pictures says about their latency."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from ptz.framing.latency_meter import LatencyMeter

DT = 1 / 15


def taken(
    meter: LatencyMeter, delay_s: Callable[[float], float], seconds: float, keep: Callable[[int], bool] = bool
) -> list[tuple[float, float]]:
    """Pictures taken at 15 fps and `delay_s` late; (true, believed) times of those that arrive, in order."""
    random = np.random.default_rng(2)
    found, arrived_s = [], 0.0
    for number in range(1, round(seconds * 15)):
        true_s = number * DT
        arrived_s = max(arrived_s + 1e-3, true_s + delay_s(true_s) + random.uniform(0, 0.03))
        if keep(number):
            found.append((true_s, meter.taken_s(arrived_s)))
    return found


def wrong_after(found: list[tuple[float, float]], after_s: float) -> float:
    return max(abs(believed - true) for true, believed in found if true > after_s)


def test_even_pictures_change_nothing() -> None:
    meter = LatencyMeter(0.265)
    found = taken(meter, lambda true_s: 0.25, 60.0)
    assert meter.latency_s == 0.265
    assert wrong_after(found, 0.0) < 0.02


def test_pictures_that_come_faster_than_they_are_taken_have_become_less_late() -> None:
    meter = LatencyMeter(0.265)
    meter.latency_s = meter._goal_s = 0.815
    found = taken(meter, lambda true_s: 0.8 if true_s < 10 else 0.25, 20.0)
    assert meter.latency_s == pytest.approx(0.265, abs=0.1)
    assert wrong_after(found, 10.7) < 0.12


@pytest.mark.parametrize(
    "delay_s",
    [
        lambda true_s: 0.25 + (10.8 - true_s) * (10.0 < true_s < 10.8),
        lambda true_s: 0.25 + (true_s - 10.0) * (10.0 < true_s < 10.8),
    ],
    ids=["at once", "bit by bit"],
)
def test_a_network_that_stalls_and_catches_up_leaves_the_latency_as_it_was(
    delay_s: Callable[[float], float],
) -> None:
    meter = LatencyMeter(0.265)
    taken(meter, delay_s, 20.0)
    assert meter.latency_s == pytest.approx(0.265, abs=0.1)


def test_a_rise_that_was_not_noticed_is_over_with_the_burst() -> None:
    meter = LatencyMeter(0.265)
    taken(meter, lambda true_s: 0.8 if 10 < true_s < 16 else 0.25, 20.0)
    assert meter.latency_s == 0.265


@pytest.mark.parametrize(
    "keep", [lambda n: n % 2 == 0, lambda n: n % 7 not in (1, 2, 3), lambda n: not 150 < n < 175]
)
def test_missing_pictures_say_nothing(keep: Callable[[int], bool]) -> None:
    meter = LatencyMeter(0.265)
    taken(meter, lambda true_s: 0.25, 40.0, keep)
    assert meter.latency_s == pytest.approx(0.265, abs=1e-9)


def test_times_never_run_backwards() -> None:
    meter = LatencyMeter(0.3)
    found = taken(meter, lambda true_s: 0.25 + 0.3 * (true_s > 5) - 0.4 * (true_s > 8), 12.0)
    meter._goal_s = 1.2
    found += [(0.0, meter.taken_s(20.0 + n * DT)) for n in range(60)]
    times = [believed for _, believed in found]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert meter.latency_s == pytest.approx(1.2)
