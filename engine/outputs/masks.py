"""Masks as other programs want them: pixels of the whole picture, COCO polygons, COCO run lengths.

A mask is a coarse grid over a rectangle. What lies between cell centres is interpolated bilinearly, and more
than one half is inside; beyond the outer centres the outer cells go on up to the edge of the rectangle. The
overlay paints the same pixels. Does not know which objects the masks belong to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.types import I64, U8, Bools, Masks
from kernels import cpu as kernels

F64 = NDArray[np.float64]

LARGEST_DEVIATION_CELLS = 0.5
"""How far a simplified outline may be from the exact one: the grid itself says no more than which side of a
cell's centre the object ends at."""

_NO_CHROMA = np.empty((0, 0, 2), np.uint8)


def full_size(masks: Masks, index: int, width: int, height: int) -> Bools:
    """bool (height, width): the pixels of a picture of this size whose centres lie inside of the object."""
    picture = np.zeros((height, width), np.bool_)
    left, top, crop = _crop(masks, index, width, height)
    picture[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return picture


def polygons(masks: Masks, index: int, width: int, height: int) -> list[list[float]]:
    """Outer outlines as in COCO's `segmentation`: each x1, y1, x2, y2, … in source pixels, to 0.1.

    As many as the object has separate parts, holes filled. The line where the interpolated grid is one half
    crosses each edge between a set and an empty cell in the middle between their centres; these crossings are
    joined and then thinned out (Douglas and Peucker) to what the grid is worth.
    """
    grid = masks.grid(index)
    if not grid.any():
        return []
    left, top, right, bottom = masks.rects_xyxy[index].astype(np.float64)
    cell_wh = np.array([(right - left) / grid.shape[1], (bottom - top) / grid.shape[0]])
    found = []
    for outline in _outlines(grid):
        thinned = cv2.approxPolyDP(outline.astype(np.float32), LARGEST_DEVIATION_CELLS, True)
        corners_xy = thinned.reshape(-1, 2) if len(thinned) > 2 else outline
        points = np.clip(corners_xy * cell_wh + (left, top), 0.0, (width, height)).round(1)
        if np.ptp(points, axis=0).all():
            found.append(points.reshape(-1).tolist())
    return found


def coco_rle(masks: Masks, index: int, width: int, height: int) -> dict[str, Any]:
    """`{"size": [height, width], "counts": text}`: the pixels of `full_size` as COCO's compressed run lengths."""
    # Only for those who ask for it: nobody else waits for the import.
    from pycocotools import mask as coco

    left, top, crop = _crop(masks, index, width, height)
    counts = _run_lengths(crop, left, top, width, height)
    packed = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


MASK_FORMATS: dict[str, Callable[[Masks, int, int, int], object]] = {"polygon": polygons, "rle": coco_rle}
"""What `output.masks` may name, besides `none`: (masks, index, width, height) to a value for JSON."""


def _crop(masks: Masks, index: int, width: int, height: int) -> tuple[int, int, Bools]:
    """(left, top, bool (rows, columns)): the pixels of the part of the picture that the rectangle touches."""
    rect = masks.rects_xyxy[index].tolist()
    left, right = (min(max(edge, 0), width) for edge in (math.floor(rect[0]), math.ceil(rect[2])))
    top, bottom = (min(max(edge, 0), height) for edge in (math.floor(rect[1]), math.ceil(rect[3])))
    inside: U8 = np.zeros((max(0, bottom - top), max(0, right - left)), np.uint8)
    moved = (rect[0] - left, rect[1] - top, rect[2] - left, rect[3] - top)
    kernels.blend_mask(inside, _NO_CHROMA, masks.grid(index), moved, (1, 0, 0), 1.0)
    return left, top, inside.view(np.bool_)


def _outlines(grid: Bools) -> list[F64]:
    """(points, 2) of each outer outline of a grid: x, y in cells from the upper left corner."""
    # Twice as large, a cell has a pixel in each corner, so that a line through pixels tells which corners it
    # passes; a line through cells would run through their centres and cut off half a cell all round.
    doubled = grid.view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    size_wh = (grid.shape[1], grid.shape[0])
    outlines = []
    for contour in contours:
        corners = (contour.reshape(-1, 2) + 1) // 2
        corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
        crossings = (corners + np.roll(corners, -1, axis=0)) / 2
        points = np.stack((corners, crossings), axis=1).reshape(-1, 2)
        # On the edge of the grid there is no outer cell to interpolate with: the outline keeps its corners.
        kept = np.ones((len(corners), 2), np.bool_)
        kept[:, 0] = ((corners == 0) | (corners == size_wh)).any(axis=1)
        outlines.append(points[kept.reshape(-1)])
    return outlines


def _run_lengths(crop: Bools, left: int, top: int, width: int, height: int) -> I64:
    """Lengths of empty and set runs in turn, empty first, down the columns of the whole picture."""
    columns = np.zeros((crop.shape[1], crop.shape[0] + 2), np.bool_)
    columns[:, 1:-1] = crop.T
    changes = np.flatnonzero(columns[:, 1:] != columns[:, :-1])
    column, row = np.divmod(changes, crop.shape[0] + 1)
    edges = (left + column) * height + top + row
    # Where a column is set down to the last row and the next one from the first, the run goes on.
    joints = np.flatnonzero(edges[1:] == edges[:-1])
    edges = np.delete(edges, np.concatenate((joints, joints + 1)))
    lengths: I64 = np.diff(edges, prepend=0, append=width * height)
    return lengths if lengths[-1] else lengths[:-1]
