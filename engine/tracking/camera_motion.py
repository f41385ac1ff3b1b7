"""Camera motion: how the picture of one camera has moved since the frame before.

Looks at a small copy of the Y plane outside of the boxes given, at the pose in the frame's meta data, or at both; says
nothing rather than nonsense. A camera that stands still gives exactly the identity. Does not know tracks: whoever has
states in pixels applies the `Warp` to them. Each object is on its own: no clock, no random numbers, and nothing that
another camera's object could change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np

from engine.tracking.camera_motion_ecc import LONG_SIDE_PX as ECC_LONG_SIDE_PX
from engine.tracking.camera_motion_ecc import EccMotion
from engine.tracking.camera_motion_flow import FlowMotion
from engine.tracking.camera_motion_picture import LONG_SIDE_PX, SmallPicture
from engine.tracking.camera_motion_pose import is_usable, motion_between
from engine.tracking.camera_motion_warp import F64, Found, Warp, corners_xy, most_shift, points_through
from engine.types import FrameFlag, FrameNv12, PtzPose

__all__ = ["MODES", "CameraMotion", "CameraMotionStatistics", "Warp"]

MODES = ("auto", "flow", "ecc", "pose", "off")
STILL_POSE_SHARE = 0.0008
"""A reported pose counts as the same while no corner moves by more than this share of the picture's width: less than
the least step of most heads."""
SURE_SHARE = 0.6
MOST_APART_SHARE = 0.06
"""Where flow and pose differ by more than this share of the width, flow is believed only if so many corners agree."""


@dataclass(frozen=True, slots=True)
class CameraMotionStatistics:
    """Counts since the start.

    frames     asked for
    moved      of those, with a step that is not nothing
    untrusted  of those, without an answer, by reason: `first` (nothing before it), `size` (changed), `discontinuity`,
               `small` (picture), `texture` (too little of it outside of boxes), `covered` (by boxes), `lost` (corners
               are not found again: a cut, blur, darkness), `disagreement`, `implausible`, `one place` (corners close
               together), `no pose`, `far` (poses that share no view)
    """

    frames: int = 0
    moved: int = 0
    untrusted: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


class Finder(Protocol):
    """What finds motion in the pictures of one camera, from a reference on. `reference` is None before `restart`."""

    @property
    def reference(self) -> SmallPicture | None: ...

    def restart(self, picture: SmallPicture) -> None: ...

    def step(self, picture: SmallPicture, guess: F64 | None) -> Found: ...


class CameraMotion:
    """The motion of one camera. Not for two threads at once.

    mode  `flow`, `ecc`, `pose`, `off`, or `auto`: flow that begins at the pose where both frames have one, and the pose
          alone where flow finds nothing
    """

    def __init__(self, mode: str = "auto") -> None:
        """Raises `ValueError` for another mode."""
        if mode not in MODES:
            raise ValueError(f"mode of camera motion must be one of {', '.join(MODES)}, not {mode!r}")
        self.mode = mode
        self.statistics = CameraMotionStatistics()
        self.latest: Warp | None = None
        """The answer of the last `estimate`."""
        self._finder: Finder | None = None
        if mode in ("auto", "flow", "ecc"):
            self._finder = EccMotion() if mode == "ecc" else FlowMotion()
        self._size_wh: tuple[int, int] | None = None
        self._pose: PtzPose | None = None

    def estimate(self, frame: FrameNv12, boxes_xyxy: F64) -> Warp:
        """The step from the frame that was shown last to this one; call it for every frame, in order.

        boxes_xyxy  float64 (n, 4): what may move by itself, in source pixels; rows that are no boxes do no harm

        Frames may be missing in between: the step is then a larger one.
        """
        self.latest = warp = self._estimate(frame, boxes_xyxy)
        counts = self.statistics
        untrusted = counts.untrusted
        if not warp.trusted:
            untrusted = MappingProxyType({**untrusted, warp.reason: untrusted.get(warp.reason, 0) + 1})
        self.statistics = replace(
            counts, frames=counts.frames + 1, moved=counts.moved + warp.moves, untrusted=untrusted
        )
        return warp

    def _estimate(self, frame: FrameNv12, boxes_xyxy: F64) -> Warp:
        if self.mode == "off":
            return Warp.still("off", trusted=True)
        size_wh = (frame.y.shape[1], frame.y.shape[0])
        reason = ""
        if self._size_wh != size_wh:
            reason = "first" if self._size_wh is None else "size"
        elif frame.meta.flags & FrameFlag.DISCONTINUITY:
            reason = "discontinuity"
        self._size_wh = size_wh
        pose = frame.meta.pose if is_usable(frame.meta.pose) else None
        if self._finder is None:
            warp = Warp.still(reason, trusted=False) if reason else self._by_pose(pose, size_wh)
            self._pose = pose if reason or warp.reason != "still" else self._pose
            return warp
        long_side_px = ECC_LONG_SIDE_PX if self.mode == "ecc" else LONG_SIDE_PX
        picture = SmallPicture.of(frame.y, boxes_xyxy, long_side_px, pose if self.mode == "auto" else None)
        if reason or not picture.usable:
            self._finder.restart(picture)
            return Warp.still(reason or "small", trusted=False)
        return _by_picture(self._finder, picture, size_wh)

    def _by_pose(self, pose: PtzPose | None, size_wh: tuple[int, int]) -> Warp:
        if self._pose is None or pose is None:
            return Warp.still("no pose", trusted=False)
        matrix = motion_between(self._pose, pose, size_wh)
        if matrix is None or not np.isfinite(matrix).all():
            return Warp.still("far", trusted=False)
        if most_shift(matrix, size_wh) <= STILL_POSE_SHARE * size_wh[0]:
            return Warp.still("still", trusted=True)
        return Warp(matrix, True, "pose")


def _by_picture(finder: Finder, picture: SmallPicture, size_wh: tuple[int, int]) -> Warp:
    """What pictures say, from the pose where one is known for both, and what the pose says where they say nothing."""
    before = finder.reference.pose if finder.reference else None
    posed = motion_between(before, picture.pose, size_wh) if before and picture.pose else None
    found = finder.step(picture, None if posed is None else picture.from_source(posed))
    if found.matrix is None:
        if posed is None:
            return Warp.still(found.reason, trusted=False)
        return Warp(posed, True, "pose")
    matrix = picture.to_source(found.matrix)
    if posed is not None and found.share < SURE_SHARE:
        corners = corners_xy(size_wh)
        apart = np.abs(points_through(posed, corners) - points_through(matrix, corners)).max()
        if not apart <= MOST_APART_SHARE * size_wh[0]:
            return Warp(posed, True, "pose")
    if found.reason == "still":
        return Warp.still("still", trusted=True)
    return Warp(matrix / matrix[2, 2], True, found.reason)
