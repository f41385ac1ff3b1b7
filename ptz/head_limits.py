"""Soft limits: how fast a head may still turn so that it comes to rest before them, and which way it goes to a place.

Pure. Knows where the head is and may be; does not know how it is told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ptz.geometry import wrap_deg
from ptz.head_settings import HeadSettings, Range
from ptz.types import Capabilities, GoTo, Pose, Velocity

ZOOM_BRAKE_OCTAVES_S2 = 4.0
NEAR_DEG = 1.0
LEG_DEG = 120.0


@dataclass(frozen=True, slots=True)
class Room:
    """How far one axis may still go, downwards (left, wide) and upwards (right, tele)."""

    below: float = math.inf
    above: float = math.inf

    def towards(self, speed: float) -> float:
        """The room in the direction of a speed."""
        return self.above if speed > 0 else self.below


def held(speed: float, room: float, brake: float, reaction_s: float) -> float:
    """The part of a speed from which the head, told to stop after `reaction_s`, comes to rest within `room`."""
    if math.isinf(room):
        return speed
    if room <= 0:
        return 0.0
    most = brake * (math.sqrt(reaction_s**2 + 2 * room / brake) - reaction_s)
    return math.copysign(min(abs(speed), most), speed)


class HeadLimits:
    """The limits of one head: the settings' own, within what the camera says of its mechanics."""

    def __init__(self, settings: HeadSettings, capabilities: Capabilities) -> None:
        self._settings = settings
        self._pan = settings.pan_limits_deg
        self._tilt = settings.tilt_limits_deg
        self._zoom = settings.zoom_limits
        self._stops_deg = capabilities.pan_range_deg
        self._most_tilt_deg = capabilities.tilt_range_deg
        self._most_zoom = capabilities.zoom_range

    @property
    def needs_position(self) -> bool:
        """Limits are set that can be kept only by who knows where the head points."""
        return bool(self._pan or self._tilt)

    def hold(self, velocity: Velocity, pose: Pose) -> Velocity:
        """The speed as far as it is safe at this pose."""
        brake, reaction_s = self._settings.acceleration_deg_s2, self._settings.reaction_s
        pan, tilt, zoom = (
            self._pan_room(self._pan, pose),
            _room(self._tilt, pose.tilt_deg),
            self._zoom_room(pose),
        )
        return Velocity(
            held(velocity.pan_deg_s, pan.towards(velocity.pan_deg_s), brake, reaction_s),
            held(velocity.tilt_deg_s, tilt.towards(velocity.tilt_deg_s), brake, reaction_s),
            held(
                velocity.zoom_octaves_s,
                zoom.towards(velocity.zoom_octaves_s),
                ZOOM_BRAKE_OCTAVES_S2,
                reaction_s,
            ),
        )

    def outside(self, pose: Pose, by_deg: float = 0.0) -> bool:
        """The pose lies beyond a limit of pan or tilt by more than so much."""
        if self._tilt and not self._tilt[0] - by_deg <= pose.tilt_deg <= self._tilt[1] + by_deg:
            return True
        room = self._pan_room(self._pan, pose)
        return room.below < -by_deg or room.above < -by_deg

    def at_stop(self, axis: str, sign: int, pose: Pose) -> bool:
        """The axis cannot go on in this direction: a mechanical end, or a limit of ours, is there."""
        if axis == "pan":
            rooms = [self._pan_room(limits, pose) for limits in (self._pan, self._stops_deg) if limits]
            return any(room.towards(sign) <= NEAR_DEG for room in rooms)
        if axis == "tilt":
            tilts = [limits for limits in (self._tilt, self._most_tilt_deg) if limits]
            return any(_room(limits, pose.tilt_deg).towards(sign) <= NEAR_DEG for limits in tilts)
        zooms = [limits for limits in (self._zoom, self._most_zoom) if limits]
        return any(_room_of_ratio(limits, pose.zoom).towards(sign) <= 0.05 for limits in zooms)

    def clip(self, place: GoTo) -> tuple[GoTo, bool]:
        """The nearest place that is allowed, and whether it is another one."""
        pan, tilt, zoom = place.pan_deg, place.tilt_deg, place.zoom
        if self._tilt:
            tilt = min(max(tilt, self._tilt[0]), self._tilt[1])
        if self._zoom:
            zoom = min(max(zoom, self._zoom[0]), self._zoom[1])
        if self._pan:
            start, span = self._pan[0], (self._pan[1] - self._pan[0]) % 360
            along = (pan - start) % 360
            if along > span:
                pan = self._pan[1] % 360 if along - span < 360 - along else start % 360
        clipped = replace(place, pan_deg=pan, tilt_deg=tilt, zoom=zoom)
        return clipped, clipped != place

    def legs(self, place: GoTo, pose: Pose | None) -> list[GoTo]:
        """The place, with stations before it where the short way would lead out of the pan limits."""
        if not self._pan or pose is None:
            return [place]
        start, span = self._pan[0], (self._pan[1] - self._pan[0]) % 360
        here, there = (pose.pan_deg - start) % 360, (place.pan_deg - start) % 360
        if here > span:
            here = span if here - span < 360 - here else 0.0
        if abs(there - here) < 180:
            return [place]
        steps = math.ceil(abs(there - here) / LEG_DEG)
        stations = [
            replace(place, pan_deg=(start + here + (there - here) * step / steps) % 360)
            for step in range(1, steps)
        ]
        return [*stations, place]

    def _pan_room(self, limits: Range | None, pose: Pose) -> Room:
        if limits is None:
            return Room()
        span = (limits[1] - limits[0]) % 360 or 360.0
        along = (pose.pan_deg - limits[0]) % 360
        if along <= span:
            return Room(along, span - along)
        past_right, past_left = along - span, 360 - along
        return Room(math.inf, -past_right) if past_right <= past_left else Room(-past_left, math.inf)

    def _zoom_room(self, pose: Pose) -> Room:
        return Room() if self._zoom is None else _room_of_ratio(self._zoom, pose.zoom)


def _room(limits: Range | None, value: float) -> Room:
    return Room() if limits is None else Room(value - limits[0], limits[1] - value)


def _room_of_ratio(limits: Range, zoom: float) -> Room:
    return Room(math.log2(max(zoom, 1e-3) / limits[0]), math.log2(limits[1] / max(zoom, 1e-3)))


def apart_deg(one: Pose, other: Pose) -> float:
    """Greater one of the differences in azimuth and elevation."""
    return max(abs(wrap_deg(one.pan_deg - other.pan_deg)), abs(one.tilt_deg - other.tilt_deg))
