"""Where a target is and how fast it goes: a constant-velocity filter in directions of the world, with a gate.

In the world, not in the picture: there the camera's own motion would look like the target's. Knows neither cameras nor
people; a size only to tell how quickly something of that size can change its speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from ptz.geometry import azimuth_deg, wrap_deg

POLE_DEG = 85.0
"""Nearer to straight down or up than this an azimuth says no less than it does there."""


class Outcome(StrEnum):
    """What became of a measurement.

    STARTED    it is the first
    UPDATED    the filter was pulled towards it
    GATED      an outlier: not used
    RESTARTED  the second outlier in a row: the filter begins again there
    IGNORED    not a number, or older than what is known
    """

    STARTED = "started"
    UPDATED = "updated"
    GATED = "gated"
    RESTARTED = "restarted"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """Noise of the filter. Standard deviations.

    body_m            what is followed is about this high: tells its distance
    accel_m_s2        how quickly it changes its speed; what changes faster fails the gate and restarts the filter
    jitter            of measurements, as a share of the size
    least_jitter_deg  and at least this
    timing_s          of the time of a picture against the head's pose: matters while the camera turns
    start_m_s         speed at a start, of which nothing is known
    gate              measurements further off than this many standard deviations are outliers
    outliers          this many in a row restart the filter
    forget_s          a gap longer than this restarts it
    size_octaves      of a size's measurement
    size_octaves_s    how quickly a size changes
    """

    body_m: float = 1.7
    accel_m_s2: float = 0.35
    jitter: float = 0.02
    least_jitter_deg: float = 0.03
    timing_s: float = 0.02
    start_m_s: float = 1.5
    gate: float = 3.0
    outliers: int = 2
    forget_s: float = 3.0
    size_octaves: float = 0.06
    size_octaves_s: float = 0.3


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where a target is at one moment. Azimuth 0..360; `size_deg` is its height in degrees."""

    time_s: float
    pan_deg: float
    tilt_deg: float
    pan_deg_s: float
    tilt_deg_s: float
    pan_sigma_deg: float
    tilt_sigma_deg: float
    pan_sigma_deg_s: float
    tilt_sigma_deg_s: float
    size_deg: float


@dataclass(slots=True)
class _Axis:
    """Position and velocity of one axis with their covariance."""

    position: float = 0.0
    velocity: float = 0.0
    var: float = 0.0
    cov: float = 0.0
    velocity_var: float = 0.0

    def ahead(self, dt: float, accel: float) -> _Axis:
        """After `dt` seconds of constant velocity, disturbed by a random acceleration (white, `accel` per √s)."""
        q = accel * accel
        return _Axis(
            self.position + dt * self.velocity,
            self.velocity,
            self.var + dt * (2 * self.cov + dt * self.velocity_var) + q * dt**3 / 3,
            self.cov + dt * self.velocity_var + q * dt * dt / 2,
            self.velocity_var + q * dt,
        )

    def pull(self, wrong: float, noise: float) -> None:
        """Take a measurement that is off by `wrong`, with variance `noise`."""
        total = self.var + noise
        gain, velocity_gain = self.var / total, self.cov / total
        self.position += gain * wrong
        self.velocity += velocity_gain * wrong
        self.velocity_var -= velocity_gain * self.cov
        self.var *= 1 - gain
        self.cov *= 1 - gain

    def start_velocity(self, moved: float, dt: float) -> None:
        """Velocity and its covariance from two measurements, this one and one `dt` earlier, of the same noise."""
        if dt > 0:
            self.velocity, self.cov, self.velocity_var = moved / dt, self.var / dt, 2 * self.var / dt**2


class TargetFilter:
    """One target: direction, velocity and size.

    A measurement further off than the gate is not believed at first; the second one in a row is, and the filter starts
    again from there. So a step or a sudden turn is followed within two pictures, and no false velocity comes of it.
    """

    def __init__(self, settings: FilterSettings | None = None) -> None:
        self.settings = settings or FilterSettings()
        self.restarts = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._time_s = -math.inf
        self._pan, self._tilt = _Axis(), _Axis()
        self._size = 0.0
        self._size_var = 1.0
        self._outliers = 0
        self._outlier: tuple[float, float, float] | None = None
        self._late = 0

    @property
    def started(self) -> bool:
        """Whether there was a measurement."""
        return self._time_s > -math.inf

    @property
    def time_s(self) -> float:
        """Time of the newest measurement that was used; minus infinity before the first."""
        return self._time_s

    def observe(
        self, time_s: float, pan_deg: float, tilt_deg: float, size_deg: float, camera_deg_s: float = 0.0
    ) -> Outcome:
        """Take a measurement of `time_s`. `camera_deg_s`: how fast the camera turned then (timing errors blur it).

        Times that run back a little are ignored; when they keep running back (a clock was set), the filter restarts.
        """
        if not (all(map(math.isfinite, (time_s, pan_deg, tilt_deg, size_deg))) and size_deg > 0):
            return Outcome.IGNORED
        if not self.started:
            self._begin(time_s, pan_deg, tilt_deg, size_deg)
            return Outcome.STARTED
        if time_s <= self._time_s:
            self._late += 1
            if self._late < 5:
                return Outcome.IGNORED
            return self._restart(time_s, pan_deg, tilt_deg, size_deg)
        self._late = 0
        if time_s - self._time_s > self.settings.forget_s:
            return self._restart(time_s, pan_deg, tilt_deg, size_deg)
        return self._take(time_s, pan_deg, tilt_deg, size_deg, camera_deg_s)

    def _take(
        self, time_s: float, pan_deg: float, tilt_deg: float, size_deg: float, camera_deg_s: float
    ) -> Outcome:
        settings, narrow = self.settings, _narrow(tilt_deg)
        pan, tilt = self._ahead(time_s)
        noise = (settings.jitter * self._size) ** 2 + settings.least_jitter_deg**2
        noise += (settings.timing_s * camera_deg_s) ** 2
        wrong_pan, wrong_tilt = wrap_deg(pan_deg - pan.position), tilt_deg - tilt.position
        off = wrong_pan**2 / (pan.var + noise / narrow**2) + wrong_tilt**2 / (tilt.var + noise)
        if off > settings.gate**2:
            self._outliers += 1
            before, self._outlier = self._outlier, (time_s, pan_deg, tilt_deg)
            if self._outliers >= settings.outliers:
                return self._restart(time_s, pan_deg, tilt_deg, size_deg, before)
            return Outcome.GATED
        self._outliers = 0
        self._pan, self._tilt = pan, tilt
        self._pan.pull(wrong_pan, noise / narrow**2)
        self._tilt.pull(wrong_tilt, noise)
        self._pan.position = azimuth_deg(self._pan.position)
        self._measure_size(size_deg, time_s - self._time_s)
        self._time_s = time_s
        return Outcome.UPDATED

    def _measure_size(self, size_deg: float, dt: float) -> None:
        variance = self._size_var + (self.settings.size_octaves_s**2) * dt
        gain = variance / (variance + self.settings.size_octaves**2)
        self._size *= (size_deg / self._size) ** gain
        self._size_var = variance * (1 - gain)

    def _restart(
        self,
        time_s: float,
        pan_deg: float,
        tilt_deg: float,
        size_deg: float,
        before: tuple[float, float, float] | None = None,
    ) -> Outcome:
        """Begin again; the outlier before this one tells a first velocity."""
        self.restarts += 1
        self._begin(time_s, pan_deg, tilt_deg, size_deg)
        if before is not None:
            self._pan.start_velocity(wrap_deg(pan_deg - before[1]), time_s - before[0])
            self._tilt.start_velocity(tilt_deg - before[2], time_s - before[0])
        return Outcome.RESTARTED

    def _begin(self, time_s: float, pan_deg: float, tilt_deg: float, size_deg: float) -> None:
        settings, narrow = self.settings, _narrow(tilt_deg)
        self.reset()
        self._time_s, self._size = time_s, size_deg
        self._size_var = settings.size_octaves**2
        noise = (settings.jitter * size_deg) ** 2 + settings.least_jitter_deg**2
        speed = (settings.start_m_s * size_deg / settings.body_m) ** 2
        self._pan = _Axis(azimuth_deg(pan_deg), 0.0, noise / narrow**2, 0.0, speed / narrow**2)
        self._tilt = _Axis(tilt_deg, 0.0, noise, 0.0, speed)

    def _ahead(self, time_s: float) -> tuple[_Axis, _Axis]:
        dt = time_s - self._time_s
        accel = self.settings.accel_m_s2 * self._size / self.settings.body_m
        narrow = _narrow(self._tilt.position)
        return self._pan.ahead(dt, accel / narrow), self._tilt.ahead(dt, accel)

    def at(self, time_s: float) -> Estimate:
        """The target at a time, by constant velocity. Raises ValueError before the first measurement."""
        if not self.started:
            raise ValueError("a target that was never measured")
        pan, tilt = self._ahead(max(time_s, self._time_s))
        return Estimate(
            time_s,
            azimuth_deg(pan.position),
            min(max(tilt.position, -90.0), 90.0),
            pan.velocity,
            tilt.velocity,
            math.sqrt(pan.var),
            math.sqrt(tilt.var),
            math.sqrt(pan.velocity_var),
            math.sqrt(tilt.velocity_var),
            self._size,
        )


def _narrow(tilt_deg: float) -> float:
    """How much narrower a degree of azimuth is at an elevation."""
    return math.cos(math.radians(min(abs(tilt_deg), POLE_DEG)))
