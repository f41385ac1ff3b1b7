"""How one axis of a head moves: in closed form, so that its past and its near future are equally at hand.

Positions are in any unit (degrees, octaves) and do not wrap. A path is a list of stretches of constant jerk; a command
cuts it where it takes effect and appends what follows.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

Phase = tuple[float, float, float]
"""(duration, acceleration at its begin, jerk)"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `time_s` on: position, velocity, acceleration and jerk."""

    time_s: float
    position: float
    velocity: float = 0.0
    acceleration: float = 0.0
    jerk: float = 0.0

    def at(self, time_s: float) -> tuple[float, float, float]:
        """(position, velocity, acceleration) at a later time."""
        t = time_s - self.time_s
        if not (self.velocity or self.acceleration or self.jerk):
            return self.position, 0.0, 0.0
        return (
            self.position + t * (self.velocity + t * (self.acceleration / 2 + t * self.jerk / 6)),
            self.velocity + t * (self.acceleration + t * self.jerk / 2),
            self.acceleration + t * self.jerk,
        )


class AxisPath:
    """One axis from its first position on; it stands before and until the first command."""

    def __init__(self, position: float) -> None:
        self._stretches = [Stretch(-math.inf, position)]
        self._times = [-math.inf]

    def at(self, time_s: float) -> tuple[float, float, float]:
        """(position, velocity, acceleration) at a time."""
        return self._stretches[max(bisect_right(self._times, time_s) - 1, 0)].at(time_s)

    @property
    def rests_since(self) -> float | None:
        """Since when it will stand for good; None where it turns without an end."""
        last = self._stretches[-1]
        return None if last.velocity or last.acceleration or last.jerk else last.time_s

    def turn(self, time_s: float, velocity: float, accel: float, jerk: float) -> None:
        """From `time_s` on reach a velocity by the quickest change that keeps to these limits."""
        position, now, accelerated = self._cut(time_s)
        phases = velocity_phases(velocity - now, accelerated, accel, jerk)
        state = (time_s, position, now)
        for phase in phases:
            state = self._append(*state, phase)
        self._add(Stretch(state[0], state[1], velocity))

    def go_to(self, time_s: float, position: float, speed: float, accel: float) -> None:
        """From `time_s` on go to a position and stand there: as quickly as these limits allow, jerk left out."""
        here, now, _ = self._cut(time_s)
        sign = math.copysign(1.0, position - (here + now * abs(now) / (2 * accel)))
        distance, now = (position - here) * sign, now * sign
        peak = min(speed, math.sqrt(max(accel * distance + now * now / 2, 0.0)))
        first = (peak - now) / accel
        covered = math.copysign(1.0, first) * (peak * peak - now * now) / (2 * accel)
        cruise = max(distance - covered - peak * peak / (2 * accel), 0.0) / peak if peak else 0.0
        state = (time_s, here, now * sign)
        for phase in (
            (abs(first), math.copysign(accel, first) * sign, 0.0),
            (cruise, 0.0, 0.0),
            (peak / accel, -accel * sign, 0.0),
        ):
            state = self._append(*state, phase)
        self._add(Stretch(state[0], position))

    def stop_at(self, low: float, high: float, from_s: float) -> None:
        """Stand at a limit from where the path would cross it, looking at times after `from_s`."""
        begin = max(bisect_right(self._times, from_s) - 1, 0)
        for index in range(begin, len(self._stretches)):
            stretch = self._stretches[index]
            start = max(stretch.time_s, from_s)
            end = self._times[index + 1] if index + 1 < len(self._times) else start + 3600.0
            crossed = _first_outside(stretch, (start, end), low, high)
            if crossed is not None:
                del self._stretches[index + 1 :], self._times[index + 1 :]
                position = min(max(stretch.at(crossed)[0], low), high)
                self._add(Stretch(crossed, position))
                return

    def forget_before(self, time_s: float) -> None:
        """Drop what is older; the stretch that holds at `time_s` stays."""
        keep = max(bisect_right(self._times, time_s) - 1, 0)
        del self._stretches[:keep], self._times[:keep]

    def _cut(self, time_s: float) -> tuple[float, float, float]:
        state = self.at(time_s)
        keep = bisect_right(self._times, time_s)
        del self._stretches[keep:], self._times[keep:]
        return state

    def _append(
        self, time_s: float, position: float, velocity: float, phase: Phase
    ) -> tuple[float, float, float]:
        duration, acceleration, jerk = phase
        if duration <= 0:
            return time_s, position, velocity
        stretch = Stretch(time_s, position, velocity, acceleration, jerk)
        self._add(stretch)
        position, velocity, _ = stretch.at(time_s + duration)
        return time_s + duration, position, velocity

    def _add(self, stretch: Stretch) -> None:
        if self._times and self._times[-1] >= stretch.time_s:
            self._stretches.pop()
            self._times.pop()
        self._stretches.append(stretch)
        self._times.append(stretch.time_s)


def velocity_phases(change: float, acceleration: float, accel: float, jerk: float) -> list[Phase]:
    """The phases that change a velocity by `change`, beginning with an acceleration and ending without one.

    Within |acceleration| ≤ accel, |jerk| ≤ jerk. Jerk infinite: one phase of constant acceleration.
    """
    if math.isinf(jerk):
        return [(abs(change) / accel, math.copysign(accel, change), 0.0)]
    coasting = acceleration * abs(acceleration) / (2 * jerk)
    sign = math.copysign(1.0, change - coasting)
    begin = acceleration * sign
    peak = min(math.sqrt(max(jerk * change * sign + begin * begin / 2, 0.0)), max(accel, begin))
    rising, falling = (peak - begin) / jerk, peak / jerk
    gained = (peak * peak - begin * begin) / (2 * jerk) + peak * peak / (2 * jerk)
    hold = max(change * sign - gained, 0.0) / peak if peak > 0 else 0.0
    return [
        (rising, begin * sign, jerk * sign),
        (hold, peak * sign, 0.0),
        (falling, peak * sign, -jerk * sign),
    ]


def _first_outside(stretch: Stretch, span: tuple[float, float], low: float, high: float) -> float | None:
    """When a stretch first leaves [low, high] going outwards, within a span of time; None where it does not."""
    start, end = span
    position, velocity, _ = stretch.at(start)
    if (position <= low and velocity < 0) or (position >= high and velocity > 0):
        return start
    position = stretch.at(end)[0]
    if low <= position <= high:
        return None
    limit = low if position < low else high
    outward = 1.0 if limit == high else -1.0
    for _ in range(60):
        middle = (start + end) / 2
        if (stretch.at(middle)[0] - limit) * outward > 0:
            end = middle
        else:
            start = middle
    return end
