"""What cameras, networks and weather do to a picture: for training pictures, by chance. Boxes stay where they are."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""uint8 (height, width, 3), BGR: OpenCV does not say so of its results."""

_NOISE_SIDE = 600


def spoil(picture_bgr: Pixels, rng: np.random.Generator) -> Pixels:
    """Another exposure and colour, and for some blur, few pixels, noise, grey, blocks of compression."""
    picture = _soft(picture_bgr, rng)
    picture = _toned(picture, rng)
    if rng.random() < 0.35:
        picture = _noisy(picture, rng)
    if rng.random() < 0.1:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 75))]
        read = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
        assert read is not None
        picture = read
    return picture


def _soft(picture: Pixels, rng: np.random.Generator) -> Pixels:
    kind = rng.random()
    height, width = picture.shape[:2]
    if kind < 0.12:
        share = float(rng.uniform(0.4, 0.85))
        small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if kind < 0.22:
        return cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.6)))
    if kind < 0.27:
        length = int(rng.integers(3, 9))
        return cv2.blur(picture, (length, 1) if rng.random() < 0.7 else (1, length))
    if kind < 0.4:
        # Sharpened, as most cameras do.
        strength = float(rng.uniform(0.3, 1.2))
        return cv2.addWeighted(picture, 1 + strength, cv2.GaussianBlur(picture, (0, 0), 1.0), -strength, 0)
    return picture


def _toned(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Gamma, contrast and brightness of each channel by a table; saturation by mixing with grey."""
    levels = np.arange(256, dtype=np.float32) / 255
    gamma, gain, lift = np.exp(rng.uniform(-0.45, 0.45)), rng.uniform(0.65, 1.25), rng.uniform(-0.08, 0.1)
    tables = []
    for _ in range(3):
        tint = float(rng.uniform(0.9, 1.1))
        tables.append(np.clip((levels**gamma * gain * tint + lift) * 255, 0, 255))
    toned = cv2.LUT(picture, np.stack(tables, -1).astype(np.uint8)[None])
    if rng.random() < 0.6:
        grey = cv2.cvtColor(cv2.cvtColor(toned, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        share = float(rng.uniform(0.3, 1.4))
        toned = cv2.addWeighted(toned, share, grey, 1 - share, 0)
    if rng.random() < 0.15:
        hsv = cv2.cvtColor(toned, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(rng.integers(-14, 15))) % 180
        toned = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return toned


def _noisy(picture: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = picture.shape[:2]
    y, x = int(rng.integers(_NOISE_SIDE - height)), int(rng.integers(_NOISE_SIDE - width))
    noise = _NOISE[y : y + height, x : x + width]
    strength = float(rng.uniform(0.1, 0.6))
    # Signed bytes around 128, so that it stays one pass over bytes.
    return cv2.addWeighted(picture, 1.0, noise, strength, -128 * strength)


_NOISE = np.clip(np.random.default_rng(5).normal(128, 24, (_NOISE_SIDE, _NOISE_SIDE, 3)), 0, 255).astype(
    np.uint8
)
"""Drawn once: drawing it for each picture would take as long as everything else."""
