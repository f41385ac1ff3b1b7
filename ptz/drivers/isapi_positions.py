"""Positions of ISAPI: tenths of a degree (`/status`), degrees (`/absoluteEx`), elevation positive downwards.

Pure. Both ways for each, so that one undoes the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptz.types import Pose

SCALES = (1, 10, 100)
"""Units to a degree, or to a ratio of 1, that are known."""
TOLERANCE = 1.05


@dataclass(frozen=True, slots=True)
class Place:
    """A position on the camera's side, in degrees and ratios: `zoom` is None where there is none in it."""

    azimuth_deg: float
    elevation_deg: float
    zoom: float | None = None


@dataclass(frozen=True, slots=True)
class Signs:
    """What is turned round, 1 or -1: see `DriverOptions`. The family's elevation is positive downwards."""

    pan: int = 1
    tilt: int = 1

    def pose(self, place: Place, time_s: float, zoom: float) -> Pose:
        """Where the head points. `zoom` stands where the camera told none. Past the nadir it has turned over."""
        pan_deg = self.pan * place.azimuth_deg
        raw_deg = place.elevation_deg
        if abs(raw_deg) > 180.0:
            raw_deg = (raw_deg + 180.0) % 360.0 - 180.0
        if abs(raw_deg) > 90.0:
            pan_deg, raw_deg = pan_deg + 180.0, (180.0 if raw_deg > 0 else -180.0) - raw_deg
        ratio = zoom if place.zoom is None else place.zoom
        return Pose(time_s, pan_deg % 360.0 % 360.0, 0.0 - self.tilt * raw_deg, max(1.0, ratio))

    def place(self, pan_deg: float, tilt_deg: float, zoom: float) -> Place:
        """The same for the camera."""
        return Place((self.pan * pan_deg) % 360.0 % 360.0, 0.0 - self.tilt * tilt_deg, zoom)

    def tilt_range(self, least_raw_deg: float, most_raw_deg: float) -> tuple[float, float]:
        """Elevations that are reached, rising."""
        ends = sorted(0.0 - self.tilt * end for end in (least_raw_deg, most_raw_deg))
        return max(-90.0, ends[0]), min(90.0, ends[1])

    def pan_range(self, first_deg: float, last_deg: float) -> tuple[float, float] | None:
        """(from, to) clockwise, None for a whole turn."""
        if last_deg - first_deg >= 359.0:
            return None
        return (
            (first_deg, last_deg)
            if self.pan > 0
            else ((-last_deg) % 360.0, (-last_deg) % 360.0 + last_deg - first_deg)
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """Whole numbers of a camera: so many to a degree, and to a ratio of 1."""

    per_deg: int = 10
    per_ratio: int = 10

    def place(self, azimuth: float, elevation: float, zoom: float | None) -> Place:
        """From numbers of the camera."""
        ratio = None if zoom is None else zoom / self.per_ratio
        return Place(azimuth / self.per_deg, elevation / self.per_deg, ratio)

    def numbers(self, place: Place) -> tuple[int, int, int]:
        """Azimuth, elevation and zoom for the camera."""
        ratio = 1.0 if place.zoom is None else place.zoom
        azimuth = round(place.azimuth_deg * self.per_deg) % (360 * self.per_deg)
        return azimuth, round(place.elevation_deg * self.per_deg), round(ratio * self.per_ratio)

    def fits(self, azimuth: float, elevation: float, most_elevation_deg: float = 90.0) -> bool:
        """Whether these numbers can be a direction on this scale."""
        return (
            -5 * self.per_deg <= azimuth <= 360 * self.per_deg * TOLERANCE
            and abs(elevation) <= most_elevation_deg * self.per_deg * TOLERANCE
        )

    def finer(self) -> Scale:
        """The next scale, for numbers that do not fit this one."""
        index = SCALES.index(self.per_deg) + 1
        return Scale(SCALES[min(index, len(SCALES) - 1)], self.per_ratio)


def scale_of_ranges(pan_most: float | None, zoom_least: float | None) -> Scale:
    """The scale that a camera's own ranges speak of: 3600 or 350 for a turn, 10 or 100 for the widest zoom."""
    per_deg = 10 if pan_most is None else next((s for s in SCALES if pan_most <= 450 * s), SCALES[-1])
    per_ratio = 10 if zoom_least is None else max((s for s in SCALES if zoom_least >= s), default=1)
    return Scale(per_deg, per_ratio)


def scale_like(azimuth: float, elevation: float, place: Place, otherwise: Scale) -> Scale:
    """The scale on which these numbers are this place, `otherwise` where that cannot be told."""

    def miss(per_deg: int) -> float:
        turn = abs(azimuth / per_deg - place.azimuth_deg) % 360.0
        return max(min(turn, 360.0 - turn), abs(elevation / per_deg - place.elevation_deg))

    near = [per_deg for per_deg in SCALES if miss(per_deg) < 1.0]
    return Scale(near[0], otherwise.per_ratio) if len(near) == 1 else otherwise
