"""Boxes of a picture as directions and angular sizes, also where the edge of the picture cuts them off."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ptz.geometry import focal_px, pixel_to_angles
from ptz.lens import Lens
from ptz.types import F64, Pose, Sightings, View

EDGE = 0.004
"""A box this near to the edge of the picture, as a share of its width, is cut off there."""


def view_of(sightings: Sightings, pose: Pose, lens: Lens) -> View:
    """The picture as it was taken with the head at `pose`."""
    return View(sightings.width, sightings.height, pose.pan_deg, pose.tilt_deg, lens.hfov_deg(pose.zoom))


@dataclass(frozen=True, slots=True)
class Placed:
    """A box: its middle as a direction, its size as seen from the camera.

    cut_x, cut_y  the edge that cuts it off: -1 left or top, +1 right or bottom, 0 neither; 2 both
    """

    pan_deg: float
    tilt_deg: float
    width_deg: float
    height_deg: float
    box_xyxy: tuple[float, float, float, float]
    view: View
    cut_x: int = 0
    cut_y: int = 0

    @property
    def whole_width(self) -> bool:
        """Its width is that of the person."""
        return self.cut_x == 0

    @property
    def whole_height(self) -> bool:
        """Its height is that of the person."""
        return self.cut_y == 0

    def completed(self, width_deg: float, height_deg: float) -> Placed:
        """With its middle where that of a person of this size is, whose rest is beyond the edge."""
        if self.whole_width and self.whole_height:
            return self
        left, top, right, bottom = self.box_xyxy
        wide = (right - left) * width_deg / max(self.width_deg, 1e-6)
        high = (bottom - top) * height_deg / max(self.height_deg, 1e-6)
        left, right = _completed(left, right, wide, self.cut_x)
        top, bottom = _completed(top, bottom, high, self.cut_y)
        pan_deg, tilt_deg = pixel_to_angles((left + right) / 2, (top + bottom) / 2, self.view)
        return replace(self, pan_deg=pan_deg, tilt_deg=tilt_deg)


def _completed(low: float, high: float, size: float, cut: int) -> tuple[float, float]:
    if cut == -1:
        return min(low, high - size), high
    if cut == 1:
        return low, max(high, low + size)
    return low, high


def _cut(low: float, high: float, size: int, edge: float) -> int:
    first, last = low <= edge, high >= size - edge
    return 2 if first and last else -int(first) + int(last)


def _apart(x1: F64, y1: F64, x2: F64, y2: F64) -> F64:
    """Degrees between the rays through places of the picture, in focal lengths from its middle."""
    across = np.stack([y1 - y2, x2 - x1, x1 * y2 - x2 * y1])
    angles: F64 = np.degrees(np.arctan2(np.linalg.norm(across, axis=0), x1 * x2 + y1 * y2 + 1.0))
    return angles


def placed(sightings: Sightings, rows: list[int], pose: Pose, lens: Lens) -> dict[int, Placed]:
    """The boxes in these rows of a picture taken at `pose`, by row."""
    if not rows:
        return {}
    view = view_of(sightings, pose, lens)
    focal = focal_px(view.width, view.hfov_deg)
    boxes = np.asarray(sightings.boxes_xyxy, np.float64)[rows]
    pans, tilts = pixel_to_angles((boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, view)
    x, y = (boxes[:, ::2] - view.width / 2) / focal, (boxes[:, 1::2] - view.height / 2) / focal
    middle_x, middle_y = x.mean(axis=1), y.mean(axis=1)
    widths = _apart(x[:, 0], middle_y, x[:, 1], middle_y)
    heights = _apart(middle_x, y[:, 0], middle_x, y[:, 1])
    edge = EDGE * view.width
    found = {}
    for place, row in enumerate(rows):
        left, top, right, bottom = (float(value) for value in boxes[place])
        found[row] = Placed(
            pan_deg=float(pans[place]), tilt_deg=float(tilts[place]),
            width_deg=float(widths[place]), height_deg=float(heights[place]),
            box_xyxy=(left, top, right, bottom), view=view,
            cut_x=_cut(left, right, view.width, edge), cut_y=_cut(top, bottom, view.height, edge),
        )  # fmt: skip
    return found
