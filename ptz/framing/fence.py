"""Soft limits: no speed that could not be braked before them, and no place beyond them."""

from __future__ import annotations

import math

from ptz.geometry import azimuth_deg, turn_deg, wrap_deg
from ptz.settings import Limits
from ptz.types import Pose, Velocity

BRAKE_SHARE = 0.5
"""Share of the head's braking that is counted on."""
TICK_S = 0.15
"""A speed holds until the next decision arrives."""
SOFT_S = 0.4
"""Towards a limit the head slows down so that it is this long on its way."""


class Fence:
    """The part of the world that a head may look at: what is set, within what it can reach."""

    def __init__(self, limits: Limits, reach: Limits, decel_deg_s2: float) -> None:
        """`reach` is what the head can; both may be without stops in azimuth. Where both have them, those of `limits`
        count, as far as the head reaches."""
        low, high = _common(limits.tilt_deg, reach.tilt_deg)
        self.tilt_deg = (low, high)
        self.zoom = _common(limits.zoom, reach.zoom)
        self.pan_deg = limits.pan_deg or reach.pan_deg
        self.decel_deg_s2 = decel_deg_s2

    def place(self, pan_deg: float, tilt_deg: float) -> tuple[float, float]:
        """The nearest direction inside."""
        if self.pan_deg is not None:
            first, last = self.pan_deg
            span = (last - first) % 360.0 or 360.0
            off_middle = wrap_deg(pan_deg - (first + span / 2))
            pan_deg = azimuth_deg(first + span / 2 + min(max(off_middle, -span / 2), span / 2))
        return pan_deg, min(max(tilt_deg, self.tilt_deg[0]), self.tilt_deg[1])

    def way_round(self, from_deg: float, to_deg: float) -> tuple[float, float] | None:
        """Where a stop is on the short way to an azimuth: that stop, and how far beyond it the azimuth is. None where
        the short way is free."""
        if self.pan_deg is None:
            return None
        short = wrap_deg(to_deg - from_deg)
        if short * turn_deg(from_deg, self.place(to_deg, 0.0)[0], self.pan_deg) >= 0:
            return None
        stop_deg = self.pan_deg[1] if short > 0 else self.pan_deg[0]
        return stop_deg % 360.0, abs(wrap_deg(to_deg - stop_deg))

    def ratio(self, zoom: float) -> float:
        """The nearest zoom ratio inside."""
        return min(max(zoom, self.zoom[0]), self.zoom[1])

    def speed(self, wished: Velocity, pose: Pose) -> Velocity:
        """As much of this speed as can be braked in time, with the head at `pose` when it obeys."""
        pan = wished.pan_deg_s
        if self.pan_deg is not None and pan:
            first, last = self.pan_deg
            span = (last - first) % 360.0 or 360.0
            into = turn_deg(first, pose.pan_deg, self.pan_deg)
            pan = self._braked(pan, span - into if pan > 0 else into)
        tilt = wished.tilt_deg_s
        if tilt:
            room = self.tilt_deg[1] - pose.tilt_deg if tilt > 0 else pose.tilt_deg - self.tilt_deg[0]
            tilt = self._braked(tilt, room)
        zoom = wished.zoom_octaves_s
        if zoom:
            limit = self.zoom[1] if zoom > 0 else self.zoom[0]
            room = abs(math.log2(limit / pose.zoom)) if (limit - pose.zoom) * zoom > 0 else 0.0
            zoom = math.copysign(min(abs(zoom), room / TICK_S), zoom) if room > 0.005 else 0.0
        return Velocity(pan, tilt, zoom)

    def _braked(self, speed: float, room_deg: float) -> float:
        if room_deg <= 0.05:
            return 0.0
        most = min(math.sqrt(2 * BRAKE_SHARE * self.decel_deg_s2 * room_deg), room_deg / SOFT_S)
        return math.copysign(min(abs(speed), most), speed)


def _common(limits: tuple[float, float], reach: tuple[float, float]) -> tuple[float, float]:
    """Where both ranges are; the nearest end of what can be reached where they do not meet."""
    low, high = max(limits[0], reach[0]), min(limits[1], reach[1])
    if low <= high:
        return low, high
    end = reach[1] if limits[0] > reach[1] else reach[0]
    return end, end
