"""What a level of -100..100 means in degrees a second, and which level gives a wanted speed.

The scale of cameras is neither linear nor the same at every zoom, and differs from model to model: a table measured by
`ptz.calibration`, or until then one of the usual families.
"""

from __future__ import annotations

from typing import Any

from ptz.types import Levels, Velocity

FAMILIES = ("linear", "quadratic", "ultraview")


class SpeedTable:
    """Speeds of pan and tilt (°/s) by level and zoom, and of zoom (octaves/s) by level."""

    @classmethod
    def family(
        cls,
        name: str = "linear",
        most_deg_s: tuple[float, float] = (80.0, 60.0),
        zoom_octaves_s: float = 1.16,
        proportional: float = 0.8,
        least_level: int = 3,
    ) -> SpeedTable:
        """A table by rule.

        most_deg_s      speed of level 100 at zoom 1, pan and tilt
        zoom_octaves_s  speed of level 100
        proportional    speed falls as 1 / zoom to this power ("proportional pan/tilt"); 0 = not
        least_level     below this nothing moves
        """
        raise NotImplementedError

    def levels(self, velocity: Velocity, zoom: float) -> Levels:
        """The levels whose speeds are nearest."""
        raise NotImplementedError

    def velocity(self, levels: Levels, zoom: float) -> Velocity:
        """What the levels stand for."""
        raise NotImplementedError

    def most(self, zoom: float) -> Velocity:
        """Greatest speeds at this zoom."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """As plain lists and numbers."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SpeedTable:
        """The reverse. Raises ValueError for anything else."""
        raise NotImplementedError
