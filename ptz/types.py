"""The words that everything about PTZ speaks in: directions, speeds, what was seen, what is decided.

Azimuth is in degrees clockwise seen from above, 0..360; elevation in degrees, up positive; zoom a ratio, 1 = widest.
Times are seconds of the machine's monotonic clock (or of a virtual one), as floats. Signs and units of a camera stay
inside its driver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head points at one moment.

    time_s    when it pointed there
    pan_deg   azimuth of the optical axis, 0..360
    tilt_deg  elevation of the optical axis, -90..90
    zoom      ratio to the widest view, 1 or more
    """

    time_s: float
    pan_deg: float
    tilt_deg: float
    zoom: float = 1.0


@dataclass(frozen=True, slots=True)
class Status:
    """What a camera says of its head.

    pose    None where the camera tells no position
    moving  None where it does not tell
    zoomed  whether `pose.zoom` was reported, and not assumed
    """

    pose: Pose | None
    moving: bool | None = None
    zoomed: bool = True


@dataclass(frozen=True, slots=True)
class Velocity:
    """How fast a head shall turn. Octaves: +1 doubles the zoom ratio in a second."""

    pan_deg_s: float = 0.0
    tilt_deg_s: float = 0.0
    zoom_octaves_s: float = 0.0

    @property
    def is_zero(self) -> bool:
        """Nothing turns."""
        return not (self.pan_deg_s or self.tilt_deg_s or self.zoom_octaves_s)


@dataclass(frozen=True, slots=True)
class Levels:
    """Speeds on the scale that cameras understand, whole numbers from -100 to 100: right, up and tele are positive."""

    pan: int = 0
    tilt: int = 0
    zoom: int = 0

    @property
    def is_zero(self) -> bool:
        """Nothing turns."""
        return not (self.pan or self.tilt or self.zoom)


@dataclass(frozen=True, slots=True)
class View:
    """A picture and the direction it was taken in. The lens is a pinhole without roll.

    width, height  pixels
    hfov_deg       horizontal field of view of the whole picture, between 0 and 180
    """

    width: int
    height: int
    pan_deg: float
    tilt_deg: float
    hfov_deg: float


@dataclass(frozen=True, slots=True)
class Sightings:
    """Objects in one picture, as parallel arrays.

    time_s         when the picture was taken, as well as that is known; to a follower, when it arrived
    width, height  pixels of the picture
    boxes_xyxy     float32 (n, 4): left, top, right, bottom in pixels
    scores         float32 (n,)
    track_ids      int64 (n,): unique per camera
    gids           int64 (n,): identity over all cameras, 0 = none
    seen           bool (n,): False = not seen in this picture, only expected there
    class_ids      int32 (n,)
    source_s       when it was taken by the camera's own clock, in seconds; NaN = not told
    """

    time_s: float
    width: int
    height: int
    boxes_xyxy: F32
    scores: F32
    track_ids: I64
    gids: I64
    seen: Bools
    class_ids: I32
    source_s: float = math.nan

    def __len__(self) -> int:
        return len(self.track_ids)


class HeadState(StrEnum):
    """How a camera's head is doing.

    STARTING     not asked yet, or the start-up probe runs
    OK           it does what it is told
    DEGRADED     it works with less than it should: busy, failing now and then, no position, no working stop
    LOCKED       credentials were refused, or the account is locked: nothing is sent until that is over
    NOT_MOVING   it accepts commands and does not move
    UNREACHABLE  it does not answer
    TAKEN        another controller has the lease
    """

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    LOCKED = "locked"
    NOT_MOVING = "not_moving"
    UNREACHABLE = "unreachable"
    TAKEN = "taken"


class FollowState(StrEnum):
    """What the follower of a camera is doing.

    IDLE        nobody to follow, at its preset or where it was left
    FOLLOWING   target seen
    COASTING    target not seen for a moment: it goes on as expected
    HOLDING     target lost: the head stands
    WIDENING    target lost for longer: zooming out
    SEARCHING   looking where it went
    RETURNING   on the way to the return preset
    TOURING     going from preset to preset
    MANUAL      an operator has the head
    PAUSED      following is switched off
    """

    IDLE = "idle"
    FOLLOWING = "following"
    COASTING = "coasting"
    HOLDING = "holding"
    WIDENING = "widening"
    SEARCHING = "searching"
    RETURNING = "returning"
    TOURING = "touring"
    MANUAL = "manual"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Stay:
    """Nothing new: what runs goes on (and is renewed), what stands stays."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Turn at this speed until something else is decided. Zero stops."""

    velocity: Velocity


@dataclass(frozen=True, slots=True)
class GoTo:
    """Go to a direction and zoom and stop there. `max_deg_s` limits the speed where the camera can."""

    pan_deg: float
    tilt_deg: float
    zoom: float
    max_deg_s: float | None = None


@dataclass(frozen=True, slots=True)
class GoToPreset:
    """Go to a stored place."""

    preset: str


Decision = Stay | Turn | GoTo | GoToPreset


@dataclass(frozen=True, slots=True)
class Preset:
    """A stored place. `preset` is what the camera calls it: a number (ISAPI) or a token (ONVIF)."""

    preset: str
    name: str
    pose: Pose | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a camera can do, as found out when it was opened.

    device          model and firmware, for people
    device_type     what it says it is (IPDome, DVR, …), "" where it does not
    continuous      turning at a speed
    self_expiring   such a turn can carry its own end (ISAPI momentary, ONVIF Timeout)
    absolute        going to a direction
    relative_fov    going to a place in the picture (ONVIF TranslationSpaceFov)
    status          it tells where it points
    moving          it tells whether it moves
    presets, home   stored places
    most_presets    0 = not told
    reserved_presets  numbers that do something else when they are called or stored
    pan_range_deg   (from, to) clockwise where the head has a stop, None where it turns without end
    tilt_range_deg  (least, greatest) elevation
    zoom_range      (least, greatest) ratio
    most_deg_s      greatest speed of pan and tilt where the camera tells it
    moves           axes that it turns: of "pan", "tilt", "zoom"
    choices         what was chosen in talking to it and why, one line each
    """

    device: str = ""
    device_type: str = ""
    continuous: bool = False
    self_expiring: bool = False
    absolute: bool = False
    relative_fov: bool = False
    status: bool = False
    moving: bool = False
    presets: bool = False
    home: bool = False
    most_presets: int = 0
    reserved_presets: frozenset[int] = frozenset()
    pan_range_deg: tuple[float, float] | None = None
    tilt_range_deg: tuple[float, float] = (-90.0, 90.0)
    zoom_range: tuple[float, float] = (1.0, 1.0)
    most_deg_s: tuple[float, float] | None = None
    moves: frozenset[str] = field(default_factory=lambda: frozenset({"pan", "tilt", "zoom"}))
    choices: tuple[str, ...] = ()
