"""Windows of a picture, and what is known of them in an earlier frame.

Places are continuous: pixel i covers i to i + 1, its centre is at i + 0.5. Knows neither objects nor time.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.types import F32, U8, Bools

F64 = NDArray[np.float64]

BORDER_PX = 2.0
"""A box this near to the edge of the picture may be cut off there."""
MOST_GROWTH = 1.5
"""A box that grows or shrinks by more from one frame to the next shows something else than before."""


@dataclass(frozen=True, slots=True)
class Axes:
    """(x, y) → scale · (x, y) + shift. Float64 (2,) each."""

    scale: F64
    shift: F64

    @classmethod
    def identity(cls) -> Axes:
        """Everything stays where it is."""
        return cls(np.ones(2), np.zeros(2))

    def after(self, first: Axes) -> Axes:
        """`first`, then this one."""
        return Axes(self.scale * first.scale, self.scale * first.shift + self.shift)

    def inverse(self) -> Axes:
        """The way back."""
        return Axes(1 / self.scale, -self.shift / self.scale)

    def rect(self, rect_xyxy: F64) -> F64:
        """A rectangle moved."""
        return (rect_xyxy.reshape(2, 2) * self.scale + self.shift).reshape(4)


@dataclass(frozen=True, slots=True)
class Window:
    """`width` × `height` cells laid over a rectangle of the picture, float64 (4,)."""

    rect_xyxy: F64
    width: int
    height: int

    @classmethod
    def over(cls, rect_xyxy: F64, cells_per_px: float) -> Window:
        """A window with cells of about this size, for which optical flow has enough of them."""
        width, height = np.maximum(
            np.rint((rect_xyxy[2:] - rect_xyxy[:2]) * cells_per_px), LEAST_CELLS
        ).tolist()
        return cls(rect_xyxy, int(width), int(height))

    @property
    def cell_wh(self) -> F64:
        """Size of a cell in pixels."""
        return (self.rect_xyxy[2:] - self.rect_xyxy[:2]) / (self.width, self.height)

    def centres(self) -> tuple[F32, F32]:
        """x of the columns float32 (1, width) and y of the rows (height, 1) in the picture."""
        x = self.rect_xyxy[0] + (np.arange(self.width) + 0.5) * self.cell_wh[0]
        y = self.rect_xyxy[1] + (np.arange(self.height) + 0.5) * self.cell_wh[1]
        return x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]

    def sample(self, picture: U8, px_per_picture_px: float, moved: Axes) -> U8:
        """uint8 (height, width): what `picture`, of pixels so many source pixels wide, shows at `moved` places."""
        scale = self.cell_wh * moved.scale / px_per_picture_px
        first = (moved.scale * self.rect_xyxy[:2] + moved.shift) / px_per_picture_px + scale / 2 - 0.5
        matrix = np.array([[scale[0], 0, first[0]], [0, scale[1], first[1]]])
        sampled = cv2.warpAffine(
            picture, matrix, (self.width, self.height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return np.asarray(sampled, np.uint8)

    def at(self, values: NDArray[np.float32], places: tuple[F32, F32], *, outside_zero: bool = False) -> F32:
        """Values (height, width, …) of the cells, bilinearly at places of the picture, beyond the edge the outermost.

        With `outside_zero` values fade to 0 within the cell beyond the edge: one half lies on the edge itself.
        """
        cell = self.cell_wh
        columns = (places[0] - np.float32(self.rect_xyxy[0])) * np.float32(1 / cell[0]) - np.float32(0.5)
        rows = (places[1] - np.float32(self.rect_xyxy[1])) * np.float32(1 / cell[1]) - np.float32(0.5)
        border = cv2.BORDER_CONSTANT if outside_zero else cv2.BORDER_REPLICATE
        return np.asarray(cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=border), np.float32)


LEAST_CELLS = 24
"""Rows and columns that a window has at least: optical flow by patches of eight wants a few of them."""


def between_boxes(now_xyxy: F64, before_xyxy: F64, size_wh: tuple[int, int]) -> Axes | None:
    """Where what is in a box now was before, judged by the boxes alone; None where they cannot be of one thing.

    An edge at the border of the picture says nothing of where the object ends: there the other edge leads.
    """
    scale, shift = np.ones(2), np.zeros(2)
    for axis, length in enumerate(size_wh):
        now, before = now_xyxy[axis::2], before_xyxy[axis::2]
        free = [
            min(now[0], before[0]) > BORDER_PX,
            max(now[1], before[1]) < length - BORDER_PX,
        ]
        if all(free):
            if min(now[1] - now[0], before[1] - before[0]) <= 0:
                return None
            scale[axis] = (before[1] - before[0]) / (now[1] - now[0])
            shift[axis] = before[0] - scale[axis] * now[0]
        elif any(free):
            edge = free.index(True)
            shift[axis] = before[edge] - now[edge]
    if scale.max() > MOST_GROWTH or scale.min() < 1 / MOST_GROWTH:
        return None
    return Axes(scale, shift)


def clipped(rect_xyxy: F64, size_wh: tuple[int, int]) -> F64 | None:
    """The part of a rectangle inside of the picture; None where less than a pixel is left."""
    limits = np.array(size_wh * 2, np.float64)
    inside = np.clip(rect_xyxy, 0, limits)
    return inside if (inside[2:] - inside[:2]).min() >= 1 else None


def cut_out(grid: Bools, window: Window, keep_xyxy: F64 | None) -> tuple[Bools, F64]:
    """The set cells of a window, without those whose centres lie outside of `keep_xyxy`: (grid, rectangle)."""
    if keep_xyxy is not None:
        x, y = window.centres()
        grid = grid & (x >= keep_xyxy[0]) & (x < keep_xyxy[2]) & (y >= keep_xyxy[1]) & (y < keep_xyxy[3])
    rows, columns = np.flatnonzero(grid.any(axis=1)), np.flatnonzero(grid.any(axis=0))
    if not len(rows):
        return np.zeros((0, 0), np.bool_), np.zeros(4)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    corners = np.array([[left, top], [right, bottom]]) * window.cell_wh + window.rect_xyxy[:2]
    return grid[top:bottom, left:right], corners.reshape(4)
