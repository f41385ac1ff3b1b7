"""The delay between two records of the same motion: where shifting one against the other makes them agree best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ptz.types import F64, Pose

LATEST_S = 1.0
STEP_S = 0.02
LEAST_CHANGE_DEG_S = 15.0
"""Without changes of speed any delay fits."""


def clear_lowest(values: F64, costs: F64, away: int = 5, wall: float = 1.15) -> float | None:
    """The value of least cost where that is a valley inside the range; None otherwise.

    `away` steps to both sides the cost must be at least `wall` times the least. Interpolated between steps.
    """
    best = int(np.argmin(costs))
    if not np.isfinite(costs).all() or best < 1 or best > len(costs) - 4:
        return None
    walls = [costs[index] for index in (best - away, best + away) if 0 <= index < len(costs)]
    if min(walls) < wall * costs[best]:
        return None
    low, middle, high = costs[best - 1], costs[best], costs[best + 1]
    bend = low - 2 * middle + high
    shift = 0.5 * (low - high) / bend if bend > 0 else 0.0
    return float(values[best] + shift * (values[1] - values[0]))


@dataclass(frozen=True, slots=True)
class ReportAge:
    """How old reported positions are when they arrive, and how much that varies (standard deviation)."""

    lag_s: float
    jitter_s: float


def report_age(reports: Sequence[Pose], path: Callable[[float], tuple[float, float]]) -> ReportAge | None:
    """Age of reports against where the head went by its model; None where they do not tell.

    reports  in the order of time; each repeated one left out
    path     pan and tilt of the model at a time, not wrapped
    """
    if len(reports) < 8:
        return None
    times = np.array([pose.time_s for pose in reports])
    grid: F64 = np.arange(times[0] - LATEST_S, times[-1] + STEP_S, STEP_S)
    axes = np.array([path(float(time_s)) for time_s in grid]).T
    speeds = np.gradient(axes, STEP_S, axis=1)
    if np.abs(np.diff(speeds, axis=1)).sum() < LEAST_CHANGE_DEG_S:
        return None
    told = np.array([(pose.pan_deg, pose.tilt_deg) for pose in reports]).T
    went = np.diff(told, axis=1)
    went[0] = (went[0] + 180.0) % 360.0 - 180.0

    def wrong(lag_s: float) -> F64:
        at = [np.interp(times - lag_s, grid, axis) for axis in axes]
        off: F64 = np.abs(went - np.diff(at, axis=1))
        return off

    lags: F64 = np.linspace(0.0, LATEST_S, round(LATEST_S / STEP_S) + 1)
    lag_s = clear_lowest(lags, np.array([wrong(lag).sum() for lag in lags]))
    if lag_s is None:
        return None
    speed = np.array([np.interp(times[1:] - lag_s, grid, np.abs(axis)) for axis in speeds])
    fast = speed > 3.0
    if np.count_nonzero(fast) < 4:
        return None
    jitter_s = float(np.median(wrong(lag_s)[fast] / speed[fast]))
    return ReportAge(max(lag_s, 0.0), jitter_s / (2**0.5 * 0.6745))
