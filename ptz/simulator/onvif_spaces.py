"""The coordinate spaces of a simulated ONVIF camera, and the way from them to degrees and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptz.geometry import wrap_deg
from ptz.simulator.profiles import DeviceProfile
from ptz.xml import Markup, element

PREFIX = "http://www.onvif.org/ver10/tptz"
PAN_TILT_GENERIC = f"{PREFIX}/PanTiltSpaces/PositionGenericSpace"
PAN_TILT_SPHERICAL = f"{PREFIX}/PanTiltSpaces/SphericalPositionSpace"
PAN_TILT_TRANSLATION = f"{PREFIX}/PanTiltSpaces/TranslationGenericSpace"
PAN_TILT_FOV = f"{PREFIX}/PanTiltSpaces/TranslationSpaceFov"
PAN_TILT_VELOCITY = f"{PREFIX}/PanTiltSpaces/VelocityGenericSpace"
PAN_TILT_SPEED = f"{PREFIX}/PanTiltSpaces/GenericSpeedSpace"
ZOOM_GENERIC = f"{PREFIX}/ZoomSpaces/PositionGenericSpace"
ZOOM_TRANSLATION = f"{PREFIX}/ZoomSpaces/TranslationGenericSpace"
ZOOM_VELOCITY = f"{PREFIX}/ZoomSpaces/VelocityGenericSpace"
ZOOM_SPEED = f"{PREFIX}/ZoomSpaces/ZoomGenericSpeedSpace"

ZOOM_SCALES = ("ratio", "log", "linear")
Range = tuple[float, float]
UNIT: Range = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Variation:
    """What faults change of the spaces for the moment.

    fov_range   range told for TranslationSpaceFov
    pan_tilt, zoom  whether the node has these axes
    """

    fov_range: Range = UNIT
    pan_tilt: bool = True
    zoom: bool = True


@dataclass(frozen=True, slots=True)
class Spaces:
    """The spaces of one camera.

    zoom_scale  what 0..1 of the generic zoom means: "ratio" = evenly in the ratio, "log" = evenly in its logarithm,
                "linear" = evenly in 1/ratio
    """

    profile: DeviceProfile
    zoom_scale: str = "ratio"

    @property
    def pan_tilt_position(self) -> str:
        """The space that positions are told in."""
        return PAN_TILT_SPHERICAL if self.profile.offer.spherical else PAN_TILT_GENERIC

    def zoom_of(self, x: float) -> float:
        """Ratio at a generic position, 0..1."""
        most = self.profile.optics.most_zoom
        if self.zoom_scale == "log":
            return float(most**x)
        if self.zoom_scale == "linear":
            return 1 / (1 + x * (1 / most - 1))
        return 1 + x * (most - 1)

    def x_of_zoom(self, zoom: float) -> float:
        """Generic position of a ratio."""
        most = self.profile.optics.most_zoom
        if most <= 1:
            return 0.0
        if self.zoom_scale == "log":
            return math.log(zoom) / math.log(most)
        if self.zoom_scale == "linear":
            return (1 / zoom - 1) / (1 / most - 1)
        return (zoom - 1) / (most - 1)

    def direction_of(self, space: str, x: float, y: float) -> tuple[float, float]:
        """Azimuth and elevation of a position. Raises ValueError where it is outside, KeyError for another space."""
        (left, right), (bottom, top) = self._position_ranges()[space]
        if not (left - 1e-6 <= x <= right + 1e-6 and bottom - 1e-6 <= y <= top + 1e-6):
            raise ValueError(f"({x}, {y}) is outside of {space}")
        if space == PAN_TILT_SPHERICAL:
            return x % 360.0, y
        low, high = self.profile.tilt_range_deg
        return self._pan_deg(x), low + (y + 1) / 2 * (high - low)

    def _pan_deg(self, x: float) -> float:
        span = self.profile.pan_range_deg
        return (x * 180.0 if span is None else span[0] + (x + 1) / 2 * (span[1] - span[0])) % 360.0

    def position_of(self, space: str, pan_deg: float, tilt_deg: float) -> tuple[float, float]:
        """A direction in a space of positions."""
        if space == PAN_TILT_SPHERICAL:
            return wrap_deg(pan_deg), tilt_deg
        low, high = self.profile.tilt_range_deg
        return self._x_of_pan(pan_deg), 2 * (tilt_deg - low) / (high - low) - 1

    def _x_of_pan(self, pan_deg: float) -> float:
        span = self.profile.pan_range_deg
        if span is None:
            return wrap_deg(pan_deg) / 180
        middle = (span[0] + span[1]) / 2
        x = wrap_deg(pan_deg - middle) / (span[1] - span[0]) * 2
        return min(max(x, -1.0), 1.0) if math.isfinite(x) else x

    def translation_deg(self, x: float, y: float) -> tuple[float, float]:
        """Degrees of a generic translation: ±1 is the whole range."""
        span, (low, high) = self.profile.pan_range_deg, self.profile.tilt_range_deg
        return x * (360.0 if span is None else span[1] - span[0]), y * (high - low)

    def _position_ranges(self) -> dict[str, tuple[Range, Range]]:
        ranges: dict[str, tuple[Range, Range]] = {}
        if self.profile.offer.spherical:
            ranges[PAN_TILT_SPHERICAL] = ((-180.0, 180.0), self.profile.tilt_range_deg)
        return ranges | {PAN_TILT_GENERIC: (UNIT, UNIT)}

    def markup(self, tag: str, variation: Variation) -> Markup:
        """A tt:PTZSpaces element of this name."""
        offer = self.profile.offer
        pan_tilt: list[tuple[str, str, Range, Range | None]] = []
        zoom: list[tuple[str, str, Range, Range | None]] = []
        if offer.absolute:
            for space, (xs, ys) in self._position_ranges().items():
                pan_tilt.append(("AbsolutePanTiltPositionSpace", space, xs, ys))
            zoom.append(("AbsoluteZoomPositionSpace", ZOOM_GENERIC, (0.0, 1.0), None))
        if offer.relative:
            pan_tilt.append(("RelativePanTiltTranslationSpace", PAN_TILT_TRANSLATION, UNIT, UNIT))
            zoom.append(("RelativeZoomTranslationSpace", ZOOM_TRANSLATION, UNIT, None))
        if offer.relative_fov:
            fov = variation.fov_range
            pan_tilt.append(("RelativePanTiltTranslationSpace", PAN_TILT_FOV, fov, fov))
        pan_tilt.append(("ContinuousPanTiltVelocitySpace", PAN_TILT_VELOCITY, UNIT, UNIT))
        zoom.append(("ContinuousZoomVelocitySpace", ZOOM_VELOCITY, UNIT, None))
        pan_tilt.append(("PanTiltSpeedSpace", PAN_TILT_SPEED, (0.0, 1.0), None))
        zoom.append(("ZoomSpeedSpace", ZOOM_SPEED, (0.0, 1.0), None))
        spaces = (pan_tilt if variation.pan_tilt else []) + (zoom if variation.zoom else [])
        ordered = sorted(spaces, key=lambda space: ORDER.index(space[0]))
        return element(tag, *(space_markup(*space) for space in ordered))


ORDER = (
    "AbsolutePanTiltPositionSpace", "AbsoluteZoomPositionSpace", "RelativePanTiltTranslationSpace",
    "RelativeZoomTranslationSpace", "ContinuousPanTiltVelocitySpace", "ContinuousZoomVelocitySpace",
    "PanTiltSpeedSpace", "ZoomSpeedSpace",
)  # fmt: skip
"""Of the elements of tt:PTZSpaces, as the schema wants it."""


def space_markup(name: str, uri: str, xs: Range, ys: Range | None) -> Markup:
    """One space: its URI and ranges."""
    parts = [element("tt:URI", uri), range_markup("tt:XRange", xs)]
    if ys is not None:
        parts.append(range_markup("tt:YRange", ys))
    return element(f"tt:{name}", *parts)


def range_markup(name: str, span: Range) -> Markup:
    """A tt:FloatRange element of this name."""
    return element(name, element("tt:Min", float(span[0])), element("tt:Max", float(span[1])))
