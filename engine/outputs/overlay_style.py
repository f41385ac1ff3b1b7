"""What is drawn, how large and in which colours: a style by its name, made for one frame geometry.

Draws nothing itself and knows nothing of results.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from engine.config.files import unknown_name
from engine.config.overlay import DEFAULT_OVERLAY_STYLE, OVERLAY_STYLES
from engine.types import ColourMatrix

_GOLDEN_RATIO = 0.618033988749895
_LUMA_WEIGHTS = {ColourMatrix.BT601: (0.299, 0.114), ColourMatrix.BT709: (0.2126, 0.0722)}


class YCbCr(NamedTuple):
    """One colour in the frame's own matrix and range, 0..255 each."""

    y: int
    cb: int
    cr: int


@dataclass(frozen=True, slots=True)
class Look:
    """What of a result is drawn.

    fill     masks are tinted
    border   around each object: its box, the corners of its box, the outline of its mask, or nothing
    label    class, ID and score; the ID alone; or nothing
    trails   where each object has been
    dots     a dot at each object's place on the ground
    regions  zones and lines with their counts
    status   the line with camera, frame, pose and latency
    dim      everything that is no object is darkened
    hide     persons are pixelated
    """

    fill: bool = False
    border: Literal["box", "corners", "outline", "none"] = "none"
    label: Literal["full", "id", "none"] = "full"
    trails: bool = False
    dots: bool = False
    regions: bool = True
    status: bool = True
    dim: bool = False
    hide: bool = False


_LOOKS = {
    "full": Look(fill=True, border="box", trails=True),
    "boxes": Look(border="box"),
    "masks": Look(fill=True),
    "outline": Look(border="outline"),
    "minimal": Look(border="corners", label="id", regions=False, status=False),
    "trails": Look(trails=True, dots=True),
    "spotlight": Look(dim=True, regions=False, status=False),
    "privacy": Look(border="box", hide=True),
    "none": Look(label="none", regions=False, status=False),
}


@dataclass(frozen=True, slots=True)
class OverlayStyle:
    """What is drawn, with sizes and fixed colours that fit one frame geometry. Pixels of the Y plane.

    look       what is drawn
    line_px    width of a confirmed object's box; even, so that it covers whole chroma samples
    thin_px    width of an unconfirmed object's box
    text_scale, text_px  size and stroke width of the letters
    pad_px     space around a text
    """

    look: Look
    line_px: int
    thin_px: int
    text_scale: float
    text_px: int
    pad_px: int
    matrix: ColourMatrix
    full_range: bool
    ink: YCbCr
    paper: YCbCr
    grey: YCbCr

    def colour_of(self, track_id: int) -> YCbCr:
        """The colour of an identity; grey for who has none yet."""
        return colour_of(track_id, self.matrix, self.full_range) if track_id else self.grey


@lru_cache(maxsize=64)
def style_for(
    height: int, matrix: ColourMatrix, full_range: bool, name: str = DEFAULT_OVERLAY_STYLE
) -> OverlayStyle:
    """The style of this name for frames of this height, matrix and range.

    name  one of `engine.config.overlay.OVERLAY_STYLES`; raises `ConfigError` for another
    """
    if name not in _LOOKS:
        raise unknown_name("overlay", "style", name, OVERLAY_STYLES)
    half_line_px = max(1, round(height / 540))
    return OverlayStyle(
        look=_LOOKS[name], line_px=2 * half_line_px, thin_px=half_line_px,
        text_scale=max(0.4, height / 1500), text_px=max(1, round(height / 1080)),
        pad_px=max(1, round(height / 360)), matrix=matrix, full_range=full_range,
        ink=ycbcr((0.0, 0.0, 0.0), matrix, full_range), paper=ycbcr((1.0, 1.0, 1.0), matrix, full_range),
        grey=ycbcr((0.6, 0.6, 0.6), matrix, full_range),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def colour_of(track_id: int, matrix: ColourMatrix, full_range: bool) -> YCbCr:
    """The colour of one identity, the same in every frame.

    Ids walk round the hue circle by the golden ratio, which keeps any few successive ones apart.
    """
    hue = track_id * _GOLDEN_RATIO % 1.0
    return ycbcr(colorsys.hsv_to_rgb(hue, 0.75, 1.0), matrix, full_range)


def ycbcr(rgb: tuple[float, float, float], matrix: ColourMatrix, full_range: bool) -> YCbCr:
    """RGB 0..1 to 8 bit YCbCr: ITU-R BT.601-7 section 2.5, BT.709-6 section 3."""
    weight_r, weight_b = _LUMA_WEIGHTS[matrix]
    r, g, b = rgb
    luma = weight_r * r + (1.0 - weight_r - weight_b) * g + weight_b * b
    cb, cr = (b - luma) / (2.0 - 2.0 * weight_b), (r - luma) / (2.0 - 2.0 * weight_r)
    if full_range:
        return YCbCr(round(255 * luma), round(min(255.0, 128 + 255 * cb)), round(min(255.0, 128 + 255 * cr)))
    return YCbCr(round(16 + 219 * luma), round(128 + 224 * cb), round(128 + 224 * cr))
