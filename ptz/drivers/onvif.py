"""Cameras that speak ONVIF: profiles, moves in their spaces, the ladder of ways to stop, status, presets."""

from __future__ import annotations

import time
from collections.abc import Callable

from ptz.drivers.base import DriverOptions, PtzDriver
from ptz.http import Transport
from ptz.types import Capabilities, Levels, Preset, Status


class OnvifDriver(PtzDriver, names=("onvif",)):
    """One ONVIF camera's head.

    transport  for a camera in the same process; None = a socket to `options.url`
    utc        seconds since 1970, for logins where the camera does not tell its own time
    """

    def __init__(
        self,
        options: DriverOptions,
        now: Callable[[], float],
        transport: Transport | None = None,
        utc: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(options, now)

    async def open(self) -> Capabilities:
        """Clock, services, profile, spaces and limits of the camera; see `PtzDriver.open`."""
        raise NotImplementedError

    async def move(self, levels: Levels, ttl_s: float) -> None:
        """ContinuousMove; `ttl_s` as its Timeout where the camera takes one."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop, or what stands for it on this camera. A way that is refused is followed by the next."""
        raise NotImplementedError

    @property
    def stop_ways(self) -> tuple[str, ...]:
        """stop, zero_with_spaces, zero, and where they are offered relative_zero, absolute_here."""
        raise NotImplementedError

    @property
    def move_ways(self) -> tuple[str, ...]:
        """velocity; both_axes = a minute speed in the axis that shall stand, for cameras that else ignore the move."""
        raise NotImplementedError

    async def status(self) -> Status:
        """GetStatus."""
        raise NotImplementedError

    async def absolute(self, pan_deg: float, tilt_deg: float, zoom: float, max_deg_s: float | None) -> None:
        """AbsoluteMove."""
        raise NotImplementedError

    async def relative_fov(self, x: float, y: float, zoom: float) -> None:
        """RelativeMove in TranslationSpaceFov."""
        raise NotImplementedError

    async def presets(self) -> list[Preset]:
        """GetPresets."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the connection."""
        raise NotImplementedError
