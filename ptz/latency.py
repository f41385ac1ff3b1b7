"""How late things are, found out by looking: commands against the motion they cause, pictures against the head's pose.

Two unknowns. Command latency: from sending to the begin of motion. Image latency: from the moment of a picture to its
arrival. Everything here refuses to answer rather than guess, and `Median` repeats. Pure: times are given.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ptz.delays import clear_lowest
from ptz.geometry import wrap_deg
from ptz.pose_log import Plant, PoseLog
from ptz.types import F64

LATEST_S = 1.5
"""No picture is believed to be later than this."""
STEP_S = 0.01
EVERY_S = 1.0


class Median:
    """The median of the newest measurements, once there are enough that agree."""

    def __init__(self, least: int = 3, most: int = 7, spread_s: float = 0.06) -> None:
        """Tells nothing with fewer than `least`, or while half of them lie further than `spread_s` from the median."""
        self._values: deque[float] = deque(maxlen=most)
        self._least, self._spread_s = least, spread_s

    def add(self, value_s: float | None) -> None:
        """One more; None and what is no finite number is left out."""
        if value_s is None or not math.isfinite(value_s):
            return
        self._values.append(value_s)
        newest = list(self._values)[-self._least :]
        agree = len(newest) == self._least and max(newest) - min(newest) <= self._spread_s
        if agree and min(abs(value - float(np.median(self._values))) for value in newest) > self._spread_s:
            self._values = deque(
                newest, maxlen=self._values.maxlen
            )  # it has changed: what was before does not count

    @property
    def value_s(self) -> float | None:
        """The median, or None while it is not to be relied on."""
        if len(self._values) < self._least:
            return None
        middle = float(np.median(self._values))
        near = sum(abs(value - middle) <= self._spread_s for value in self._values)
        return middle if near * 2 > len(self._values) else None

    def reset(self) -> None:
        """Begin again: a new connection has new latencies."""
        self._values.clear()


def command_latency_s(
    times_s: Sequence[float], positions_deg: Sequence[float], sent_s: float, plant: Plant
) -> float | None:
    """Command latency from reports around one command that starts a steady turn from rest.

    times_s, positions_deg   reports of one axis, not wrapped, from before the command until the turn goes on steadily
    sent_s                   when the command was sent
    plant                    for the ramp and the age of reports

    Where the line of the steady turn meets the place of rest, half a ramp has passed since the head began to obey. None
    where the head did not move enough, not steadily, or not after the command.
    """
    times, positions = np.asarray(times_s, np.float64), np.asarray(positions_deg, np.float64)
    good = np.isfinite(times) & np.isfinite(positions)
    times, positions = times[good] - plant.status_lag_s, positions[good]
    before = positions[times <= sent_s]
    if not len(before):
        return None
    rest = float(np.median(before))
    moved = np.abs(positions - rest)
    total = float(moved.max(initial=0.0))
    steady = (times > sent_s) & (moved > 0.3 * total)
    if total < max(10 * plant.status_step_deg, 0.5) or np.count_nonzero(steady) < 3:
        return None
    speed, residual = _line(times[steady], positions[steady])
    if abs(speed) < 0.5 or residual > max(0.05 * total, 2 * plant.status_step_deg):
        return None
    middle = times[steady].mean() - (positions[steady].mean() - rest) / speed
    ramp_s = abs(speed) / plant.accel_deg_s2 + min(
        plant.accel_deg_s2 / plant.jerk_deg_s3, math.sqrt(abs(speed) / plant.jerk_deg_s3)
    )
    latency_s = float(middle - sent_s - ramp_s / 2)
    return max(latency_s, 0.0) if -0.05 < latency_s < 3.0 else None


def _line(x: F64, y: F64) -> tuple[float, float]:
    """Slope and RMS residual of a straight line through points."""
    slope, offset = np.polynomial.polynomial.polyfit(x - x.mean(), y, 1)[::-1]
    return float(slope), float(np.sqrt(np.mean((y - offset - slope * (x - x.mean())) ** 2)))


@dataclass(frozen=True, slots=True)
class _Seen:
    arrived_s: float
    pan_deg: float
    tilt_deg: float
    track: int


@dataclass(frozen=True, slots=True)
class _Turned:
    from_s: float
    to_s: float
    pan_deg: float
    tilt_deg: float


class ImageLatency:
    """Image latency while following, from what is seen anyway.

    With image motion (how far the view turned between two pictures): the delay at which it agrees best with the head's
    log. Without: the delay that makes the paths of the targets in the world smoothest; at any other a change of the
    head's speed looks like a change of theirs. Both say something only while the head changes its speed.
    """

    def __init__(self, window_s: float = 5.0) -> None:
        self.refused = 0
        self._window_s = window_s
        self._seen: deque[_Seen] = deque()
        self._turned: deque[_Turned] = deque()
        self._next_s = -math.inf
        self._median = Median()

    def reset(self) -> None:
        """Forget everything: a new connection."""
        self._seen.clear()
        self._turned.clear()
        self._median.reset()

    def saw(self, arrived_s: float, pan_offset_deg: float, tilt_offset_deg: float, track: int = 0) -> None:
        """In a picture that arrived then a target was so far right of and above the axis (in azimuth, elevation).

        Targets are kept apart by `track`; one is enough.
        """
        if math.isfinite(arrived_s) and math.isfinite(pan_offset_deg) and math.isfinite(tilt_offset_deg):
            self._seen.append(_Seen(arrived_s, pan_offset_deg, tilt_offset_deg, track))

    def turned(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None:
        """Between pictures that arrived at these times the view turned by so much."""
        if from_s < to_s and math.isfinite(pan_deg) and math.isfinite(tilt_deg):
            self._turned.append(_Turned(from_s, to_s, pan_deg, tilt_deg))

    def estimate(self, log: PoseLog, now_s: float) -> float | None:
        """The latency, or None while it is not known. Reckons once a second; call it as often as you like."""
        while self._seen and self._seen[0].arrived_s < now_s - self._window_s:
            self._seen.popleft()
        while self._turned and self._turned[0].from_s < now_s - self._window_s:
            self._turned.popleft()
        if now_s >= self._next_s:
            self._next_s = now_s + EVERY_S
            found = self.once(log, now_s)
            self.refused += found is None
            self._median.add(found)
        return self._median.value_s

    def once(self, log: PoseLog, now_s: float) -> float | None:
        """From the newest window alone; None where it says nothing."""
        start_s = now_s - self._window_s - LATEST_S
        grid: F64 = start_s + STEP_S * np.arange(round((self._window_s + LATEST_S) / STEP_S) + 1.0)
        poses = [log.at(float(time_s)) for time_s in grid]
        pan: F64 = np.unwrap(np.array([pose.pan_deg for pose in poses]), period=360.0)
        tilt = np.array([pose.tilt_deg for pose in poses])
        change = (
            np.abs(np.diff(np.gradient(pan, STEP_S))).sum() + np.abs(np.diff(np.gradient(tilt, STEP_S))).sum()
        )
        if change < 12.0:
            return None
        delays: F64 = np.linspace(0.0, LATEST_S, round(LATEST_S / 0.02) + 1)
        if len(self._turned) >= 20:
            costs = np.array([self._disagreement(grid, pan, tilt, delay) for delay in delays])
        else:
            costs = np.array([self._roughness(grid, pan, tilt, delay) for delay in delays])
        return clear_lowest(delays, costs)

    def _disagreement(self, grid: F64, pan: F64, tilt: F64, delay: float) -> float:
        moves = np.array([(one.from_s, one.to_s, one.pan_deg, one.tilt_deg) for one in self._turned]).T
        wrong = 0.0
        for axis, seen in ((pan, moves[2]), (tilt, moves[3])):
            went = np.interp(moves[1] - delay, grid, axis) - np.interp(moves[0] - delay, grid, axis)
            wrong += float(np.abs(went - seen).sum())
        return wrong

    def _roughness(self, grid: F64, pan: F64, tilt: F64, delay: float) -> float:
        """How much targets change their speed if pictures were so late; infinite where too little was seen."""
        total, count = 0.0, 0
        for track in {one.track for one in self._seen}:
            seen = np.array(
                [(one.arrived_s, one.pan_deg, one.tilt_deg) for one in self._seen if one.track == track]
            )
            if len(seen) < 15:
                continue
            times = seen[:, 0]
            for axis, offset in ((pan, seen[:, 1]), (tilt, seen[:, 2])):
                place = np.interp(times - delay, grid, axis) + offset
                bends = _bends(times, place)
                total += float(np.abs(bends).sum())
                count += len(bends)
        return total / count if count >= 20 else math.inf


def _bends(times: F64, places: F64, apart: int = 3) -> F64:
    """How far each place is off the straight line between those `apart` pictures before and after."""
    before, middle, after = places[: -2 * apart], places[apart:-apart], places[2 * apart :]
    start, now, end = times[: -2 * apart], times[apart:-apart], times[2 * apart :]
    share = (now - start) / np.maximum(end - start, 1e-9)
    off = np.asarray(wrap_deg(middle - before - share * (after - before)))
    return off[(end - start) < 1.0]
