"""What is kept of a frame to see how its camera moves: a small grey picture, and which parts of it are background."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.tracking.camera_motion_warp import F64
from engine.types import F32, U8, PtzPose

LONG_SIDE_PX = 640
"""A picture is halved until its long side has no more. Two halvings take a quarter of the time that one
reduction to a quarter takes."""
LEAST_SIDE_PX = 32
"""Pictures with a shorter side, after halving, are not looked at."""
_SEARCH_LONG_SIDE_PX = 80
_SURROUNDINGS_PX = 41
"""Wide enough to leave what flow follows in the coarsest of its pictures, eight times smaller."""
_MARGIN_PX = 3.0
"""Small pixels around a box that go with what is in it: flow looks at that much of a corner's surroundings."""


@dataclass(frozen=True, slots=True)
class SmallPicture:
    """A frame's Y plane, averaged over squares of `px` × `px` pixels.

    y           uint8 (height, width), its own memory
    boxes_xyxy  float64 (n, 4): what may move by itself, in small pixels, grown a little
    pose        where the camera looked, None where that is not known or not asked for
    """

    y: U8
    px: int
    boxes_xyxy: F64
    pose: PtzPose | None = None

    @classmethod
    def of(
        cls, y: U8, boxes_xyxy: F64, long_side_px: int = LONG_SIDE_PX, pose: PtzPose | None = None
    ) -> SmallPicture:
        """Of a plane that is read in place, and boxes in its pixels, some of which may be no boxes."""
        small, px = y, 1
        while max(small.shape) > long_side_px:
            height, width = small.shape[0] // 2, small.shape[1] // 2
            if not (height and width):
                break
            even = small[: 2 * height, : 2 * width]
            small = np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            px *= 2
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        # Not-a-number fails the comparison as well.
        boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)] / px
        grown = boxes + np.array((-_MARGIN_PX, -_MARGIN_PX, _MARGIN_PX, _MARGIN_PX))
        return cls(small.copy() if px == 1 else small, px, grown, pose)

    @property
    def usable(self) -> bool:
        """Whether it is large enough to see anything in it."""
        return bool(min(self.y.shape) >= LEAST_SIDE_PX)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Small pixels."""
        return self.y.shape[1], self.y.shape[0]

    def evenly_lit(self) -> SmallPicture:
        """The same as differences from the surroundings: else flow takes a light or a cloud for motion."""
        surroundings = cv2.blur(self.y, (_SURROUNDINGS_PX, _SURROUNDINGS_PX))
        return replace(self, y=np.asarray(cv2.addWeighted(self.y, 1.0, surroundings, -1.0, 128.0), np.uint8))

    @property
    def covered(self) -> bool:
        """Whether boxes leave less than a quarter of it."""
        x, y = np.meshgrid(*((np.arange(16) + 0.5) / 16 * side for side in self.size_wh))
        return bool(np.count_nonzero(self.is_background(np.column_stack((x.ravel(), y.ravel())))) < 64)

    def to_source(self, matrix: F64) -> F64:
        """A homography of small pixels (edges at whole numbers) as one of source pixels."""
        return matrix * _scaling(self.px)

    def from_source(self, matrix: F64) -> F64:
        """The other way."""
        return matrix * _scaling(1 / self.px)

    def is_background(self, points_xy: F32 | F64) -> NDArray[np.bool_]:
        """bool (n,): which points, in small pixels, lie outside of all boxes."""
        x, y = points_xy[:, :1], points_xy[:, 1:]
        left, top, right, bottom = self.boxes_xyxy.T
        inside = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
        outside: NDArray[np.bool_] = ~inside.any(axis=1)
        return outside

    def box_pixels(self) -> NDArray[np.intp]:
        """(n, 4) the boxes as ranges of pixels of the picture."""
        width, height = self.size_wh
        clipped = np.clip(self.boxes_xyxy, 0, (width, height, width, height))
        clipped[:, :2] = np.floor(clipped[:, :2])
        return np.ceil(clipped).astype(np.intp)


def shift_between(reference: SmallPicture, picture: SmallPicture) -> F64:
    """(3, 3) the shift by which two pictures overlap best, boxes and all (Kuglin and Hines, 1975)."""
    width, height = reference.size_wh
    step = max(1, round(max(width, height) / _SEARCH_LONG_SIDE_PX))
    size = (max(8, width // step), max(8, height // step))
    tiny = [
        cv2.resize(each.y, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for each in (reference, picture)
    ]
    (right, down), _ = cv2.phaseCorrelate(tiny[0], tiny[1], cv2.createHanningWindow(size, cv2.CV_32F))
    found = np.eye(3)
    found[:2, 2] = right * width / size[0], down * height / size[1]
    return found


def _scaling(factor: float) -> F64:
    """(3, 3) what each element of a homography is multiplied by when the pixels become so many."""
    return np.array(((1, 1, factor), (1, 1, factor), (1 / factor, 1 / factor, 1)))
