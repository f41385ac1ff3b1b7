"""How old pictures are when they arrive: what was set, until it has been measured.

A measured latency is taken over step by step, so that the times of pictures never run backwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ptz.framing.targets import Target
from ptz.geometry import wrap_deg
from ptz.latency import ImageLatency
from ptz.pose_log import PoseLog
from ptz.types import Pose

STEP_SHARE = 0.3
"""From one picture to the next the latency changes by no more than this share of the time between them."""
WATCHED = 2
"""So many targets are enough to measure by."""


class LatencyMeter:
    """Image latency of one camera.

    latency_s  what is reckoned with now
    measured   it was measured, and not only set
    """

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.measured = False
        self._goal_s = latency_s
        self._meter = ImageLatency()
        self._arrived_s = math.nan

    def taken_s(self, arrived_s: float) -> float:
        """When the picture was taken that arrived then."""
        gap_s = arrived_s - self._arrived_s
        self._arrived_s = arrived_s
        if gap_s > 0:
            step_s = STEP_SHARE * min(gap_s, 1.0)
            self.latency_s += min(max(self._goal_s - self.latency_s, -step_s), step_s)
        return arrived_s - self.latency_s

    def saw(self, arrived_s: float, people: Sequence[Target], pose: Pose) -> None:
        """Who was seen in it, with the pose that it was taken at as far as that was known."""
        seen = [one for one in people if one.seen and one.confirmed][:WATCHED]
        for one in seen:
            offset_deg = wrap_deg(one.pan_deg - pose.pan_deg)
            self._meter.saw(arrived_s, offset_deg, one.tilt_deg - pose.tilt_deg, one.key)

    def turned(self, from_s: float, to_s: float, pan_deg: float, tilt_deg: float) -> None:
        """Between two pictures (times of arrival) the view turned by so much."""
        self._meter.turned(from_s, to_s, pan_deg, tilt_deg)

    def measure(self, log: PoseLog, now_s: float) -> None:
        """Take over what has been measured, if anything."""
        found = self._meter.estimate(log, now_s)
        if found is not None:
            self._goal_s, self.measured = max(0.0, found), True
