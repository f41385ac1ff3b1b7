"""One axis of a simulated head: speed, acceleration and jerk are limited, and where it is follows in closed form.

An axis has a plan: pieces of constant jerk from now on. A command makes a new plan from the state that the axis is in.
Any moment can be asked for, in any order, also past ones. Units are the caller's: degrees, or octaves of zoom.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

KEEP_S = 30.0
"""How far back the past can be asked for."""


@dataclass(frozen=True, slots=True)
class AxisLimits:
    """What an axis can do.

    most_speed    greatest speed of a turn, units/s
    most_accel    units/s², braking too
    most_jerk     units/s³
    least_speed   a slower turn is as fast as this
    preset_speed  speed of moves to a position
    low, high     stops, None = endless
    """

    most_speed: float
    most_accel: float
    most_jerk: float
    least_speed: float
    preset_speed: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Motion:
    """State of an axis at one moment."""

    position: float
    speed: float
    acceleration: float


@dataclass(frozen=True, slots=True)
class _Piece:
    """Constant jerk from `time_s` on. `shown` is where the lens is then, behind the play of the gears."""

    time_s: float
    position: float
    speed: float
    acceleration: float
    jerk: float
    shown: float

    def at(self, time_s: float) -> Motion:
        t = time_s - self.time_s
        return Motion(
            self.position + t * (self.speed + t * (self.acceleration / 2 + t * self.jerk / 6)),
            self.speed + t * (self.acceleration + t * self.jerk / 2),
            self.acceleration + t * self.jerk,
        )


Profile = list[tuple[float, float]]
"""(seconds, jerk) one after the other."""


def to_speed(speed: float, acceleration: float, wanted: float, limits: AxisLimits) -> Profile:
    """The quickest way from a speed and an acceleration to a wanted speed and none."""
    jerk, most = limits.most_jerk, limits.most_accel
    missing = wanted - speed - acceleration * abs(acceleration) / (2 * jerk)
    side = math.copysign(1.0, missing)
    now = side * acceleration
    gain = max(side * (wanted - speed), 0.0) if now >= 0 else side * (wanted - speed)
    peak = min(math.sqrt(max(jerk * gain + now * now / 2, 0.0)), max(most, now))
    up, down = max(peak - now, 0.0) / jerk, peak / jerk
    gained = (peak * peak - now * now) / (2 * jerk) + peak * peak / (2 * jerk)
    level = max((gain - gained) / peak, 0.0) if peak > 0 else 0.0
    return [(up, side * jerk), (level, 0.0), (down, -side * jerk)]


def after(speed: float, acceleration: float, profile: Profile) -> tuple[float, float]:
    """How far a profile leads, and the speed at its end."""
    way = 0.0
    for seconds, jerk in profile:
        way += seconds * (speed + seconds * (acceleration / 2 + seconds * jerk / 6))
        speed += seconds * (acceleration + seconds * jerk / 2)
        acceleration += seconds * jerk
    return way, speed


def to_position(motion: Motion, target: float, speed: float, limits: AxisLimits) -> Profile:
    """The way to a position, ending there at rest, no faster than `speed` once it is slower than that."""
    far = target - motion.position

    def through(peak: float) -> tuple[float, Profile, Profile]:
        first = to_speed(motion.speed, motion.acceleration, peak, limits)
        last = to_speed(peak, 0.0, 0.0, limits)
        return after(motion.speed, motion.acceleration, first)[0] + after(peak, 0.0, last)[0], first, last

    for peak in (speed, -speed):
        way, first, last = through(peak)
        if (far - way) * peak >= 0:
            return [*first, ((far - way) / peak, 0.0), *last]
    low, high = -speed, speed
    for _ in range(48):
        middle = (low + high) / 2
        way, first, last = through(middle)
        low, high = (middle, high) if way < far else (low, middle)
    return [*first, *last]


class Axis:
    """One axis. Commands come in the order of time."""

    def __init__(self, limits: AxisLimits, time_s: float, position: float, play: float = 0.0) -> None:
        self.limits = limits
        self._play = play
        self._pieces = [_Piece(time_s, position, 0.0, 0.0, 0.0, position)]
        self._starts = [time_s]

    def turn(self, time_s: float, speed: float) -> None:
        """Turn at a speed from now on, at most to the stop."""
        motion = self.at(time_s)
        limits = self.limits
        stop = limits.high if speed > 0 else limits.low
        if speed == 0 or stop is None:
            self._follow(time_s, to_speed(motion.speed, motion.acceleration, speed, limits), speed)
        else:
            self._follow(time_s, to_position(motion, stop, abs(speed), limits), 0.0, stop)

    def go(self, time_s: float, position: float, speed: float) -> None:
        """Go to a position and stop there; beyond a stop it goes to the stop."""
        position = self.clamp(position)
        motion = self.at(time_s)
        if (motion.speed, motion.acceleration) != (0.0, 0.0) or abs(position - motion.position) > 1e-9:
            self._follow(time_s, to_position(motion, position, speed, self.limits), 0.0, position)

    def clamp(self, position: float) -> float:
        """The position, or the stop that is nearer than it."""
        low, high = self.limits.low, self.limits.high
        position = position if low is None else max(position, low)
        return position if high is None else min(position, high)

    def at(self, time_s: float) -> Motion:
        """Where the motor is, how fast, and its acceleration."""
        return self._piece(time_s).at(time_s)

    def shown(self, time_s: float) -> float:
        """Where the lens is: up to half the play to either side of the motor."""
        piece = self._piece(time_s)
        return self._shown(piece, piece.at(time_s).position)

    def rests_from(self) -> float | None:
        """When it will be at rest by its present plan, None if it turns on for ever."""
        last = self._pieces[-1]
        return None if last.speed else last.time_s

    def _piece(self, time_s: float) -> _Piece:
        return self._pieces[max(bisect_right(self._starts, time_s) - 1, 0)]

    def _shown(self, piece: _Piece, position: float) -> float:
        half = self._play / 2
        return min(max(piece.shown, position - half), position + half)

    def _follow(self, time_s: float, profile: Profile, speed: float, end: float | None = None) -> None:
        """Replace the plan from `time_s` on; `speed` and `end` are what it leads to, without rounding."""
        motion, shown = self.at(time_s), self.shown(time_s)
        keep = bisect_right(self._starts, time_s)
        if keep and self._starts[keep - 1] == time_s and keep > 1:
            keep -= 1
        del self._pieces[keep:], self._starts[keep:]
        for seconds, jerk in profile:
            if seconds > 1e-12:
                time_s, motion, shown = self._add(time_s, motion, jerk, seconds, shown)
        self._append(_Piece(time_s, motion.position if end is None else end, speed, 0.0, 0.0, shown))
        self._forget(time_s)

    def _add(
        self, time_s: float, motion: Motion, jerk: float, seconds: float, shown: float
    ) -> tuple[float, Motion, float]:
        """Append a piece, cut where the speed changes its sign so that each goes one way only."""
        end_s = time_s + seconds
        for cut in [*_turning_points(motion, jerk, seconds), seconds]:
            piece = _Piece(time_s, motion.position, motion.speed, motion.acceleration, jerk, shown)
            self._append(piece)
            until = end_s if cut == seconds else end_s - seconds + cut
            motion = piece.at(until)
            shown = self._shown(piece, motion.position)
            time_s = until
        return time_s, motion, shown

    def _append(self, piece: _Piece) -> None:
        self._pieces.append(piece)
        self._starts.append(piece.time_s)

    def _forget(self, time_s: float) -> None:
        if len(self._starts) > 1000:
            old = bisect_right(self._starts, time_s - KEEP_S) - 1
            if old > 0:
                del self._pieces[:old], self._starts[:old]


def _turning_points(motion: Motion, jerk: float, seconds: float) -> list[float]:
    """Seconds from now at which the speed passes zero, within the piece."""
    v, a = motion.speed, motion.acceleration
    if abs(jerk) < 1e-12:
        roots = [-v / a] if abs(a) > 1e-12 else []
    elif (root := a * a - 2 * jerk * v) < 0:
        roots = []
    else:
        roots = sorted(((-a - math.sqrt(root)) / jerk, (-a + math.sqrt(root)) / jerk))
    return [at for at in roots if 1e-9 < at < seconds - 1e-9]
