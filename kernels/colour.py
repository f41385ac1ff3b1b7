"""YCbCr to RGB as one 3 × 4 matrix, and what a model wants its pixels to be. Knows no pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_LUMA_RED_BLUE = {False: (0.299, 0.114), True: (0.2126, 0.0722)}
"""Weights of red and blue in luma: ITU-R BT.601 and BT.709."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """What a model expects: `(pixel - mean) * scale` per channel, channels in the order named.

    bgr    channel order blue, green, red instead of red, green, blue
    mean   subtracted, in the model's channel order, grey levels 0..255
    scale  multiplied after that, in the model's channel order
    pad    grey level 0..255 around the picture, before mean and scale
    """

    bgr: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pad: int = 114


@lru_cache(maxsize=16)
def ycbcr_to_rgb(bt709: bool, full_range: bool, bgr: bool = False) -> NDArray[np.float32]:
    """float32 (3, 4): rows R, G, B (or B, G, R), columns Y, Cb, Cr and the constant, for 8-bit values.

    ITU-R BT.601-7 §2.5 and BT.709-6 §3; limited range has black at 16 and white at 235 (Cb, Cr 16..240).
    """
    red, blue = _LUMA_RED_BLUE[bt709]
    green = 1.0 - red - blue
    luma_gain, chroma_gain, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    from_cb = np.array([0.0, -2 * blue * (1 - blue) / green, 2 * (1 - blue)]) * chroma_gain
    from_cr = np.array([2 * (1 - red), -2 * red * (1 - red) / green, 0.0]) * chroma_gain
    constant = -luma_gain * black - 128.0 * (from_cb + from_cr)
    matrix = np.stack([np.full(3, luma_gain), from_cb, from_cr, constant], axis=1).astype(np.float32)
    matrix = np.ascontiguousarray(matrix[::-1]) if bgr else matrix
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=16)
def level_table(pixels: PixelFormat) -> NDArray[np.float32]:
    """float32 (3, 256): what each channel of the model receives for each grey level."""
    levels = np.arange(256, dtype=np.float64)
    mean, scale = np.array(pixels.mean)[:, None], np.array(pixels.scale)[:, None]
    table: NDArray[np.float32] = ((levels - mean) * scale).astype(np.float32)
    table.setflags(write=False)
    return table
