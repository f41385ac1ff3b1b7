"""How a picture has moved as a whole: where each of its points was in the frame before, and where it is now.

A camera that only turns and zooms moves its picture by a homography, whatever the scene looks like. Knows matrices and
points; does not know how a motion is found, or who moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

LEAST_DEPTH = 0.1
"""Least third coordinate of a moved point: one behind the camera, or at its side, is treated as if it lay before it."""
MOST_SCALE = 1.6
MOST_TURN_RAD = 0.5
MOST_SHIFT = 0.75
MOST_BENDING = 0.5
"""What one step of a real camera does not exceed: zoom factor, roll, way of the middle in sides of the picture, and how
much nearer or farther an edge may come than the middle."""


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """The step of one camera's picture from the frame before to this one.

    matrix   float64 (3, 3): homography that takes points of the frame before, in its source pixels, to this frame's;
             its last element is 1. The identity where the camera stood still and where nothing is known
    trusted  whether the matrix was measured. False: nothing is known, do not conclude that the camera stood still
    reason   in a word what it rests on (`flow`, `still`, `ecc`, `pose`, `off`), or why it is not trusted
    """

    matrix: F64
    trusted: bool
    reason: str

    @classmethod
    def still(cls, reason: str, *, trusted: bool) -> Warp:
        """Nothing has moved, or nothing is known."""
        return cls(np.eye(3), trusted, reason)

    @property
    def moves(self) -> bool:
        """False where the matrix is exactly the identity, so that nothing need be done."""
        return not np.array_equal(self.matrix, np.eye(3))

    def around(self, points_xy: F64) -> tuple[F64, F64]:
        """Where points (n, 2) of the frame before are now, float64 (n, 2), and how the picture around each was turned
        and stretched, float64 (n, 2, 2): rows are the new x and y, columns the old ones."""
        matrix = self.matrix
        moved = points_xy @ matrix[:2, :2].T + matrix[:2, 2]
        depth = np.maximum(points_xy @ matrix[2, :2] + matrix[2, 2], LEAST_DEPTH)[:, None]
        moved /= depth
        turned = (matrix[:2, :2] - moved[:, :, None] * matrix[2, :2]) / depth[:, :, None]
        return moved, turned


@dataclass(frozen=True, slots=True)
class Found:
    """What a picture says of its step from a reference.

    matrix   (3, 3) in the pixels of small pictures; None: nothing
    reason   `still`, or what it rests on, or why there is no answer
    share    of what was looked at that agrees
    """

    matrix: F64 | None
    reason: str
    share: float = 0.0


def points_through(matrix: F64, points_xy: F64) -> F64:
    """Points (n, 2) moved by a homography (3, 3); not finite where one lies on its line at infinity."""
    moved = points_xy @ matrix[:, :2].T + matrix[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        through: F64 = moved[:, :2] / moved[:, 2:]
    return through


def corners_xy(size_wh: tuple[int, int]) -> F64:
    """(4, 2) the corners of a picture."""
    width, height = size_wh
    return np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float64)


def most_shift(matrix: F64, size_wh: tuple[int, int]) -> float:
    """How far the corner of a picture that moves most moves, in its pixels."""
    corners = corners_xy(size_wh)
    return float(np.abs(points_through(matrix, corners) - corners).max())


def is_plausible(matrix: F64, size_wh: tuple[int, int]) -> bool:
    """Whether a camera can have done that from one frame to the next; False for what is not finite."""
    if not np.isfinite(matrix).all() or abs(matrix[2, 2]) < LEAST_DEPTH:
        return False
    size = np.array(size_wh, np.float64)
    depths = corners_xy(size_wh) @ matrix[2, :2] / matrix[2, 2]
    # Beyond this a corner lies at the camera's side, and what follows would divide by nothing.
    if np.abs(depths).max() > MOST_BENDING:
        return False
    middle, turned = Warp(matrix / matrix[2, 2], True, "").around(size[None] / 2)
    (a, b), (c, d) = turned[0]
    scale = np.sqrt(max(0.0, a * d - b * c))
    return bool(
        1 / MOST_SCALE <= scale <= MOST_SCALE
        and abs(np.arctan2(c - b, a + d)) <= MOST_TURN_RAD
        and (np.abs(middle[0] - size / 2) <= MOST_SHIFT * size).all()
    )
