"""How well a head kept its people in the picture: figures from what was recorded of a run. Pure.

What the figures mean is told in docs/ptz_simulator.md. Time in frame and centring are judged at every recorded moment,
whatever was detected then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

STANDS_DEG_S = 0.15
"""Slower than this the head stands."""
SETTLED = 0.05
"""Share of the width within which a step counts as settled."""
LONGEST_LAG_S = 2.0


@dataclass(frozen=True, slots=True)
class Series:
    """What was recorded of one camera, all arrays (n,) at the same, evenly spaced moments.

    time_s              seconds
    pan_deg, tilt_deg   where the head really pointed, without a jump at north
    zoom                ratio
    target_pan_deg, target_tilt_deg  direction of the middle of those to be shown, without a jump at north
    offset_x, offset_y  place of that middle in the picture, as shares of width and height from the centre; NaN where it
                        is not in front of the lens
    height              share of the picture's height that the (tallest) person takes; NaN where nobody is
    wanted_height       the share that was asked for; NaN where none was
    in_frame            the centres of all who are to be shown are in the picture
    full_in_frame       all of all of them is
    present             there was anybody to be shown: other moments are not judged
    seen                at least one of them was in the picture and not hidden
    """

    time_s: F64
    pan_deg: F64
    tilt_deg: F64
    zoom: F64
    target_pan_deg: F64
    target_tilt_deg: F64
    offset_x: F64
    offset_y: F64
    height: F64
    wanted_height: F64
    in_frame: Bools
    full_in_frame: Bools
    present: Bools
    seen: Bools

    def __len__(self) -> int:
        return len(self.time_s)

    def between(self, from_s: float, to_s: float = np.inf) -> Series:
        """The part of it within these times."""
        keep = (self.time_s >= from_s) & (self.time_s < to_s)
        return Series(*(getattr(self, name)[keep] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Turning:
    """How fast a head really turned, arrays (m,) at evenly spaced moments, more often than the pictures."""

    time_s: F64
    pan_deg_s: F64
    tilt_deg_s: F64

    def __len__(self) -> int:
        return len(self.time_s)

    def between(self, from_s: float, to_s: float = np.inf) -> Turning:
        """The part of it within these times."""
        keep = (self.time_s >= from_s) & (self.time_s < to_s)
        return Turning(self.time_s[keep], self.pan_deg_s[keep], self.tilt_deg_s[keep])


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of one run. Shares are 0..1, NaN where there was nothing to judge.

    in_frame, full_in_frame     share of time in which all who are to be shown are in the picture: centres, all of them
    rms_x, p50_x, p95_x         distance from the centre, share of the width, at most 1
    rms_y, p50_y, p95_y         the same, share of the height
    size_error_octaves          RMS of log2(height / wanted height)
    lag_s                       by which the head's turning follows the target's, by cross-correlation
    reacquire_s                 mean time from out of the picture to in it again
    lost_per_minute             times that somebody left the picture, a minute
    commands_s                  control requests a second that change what the head shall do
    renewals_s                  those that only renew a turn before its end, a second
    moving                      share of time in which the head turned
    reversals_per_minute        changes of direction of pan and of tilt
    jerk_rms_deg_s3             of pan
    most_pan_deg_s              greatest speed
    """

    in_frame: float
    full_in_frame: float
    rms_x: float
    p50_x: float
    p95_x: float
    rms_y: float
    p50_y: float
    p95_y: float
    size_error_octaves: float
    lag_s: float
    reacquire_s: float
    lost_per_minute: float
    commands_s: float
    renewals_s: float
    moving: float
    reversals_per_minute: float
    jerk_rms_deg_s3: float
    most_pan_deg_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """How one sudden step of the target was followed: share of the step by which the head ran over, and seconds until
    the target stayed within `SETTLED` of the centre (NaN = never)."""

    step_deg: float
    overshoot: float
    settle_s: float


def score(
    series: Series, turning: Turning, commands_s: Sequence[float], renewals_s: Sequence[float] = ()
) -> Scores:
    """Figures of a run. `commands_s` and `renewals_s` are times of requests; those outside the series do not count."""
    judged = series.present
    minutes = max(_duration_s(series), 1e-9) / 60
    spread_x, spread_y = (_spread(np.abs(values[judged])) for values in (series.offset_x, series.offset_y))
    reversals = reversals_of(turning.pan_deg_s) + reversals_of(turning.tilt_deg_s)
    lost, reacquire_s = _losses(series)
    return Scores(
        in_frame=_mean(series.in_frame[judged]),
        full_in_frame=_mean(series.full_in_frame[judged]),
        rms_x=spread_x[0],
        p50_x=spread_x[1],
        p95_x=spread_x[2],
        rms_y=spread_y[0],
        p50_y=spread_y[1],
        p95_y=spread_y[2],
        size_error_octaves=_size_error(series),
        lag_s=lag_s(series, turning),
        reacquire_s=reacquire_s,
        lost_per_minute=lost / minutes,
        commands_s=_within(series, commands_s) / (60 * minutes),
        renewals_s=_within(series, renewals_s) / (60 * minutes),
        moving=_mean(np.hypot(turning.pan_deg_s, turning.tilt_deg_s) > STANDS_DEG_S),
        reversals_per_minute=reversals / minutes,
        jerk_rms_deg_s3=_jerk(turning),
        most_pan_deg_s=float(np.abs(turning.pan_deg_s).max()) if len(turning) else float("nan"),
    )


def steps(series: Series, least_deg: float = 5.0) -> list[Step]:
    """Every sudden step of the target's azimuth in the series, judged until the next one."""
    jumps = np.flatnonzero(np.abs(np.diff(series.target_pan_deg)) >= least_deg) + 1
    bounds = [*(int(jump) for jump in jumps), len(series)]
    return [_step(series, start, end) for start, end in pairwise(bounds)]


def _step(series: Series, start: int, end: int) -> Step:
    times, part = series.time_s[start:end], slice(start, end)
    step_deg = float(series.target_pan_deg[start] - series.target_pan_deg[start - 1])
    beyond = np.sign(step_deg) * (series.pan_deg[part] - series.target_pan_deg[part])
    outside = np.flatnonzero(~(np.abs(series.offset_x[part]) <= SETTLED))
    if len(outside) == 0:
        settle_s = 0.0
    elif outside[-1] == len(times) - 1:
        settle_s = float("nan")
    else:
        settle_s = float(times[outside[-1] + 1] - times[0])
    return Step(step_deg, max(float(beyond.max()), 0.0) / abs(step_deg), settle_s)


def reversals_of(speed_deg_s: F64) -> int:
    """Changes of direction: turning one way after having turned the other way, however long it stood between."""
    signs = np.sign(speed_deg_s[np.abs(speed_deg_s) > STANDS_DEG_S])
    return int(np.count_nonzero(np.diff(signs)))


def lag_s(series: Series, turning: Turning) -> float:
    """By how much the head's speed follows the target's, where that varies; NaN where it does not."""
    if len(series) < 10 or len(turning) < 10:
        return float("nan")
    step_s = float(np.median(np.diff(turning.time_s)))
    known = np.isfinite(series.target_pan_deg)
    if not known.any():
        return float("nan")
    target_deg = np.interp(turning.time_s, series.time_s[known], series.target_pan_deg[known])
    # A target that jumps has no speed: what is faster than any person is left out.
    wanted = np.clip(np.gradient(target_deg, step_s), -100.0, 100.0)
    wanted, had = wanted - wanted.mean(), turning.pan_deg_s - turning.pan_deg_s.mean()
    if wanted.std() < 0.5 or had.std() < 0.1:
        return float("nan")
    most = min(round(LONGEST_LAG_S / step_s), len(wanted) // 2)
    fits = [float((wanted[: len(wanted) - lag] * had[lag:]).mean()) for lag in range(most)]
    return int(np.argmax(fits)) * step_s


def _duration_s(series: Series) -> float:
    return float(series.time_s[-1] - series.time_s[0]) if len(series) > 1 else 0.0


def _within(series: Series, times_s: Sequence[float]) -> int:
    return sum(1 for at in times_s if len(series) and series.time_s[0] <= at <= series.time_s[-1])


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _spread(distances: F64) -> tuple[float, float, float]:
    """RMS, median and 95th percentile; nobody is further off than a whole picture, not even behind the lens."""
    if not len(distances):
        return (float("nan"),) * 3
    known = np.where(np.isfinite(distances), np.minimum(distances, 1.0), 1.0)
    p50, p95 = np.percentile(known, (50, 95))
    return float(np.sqrt((known**2).mean())), float(p50), float(p95)


def _size_error(series: Series) -> float:
    ratio = series.height / series.wanted_height
    octaves = np.log2(ratio[np.isfinite(ratio) & (ratio > 0)])
    return float(np.sqrt((octaves**2).mean())) if len(octaves) else float("nan")


def _losses(series: Series) -> tuple[int, float]:
    """How often somebody left the picture, and how long it took on average until they were back."""
    out = series.present & ~series.in_frame
    begins = np.flatnonzero(np.diff(out.astype(int)) == 1) + 1
    ends = np.flatnonzero(np.diff(out.astype(int)) == -1) + 1
    times = [
        float(series.time_s[ends[ends > begin][0]] - series.time_s[begin])
        for begin in begins
        if (ends > begin).any()
    ]
    return len(begins), float(np.mean(times)) if times else float("nan")


def _jerk(turning: Turning) -> float:
    if len(turning) < 3:
        return float("nan")
    step_s = float(np.median(np.diff(turning.time_s)))
    return float(np.sqrt((np.diff(turning.pan_deg_s, 2) ** 2).mean()) / step_s**2)
