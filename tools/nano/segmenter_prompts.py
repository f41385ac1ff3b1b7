"""Prompts as people and detectors give them, drawn from masks: loose boxes, clicks, corrections.

Everything in pixels of the square picture that the model sees. Knows masks; no model.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.types import F32, I64, Bools

ON_OBJECT, NOT_ON_OBJECT, BOX_FIRST, BOX_SECOND = 1, 0, 2, 3
"""Labels of points."""
_BOX_NOISE = 0.06
"""Standard deviation of a box's sides, in shares of its size; a quarter of the boxes has twice as much."""
_LEAST_CLICK_PX = 1.0
"""Clicks stay so far from an outline, where the mask is thick enough."""


def loose_box(rng: np.random.Generator, box_xyxy: F32, side: int) -> F32:
    """A box as a detector gives it: its sides are a little off, but inside of the picture; never without area."""
    size = np.maximum(box_xyxy[2:] - box_xyxy[:2], 1.0)
    noise = _BOX_NOISE * (2.0 if rng.random() < 0.25 else 1.0)
    moved = box_xyxy + rng.normal(0.0, noise, 4).clip(-2.5 * noise, 2.5 * noise) * np.tile(size, 2)
    moved = np.clip(moved, 0.0, side)
    centre = np.clip((box_xyxy[:2] + box_xyxy[2:]) / 2, 1.0, side - 1.0)
    low = np.minimum(moved[:2], centre - 0.5)
    high = np.maximum(moved[2:], centre + 0.5)
    return np.concatenate([low, high]).astype(np.float32)


def click_inside(rng: np.random.Generator, mask_hw: Bools) -> F32 | None:
    """A point (x, y) somewhere in a mask, in the middle of a pixel and off the outline where it can be."""
    if not mask_hw.any():
        return None
    depth = cv2.distanceTransform(np.pad(mask_hw, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deep = depth > min(_LEAST_CLICK_PX, float(depth.max()) - 1e-3)
    rows, columns = np.nonzero(deep & mask_hw)
    at = int(rng.integers(len(rows)))
    return np.array([columns[at] + 0.5, rows[at] + 0.5], np.float32)


def click_beside(rng: np.random.Generator, mask_hw: Bools) -> F32 | None:
    """A point near a mask but not on it: somewhere in its surroundings, as wide as it is large."""
    rows, columns = np.nonzero(mask_hw)
    if not len(rows):
        return None
    height, width = mask_hw.shape
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    for _ in range(8):
        x = rng.uniform(columns.min() - 0.5 * wide, columns.max() + 0.5 * wide)
        y = rng.uniform(rows.min() - 0.2 * tall, rows.max() + 0.2 * tall)
        column, row = int(np.clip(x, 0, width - 1)), int(np.clip(y, 0, height - 1))
        if not mask_hw[row, column]:
            return np.array([column + 0.5, row + 0.5], np.float32)
    return None


def correction(rng: np.random.Generator, found_hw: Bools, wanted_hw: Bools) -> tuple[F32, int]:
    """Where somebody who looks at `found_hw` would click to get `wanted_hw`, and the label.

    In the larger of what is missing and what is too much, deep inside of it; anywhere on the object where nothing
    is wrong. Without an object that could be meant, the picture's middle is not on it.
    """
    missing, excess = wanted_hw & ~found_hw, found_hw & ~wanted_hw
    positive = bool(missing.sum() >= excess.sum())
    point = _deepest(rng, missing if positive else excess)
    if point is None:
        point, positive = click_inside(rng, wanted_hw), True
    if point is None:
        return np.array([wanted_hw.shape[1] / 2, wanted_hw.shape[0] / 2], np.float32), NOT_ON_OBJECT
    return point, ON_OBJECT if positive else NOT_ON_OBJECT


def as_points(box_xyxy: F32) -> tuple[F32, I64]:
    """A box as the two points that the decoder takes it for: coords float32 (2, 2), labels int64 (2,)."""
    return box_xyxy.reshape(2, 2), np.array([BOX_FIRST, BOX_SECOND], np.int64)


def _deepest(rng: np.random.Generator, mask_hw: Bools) -> F32 | None:
    """A point among those that lie deepest in a mask."""
    if not mask_hw.any():
        return None
    depth = cv2.distanceTransform(np.pad(mask_hw, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth >= 0.7 * depth.max())
    at = int(rng.integers(len(rows)))
    return np.array([columns[at] + 0.5, rows[at] + 0.5], np.float32)
