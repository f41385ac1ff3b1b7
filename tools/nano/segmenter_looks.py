"""How a camera and its transmission spoil a picture: colour, light, blur, noise, compression.

One `Looks` for all frames of a clip: a camera keeps its faults. Knows pixels; nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from engine.types import F32, U8


@dataclass(frozen=True, slots=True)
class Looks:
    """What is done to the frames of a clip, in this order.

    interpolation  of the resize, one of OpenCV's
    table_bgr      uint8 (256, 3): new values of each channel; None = as they are
    saturation     0 grey, 1 as it is
    blur_px        standard deviation
    noise          standard deviation, in levels
    jpeg           quality, 0 = not compressed
    """

    interpolation: int = cv2.INTER_AREA
    table_bgr: U8 | None = None
    saturation: float = 1.0
    blur_px: float = 0.0
    noise: float = 0.0
    jpeg: int = 0

    def apply(self, rng: np.random.Generator, picture_bgr: U8) -> U8:
        """The picture as this camera shows it, uint8 (H, W, 3)."""
        if self.table_bgr is not None:
            picture_bgr = cv2.LUT(picture_bgr, self.table_bgr[None])  # type: ignore[assignment]  # uint8 stays uint8
        if self.saturation != 1.0:
            grey = cv2.cvtColor(cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            picture_bgr = cv2.addWeighted(picture_bgr, self.saturation, grey, 1 - self.saturation, 0)  # type: ignore[assignment]  # likewise
        if self.blur_px > 0:
            picture_bgr = cv2.GaussianBlur(picture_bgr, (0, 0), self.blur_px)  # type: ignore[assignment]  # likewise
        if self.noise > 0:
            picture_bgr = _noisy(rng, picture_bgr, self.noise)
        if self.jpeg:
            _, coded = cv2.imencode(".jpg", picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])
            picture_bgr = cv2.imdecode(coded, cv2.IMREAD_COLOR)  # type: ignore[assignment]  # likewise
        return picture_bgr


def looks(rng: np.random.Generator) -> Looks:
    """Those of some camera."""
    return Looks(
        interpolation=int(rng.choice([cv2.INTER_AREA, cv2.INTER_LINEAR])),
        table_bgr=_table(rng) if rng.random() < 0.6 else None,
        saturation=_saturation(rng),
        blur_px=float(rng.uniform(0.4, 1.4)) if rng.random() < 0.2 else 0.0,
        noise=float(rng.uniform(1.0, 9.0)) if rng.random() < 0.35 else 0.0,
        jpeg=int(rng.integers(25, 80)) if rng.random() < 0.2 else 0,
    )


def _saturation(rng: np.random.Generator) -> float:
    if rng.random() < 0.12:
        return 0.0
    return float(rng.uniform(0.5, 1.4)) if rng.random() < 0.5 else 1.0


def _table(rng: np.random.Generator) -> U8:
    """Contrast, brightness, gamma for all channels, and a tint."""
    values: F32 = np.linspace(0, 1, 256, dtype=np.float32)
    values = values ** float(np.exp(rng.normal(0, 0.25)))
    values = (values - 0.5) * float(np.exp(rng.normal(0, 0.2))) + 0.5 + float(rng.normal(0, 0.06))
    tint = np.exp(rng.normal(0, 0.07, 3)).astype(np.float32)
    table: U8 = (values[:, None] * tint * 255).clip(0, 255).astype(np.uint8)
    return table


def _noisy(rng: np.random.Generator, picture_bgr: U8, noise: float) -> U8:
    """With a piece of a large tile of Gaussian noise: drawing it anew for every frame would take longer."""
    height, width = picture_bgr.shape[:2]
    tile = _tile(2 * max(height, width))
    top, left = rng.integers(0, len(tile) - height), rng.integers(0, len(tile) - width)
    grain = tile[top : top + height, left : left + width] * np.float32(noise)
    noisy: U8 = (picture_bgr + grain).clip(0, 255).astype(np.uint8)
    return noisy


@lru_cache(maxsize=2)
def _tile(side: int) -> F32:
    return np.random.default_rng(8).standard_normal((side, side, 3), dtype=np.float32)
