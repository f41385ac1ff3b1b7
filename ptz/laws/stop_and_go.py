"""Stop-and-go: one move to a place, wait until the head stands, look, move again. For comparison.

The policy of trackers that know no continuous moves: pictures taken in motion are not used, and the next place is where
the target will be when the move is over. What is predicted, and by how much, is taken from the same filter as the other
laws; the time of a move from the head's model, which is what a calibration of moves would find out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ptz.geometry import azimuth_deg, turn_deg
from ptz.laws.base import Aim, Law
from ptz.pose_log import PoseLog
from ptz.types import GoTo, Stay


@dataclass(frozen=True, slots=True)
class StopAndGoOptions:
    """Settings.

    dead_share     no move for an error less than this share of the picture's width
    zoom_octaves   and a zoom that is less than this off
    stable_s       the head stands when its position has not changed for this long
    most_share_s   a velocity above this many widths a second is not believed
    lost_s         a move that was decided and never sent is forgotten after this
    """

    dead_share: float = 0.05
    zoom_octaves: float = 0.15
    stable_s: float = 0.3
    most_share_s: float = 0.5
    lost_s: float = 1.0


class StopAndGo(Law, name="stop_and_go"):
    """See the module."""

    Options = StopAndGoOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.reset()

    def reset(self) -> None:
        self._decided_s = -math.inf
        self._moving = False
        self._stands_s = -math.inf

    def decide(self, aim: Aim, log: PoseLog, now_s: float) -> GoTo | Stay:
        options: StopAndGoOptions = self.options
        if self._moving and not self._arrived(log, now_s):
            return Stay()
        if aim.time_s < self._stands_s:
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
        return place

    def _arrived(self, log: PoseLog, now_s: float) -> bool:
        """Whether the move is over; from then on pictures count again."""
        if log.last_command_s < self._decided_s and now_s < self._decided_s + self.options.lost_s:
            return False
        if not log.settled(now_s, self.options.stable_s):
            return False
        self._moving, self._stands_s = False, now_s - self.options.stable_s
        return True

    def _place(self, aim: Aim, log: PoseLog, now_s: float) -> GoTo:
        """Where the target will be when a move there is over."""
        pan_deg_s, tilt_deg_s = (
            speed if sigma < abs(speed) < self.options.most_share_s * aim.hfov_deg else 0.0
            for speed, sigma in (
                (aim.pan_deg_s, aim.pan_sigma_deg_s),
                (aim.tilt_deg_s, aim.tilt_sigma_deg_s),
            )
        )
        low, high = log.plant.tilt_range_deg
        pose, ahead_s = log.at(now_s), now_s - aim.time_s
        pan_deg, tilt_deg = aim.pan_deg, aim.tilt_deg
        for _ in range(3):  # a longer move takes longer, meanwhile the target goes further
            pan_deg = aim.pan_deg + ahead_s * pan_deg_s
            tilt_deg = min(max(aim.tilt_deg + ahead_s * tilt_deg_s, low), high)
            turn = turn_deg(pose.pan_deg, pan_deg, log.plant.pan_range_deg)
            lasts_s = max(
                _duration_s(abs(turn), log.plant.goto_deg_s[0], log.plant.accel_deg_s2),
                _duration_s(abs(tilt_deg - pose.tilt_deg), log.plant.goto_deg_s[1], log.plant.accel_deg_s2),
            )
            ahead_s = now_s - aim.time_s + log.command_latency_s + lasts_s
        zoom = aim.zoom if abs(math.log2(aim.zoom / pose.zoom)) > self.options.zoom_octaves else pose.zoom
        return GoTo(azimuth_deg(pan_deg), tilt_deg, zoom)


def _duration_s(distance: float, speed: float, accel: float) -> float:
    """Time of a move from rest to rest."""
    if distance * accel < speed * speed:
        return 2 * math.sqrt(distance / accel)
    return distance / speed + speed / accel
