"""The contract of a driver, and the registry of their names.

A driver translates: degrees, ratios and levels on our side, whatever the camera wants on the other. It decides nothing,
repeats nothing and polls nothing; that is the head's part (`ptz.head`). Every conversion of units and signs is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from engine.errors import PtzUnsupported
from engine.registry import import_siblings, nearest
from ptz.types import Capabilities, Levels, Preset, Status


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """How to reach a camera's head.

    url           http://host:port, without credentials
    user          "" = without login
    password      never logged, not in `repr`
    channel       video input of ISAPI, 1-based; ONVIF takes the profile with this number, 1-based
    timeout_s     longest wait for an answer
    position_pan_sign, position_tilt_sign  -1 where the camera reports positions the other way round than its family
    command_pan_sign, command_tilt_sign    the same for speeds
    tls_fingerprint  SHA-256 of the camera's certificate (https) in hex, where no authority signed it; "" = it must be
                     signed by one that this machine trusts
    pan_range_deg    (from, to) clockwise: what positions from -1 to 1 mean where the camera tells no degrees (ONVIF)
    tilt_range_deg   (least, greatest) elevation, likewise
    zoom_range       (least, greatest) ratio: what zoom positions from 0 to 1 mean
    zoom_scale       how ratios lie between them: `ratio` evenly, `log` evenly in octaves, `linear` evenly in 1/ratio,
                     nearly the angle of view
    login            ONVIF: `auto`, `digest` (HTTP), `token` (WS-UsernameToken) or `token_text` (the password as text)
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    channel: int = 1
    timeout_s: float = 2.0
    position_pan_sign: int = 1
    position_tilt_sign: int = 1
    command_pan_sign: int = 1
    command_tilt_sign: int = 1
    tls_fingerprint: str = ""
    pan_range_deg: tuple[float, float] | None = None
    tilt_range_deg: tuple[float, float] | None = None
    zoom_range: tuple[float, float] | None = None
    zoom_scale: str = "ratio"
    login: str = "auto"


class PtzDriver(ABC):
    """One camera's head. Coroutines; one call at a time, which the head sees to.

    All raise `PtzError` subclasses: `PtzUnreachable`, `PtzUnauthorized`, `PtzLocked`, `PtzBusy`, `PtzUnsupported`,
    `PtzRefused`, `PtzProtocolError`. Subclasses name themselves: `class IsapiDriver(PtzDriver, names=("hikvision",))`.
    """

    drivers: ClassVar[dict[str, type[PtzDriver]]] = {}
    capabilities: Capabilities = Capabilities()
    """Known after `open`."""

    def __init_subclass__(cls, names: tuple[str, ...] = ()) -> None:
        for name in names:
            PtzDriver.drivers[name] = cls

    def __init__(self, options: DriverOptions, now: Callable[[], float]) -> None:
        self.options = options
        self.now = now

    @abstractmethod
    async def open(self) -> Capabilities:
        """Log in and find out what the camera can do. Nothing moves. May be called again after a failure."""

    @abstractmethod
    async def move(self, levels: Levels, ttl_s: float) -> None:
        """Turn at these levels, and stop after `ttl_s` without a new command where the camera can do that by itself."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop all axes, by the way of stopping that was last found to work."""

    @property
    def stop_ways(self) -> tuple[str, ...]:
        """The camera's ways of stopping, best first. Where one does not work the head calls `use_stop_way`."""
        return ("stop",)

    def use_stop_way(self, way: str) -> None:  # noqa: B027 - where there is one way there is nothing to choose
        """Stop this way from now on."""

    @property
    def move_ways(self) -> tuple[str, ...]:
        """The camera's ways of turning, best first. Where one is accepted and nothing moves, another may do."""
        return ("move",)

    def use_move_way(self, way: str) -> None:  # noqa: B027 - where there is one way there is nothing to choose
        """Turn this way from now on."""

    @abstractmethod
    async def status(self) -> Status:
        """Where it points. Raises `PtzUnsupported` where the camera does not tell."""

    async def absolute(self, pan_deg: float, tilt_deg: float, zoom: float, max_deg_s: float | None) -> None:
        """Go there, the short way round, and stop."""
        raise PtzUnsupported(f"{self.options.url}: the camera has no absolute moves")

    async def relative_fov(self, x: float, y: float, zoom: float) -> None:
        """Centre the place (x, y) of the picture, -1..1 from left to right and from bottom to top.

        zoom  ratio to the present one, 1 = as it is
        """
        raise PtzUnsupported(f"{self.options.url}: the camera has no moves relative to the picture")

    async def presets(self) -> list[Preset]:
        """The stored places."""
        raise PtzUnsupported(f"{self.options.url}: the camera has no presets")

    async def go_to_preset(self, preset: str) -> None:
        """Go to a stored place. Raises `PtzRefused` for a reserved number."""
        raise PtzUnsupported(f"{self.options.url}: the camera has no presets")

    async def store_preset(self, preset: str, name: str) -> str:
        """Store where it points now; returns what the camera calls it. Raises `PtzRefused` for a reserved number."""
        raise PtzUnsupported(f"{self.options.url}: the camera has no presets")

    async def remove_preset(self, preset: str) -> None:
        """Forget a stored place. Raises `PtzRefused` for a reserved number."""
        raise PtzUnsupported(f"{self.options.url}: the camera has no presets")

    async def home(self) -> None:
        """Go to the home position."""
        raise PtzUnsupported(f"{self.options.url}: the camera has no home position")

    @abstractmethod
    async def close(self) -> None:
        """Let go of the connection; may be called twice. Does not stop the head."""


def create_driver(name: str, options: DriverOptions, now: Callable[[], float]) -> PtzDriver:
    """The driver of this name, not opened yet. Raises `PtzUnsupported` for an unknown name."""
    import_siblings("ptz.drivers")
    try:
        return PtzDriver.drivers[name](options, now)
    except KeyError:
        known = ", ".join(sorted(PtzDriver.drivers))
        raise PtzUnsupported(
            f"no PTZ driver {name!r}{nearest(name, PtzDriver.drivers)}; there are: {known}"
        ) from None
