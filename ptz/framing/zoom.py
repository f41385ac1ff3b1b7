"""How large: the field of view in which people are shown as wished and from which they do not escape.

A reaction takes a time; what a target can do in it must happen inside the picture. How far targets stray is learned
from how far they did: their greatest speed and their greatest distance from the middle of the last seconds. For what
turns round in no time, and for late pictures, that is the remedy: zooming out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ptz.framing.base import Framing, across, field_of
from ptz.settings import ZoomSettings

SURE = 2.0
"""So many standard deviations of a place are kept inside the picture."""
CAUGHT = 0.1
"""A target that was once within this share of the width from the middle has been caught: from then on it strays."""


@dataclass(slots=True)
class Peak:
    """The greatest value of the last seconds: kept for `memory_s`, then it fades."""

    memory_s: float
    value: float = 0.0
    since_s: float = -math.inf

    def at(self, time_s: float) -> float:
        """What is remembered at a time."""
        over_s = time_s - self.since_s - self.memory_s
        return self.value if over_s <= 0 else self.value * math.exp(-3.0 * over_s / self.memory_s)

    def see(self, value: float, time_s: float) -> None:
        """Take a value."""
        if value >= self.at(time_s):
            self.value, self.since_s = value, time_s


@dataclass(frozen=True, slots=True)
class Sight:
    """What the zoom rule is told of the camera.

    hfov_deg      field of view now
    aspect        width / height of the picture
    reaction_s    from something happening to the head obeying
    off_middle    distance of the target from the middle, as a share of the picture's width
    certain       the target is seen, not only expected
    """

    now_s: float
    hfov_deg: float
    aspect: float
    reaction_s: float
    off_middle: float
    certain: bool = True


class ZoomRule:
    """One head's zoom."""

    def __init__(self, settings: ZoomSettings) -> None:
        self.settings = settings
        self.why = "size"
        """What the field of view was chosen by, one word or two."""
        self._speed = Peak(settings.memory_s)
        self._stray_x = Peak(settings.memory_s)
        self._stray_y = Peak(settings.memory_s)
        self._goal_deg: float | None = None
        self._caught = False

    def reset(self) -> None:
        """Somebody else is framed: what the last one did says nothing."""
        self.__init__(self.settings)  # type: ignore[misc]  # the same object, as new

    def lost(self) -> None:
        """The target is out of sight: where it will be found again says nothing about its straying."""
        self._caught = False

    def saw(self, framing: Framing, x_deg: float, y_deg: float, sight: Sight) -> None:
        """Where a newly measured target was in its picture: degrees from the middle. Counts from when it was once
        near the middle, so that the first turn towards it is not taken for its doing."""
        self._speed.see(_speed_deg_s(framing), sight.now_s)
        self._caught |= math.hypot(x_deg, y_deg) < CAUGHT * sight.hfov_deg
        if self._caught:
            self._stray_x.see(abs(x_deg), sight.now_s)
            self._stray_y.see(abs(y_deg), sight.now_s)

    def hfov_deg(self, framing: Framing, sight: Sight) -> float:
        """The wanted horizontal field of view. Changes only when what is needed has changed enough."""
        settings = self.settings
        needed = self._needed(framing, sight)
        if self._goal_deg is None:
            self._goal_deg = needed
        ratio = math.tan(math.radians(needed) / 2) / math.tan(math.radians(self._goal_deg) / 2)
        if not settings.zoom_in_below < ratio < settings.zoom_out_above:
            self._goal_deg = needed
        if self._goal_deg < sight.hfov_deg:
            if not sight.certain:
                self.why = "not sure where the target is"
                return sight.hfov_deg
            if sight.off_middle > settings.no_zoom_in_beyond:
                self.why = "target off the middle"
                return sight.hfov_deg
        return self._goal_deg

    def _needed(self, framing: Framing, sight: Sight) -> float:
        settings = self.settings
        share = 1.0 - 2.0 * settings.side_margin
        wide = framing.width_deg + 2 * SURE * framing.pan_sigma_deg * _flat(framing)
        high = framing.height_deg + 2 * SURE * framing.tilt_sigma_deg
        stray_x = self._stray_x.at(sight.now_s) / settings.stray
        stray_y = self._stray_y.at(sight.now_s) / settings.stray
        speed_deg_s = max(self._speed.at(sight.now_s), _speed_deg_s(framing))
        bounds = {
            "the narrowest": settings.narrowest_deg,
            "size": across(field_of(framing.body_deg, settings.body_height), sight.aspect),
            "width": field_of(wide, share),
            "height": across(field_of(high, share), sight.aspect),
            "speed": min(170.0, speed_deg_s * sight.reaction_s / settings.lead),
            "straying": min(170.0, 2 * stray_x + framing.width_deg),
            "straying up and down": across(min(150.0, 2 * stray_y + framing.height_deg), sight.aspect),
        }
        self.why = max(bounds, key=lambda name: bounds[name])
        return bounds[self.why]


def _flat(framing: Framing) -> float:
    return math.cos(math.radians(framing.tilt_deg))


def _speed_deg_s(framing: Framing) -> float:
    """Speed across the view, as far as it is sure."""
    flat = _flat(framing)
    unsure = math.hypot(framing.pan_sigma_deg_s * flat, framing.tilt_sigma_deg_s)
    return max(0.0, math.hypot(framing.pan_deg_s * flat, framing.tilt_deg_s) - unsure)
