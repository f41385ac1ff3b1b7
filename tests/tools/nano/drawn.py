"""Clips drawn for tests: coloured bars that stand for people, on noise. Nothing of the renderer."""

from __future__ import annotations

import numpy as np

from tools.nano.pictures import Clip

WIDTH, HEIGHT = 160, 96
COLOURS = ((40, 60, 230), (40, 220, 60), (230, 120, 30), (20, 200, 220))


def drawn_clip(seed: int, people: int = 2, frames: int = 1) -> Clip:
    """Bars of people's proportions side by side; the second one is hidden in part by something grey."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(90, 130, (frames, HEIGHT, WIDTH, 3)).astype(np.uint8)
    ids = np.zeros((frames, HEIGHT, WIDTH), np.uint8)
    full = np.full((frames, people, 4), np.nan, np.float32)
    visible, visibility = full.copy(), np.zeros((frames, people), np.float32)
    for frame in range(frames):
        for person in range(people):
            left, top = 10 + 40 * person + int(rng.integers(8)), int(rng.integers(8, 30))
            width, height = int(rng.integers(14, 22)), int(rng.integers(36, 56))
            pictures[frame, top : top + height, left : left + width] = COLOURS[person % len(COLOURS)]
            ids[frame, top : top + height, left : left + width] = person + 1
            full[frame, person] = visible[frame, person] = left, top, left + width, top + height
            visibility[frame, person] = 1.0
    return Clip(pictures, ids, full, visible, visibility)
