"""What somebody points at: prompts for a segmenter, in source pixels of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.types.arrays import F32, I32, Bools


def _no_points() -> F32:
    return np.empty((0, 2), np.float32)


def _no_labels() -> I32:
    return np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """One object, pointed at by points, a box, a mask, or points and a box together.

    points_xy  float32 (k, 2): source pixels; x = 0 is the left edge of the first pixel
    labels     int32 (k,): 1 = on the object, 0 = not on the object
    box_xyxy   float32 (4,): source pixels, None without a box
    mask_hw    bool (height, width) of the source, None without a mask; it is the answer, not a hint

    Raises `ValueError` for other shapes or types, and where nothing is pointed at.
    """

    points_xy: F32 = field(default_factory=_no_points)
    labels: I32 = field(default_factory=_no_labels)
    box_xyxy: F32 | None = None
    mask_hw: Bools | None = None

    def __post_init__(self) -> None:
        count = len(self.points_xy)
        if self.points_xy.shape != (count, 2) or self.points_xy.dtype != np.float32:
            raise ValueError("points_xy must be float32 (k, 2)")
        if self.labels.shape != (count,) or self.labels.dtype != np.int32:
            raise ValueError(f"labels must be int32 ({count},)")
        if self.box_xyxy is not None and (self.box_xyxy.shape != (4,) or self.box_xyxy.dtype != np.float32):
            raise ValueError("box_xyxy must be float32 (4,)")
        if self.mask_hw is not None and (self.mask_hw.ndim != 2 or self.mask_hw.dtype != np.bool_):
            raise ValueError("mask_hw must be bool (height, width)")
        if not count and self.box_xyxy is None and self.mask_hw is None:
            raise ValueError("a prompt needs a point, a box or a mask")

    @classmethod
    def of_box(cls, box_xyxy: F32) -> Prompt:
        """A box alone."""
        return cls(box_xyxy=box_xyxy)
