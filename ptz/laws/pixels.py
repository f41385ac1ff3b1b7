"""Laws on the offset in the newest picture alone, as commonly used; they know nothing of time: `p`, `pid` and `ema`.

For comparison, each with gains of the textbook for this loop: the head integrates speed to angle, and an offset is seen
about L = 0.5 s late (0.33 s picture, 0.06 s command, the rest decision and ramp). The ultimate gain of an integrator
with dead time is Ku = π / (2 L) = 3.1 1/s, its period Tu = 4 L = 2 s.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from ptz.geometry import offset_to_speed
from ptz.laws.base import Aim, Law
from ptz.laws.zooming import Zooming
from ptz.pose_log import PoseLog
from ptz.types import Turn, Velocity

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class POptions:
    """P: gain in 1/s (Ziegler and Nichols 1942: 0.5 Ku), dead zone as a share of half the picture."""

    gain: float = 1.5
    dead_zone: float = 0.1


@dataclass(frozen=True, slots=True)
class PidOptions:
    """PID: Tyreus and Luyben 1992: Kp = Ku / 2.2, Ti = 2.2 Tu, Td = Tu / 6.3.

    most_integral  bound of the integral's part, widths of the picture a second (against wind-up)
    """

    gain: float = 1.4
    integral: float = 0.32
    derivative: float = 0.45
    dead_zone: float = 0.1
    most_integral: float = 0.5


@dataclass(frozen=True, slots=True)
class EmaOptions:
    """Exponential moving average of the offset, `weight` of the newest, and P on it."""

    weight: float = 0.4
    gain: float = 1.2
    dead_zone: float = 0.1


class _OnPixels(Law):
    """Decides once for every new picture and goes on with that until the next."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._zooming = Zooming()
        self.reset()

    def reset(self) -> None:
        self._time_s: float | None = None
        self._speed: Pair = (0.0, 0.0)
        self._zooming.reset()
        self.forget()

    def forget(self) -> None:
        """What a subclass remembers of earlier pictures."""

    def decide(self, aim: Aim, log: PoseLog, now_s: float) -> Turn:
        if self._time_s is None or aim.time_s > self._time_s:
            since_s = 0.0 if self._time_s is None else aim.time_s - self._time_s
            self._time_s = aim.time_s
            half = (aim.hfov_deg / 2, aim.hfov_deg / 2 / aim.aspect)
            x, y = self.act(aim.offset_x, aim.offset_y, since_s)
            self._speed = (x * half[0], y * half[1])
        return Turn(Velocity(*self._speed, self._zooming.decide(aim, log, now_s)))

    @abstractmethod
    def act(self, x: float, y: float, since_s: float) -> Pair:
        """Speeds in halves of the picture a second for offsets in halves of the picture."""


class Proportional(_OnPixels, name="p"):
    """Speed proportional to the offset, none in the dead zone."""

    Options = POptions

    def act(self, x: float, y: float, since_s: float) -> Pair:
        gain, zone = self.options.gain, self.options.dead_zone
        return offset_to_speed(x, gain, zone, 1e3), offset_to_speed(y, gain, zone, 1e3)


class Ema(_OnPixels, name="ema"):
    """The same on a smoothed offset."""

    Options = EmaOptions

    def forget(self) -> None:
        self._mean: Pair | None = None

    def act(self, x: float, y: float, since_s: float) -> Pair:
        weight, gain, zone = self.options.weight, self.options.gain, self.options.dead_zone
        old = self._mean or (x, y)
        self._mean = (old[0] + weight * (x - old[0]), old[1] + weight * (y - old[1]))
        return offset_to_speed(self._mean[0], gain, zone, 1e3), offset_to_speed(
            self._mean[1], gain, zone, 1e3
        )


class Pid(_OnPixels, name="pid"):
    """Proportional, integral and derivative part; within the dead zone nothing, and the integral waits."""

    Options = PidOptions

    def forget(self) -> None:
        self._sums = [0.0, 0.0]
        self._before: Pair | None = None

    def act(self, x: float, y: float, since_s: float) -> Pair:
        before, self._before = self._before or (x, y), (x, y)
        pan, tilt = (
            self._axis(axis, value, old, since_s)
            for axis, (value, old) in enumerate(zip((x, y), before, strict=True))
        )
        return pan, tilt

    def _axis(self, axis: int, value: float, before: float, since_s: float) -> float:
        options: PidOptions = self.options
        if abs(value) <= options.dead_zone:
            return 0.0
        total = self._sums[axis] + options.integral * value * since_s
        self._sums[axis] = min(max(total, -2 * options.most_integral), 2 * options.most_integral)
        slope = (value - before) / since_s if since_s > 0 else 0.0
        return options.gain * value + self._sums[axis] + options.derivative * slope
