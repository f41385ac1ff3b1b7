"""Where a camera looks."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import ClassVar


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


def pose_numbers(pose: PtzPose | None) -> tuple[float, float, float, float]:
    """The four numbers of a pose as they stand in a meta block; of none, four NaN."""
    if pose is None:
        return (math.nan,) * 4
    return pose.pan_deg, pose.tilt_deg, pose.hfov_deg, pose.roll_deg


def pose_of_numbers(numbers: Sequence[float]) -> PtzPose | None:
    """The pose that these four numbers stand for."""
    return None if math.isnan(numbers[0]) else PtzPose(*numbers)


@dataclass(frozen=True, slots=True)
class PoseSample:
    """Where a steered head points at one moment and how fast that changes: a record of the pool `pose:<camera>`.

    time_s           monotonic seconds
    pan_deg, tilt_deg, hfov_deg         as in `PtzPose`
    pan_deg_s, tilt_deg_s, hfov_deg_s   their speeds; the field of view shrinks (below 0) when zooming in
    image_latency_s  from when a picture of this camera is taken until it arrives
    """

    time_s: float
    pan_deg: float
    tilt_deg: float
    hfov_deg: float
    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    hfov_deg_s: float = 0.0
    image_latency_s: float = 0.0

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct("<8d")

    @property
    def turning(self) -> bool:
        """It does not stand still, or its lens does not."""
        return (
            math.hypot(self.pan_deg_s, self.tilt_deg_s) > LEAST_SPEED_DEG_S
            or abs(self.hfov_deg_s) > LEAST_SPEED_DEG_S
        )

    def pack_into(self, meta: memoryview | bytearray) -> None:
        """Write the fixed layout into a slot's meta block."""
        self._LAYOUT.pack_into(meta, 0, *astuple(self))

    @classmethod
    def unpack(cls, meta: memoryview | bytes | bytearray) -> PoseSample:
        """Read the fixed layout from a slot's meta block."""
        return cls(*cls._LAYOUT.unpack_from(meta))


LEAST_SPEED_DEG_S = 0.02
"""Slower is standing still: in two seconds less than the smallest step of most heads."""
