"""Surfaces of the rendered world: paving, façades, leaves, signs. Drawn here, from seeds; nothing is loaded.

All textures are uint8 (height, width, 3) BGR, or with a fourth channel of opacity.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.types import U8


def clouds(rng: np.random.Generator, height: int, width: int, coarsest: int = 4) -> np.ndarray:
    """Float32 (height, width) of 0..1: noise of many sizes, which wraps round at the right edge."""
    total = np.zeros((height, width), np.float32)
    weight, cells = 1.0, coarsest
    while cells < min(height, width):
        grid = rng.random((cells, cells)).astype(np.float32)
        grid = np.concatenate([grid, grid[:, :1]], axis=1)
        total += weight * np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR))
        weight, cells = weight * 0.55, cells * 2
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def toned(shade: np.ndarray, colour_bgr: tuple[float, float, float]) -> U8:
    """A grey pattern (height, width), 1 = as it is, in a colour."""
    return np.asarray(np.clip(shade[..., None] * np.array(colour_bgr, np.float32), 0, 255), np.uint8)


def paving(rng: np.random.Generator, size_px: int = 1024, slabs: int = 16) -> np.ndarray:
    """Float32 (size, size) around 1: slabs with joints, each a little darker or lighter; a tile of the ground."""
    each = size_px // slabs
    shade = np.repeat(np.repeat(rng.normal(1.0, 0.025, (slabs, slabs)), each, 0), each, 1).astype(np.float32)
    shade *= 0.9 + 0.2 * clouds(rng, size_px, size_px, 8)
    shade += rng.normal(0, 0.03, shade.shape).astype(np.float32)
    joint = max(1, each // 24)
    for start in range(0, size_px, each):
        shade[start : start + joint] *= 0.84
        shade[:, start : start + joint] *= 0.84
    return shade


def facade(rng: np.random.Generator, width_m: float, height_m: float, px_per_m: float) -> U8:
    """A house front with windows, a door row below and a cornice."""
    width, height = max(8, round(width_m * px_per_m)), max(8, round(height_m * px_per_m))
    walls = (
        (120, 150, 175),
        (150, 165, 178),
        (95, 110, 140),
        (165, 180, 190),
        (110, 125, 130),
        (120, 135, 190),
    )
    wall = np.array(walls[int(rng.integers(len(walls)))], np.float32) * rng.uniform(0.8, 1.1)
    shade = 0.9 + 0.2 * clouds(rng, height, width, 8)
    picture = toned(shade, (float(wall[0]), float(wall[1]), float(wall[2])))
    storey, bay = 3.2 * px_per_m, rng.uniform(1.8, 3.0) * px_per_m
    for row in range(1, max(2, int(height / storey) + 1)):
        for column in range(int(width / bay)):
            left, bottom = (column + 0.28) * bay, height - (row - 1) * storey - 0.9 * px_per_m
            _window(rng, picture, (left, bottom - 1.6 * px_per_m, left + 0.5 * bay, bottom))
    cv2.rectangle(picture, (0, 0), (width, max(1, round(0.4 * px_per_m))), (wall * 0.6).tolist(), cv2.FILLED)
    base = height - max(1, round(0.6 * px_per_m))
    cv2.rectangle(picture, (0, base), (width, height), (wall * 0.5).tolist(), cv2.FILLED)
    return picture


def _window(rng: np.random.Generator, picture: U8, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = (round(side) for side in box)
    frame = max(1, (right - left) // 12)
    glass = rng.uniform(30, 110) * np.array([1.15, 1.05, 0.95])
    cv2.rectangle(
        picture, (left - frame, top - frame), (right + frame, bottom + frame), (215, 220, 222), cv2.FILLED
    )
    cv2.rectangle(picture, (left, top), (right, bottom), glass.tolist(), cv2.FILLED)
    middle = (left + right) // 2
    cv2.line(picture, (middle, top), (middle, bottom), (200, 205, 210), frame)
    if rng.random() < 0.4:
        cv2.line(picture, (left, bottom), (right, top), (glass * 1.7).tolist(), frame)


def foliage(rng: np.random.Generator, size_px: int = 256) -> U8:
    """A tree's crown with opacity (size, size, 4)."""
    picture = np.zeros((size_px, size_px, 4), np.uint8)
    for _ in range(260):
        angle, away = rng.uniform(0, 2 * np.pi), size_px * 0.36 * np.sqrt(rng.random())
        x, y = size_px / 2 + away * np.cos(angle), size_px / 2 + 0.9 * away * np.sin(angle)
        light = rng.uniform(0.55, 1.0) * (1.25 - 0.6 * y / size_px)
        colour = (38 * light, rng.uniform(85, 125) * light, 62 * light, 255)
        cv2.circle(
            picture, (round(x), round(y)), round(rng.uniform(0.03, 0.08) * size_px), colour, cv2.FILLED
        )
    return picture


def sign(text: str, colour_bgr: tuple[int, int, int], size: tuple[int, int] = (192, 96)) -> U8:
    """A board with a number."""
    picture = np.full((size[1], size[0], 3), colour_bgr, np.uint8)
    cv2.rectangle(picture, (0, 0), (size[0] - 1, size[1] - 1), (245, 245, 245), 6)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 2.2, 4)
    origin = ((size[0] - width) // 2, (size[1] + height) // 2)
    cv2.putText(picture, text, origin, cv2.FONT_HERSHEY_DUPLEX, 2.2, (255, 255, 255), 4, cv2.LINE_AA)
    return picture


def planks(rng: np.random.Generator, colour_bgr: tuple[float, float, float], stripes: int = 0) -> U8:
    """A weathered surface of one colour, with an awning's stripes where wanted (256, 256, 3)."""
    shade = 0.8 + 0.35 * clouds(rng, 256, 256, 4) + rng.normal(0, 0.02, (256, 256))
    picture = toned(shade.astype(np.float32), colour_bgr)
    for number in range(stripes):
        left = number * 256 // stripes
        if number % 2:
            picture[:70, left : left + 256 // stripes] = (225, 228, 230)
    return picture


def bodywork(rng: np.random.Generator, colour_bgr: tuple[float, float, float], *, side: bool) -> U8:
    """A vehicle's side or end: paint, windows, wheels."""
    picture = planks(rng, colour_bgr)
    picture[25:100, 20:236] = (70, 62, 55)
    picture[25:100, 120:132] = np.array(colour_bgr, np.uint8) if side else (70, 62, 55)
    picture[215:] = (30, 30, 30)
    if side:
        for x in (52, 204):
            cv2.circle(picture, (x, 220), 30, (22, 22, 22), cv2.FILLED)
            cv2.circle(picture, (x, 220), 14, (150, 150, 150), cv2.FILLED)
    return picture
