"""People of a simulated world: the ways they go. Pure functions of time, in metres and seconds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ptz.types import F64

FASTEST_M_S = 14.0
"""Who is quicker has jumped: nobody runs like that."""


def stride_m(speed_m_s: float) -> float:
    """Way of one gait cycle, two steps: 1.6 m walking, 4 m at a run of 6 m/s."""
    return 0.8 + 0.54 * speed_m_s


@dataclass(frozen=True, slots=True)
class Looks:
    """Body and clothes. `seed` decides build, hair, colours, patterns and what is carried."""

    seed: int = 0


class Path(ABC):
    """A way over the ground."""

    @abstractmethod
    def places(self, times_s: F64) -> F64:
        """Where one is at these times (k,): (k, 2) metres east and north."""

    @abstractmethod
    def facing(self, times_s: F64) -> F64:
        """Which way one looks: (k, 2) unit vectors east and north."""

    @abstractmethod
    def cycles(self, times_s: F64) -> F64:
        """Gait cycles made so far (k,)."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One person of a scene, who is there from `enters_s` until `leaves_s`. IDs count from 1."""

    actor_id: int
    path: Path
    height_m: float = 1.75
    looks: Looks = field(default_factory=Looks)
    enters_s: float = -math.inf
    leaves_s: float = math.inf


def unit(heading_deg: F64 | float) -> F64:
    """Azimuths (…) as unit vectors (…, 2) east and north."""
    radians = np.radians(heading_deg)
    return np.stack([np.sin(radians), np.cos(radians)], axis=-1)


@dataclass(frozen=True, slots=True)
class Sway(Path):
    """Standing, and moving to and fro by a sine. An amplitude of 0 is standing still.

    along_deg    azimuth of the swaying
    facing_deg   azimuth that one looks to
    """

    x_m: float
    y_m: float
    amplitude_m: float = 0.0
    period_s: float = 4.0
    along_deg: float = 90.0
    facing_deg: float = 180.0

    def places(self, times_s: F64) -> F64:
        offset = self.amplitude_m * np.sin(2 * np.pi * times_s / self.period_s)
        return np.asarray((self.x_m, self.y_m) + offset[:, None] * unit(self.along_deg))

    def facing(self, times_s: F64) -> F64:
        return np.broadcast_to(unit(self.facing_deg), (len(times_s), 2))

    def cycles(self, times_s: F64) -> F64:
        return np.zeros(len(times_s))


@dataclass(frozen=True, slots=True)
class Orbit(Path):
    """Round and round at one distance of a point. A positive rate is clockwise seen from above."""

    x_m: float
    y_m: float
    radius_m: float
    deg_s: float
    start_deg: float = 0.0

    def places(self, times_s: F64) -> F64:
        return np.asarray((self.x_m, self.y_m) + self.radius_m * unit(self.start_deg + self.deg_s * times_s))

    def facing(self, times_s: F64) -> F64:
        return unit(self.start_deg + self.deg_s * times_s + math.copysign(90, self.deg_s))

    def cycles(self, times_s: F64) -> F64:
        speed = math.radians(abs(self.deg_s)) * self.radius_m
        return np.asarray(times_s * speed / stride_m(speed))


class Timeline(Path):
    """Straight from knot to knot, each with its time; before the first and after the last one stands.

    times_s    (n,) rising
    places_m   (n, 2)
    smooth_s   corners and starts are rounded over this time; 0 = none
    facing_deg azimuth that one looks to before the first step
    """

    def __init__(
        self, times_s: Sequence[float], places_m: Sequence[tuple[float, float]], *, smooth_s: float = 0.0,
        facing_deg: float = 180.0,
    ) -> None:  # fmt: skip
        self.times_s = np.asarray(times_s, float)
        self.places_m = np.asarray(places_m, float)
        self.smooth_s = smooth_s
        legs = np.diff(self.places_m, axis=0)
        lengths = np.hypot(legs[:, 0], legs[:, 1])
        speeds = lengths / np.maximum(np.diff(self.times_s), 1e-9)
        walked = (speeds > 0) & (speeds <= FASTEST_M_S)
        cycles = np.where(walked, lengths / (0.8 + 0.54 * speeds), 0.0)
        self._cycles = np.concatenate([[0.0], np.cumsum(cycles)])
        self._facing = np.empty((len(legs) + 1, 2))
        facing = unit(facing_deg)
        for leg in range(len(legs)):
            facing = legs[leg] / lengths[leg] if walked[leg] else facing
            self._facing[leg] = facing
        self._facing[-1] = facing

    @property
    def end_s(self) -> float:
        """When the last knot is reached."""
        return float(self.times_s[-1])

    def places(self, times_s: F64) -> F64:
        if not self.smooth_s:
            return self._places(times_s)
        offsets = np.linspace(-0.5, 0.5, 9) * self.smooth_s
        spread = self._places((times_s[:, None] + offsets).ravel())
        return np.asarray(spread.reshape(len(times_s), 9, 2).mean(axis=1))

    def facing(self, times_s: F64) -> F64:
        legs = np.searchsorted(self.times_s, times_s, side="right") - 1
        return np.asarray(self._facing[np.clip(legs, 0, len(self._facing) - 1)])

    def cycles(self, times_s: F64) -> F64:
        return np.asarray(np.interp(times_s, self.times_s, self._cycles))

    def _places(self, times_s: F64) -> F64:
        return np.stack([np.interp(times_s, self.times_s, axis) for axis in self.places_m.T], axis=-1)


@dataclass(frozen=True, slots=True)
class Beside(Path):
    """The same way, this much further east and north."""

    path: Path
    east_m: float
    north_m: float

    def places(self, times_s: F64) -> F64:
        return np.asarray(self.path.places(times_s) + np.array([self.east_m, self.north_m]))

    def facing(self, times_s: F64) -> F64:
        return self.path.facing(times_s)

    def cycles(self, times_s: F64) -> F64:
        # Nobody in a group steps quite like the others.
        return np.asarray(self.path.cycles(times_s) + 0.37 * self.east_m + 0.61 * self.north_m)


def waypoints(
    places_m: Sequence[tuple[float, float]], speed_m_s: float, *, start_s: float = 0.0, until_s: float = 0.0,
    smooth_s: float = 0.0,
) -> Timeline:  # fmt: skip
    """Along these places at one speed, beginning at `start_s`; round and round up to `until_s`, without it once."""
    times, places = [start_s], [places_m[0]]
    number = 1
    while number < len(places_m) or times[-1] < until_s:
        place = places_m[number % len(places_m)]
        times.append(times[-1] + math.dist(places[-1], place) / speed_m_s)
        places.append(place)
        number += 1
    return Timeline(times, places, smooth_s=smooth_s)


def journey(legs: Sequence[tuple[float, float, float]], *, smooth_s: float = 0.0) -> Timeline:
    """Be there at that time: (time_s, east_m, north_m) one after another."""
    return Timeline([leg[0] for leg in legs], [leg[1:] for leg in legs], smooth_s=smooth_s)


def jumps(places_m: Sequence[tuple[float, float]], every_s: float, until_s: float) -> Timeline:
    """Standing, and in no time at the next place, every so often; after the last place the first."""
    times, places = [0.0], [places_m[0]]
    number = 1
    while number * every_s < until_s:
        moment = number * every_s
        times += [moment - 1e-3, moment]
        places += [places_m[(number - 1) % len(places_m)], places_m[number % len(places_m)]]
        number += 1
    return Timeline(times, places)


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the ground, and boxes (west, south, east, north) in it that nobody walks through."""

    west_m: float
    south_m: float
    east_m: float
    north_m: float
    blocked: tuple[tuple[float, float, float, float], ...] = ()

    def free(self, from_m: tuple[float, float], to_m: tuple[float, float]) -> bool:
        """Nothing stands in the straight way."""
        steps = np.linspace(from_m, to_m, 40)
        return not any(
            ((steps[:, 0] > w) & (steps[:, 0] < e) & (steps[:, 1] > s) & (steps[:, 1] < n)).any()
            for w, s, e, n in self.blocked
        )


def wander(
    seed: int, area: Area, duration_s: float, *, speed_m_s: float = 1.3, longest_pause_s: float = 4.0
) -> Timeline:
    """From goal to goal in an area, with pauses; back at the start when `duration_s` is over, so that it can repeat."""
    random = np.random.default_rng((seed, 7))

    def goal(before: tuple[float, float]) -> tuple[float, float]:
        for _ in range(200):
            place = (
                float(random.uniform(area.west_m, area.east_m)),
                float(random.uniform(area.south_m, area.north_m)),
            )
            if math.dist(before, place) > 3 and area.free(before, place):
                return place
        return before

    home = goal((math.inf, math.inf)) if not area.blocked else _free_place(random, area)
    times, places = [0.0, 0.5], [home, home]
    while True:
        place = goal(places[-1])
        pause_s = float(random.uniform(0, longest_pause_s)) if random.random() < 0.6 else 0.0
        speed = speed_m_s * float(random.uniform(0.85, 1.15))
        arrival_s = times[-1] + math.dist(places[-1], place) / speed
        home_s = math.dist(place, home) / speed_m_s
        if arrival_s + pause_s + 1.15 * home_s + 1.0 > duration_s:
            break
        if not area.free(place, home):
            # Only places with a free way home, so that the way back is never through a wall.
            continue
        times += [arrival_s, arrival_s + pause_s + 1e-6]
        places += [place, place]
    walk_s = math.dist(places[-1], home) / speed_m_s
    times += [max(times[-1], duration_s - 0.5 - walk_s) + 1e-6, duration_s - 0.5]
    places += [places[-1], home]
    return Timeline(times, places, smooth_s=0.6)


def _free_place(random: np.random.Generator, area: Area) -> tuple[float, float]:
    while True:
        place = (
            float(random.uniform(area.west_m, area.east_m)),
            float(random.uniform(area.south_m, area.north_m)),
        )
        if area.free(place, place):
            return place
