"""How far a head goes by what it was told: the way that a brisk one would make of its commands.

Pure. For the present and the last seconds; `ptz.pose_log` is the careful model, which control stands on.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from ptz.types import Velocity

COMMAND_DELAY_S = 0.1
BRISK = (300.0, 300.0, 20.0)
"""What a brisk head accelerates with: °/s², °/s², octaves/s²."""
KEPT_S = 4.0

Three = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Leg:
    """Motion by one command as a brisk head would do it: from `begin_s` on speeds become the aims. Pan, tilt, zoom."""

    begin_s: float
    speeds: Three
    aims: Three

    def speeds_at(self, time_s: float) -> Three:
        """Speeds at a moment after the beginning."""
        seconds = time_s - self.begin_s
        pan, tilt, zoom = (
            speed + math.copysign(min(abs(aim - speed), brisk * seconds), aim - speed)
            for speed, aim, brisk in zip(self.speeds, self.aims, BRISK, strict=True)
        )
        return pan, tilt, zoom

    def ways(self, from_s: float, to_s: float) -> list[float]:
        """How far each axis goes between two moments."""
        if math.isinf(self.begin_s):
            return [aim * (to_s - from_s) for aim in self.aims]
        return [
            _way(speed, aim, brisk, to_s - self.begin_s) - _way(speed, aim, brisk, from_s - self.begin_s)
            for speed, aim, brisk in zip(self.speeds, self.aims, BRISK, strict=True)
        ]


def _way(speed: float, aim: float, brisk: float, seconds: float) -> float:
    ramp_s = min(abs(aim - speed) / brisk, seconds)
    reached = speed + math.copysign(brisk * ramp_s, aim - speed)
    return (speed + reached) / 2 * ramp_s + aim * (seconds - ramp_s)


def speeds_of(velocity: Velocity) -> Three:
    """Pan, tilt, zoom."""
    return velocity.pan_deg_s, velocity.tilt_deg_s, velocity.zoom_octaves_s


class Path:
    """The commands of the last seconds, as legs."""

    def __init__(self) -> None:
        self._legs: deque[Leg] = deque([Leg(-math.inf, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))])

    def sent(self, time_s: float, velocity: Velocity) -> None:
        """One more command."""
        begin_s = max(time_s + COMMAND_DELAY_S, self._legs[-1].begin_s)
        self._legs.append(Leg(begin_s, self._legs[-1].speeds_at(begin_s), speeds_of(velocity)))
        while len(self._legs) > 1 and self._legs[1].begin_s < time_s - KEPT_S:
            self._legs.popleft()

    def forget(self) -> None:
        """Only the latest command holds, since ever."""
        aims = self._legs[-1].aims
        self._legs = deque([Leg(-math.inf, aims, aims)])

    def between(self, from_s: float, to_s: float) -> Three:
        """How far it goes between two moments: degrees, degrees, octaves."""
        totals = [0.0, 0.0, 0.0]
        end_s = to_s
        for leg in reversed(self._legs):
            if leg.begin_s < end_s:
                for axis, way in enumerate(leg.ways(max(from_s, leg.begin_s), end_s)):
                    totals[axis] += way
                end_s = leg.begin_s
            if end_s <= from_s:
                break
        return totals[0], totals[1], totals[2]
