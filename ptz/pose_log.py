"""Where a head points, pointed and will point: a model driven by the commands sent, corrected by what the camera tells.

A command acts `command_latency_s` after it was sent and the head then changes its speed as `Plant` says; so the present
and the near future are known without waiting for the camera. What it reports (late, rounded, sometimes wrong) pulls the
model back. Without any report the log is the model alone, and image motion may correct it. Pure: times are given.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ptz.types import GoTo, Pose, Velocity


@dataclass(frozen=True, slots=True)
class Plant:
    """How a head moves.

    command_latency_s    from sending a command until the head begins to obey
    accel_deg_s2, decel_deg_s2   how fast it gets faster and slower
    jerk_deg_s3          how fast that changes
    most_deg_s           greatest speed of pan and tilt when turning
    goto_deg_s           the same when going to a place
    zoom_octaves_s, zoom_octaves_s2   greatest speed of zoom, and how fast it is reached
    pan_range_deg        (from, to) clockwise where there are stops, None = turns without end
    tilt_range_deg       (least, greatest) elevation
    zoom_range           (least, greatest) ratio
    status_lag_s         how old a reported position is when it arrives
    status_step_deg      smallest step of a reported position
    """

    command_latency_s: float = 0.06
    accel_deg_s2: float = 200.0
    decel_deg_s2: float = 200.0
    jerk_deg_s3: float = 2000.0
    most_deg_s: tuple[float, float] = (80.0, 60.0)
    goto_deg_s: tuple[float, float] = (200.0, 150.0)
    zoom_octaves_s: float = 1.16
    zoom_octaves_s2: float = 12.0
    pan_range_deg: tuple[float, float] | None = None
    tilt_range_deg: tuple[float, float] = (-90.0, 90.0)
    zoom_range: tuple[float, float] = (1.0, 1000.0)
    status_lag_s: float = 0.05
    status_step_deg: float = 0.1


class PoseLog:
    """The head's pose at any time. `refused` counts reports that were not believed, by reason."""

    refused: Counter[str]

    def __init__(self, plant: Plant, start: Pose | None = None) -> None:
        """`start` is where the head points first; without it the first report says so (till then 0°, 0°, zoom 1)."""
        raise NotImplementedError

    @property
    def known(self) -> bool:
        """Whether it was ever told where the head points."""
        raise NotImplementedError

    def set_command_latency(self, command_latency_s: float) -> None:
        """From the next command on: measured while running."""
        raise NotImplementedError

    def commanded(self, time_s: float, velocity: Velocity) -> None:
        """A command to turn was sent (what the camera's levels stand for, not what was wished for)."""
        raise NotImplementedError

    def went_to(self, time_s: float, place: Pose | GoTo) -> None:
        """A command to go to a place was sent. `time_s` of a `Pose` is not looked at."""
        raise NotImplementedError

    def reported(self, pose: Pose, zoomed: bool = True) -> str:
        """What the camera told at `pose.time_s`. Returns "" or why it was not believed (also counted in `refused`)."""
        raise NotImplementedError

    def turned(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None:
        """Image motion says how far the head turned between two pictures: corrects the model where reports fail."""
        raise NotImplementedError

    def at(self, time_s: float) -> Pose:
        """Pose at a time: past by interpolation, future as the commands in flight will have it."""
        raise NotImplementedError

    def velocity_at(self, time_s: float) -> Velocity:
        """Velocity at a time."""
        raise NotImplementedError

    def settled(self, now_s: float, stable_s: float = 0.3) -> bool:
        """Nothing in flight, and neither model nor reports have moved for `stable_s`."""
        raise NotImplementedError
