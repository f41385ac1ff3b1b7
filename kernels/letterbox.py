"""Where a picture lies inside a model's input, and how to get back. Arithmetic only: knows no pixels.

Coordinates are continuous: x = 0 is the left edge of the first pixel, x = width the right edge of the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Fit(StrEnum):
    """How a picture of another shape is put into the input."""

    CENTRED = "centred"
    """Keep the aspect ratio, pad on both sides (Ultralytics)."""
    TOP_LEFT = "top-left"
    """Keep the aspect ratio, pad right or below (YOLOX)."""
    STRETCH = "stretch"
    """Fill the input, do not keep the aspect ratio (NanoDet)."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """One placement: the source is resized to `width` × `height` and put at (`left`, `top`) of the input."""

    source_width: int
    source_height: int
    input_width: int
    input_height: int
    width: int
    height: int
    left: int
    top: int

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Source pixels per input pixel, horizontally and vertically."""
        return self.source_width / self.width, self.source_height / self.height

    @property
    def meets_pixels(self) -> bool:
        """Whether the centre of every pixel of the result is the centre of a source pixel: nothing to mix."""
        scale_x, scale_y = self.scale_xy
        return scale_x % 2 == scale_y % 2 == 1

    @property
    def chroma_is_finer(self) -> bool:
        """Whether a 4:2:0 source has at least as many chroma samples as the result has pixels, along both axes."""
        return (self.source_width + 1) // 2 >= self.width and (self.source_height + 1) // 2 >= self.height

    @property
    def padded(self) -> bool:
        """Whether any part of the input is not covered by the picture."""
        return self.width != self.input_width or self.height != self.input_height


@lru_cache(maxsize=256)
def fit_letterbox(source_wh: tuple[int, int], input_wh: tuple[int, int], fit: Fit) -> Letterbox:
    """The placement of a source of this size. Raises `ValueError` for sizes below one pixel.

    CENTRED rounds the resized size and puts left/top at round(pad / 2 - 0.1), TOP_LEFT truncates the resized
    size: both as the training code of these model families does, so that boxes agree to the pixel.
    """
    if min(*source_wh, *input_wh) < 1:
        raise ValueError(f"sizes must be at least one pixel: source {source_wh}, input {input_wh}")
    if fit is Fit.STRETCH:
        return Letterbox(*source_wh, *input_wh, *input_wh, 0, 0)
    ratio = min(input_wh[0] / source_wh[0], input_wh[1] / source_wh[1])
    if fit is Fit.TOP_LEFT:
        width, height = (max(1, int(length * ratio)) for length in source_wh)
        return Letterbox(*source_wh, *input_wh, width, height, 0, 0)
    width, height = (max(1, round(length * ratio)) for length in source_wh)
    left, top = round((input_wh[0] - width) / 2 - 0.1), round((input_wh[1] - height) / 2 - 0.1)
    return Letterbox(*source_wh, *input_wh, width, height, left, top)
