"""The motion of a picture from where its camera says that it looks: a turn and a zoom of a pinhole camera.

Knows directions and fields of view, not pictures. Lenses are taken to be free of distortion and pixels to be square.
"""

from __future__ import annotations

import numpy as np

from engine.tracking.camera_motion_warp import F64
from engine.types import PtzPose


def is_usable(pose: PtzPose | None) -> bool:
    """Whether a pose says anything: all numbers finite, and a field of view that a pinhole camera can have."""
    if pose is None:
        return False
    numbers = (pose.pan_deg, pose.tilt_deg, pose.hfov_deg, pose.roll_deg)
    return bool(np.isfinite(numbers).all()) and 0 < pose.hfov_deg < 180


def axes_of(pose: PtzPose) -> F64:
    """(3, 3) the camera's right, down and forward, as rows, in east, north and up."""
    pan, tilt, roll = np.radians((pose.pan_deg, pose.tilt_deg, pose.roll_deg))
    forward = np.array((np.sin(pan) * np.cos(tilt), np.cos(pan) * np.cos(tilt), np.sin(tilt)))
    right = np.array((np.cos(pan), -np.sin(pan), 0.0))
    level = np.stack((right, np.cross(forward, right), forward))
    turned = np.array(
        ((np.cos(roll), -np.sin(roll), 0.0), (np.sin(roll), np.cos(roll), 0.0), (0.0, 0.0, 1.0))
    )
    axes: F64 = turned @ level
    return axes


def lens_of(pose: PtzPose, size_wh: tuple[int, int]) -> F64:
    """(3, 3) from the camera's axes to pixels."""
    width, height = size_wh
    focal_px = width / 2 / np.tan(np.radians(pose.hfov_deg) / 2)
    return np.array(((focal_px, 0.0, width / 2), (0.0, focal_px, height / 2), (0.0, 0.0, 1.0)))


def motion_between(before: PtzPose, now: PtzPose, size_wh: tuple[int, int]) -> F64 | None:
    """(3, 3) homography from the picture of one usable pose to that of the other; its last element is 1.

    None where they hardly share a view: the middle of the one before is not before the camera now.
    """
    matrix = (
        lens_of(now, size_wh) @ axes_of(now) @ axes_of(before).T @ np.linalg.inv(lens_of(before, size_wh))
    )
    if matrix[2, 2] + matrix[2, :2] @ np.array(size_wh) / 2 < 0.5 or matrix[2, 2] <= 0:
        return None
    found: F64 = matrix / matrix[2, 2]
    return found
