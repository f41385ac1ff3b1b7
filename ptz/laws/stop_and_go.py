"""Stop-and-go: one move to a place, wait until the head stands, look, move again. For comparison.

The policy of trackers that know no continuous moves. Pictures taken in motion are not used, neither for where the
target is nor for how fast it goes: both come from the pictures since the head stands. The next place is where the
target will be when the move is over; how long that takes comes from the head's model, as from a calibration of moves.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptz.geometry import azimuth_deg, turn_deg, wrap_deg
from ptz.laws.base import Aim, Law
from ptz.pose_log import PoseLog
from ptz.types import GoTo, Stay

Sight = tuple[float, float, float]
"""(time, azimuth, elevation)"""


@dataclass(frozen=True, slots=True)
class StopAndGoOptions:
    """Settings.

    dead_share     no move for an error less than this share of the picture's width
    zoom_octaves   and a zoom that is less than this off
    stable_s       the head stands when its position has not changed for this long
    look_s         pictures of so much time tell a velocity; without them no move is made
    least_share    movement of less than this share of the width in that time is none
    most_share_s   a velocity above this many widths a second is not believed
    lost_s         a move that was decided and never sent is forgotten after this
    """

    dead_share: float = 0.05
    zoom_octaves: float = 0.15
    stable_s: float = 0.3
    look_s: float = 0.2
    least_share: float = 0.015
    most_share_s: float = 0.5
    lost_s: float = 1.0


class StopAndGo(Law, name="stop_and_go"):
    """See the module."""

    Options = StopAndGoOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._sights: deque[Sight] = deque(maxlen=30)
        self.reset()

    def reset(self) -> None:
        self._decided_s = -math.inf
        self._moving = False
        self._stands_s = -math.inf
        self._sights.clear()

    def decide(self, aim: Aim, log: PoseLog, now_s: float) -> GoTo | Stay:
        options: StopAndGoOptions = self.options
        if self._moving and not self._arrived(log, now_s):
            return Stay()
        if aim.time_s < self._stands_s:
            return Stay()
        self._look(aim)
        if self._sights[-1][0] - self._sights[0][0] < options.look_s:
            return Stay()
        pose = log.at(now_s)
        place = self._place(aim, log, now_s)
        turn = turn_deg(pose.pan_deg, place.pan_deg, log.plant.pan_range_deg)
        off = math.hypot(turn * math.cos(math.radians(place.tilt_deg)), place.tilt_deg - pose.tilt_deg)
        if off < options.dead_share * aim.hfov_deg and (
            abs(math.log2(place.zoom / pose.zoom)) < options.zoom_octaves
        ):
            return Stay()
        self._moving, self._decided_s = True, now_s
        self._sights.clear()
        return place

    def _arrived(self, log: PoseLog, now_s: float) -> bool:
        """Whether the move is over; from then on pictures count again."""
        if log.last_command_s < self._decided_s and now_s < self._decided_s + self.options.lost_s:
            return False
        if not log.settled(now_s, self.options.stable_s):
            return False
        self._moving, self._stands_s = False, now_s - self.options.stable_s
        return True

    def _look(self, aim: Aim) -> None:
        """Remember a new picture, and half a second of those before it."""
        if not self._sights or aim.time_s > self._sights[-1][0]:
            self._sights.append((aim.time_s, aim.measured_pan_deg, aim.measured_tilt_deg))
        while self._sights[-1][0] - self._sights[0][0] > 0.5:
            self._sights.popleft()

    def _seen(self, aim: Aim) -> tuple[Sight, tuple[float, float]]:
        """Where the target was at the newest picture, and its velocity: a straight line through the pictures."""
        options: StopAndGoOptions = self.options
        last_s, last_pan, _ = self._sights[-1]
        times = np.array([at for at, _, _ in self._sights]) - last_s
        pans = np.array([wrap_deg(pan - last_pan) for _, pan, _ in self._sights])
        tilts = np.array([tilt for _, _, tilt in self._sights])
        places, speeds = [], []
        for values in (pans, tilts):
            slope, place = np.polynomial.polynomial.polyfit(times, values, 1)[::-1]
            steady = options.least_share * aim.hfov_deg / -times[0] < abs(slope)
            believed = steady and abs(slope) < options.most_share_s * aim.hfov_deg
            speeds.append(float(slope) if believed else 0.0)
            places.append(float(place if believed else values.mean()))
        return (last_s, last_pan + places[0], places[1]), (speeds[0], speeds[1])

    def _place(self, aim: Aim, log: PoseLog, now_s: float) -> GoTo:
        """Where the target will be when a move there is over."""
        (seen_s, seen_pan, seen_tilt), (pan_deg_s, tilt_deg_s) = self._seen(aim)
        low, high = log.plant.tilt_range_deg
        pose, ahead_s = log.at(now_s), now_s - seen_s
        pan_deg, tilt_deg = seen_pan, seen_tilt
        for _ in range(3):  # a longer move takes longer, meanwhile the target goes further
            pan_deg = seen_pan + ahead_s * pan_deg_s
            tilt_deg = min(max(seen_tilt + ahead_s * tilt_deg_s, low), high)
            turn = turn_deg(pose.pan_deg, pan_deg, log.plant.pan_range_deg)
            lasts_s = max(
                _duration_s(abs(turn), log.plant.goto_deg_s[0], log.plant.accel_deg_s2),
                _duration_s(abs(tilt_deg - pose.tilt_deg), log.plant.goto_deg_s[1], log.plant.accel_deg_s2),
            )
            ahead_s = now_s - seen_s + log.command_latency_s + lasts_s
        zoom = aim.zoom if abs(math.log2(aim.zoom / pose.zoom)) > self.options.zoom_octaves else pose.zoom
        return GoTo(azimuth_deg(pan_deg), tilt_deg, zoom)


def _duration_s(distance: float, speed: float, accel: float) -> float:
    """Time of a move from rest to rest."""
    if distance * accel < speed * speed:
        return 2 * math.sqrt(distance / accel)
    return distance / speed + speed / accel
