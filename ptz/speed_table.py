"""What a level of -100..100 means in degrees a second, and which level gives a wanted speed.

The scale of cameras is neither linear nor the same at every zoom, and differs from model to model: a table measured by
`ptz.calibration`, or until then one of the usual families. Knows nothing of how a head gets to a speed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np

from ptz.types import F64, Levels, Velocity

FAMILIES = ("linear", "quadratic", "ultraview")
AXES = ("pan", "tilt", "zoom")
ULTRAVIEW_DEG_S = (0.3, *range(2, 21, 2), *range(25, 71, 5))
"""Speeds of levels 1 to 21 in an OEM's manual (Interlogix UltraView 36X, page 48)."""
SLOWEST_SHARE = 0.02
"""Proportional zoom slows pan and tilt down to no less than this share of their speed at the widest view."""

Point = tuple[float, int, float]
"""(zoom ratio, level 1..100, speed)"""


class AxisTable:
    """Speed of one axis by level and zoom: measured points, between them straight lines in logarithms.

    Below the slowest measured level the power law of the two slowest goes on, above the fastest the one of the two
    fastest; zooms beyond the measured ones are taken as the nearest measured.

    Raises ValueError without points, and for points that are out of range or whose speed falls as the level rises.
    """

    def __init__(self, points: Iterable[Point], least_level: int = 1) -> None:
        self.points = tuple(sorted((float(zoom), int(level), float(speed)) for zoom, level, speed in points))
        self.least_level = int(least_level)
        for point in self.points:
            zoom, level, speed = point
            if not (zoom > 0 and 1 <= level <= 100 and 0 <= speed < math.inf):
                raise ValueError(f"no entry of a speed table: zoom, level, speed = {point}")
        if not any(speed > 0 for _, _, speed in self.points):
            raise ValueError("a speed table without a level that moves")
        zooms = sorted({zoom for zoom, _, _ in self.points})
        rows = [(zoom, row) for zoom in zooms if (row := self._row(zoom)) is not None]
        self._log_zooms = np.log([zoom for zoom, _ in rows])
        self._rows = np.stack([row for _, row in rows])

    def _row(self, zoom: float) -> F64 | None:
        """(101,) speeds of levels 0..100 at a measured zoom; None where nothing moved there."""
        measured = [(level, speed) for at, level, speed in self.points if at == zoom]
        moving = [(level, speed) for level, speed in measured if speed > 0]
        if not moving:
            return None
        levels = np.log([level for level, _ in moving])
        speeds = np.log([speed for _, speed in moving])
        if np.any(np.diff(levels) <= 0) or np.any(np.diff(speeds) < 0):
            raise ValueError(
                f"a speed table must have speeds that rise with the level: {measured} at zoom {zoom}"
            )
        wanted = np.log(np.arange(1, 101))
        row = np.interp(wanted, levels, speeds)
        first, last = (
            (_slope(levels, speeds, 0), _slope(levels, speeds, -2)) if len(levels) > 1 else (1.0, 1.0)
        )
        row = np.where(wanted < levels[0], speeds[0] + first * (wanted - levels[0]), row)
        row = np.where(wanted > levels[-1], speeds[-1] + last * (wanted - levels[-1]), row)
        still = max([self.least_level - 1, *(level for level, speed in measured if speed == 0)])
        out = np.concatenate(([0.0], np.exp(row)))
        out[: still + 1] = 0.0
        return out

    def speeds(self, zoom: float) -> F64:
        """(101,) speeds of levels 0..100 at a zoom."""
        at = math.log(min(max(zoom, 1e-3), 1e6))
        above = int(np.searchsorted(self._log_zooms, at))
        if above == 0:
            return cast(F64, self._rows[0])
        if above == len(self._rows):
            return cast(F64, self._rows[-1])
        low, high = self._log_zooms[above - 1], self._log_zooms[above]
        share = (at - low) / (high - low)
        slow, fast = self._rows[above - 1], self._rows[above]
        return cast(F64, np.where(np.minimum(slow, fast) > 0, slow ** (1 - share) * fast**share, 0.0))

    def level(self, speed: float, zoom: float) -> int:
        """The level whose speed is nearest; 0 where that is standing still."""
        speeds = self.speeds(zoom)
        nearest = int(np.argmin(np.abs(speeds - abs(speed))))
        return 0 if speeds[nearest] == 0 else int(math.copysign(nearest, speed))

    def speed(self, level: int, zoom: float) -> float:
        """The speed of a level of -100..100; beyond that as at the end."""
        return math.copysign(float(self.speeds(zoom)[min(abs(level), 100)]), level)


class SpeedTable:
    """Speeds of pan and tilt (°/s) by level and zoom, and of zoom (octaves/s) by level."""

    def __init__(self, pan: AxisTable, tilt: AxisTable, zoom: AxisTable, source: str = "measured") -> None:
        """`source` says where the numbers come from, for people."""
        self.pan, self.tilt, self.zoom = pan, tilt, zoom
        self.source = source

    @classmethod
    def family(
        cls,
        name: str = "linear",
        most_deg_s: tuple[float, float] = (80.0, 60.0),
        zoom_octaves_s: float = 1.16,
        proportional: float = 0.8,
        least_level: int = 3,
    ) -> SpeedTable:
        """A table by rule, for a camera that was not measured.

        name            `linear`; `quadratic`: by the square of the level; `ultraview`: an OEM's table, slow at first
        most_deg_s      speed of level 100 at zoom 1, pan and tilt
        zoom_octaves_s  speed of level 100
        proportional    speed falls as 1 / zoom to this power ("proportional pan/tilt"); 0 = not
        least_level     below this nothing moves

        Raises ValueError for an unknown name.
        """
        if name not in FAMILIES:
            raise ValueError(f"no family of speed tables {name!r}; there are: {', '.join(FAMILIES)}")
        zooms = [1.0, SLOWEST_SHARE ** (-1 / proportional)] if proportional > 0 else [1.0]
        shares = [zoom**-proportional for zoom in zooms]
        levels = range(1, 101) if name == "ultraview" else (1, 100)
        shape = [(level, _family_share(name, level)) for level in levels]

        def axis(most: float, shares: list[float]) -> AxisTable:
            entries = (
                (zoom, level, most * slower * share)
                for zoom, slower in zip(zooms, shares, strict=True)
                for level, share in shape
            )
            return AxisTable(entries, least_level)

        still = axis(zoom_octaves_s, [1.0] * len(zooms))
        return cls(axis(most_deg_s[0], shares), axis(most_deg_s[1], shares), still, f"family {name}")

    def levels(self, velocity: Velocity, zoom: float) -> Levels:
        """The levels whose speeds are nearest. Raises ValueError for a velocity that is no finite number."""
        speeds = (velocity.pan_deg_s, velocity.tilt_deg_s, velocity.zoom_octaves_s)
        if not all(map(math.isfinite, speeds)):
            raise ValueError(f"no velocity: {velocity}")
        return Levels(
            self.pan.level(speeds[0], zoom),
            self.tilt.level(speeds[1], zoom),
            self.zoom.level(speeds[2], zoom),
        )

    def velocity(self, levels: Levels, zoom: float) -> Velocity:
        """What the levels stand for."""
        return Velocity(
            self.pan.speed(levels.pan, zoom),
            self.tilt.speed(levels.tilt, zoom),
            self.zoom.speed(levels.zoom, zoom),
        )

    def most(self, zoom: float) -> Velocity:
        """Greatest speeds at this zoom."""
        return self.velocity(Levels(100, 100, 100), zoom)

    def to_json(self) -> dict[str, Any]:
        """As plain lists and numbers."""
        out: dict[str, Any] = {"version": 1, "source": self.source}
        for name in AXES:
            axis: AxisTable = getattr(self, name)
            out[name] = {
                "least_level": axis.least_level,
                "points": [[zoom, level, float(f"{speed:.6g}")] for zoom, level, speed in axis.points],
            }
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SpeedTable:
        """The reverse. Raises ValueError for anything else."""
        try:
            if data["version"] != 1:
                raise ValueError(f"speed table of version {data['version']}, this reads 1")
            pan, tilt, zoom = (
                AxisTable([tuple(point) for point in data[name]["points"]], data[name]["least_level"])
                for name in AXES
            )
            return cls(pan, tilt, zoom, str(data["source"]))
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"no speed table: {type(error).__name__}: {error}") from error


def _family_share(name: str, level: int) -> float:
    share = level / 100
    if name == "quadratic":
        return share * share
    if name == "ultraview":
        top = len(ULTRAVIEW_DEG_S)
        speed = np.interp(share * top, np.arange(top + 1.0), np.array((0.0, *ULTRAVIEW_DEG_S)))
        return float(speed / ULTRAVIEW_DEG_S[-1])
    return share


def _slope(x: F64, y: F64, index: int) -> float:
    return float((y[index + 1] - y[index]) / (x[index + 1] - x[index]))
