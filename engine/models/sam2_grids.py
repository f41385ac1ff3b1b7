"""From a segmenter's logits to the part of the picture that an object covers."""

from __future__ import annotations

import cv2
import numpy as np

from engine.types import F32, Bools

LEAST_CELLS = 96
"""Outlines of objects that cover fewer cells than this, along the longer side, are interpolated."""
_MOST_TIMES = 4


def grid_of(logits: F32, size_wh: tuple[int, int], least_cells: int = LEAST_CELLS) -> tuple[Bools, F32]:
    """The mask of one object, cut out around it.

    logits       float32 (4r, 4r) over the whole picture, positive on the object
    size_wh      size of the picture in pixels
    least_cells  logits of objects with fewer cells along the longer side are interpolated, as the official
                 predictor does for the whole picture, up to four times finer and not finer than pixels; 0 = never

    Returns bool (rows, columns) and the rectangle that it covers, float32 (4,) in pixels of the picture; no cells
    and an empty rectangle where nothing is on the object.
    """
    side_y, side_x = logits.shape
    found = _bounds(logits > 0)
    if found is None:
        return np.zeros((0, 0), np.bool_), np.zeros(4, np.float32)
    across, down = size_wh[0] / side_x, size_wh[1] / side_y
    times = _times(max(found[2] - found[0], found[3] - found[1]), (across, down), least_cells)
    if times > 1:
        finer, first_x, first_y = _interpolated(logits, found, times)
        inner = _bounds(finer)
        # A speck of one cell may vanish between its neighbours.
        if inner is not None:
            grid = finer[inner[1] : inner[3], inner[0] : inner[2]]
            origin = np.array([first_x, first_y, first_x, first_y])
            rect = (origin + inner) * np.array([across, down, across, down]) / times
            return np.ascontiguousarray(grid), rect.astype(np.float32)
    left, top, right, bottom = found
    rect = np.array([left * across, top * down, right * across, bottom * down], np.float32)
    return logits[top:bottom, left:right] > 0, rect


def _times(cells: int, cell_wh: tuple[float, float], least_cells: int) -> int:
    wanted = -(-least_cells // cells)
    return max(1, min(wanted, _MOST_TIMES, int(min(cell_wh))))


def _interpolated(logits: F32, part: tuple[int, int, int, int], times: int) -> tuple[Bools, int, int]:
    """What is on the object around a part of the logits, `times` finer, and where that begins in finer cells."""
    height, width = logits.shape
    # Two cells of margin: what is half a cell outside may be on the object, and depends on the next one.
    left, top = max(0, part[0] - 2), max(0, part[1] - 2)
    right, bottom = min(width, part[2] + 2), min(height, part[3] + 2)
    around = np.ascontiguousarray(logits[top:bottom, left:right])
    size_wh = (right - left) * times, (bottom - top) * times
    return cv2.resize(around, size_wh, interpolation=cv2.INTER_LINEAR) > 0, left * times, top * times


def _bounds(mask: Bools) -> tuple[int, int, int, int] | None:
    """left, top, right, bottom of what is set, in cells; None where nothing is."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
