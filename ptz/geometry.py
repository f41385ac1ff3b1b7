"""From pixels to directions and back, and what a camera sees in degrees.

A pinhole without roll: x right, y down in the picture, azimuth clockwise, elevation up. Lens distortion is left out; it
matters at the widest zoom only. Knows neither time nor cameras: a `View` says all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from ptz.types import F64, Bools, View

STEEP_DEG = 75.0
"""From this far below (or above) the horizon a degree of azimuth is so little in the picture that pan is held back."""


def focal_px(width: int, hfov_deg: float | None) -> float:
    """Focal length in pixels of a picture `width` pixels wide that shows `hfov_deg`.

    Raises ValueError where the field of view is missing, not a number, or not between 0 and 180.
    """
    if hfov_deg is None:
        raise ValueError("hfov_deg is missing: the horizontal field of view at the widest zoom must be set")
    if not 0 < hfov_deg < 180:
        raise ValueError(f"hfov_deg must be between 0 and 180, not {hfov_deg}")
    if width <= 0:
        raise ValueError(f"a picture must be at least 1 pixel wide, not {width}")
    return (width / 2) / math.tan(math.radians(hfov_deg) / 2)


def vfov_deg(view: View) -> float:
    """Vertical field of view of a picture, degrees."""
    return math.degrees(2 * math.atan(view.height / 2 / focal_px(view.width, view.hfov_deg)))


@overload
def wrap_deg(angle_deg: float) -> float: ...
@overload
def wrap_deg(angle_deg: F64) -> F64: ...
def wrap_deg(angle_deg: float | F64) -> float | F64:
    """The same direction between -180 (included) and 180."""
    return (angle_deg + 180.0) % 360.0 - 180.0


@overload
def azimuth_deg(angle_deg: float) -> float: ...
@overload
def azimuth_deg(angle_deg: F64) -> F64: ...
def azimuth_deg(angle_deg: float | F64) -> float | F64:
    """The same direction between 0 (included) and 360."""
    turned = angle_deg % 360.0
    if isinstance(turned, np.ndarray):
        return np.where(turned == 360.0, 0.0, turned)
    return 0.0 if turned == 360.0 else turned  # a negative number too small to count rounds up to 360


def turn_deg(from_deg: float, to_deg: float, pan_range_deg: tuple[float, float] | None = None) -> float:
    """The shortest turn from one azimuth to another that crosses no stop, degrees, clockwise positive.

    `pan_range_deg` is (from, to) clockwise; None turns without end. What lies between the stops cannot be reached: the
    turn then ends at the nearer stop. A head reported a little behind its stop is taken to be there.
    """
    if pan_range_deg is None:
        return wrap_deg(to_deg - from_deg)
    first, last = pan_range_deg
    span = azimuth_deg(last - first) or 360.0
    slack = (360.0 - span) / 2
    start = azimuth_deg(from_deg - first + slack) - slack
    end = azimuth_deg(to_deg - first + slack) - slack
    return min(max(end, 0.0), span) - start


@overload
def pixel_to_angles(u_px: float, v_px: float, view: View) -> tuple[float, float]: ...
@overload
def pixel_to_angles(u_px: F64, v_px: F64, view: View) -> tuple[F64, F64]: ...
def pixel_to_angles(u_px: ArrayLike, v_px: ArrayLike, view: View) -> tuple[float | F64, float | F64]:
    """Direction (azimuth 0..360, elevation) in which a pixel of a picture looks.

    Floats give floats, arrays (n,) give float64 arrays (n,). Raises ValueError for a field of view that is none.
    """
    focal = focal_px(view.width, view.hfov_deg)
    x = (np.asarray(u_px, np.float64) - view.width / 2) / focal
    y = (np.asarray(v_px, np.float64) - view.height / 2) / focal
    tilt = math.radians(view.tilt_deg)
    ahead = math.cos(tilt) + y * math.sin(tilt)
    pan = azimuth_deg(np.asarray(view.pan_deg + np.degrees(np.arctan2(x, ahead))))
    up = np.degrees(np.arctan2(math.sin(tilt) - y * math.cos(tilt), np.hypot(x, ahead)))
    return (float(pan), float(up)) if np.ndim(pan) == 0 else (np.asarray(pan), np.asarray(up))


@overload
def angles_to_pixel(pan_deg: float, tilt_deg: float, view: View) -> tuple[float, float, bool]: ...
@overload
def angles_to_pixel(pan_deg: F64, tilt_deg: F64, view: View) -> tuple[F64, F64, Bools]: ...
def angles_to_pixel(
    pan_deg: ArrayLike, tilt_deg: ArrayLike, view: View
) -> tuple[float | F64, float | F64, bool | Bools]:
    """Where a direction is seen, pixels; the third says whether it lies in front of the camera at all.

    Behind the camera there is no pixel: both coordinates are NaN. A place in front may well be outside the picture.
    Floats give floats and a bool, arrays (n,) give arrays (n,). Raises ValueError for a field of view that is none.
    """
    focal = focal_px(view.width, view.hfov_deg)
    turn = np.radians(np.asarray(pan_deg, np.float64) - view.pan_deg)
    up = np.radians(np.asarray(tilt_deg, np.float64))
    tilt = math.radians(view.tilt_deg)
    flat = np.cos(up) * np.cos(turn)
    depth = flat * math.cos(tilt) + np.sin(up) * math.sin(tilt)
    in_front = depth > 1e-9
    depth = np.where(in_front, depth, np.nan)
    u = view.width / 2 + focal * np.cos(up) * np.sin(turn) / depth
    v = view.height / 2 + focal * (flat * math.sin(tilt) - np.sin(up) * math.cos(tilt)) / depth
    return (float(u), float(v), bool(in_front)) if u.ndim == 0 else (u, v, in_front)


@dataclass(frozen=True, slots=True)
class AngleBox:
    """A box in directions. `west_deg` is 0..360, `east_deg` is not less and may be more than 360."""

    west_deg: float
    east_deg: float
    bottom_deg: float
    top_deg: float

    @property
    def centre_deg(self) -> tuple[float, float]:
        """Azimuth 0..360 and elevation of the middle."""
        return azimuth_deg((self.west_deg + self.east_deg) / 2), (self.bottom_deg + self.top_deg) / 2

    @property
    def width_deg(self) -> float:
        """Degrees of azimuth."""
        return self.east_deg - self.west_deg

    @property
    def height_deg(self) -> float:
        """Degrees of elevation."""
        return self.top_deg - self.bottom_deg


def angle_box(box_xyxy: Sequence[float] | F64, view: View) -> AngleBox:
    """The directions that a box of a picture covers; all around where it holds the nadir or the zenith.

    Raises ValueError for a box that is not four finite numbers.
    """
    left, top, right, bottom = (float(value) for value in box_xyxy)
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise ValueError(f"a box must be four finite numbers, not {list(box_xyxy)}")
    focal = focal_px(view.width, view.hfov_deg)
    columns = np.array((left, min(max(view.width / 2, left), right), right))
    tilt = math.radians(view.tilt_deg)
    # Row of each column where it looks most down, or most up.
    steepest = np.full(3, -math.copysign(math.inf, tilt))
    if abs(math.sin(tilt)) > 1e-9:
        across = (columns - view.width / 2) / focal
        steepest = view.height / 2 - focal * (1.0 + across**2) * math.cos(tilt) / math.sin(tilt)
    v = np.concatenate((np.full(3, top), np.full(3, bottom), np.clip(steepest, top, bottom)))
    pan, up = pixel_to_angles(np.tile(columns, 3), v, view)
    if left <= view.width / 2 <= right and top <= steepest[1] <= bottom:
        west = azimuth_deg(view.pan_deg - 180.0)
        return AngleBox(west, west + 360.0, float(up.min()), float(up.max()))
    # Beyond the pole directions lie around the back of the view; a box without the pole spans less than half a turn.
    inside_deg, _ = pixel_to_angles((left + right) / 2, (top + bottom) / 2, view)
    turns = wrap_deg(pan - inside_deg)
    west = azimuth_deg(inside_deg + float(turns.min()))
    return AngleBox(west, west + float(np.ptp(turns)), float(up.min()), float(up.max()))


def super_box(boxes: Iterable[AngleBox]) -> AngleBox:
    """The smallest box in directions that holds all of them, on the short side of the circle.

    Raises ValueError where there is none.
    """
    ordered = sorted(boxes, key=lambda box: box.west_deg)
    if not ordered:
        raise ValueError("a box around nothing")
    west, east = _shortest_arc([(box.west_deg, box.east_deg) for box in ordered])
    return AngleBox(west, east, min(box.bottom_deg for box in ordered), max(box.top_deg for box in ordered))


def _shortest_arc(arcs: list[tuple[float, float]]) -> tuple[float, float]:
    """(west, east) of the shortest arc that holds arcs sorted by their west: all but the widest gap."""
    widest, begins = -math.inf, 0
    reach = max(east for _, east in arcs) - 360.0
    for index, (west, east) in enumerate(arcs):
        if west - reach > widest:
            widest, begins = west - reach, index
        reach = max(reach, east)
    west = arcs[begins][0]
    return west, west + 360.0 - max(widest, 0.0)


def px_per_deg(width: int, hfov_deg: float | None) -> float:
    """Pixels per degree, as `width / hfov`: the plain formula. Off by 1.1° in the picture at 60°, by 5.7° at 99°."""
    focal_px(width, hfov_deg)  # refuses what is no field of view
    assert hfov_deg is not None
    return width / hfov_deg


def normalised_offset(u_px: float, v_px: float, width: int, height: int) -> tuple[float, float]:
    """Offset from the centre: (1, 1) is the upper right corner, (-1, -1) the lower left one."""
    return (u_px - width / 2) / (width / 2), (height / 2 - v_px) / (height / 2)


def offset_to_speed(offset: float, gain: float = 1.0, dead_zone: float = 0.05, most: float = 1.0) -> float:
    """Speed for a normalised offset: `gain · offset`, at most `most`, and none within the dead zone."""
    if not abs(offset) > dead_zone:
        return 0.0
    return min(max(gain * offset, -most), most)


def pan_share(tilt_deg: float) -> float:
    """How much of a turn in azimuth is worth making at this elevation, 0.25..1.

    The pan that a place in the picture needs grows by 1 / cos(elevation). Up to `STEEP_DEG` it is given in full;
    beyond, the factor stays what it is there, so that a walk through the nadir does not spin the head.
    """
    steep = math.cos(math.radians(STEEP_DEG))
    return min(1.0, max(0.25, math.cos(math.radians(min(abs(tilt_deg), 90.0))) / steep))


def tilt_in_plane(turn_deg_: float, tilt_deg: float) -> float:
    """Elevation at which a head sees a direction best that lies `turn_deg_` off its azimuth, without panning.

    Straight down (or up) for what lies a quarter turn away or more: the head never flips through the nadir.
    """
    turn, up = math.radians(turn_deg_), math.radians(tilt_deg)
    ahead = max(math.cos(up) * math.cos(turn), 0.0)
    return math.degrees(math.atan2(math.sin(up), ahead)) if ahead or math.sin(up) else 0.0
