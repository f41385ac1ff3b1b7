"""Where a camera looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PtzPose:
    """Direction and field of view of a camera at the moment of a frame.

    pan_deg   azimuth of the optical axis, clockwise seen from above, 0..360
    tilt_deg  elevation of the optical axis, up positive, -90..90
    hfov_deg  horizontal field of view of the whole picture, more than 0 and less than 180
    roll_deg  rotation of the picture about the optical axis, clockwise positive
    """

    pan_deg: float
    tilt_deg: float
    hfov_deg: float
    roll_deg: float = 0.0
