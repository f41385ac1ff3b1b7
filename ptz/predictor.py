"""Where a target is and how fast it goes: a constant-velocity filter in directions of the world, with a gate.

In the world, not in the picture: there the camera's own motion would look like the target's. Knows neither cameras nor
people; a size only to tell how quickly something of that size can change its speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a measurement."""

    STARTED = "started"
    UPDATED = "updated"
    GATED = "gated"
    RESTARTED = "restarted"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """Noise of the filter."""


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


class TargetFilter:
    """One target."""

    def __init__(self, settings: FilterSettings | None = None) -> None:
        raise NotImplementedError

    @property
    def started(self) -> bool:
        """Whether there was a measurement."""
        raise NotImplementedError

    def observe(
        self, time_s: float, pan_deg: float, tilt_deg: float, size_deg: float, camera_deg_s: float = 0.0
    ) -> Outcome:
        """Take a measurement of `time_s`. `camera_deg_s`: how fast the camera turned then (timing errors blur it)."""
        raise NotImplementedError

    def at(self, time_s: float) -> Estimate:
        """The target at a time, by constant velocity. Raises ValueError before the first measurement."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget everything."""
        raise NotImplementedError
