"""Overlap of boxes and of outlines. Boxes are float (4,) left, top, right, bottom in source pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import F32, Bools

F64 = NDArray[np.float64]

LATTICE = 48
"""Outlines on different grids are compared at so many points a side of the rectangle around both: an overlap of 0.8
is then known to about 0.02 for a round object."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A mask: bool (rows, columns) cells over a source rectangle; at least one cell is set.

    box_xyxy  float32 (4,): the smallest box around the cells that are set
    """

    grid: Bools
    rect_xyxy: F32
    box_xyxy: F32

    def at(self, points_xy: F32) -> Bools:
        """bool (k,): which of float32 (k, 2) points lie on the object."""
        span = self.rect_xyxy[2:] - self.rect_xyxy[:2]
        cells = (points_xy - self.rect_xyxy[:2]) / span * np.array(self.grid.shape[::-1])
        columns, rows = np.floor(cells).astype(np.int64).T
        inside = (columns >= 0) & (rows >= 0) & (columns < self.grid.shape[1]) & (rows < self.grid.shape[0])
        on = np.zeros(len(points_xy), np.bool_)
        on[inside] = self.grid[rows[inside], columns[inside]]
        return on

    def moved(self, from_xyxy: F32, to_xyxy: F32) -> Outline:
        """The outline as it lies when the box around its object has gone from one place to another."""
        return Outline(
            self.grid, mapped(self.rect_xyxy, from_xyxy, to_xyxy), mapped(self.box_xyxy, from_xyxy, to_xyxy)
        )  # fmt: skip

    def scaled(self, scale: F32) -> Outline:
        """The outline in a picture of another size; `scale` (4,) of left, top, right, bottom."""
        return Outline(self.grid, self.rect_xyxy * scale, self.box_xyxy * scale)


def outline_of(grid: Bools, rect_xyxy: F32) -> Outline | None:
    """The outline of a grid; None where it shows nothing or covers nothing."""
    rows, columns = np.flatnonzero(grid.any(axis=1)), np.flatnonzero(grid.any(axis=0))
    if not len(rows) or not (rect_xyxy[2:] > rect_xyxy[:2]).all():
        return None
    cell = (rect_xyxy[2:] - rect_xyxy[:2]) / np.array(grid.shape[::-1], np.float32)
    cells = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    box_xyxy = (np.tile(rect_xyxy[:2], 2) + cells * np.tile(cell, 2)).astype(np.float32)
    return Outline(grid, rect_xyxy, box_xyxy)


def area(box_xyxy: F32) -> float:
    """Square pixels; 0 for a box without any."""
    width, height = box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1]
    return float(width * height) if width > 0 and height > 0 else 0.0


def shared(a_xyxy: F32, b_xyxy: F32) -> float:
    """Square pixels that both boxes cover."""
    return area(np.concatenate((np.maximum(a_xyxy[:2], b_xyxy[:2]), np.minimum(a_xyxy[2:], b_xyxy[2:]))))


def iou(a_xyxy: F32, b_xyxy: F32) -> float:
    """Intersection over union of two boxes."""
    common = shared(a_xyxy, b_xyxy)
    return common / (area(a_xyxy) + area(b_xyxy) - common) if common > 0 else 0.0


def ious(box_xyxy: F32, boxes_xyxy: F32) -> F64:
    """float64 (n,): the same of one box with each of (n, 4)."""
    corners = np.minimum(box_xyxy[2:], boxes_xyxy[:, 2:]) - np.maximum(box_xyxy[:2], boxes_xyxy[:, :2])
    common = np.maximum(corners, 0.0).prod(axis=1, dtype=np.float64)
    sizes = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0.0).prod(axis=1, dtype=np.float64)
    union = sizes + area(box_xyxy) - common
    overlap: F64 = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return overlap


def share_inside(inner_xyxy: F32, outer_xyxy: F32) -> float:
    """Which part of the first box the second covers, 0..1."""
    size = area(inner_xyxy)
    return shared(inner_xyxy, outer_xyxy) / size if size > 0 else 0.0


def mapped(rect_xyxy: F32, from_xyxy: F32, to_xyxy: F32) -> F32:
    """float32 (4,): the rectangle carried along when a box goes from one place and size to another."""
    size = np.maximum(from_xyxy[2:] - from_xyxy[:2], 1e-3)
    scale = (to_xyxy[2:] - to_xyxy[:2]) / size
    corners = (rect_xyxy.reshape(2, 2) - from_xyxy[:2]) * scale + to_xyxy[:2]
    carried: F32 = corners.reshape(4).astype(np.float32)
    return carried


def outline_iou(a: Outline, b: Outline) -> float:
    """Intersection over union of two outlines, on a common lattice of points."""
    a_xyxy, b_xyxy = a.box_xyxy, b.box_xyxy
    if shared(a_xyxy, b_xyxy) == 0:
        return 0.0
    low, high = np.minimum(a_xyxy[:2], b_xyxy[:2]), np.maximum(a_xyxy[2:], b_xyxy[2:])
    steps = (np.arange(LATTICE, dtype=np.float32) + 0.5) / LATTICE
    x, y = np.meshgrid(low[0] + steps * (high[0] - low[0]), low[1] + steps * (high[1] - low[1]))
    points = np.stack((x.reshape(-1), y.reshape(-1)), axis=1).astype(np.float32)
    on_a, on_b = a.at(points), b.at(points)
    either = np.count_nonzero(on_a | on_b)
    return np.count_nonzero(on_a & on_b) / either if either else 0.0
