"""Coordinate spaces of ONVIF: which a camera offers, and what its numbers mean in degrees and ratios.

Pure. The meaning of generic positions (-1..1, 0..1) is not told by the protocol: it comes from the camera's spaces in
degrees or millimetres where it has such, else from the options.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from engine.errors import PtzProtocolError, PtzRefused
from ptz.xml import Element

Range = tuple[float, float]
UNIT: Range = (-1.0, 1.0)
PAN_TILT_GENERIC = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/PositionGenericSpace"
ZOOM_GENERIC = "http://www.onvif.org/ver10/tptz/ZoomSpaces/PositionGenericSpace"
ZOOM_SCALES = ("ratio", "log", "linear")
TOLERANCE_DEG = 0.5
"""A direction this far outside of a range is taken as its end: ranges are rounded."""


@dataclass(frozen=True, slots=True)
class Space:
    """One space: its URI as the camera writes it, and its ranges. `y` is that of zoom spaces, too, and unused there."""

    uri: str
    x: Range = UNIT
    y: Range = UNIT

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.uri.rpartition("/")[2]

    @property
    def in_degrees(self) -> bool:
        """Its numbers are degrees, or degrees a second."""
        return "Spherical" in self.name or "Degrees" in self.name


def space_of(element: Element, usual: Range) -> Space:
    """A space description. A range that is missing, empty (0..0), reversed or no number is taken for the usual one."""
    return Space(
        element.text_of("URI", ""), _range(element, "XRange", usual), _range(element, "YRange", usual)
    )


def _range(element: Element, name: str, usual: Range) -> Range:
    try:
        least, most = element.float_of(f"{name}/Min"), element.float_of(f"{name}/Max")
    except PtzProtocolError:
        return usual
    return (least, most) if least < most else usual


def spaces_of(element: Element | None, kind: str, usual: Range = UNIT) -> tuple[Space, ...]:
    """All spaces of a kind ("ContinuousPanTiltVelocitySpace") in a list of them."""
    if element is None:
        return ()
    return tuple(space_of(found, usual) for found in element.all(kind) if found.text_of("URI", ""))


def named(spaces: Iterable[Space], *words: str) -> Space | None:
    """The first space whose name holds one of these words, earlier words first, whatever their case."""
    listed = tuple(spaces)
    for word in words:
        for space in listed:
            if word.lower() in space.name.lower():
                return space
    return None


def scaled(share: float, span: Range) -> float:
    """A share from -1 to 1 in the units of a range: 1 is its end, -1 its beginning; a range from 0 counts both ways."""
    share = min(max(share, -1.0), 1.0)
    if share >= 0:
        return share * span[1]
    return share * (-span[0] if span[0] < 0 else span[1])


@dataclass(frozen=True, slots=True)
class PanTiltScale:
    """What the numbers of a position space are in degrees.

    space               the space
    pan_deg, tilt_deg   what its ends mean; for a space in degrees its own ranges
    pan_sign, tilt_sign -1 where the camera counts the other way round
    """

    space: Space
    pan_deg: Range
    tilt_deg: Range
    pan_sign: int = 1
    tilt_sign: int = 1

    def degrees(self, x: float, y: float) -> tuple[float, float]:
        """Azimuth 0..360 and elevation of a position."""
        pan = _between(x, self.space.x, self.pan_deg, self.pan_sign)
        return pan % 360.0, _between(y, self.space.y, self.tilt_deg, self.tilt_sign)

    def position(self, pan_deg: float, tilt_deg: float) -> tuple[float, float]:
        """The position of a direction; raises `PtzRefused` where the head cannot point there."""
        low, high = self.pan_deg
        middle = (low + high) / 2
        pan = middle + (pan_deg - middle + 180.0) % 360.0 - 180.0
        if not low - TOLERANCE_DEG <= pan <= high + TOLERANCE_DEG:
            raise PtzRefused(f"azimuth {pan_deg:.1f}° is outside of the head's range {low:.1f}..{high:.1f}°")
        bottom, top = self.tilt_deg
        if not bottom - TOLERANCE_DEG <= tilt_deg <= top + TOLERANCE_DEG:
            raise PtzRefused(
                f"elevation {tilt_deg:.1f}° is outside of the head's range {bottom:.1f}..{top:.1f}°"
            )
        return (
            _between(min(max(pan, low), high), self.pan_deg, self.space.x, self.pan_sign),
            _between(min(max(tilt_deg, bottom), top), self.tilt_deg, self.space.y, self.tilt_sign),
        )

    @property
    def endless(self) -> bool:
        """Pan covers a full turn."""
        return self.pan_deg[1] - self.pan_deg[0] >= 359.0


def _between(value: float, span: Range, onto: Range, sign: int) -> float:
    """A value of one range on another, from end to end; reversed for a negative sign."""
    share = (value - span[0]) / (span[1] - span[0])
    if sign < 0:
        share = 1.0 - share
    return onto[0] + share * (onto[1] - onto[0])


@dataclass(frozen=True, slots=True)
class ZoomScale:
    """What the numbers of a zoom position space are as ratios.

    ratios  what the ends of its range mean
    spread  how ratios lie between them, one of `ZOOM_SCALES`
    """

    space: Space
    ratios: Range
    spread: str = "ratio"

    def ratio(self, x: float) -> float:
        """The ratio of a position."""
        share = (x - self.space.x[0]) / (self.space.x[1] - self.space.x[0])
        return self._from_even(self._even(self.ratios[0]) * (1 - share) + self._even(self.ratios[1]) * share)

    def position(self, ratio: float) -> float:
        """The position of a ratio, the nearest there is."""
        low, high = self.ratios
        begin, end = self._even(low), self._even(high)
        share = (self._even(min(max(ratio, low), high)) - begin) / (end - begin)
        return self.space.x[0] + share * (self.space.x[1] - self.space.x[0])

    def _even(self, ratio: float) -> float:
        """What runs evenly with the position."""
        return {"ratio": ratio, "log": math.log(ratio), "linear": 1.0 / ratio}[self.spread]

    def _from_even(self, value: float) -> float:
        if self.spread == "log":
            return math.exp(min(value, 700.0))
        return 1.0 / max(value, 1e-6) if self.spread == "linear" else max(value, 1e-6)


def degrees_scale(space: Space, pan_sign: int, tilt_sign: int) -> PanTiltScale:
    """How to read a space in degrees; a range that was not told is a full turn, and straight down to straight up."""
    x = (-180.0, 180.0) if space.x == UNIT else space.x
    y = (-90.0, 90.0) if space.y == UNIT else space.y
    pan_deg = x if pan_sign > 0 else (-x[1], -x[0])
    tilt_deg = y if tilt_sign > 0 else (-y[1], -y[0])
    return PanTiltScale(Space(space.uri, x, y), pan_deg, tilt_deg, pan_sign, tilt_sign)


def zoom_scales(spaces: tuple[Space, ...], ratios: Range | None, spread: str) -> tuple[ZoomScale, ...]:
    """How to read zoom positions: millimetres first, where they are offered; generic ones where their ratios are known.

    Raises `PtzRefused` for ratios or a spread that are none.
    """
    if spread not in ZOOM_SCALES:
        raise PtzRefused(f"zoom_scale must be one of {', '.join(ZOOM_SCALES)}, found {spread!r}")
    if ratios is not None and not 0 < ratios[0] < ratios[1] < math.inf:
        raise PtzRefused(f"zoom_range must rise from a ratio above 0, found {ratios}")
    lens = named(spaces, "Millimeter")
    exact = () if lens is None or lens.x[0] <= 0 else (ZoomScale(lens, (1.0, lens.x[1] / lens.x[0])),)
    known = ratios or (exact[0].ratios if exact else None)
    generic = named(spaces, "PositionGeneric")
    if generic is None or known is None:
        return exact
    return (*exact, ZoomScale(generic, known, spread))
