"""What the makers of training pictures hand to each other: frames with their exact truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.types import U8

MOST_PEOPLE = 15
"""In one clip."""


@dataclass(frozen=True, slots=True)
class Footage:
    """A clip of T frames with N people, before its truth is completed.

    frames_bgr  uint8 (T, H, W, 3)
    ids         uint8 (T, H, W): 0 nobody, k person k
    full_boxes_xyxy  float32 (T, N, 4): whole bodies, NaN where somebody is not in front of the lens
    body_px     float32 (T, N): pixels of the body in the picture if nothing hid it
    """

    frames_bgr: U8
    ids: U8
    full_boxes_xyxy: np.ndarray
    body_px: np.ndarray
