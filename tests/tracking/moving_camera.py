"""A pinhole camera that turns and zooms before a wall of random texture: pictures with known motion."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.tracking.camera_motion_pose import axes_of, lens_of, motion_between
from engine.tracking.camera_motion_warp import points_through
from engine.types import U8, FrameFlag, FrameMeta, FrameNv12, PtzPose

F64 = NDArray[np.float64]

AHEAD = PtzPose(0.0, 0.0, 60.0)
NO_BOXES = np.empty((0, 4))
WALL_POSE = PtzPose(0.0, 0.0, 100.0)


def wall(width: int = 1800, seed: int = 1) -> U8:
    """Blots of several sizes, grey levels over the whole range."""
    random = np.random.default_rng(seed)
    height = width * 3 // 4
    total = np.zeros((height, width), np.float32)
    for blot_px in (2, 5, 14, 40):
        noise = cv2.GaussianBlur(random.random((height, width), dtype=np.float32), (0, 0), blot_px)
        total += (noise - noise.mean()) / noise.std()
    return np.clip(128 + 35 * total, 0, 255).astype(np.uint8)


def view(wall_y: U8, pose: PtzPose, size_wh: tuple[int, int], noise: float = 0.0, seed: int = 0) -> U8:
    """The wall as a camera with this pose sees it."""
    size = wall_y.shape[1], wall_y.shape[0]
    half = np.array(((1, 0, 0.5), (0, 1, 0.5), (0, 0, 1)))
    turn = axes_of(WALL_POSE) @ axes_of(pose).T
    back = lens_of(WALL_POSE, size) @ turn @ np.linalg.inv(lens_of(pose, size_wh))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpPerspective(wall_y, np.linalg.inv(half) @ back @ half, size_wh, flags=flags)
    if noise:
        seen = np.clip(seen + np.random.default_rng(seed).normal(0, noise, seen.shape), 0, 255)
    return np.asarray(seen, np.uint8)


def frame_of(
    picture: U8, pose: PtzPose | None = None, flags: FrameFlag = FrameFlag.NONE, padding: int = 0
) -> FrameNv12:
    """A grey picture as a frame, its rows so many bytes apart."""
    height, width = picture.shape
    stride = width + width % 2 + padding
    meta = FrameMeta(0, 0, 0, width, height, stride, stride, stride * height, flags=flags, pose=pose)
    slot = np.full(stride * height + stride * ((height + 1) // 2), 128, np.uint8)
    frame = FrameNv12.view(meta, slot)
    frame.y[:] = picture
    return frame


def flagged(frame: FrameNv12, flags: FrameFlag) -> FrameNv12:
    """The same frame with flags."""
    return replace(frame, meta=replace(frame.meta, flags=flags))


def error_px(matrix: F64, before: PtzPose, now: PtzPose, size_wh: tuple[int, int]) -> float:
    """How far a motion is from the true one, at the worst of many points of the picture."""
    truth = motion_between(before, now, size_wh)
    assert truth is not None
    x, y = np.meshgrid(np.linspace(0, size_wh[0], 9), np.linspace(0, size_wh[1], 7))
    points = np.column_stack((x.ravel(), y.ravel()))
    there = points_through(truth, points)
    shown = ((there >= 0) & (there <= size_wh)).all(axis=1)
    return float(np.abs(points_through(matrix, points) - there)[shown].max())
