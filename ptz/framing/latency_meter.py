"""How old pictures are when they arrive: what was set, until it has been measured.

A measured latency is taken over step by step, so that the times of pictures never run backwards. One thing needs no
measuring: a camera takes pictures at an even pace, so pictures that arrive faster than that have become less late.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import median

from ptz.framing.targets import Target
from ptz.geometry import wrap_deg
from ptz.latency import ImageLatency
from ptz.pose_log import PoseLog
from ptz.types import Pose

STEP_SHARE = 0.3
"""From one picture to the next the latency changes by no more than this share of the time between them."""
WATCHED = 2
"""So many targets are enough to measure by."""
DOUBT_S = 0.08
"""A measurement that differs by less is as doubtful as what is reckoned with: the two are averaged ..."""
SLOWLY = 0.15
"""... with this weight."""
INSIST_S = 3.0
"""Once measured, a latency changes by more only when the measurement insists for so long."""
UNEVEN_S = 0.12
"""Pictures that are this much earlier or later than their pace are more than uneven."""
STALL_S = 2.0
"""A burst within this time after a gap brings what was held up in the gap: the latency is what it was."""


class Pace:
    """The pace at which pictures arrive, and what it says about their latency."""

    def __init__(self) -> None:
        self._gaps: deque[float] = deque(maxlen=45)
        self._arrived_s = math.nan
        self._due_s = math.nan
        self._held_up_s = 0.0
        self._held_up_at_s = -math.inf
        self._fell_at_s = -math.inf

    def earlier_s(self, arrived_s: float) -> float:
        """By how much the latency has fallen with this picture, 0 or more; negative where it may have risen."""
        gap_s = arrived_s - self._arrived_s
        self._arrived_s = arrived_s
        if not 0.0 < gap_s < 5.0:
            self._gaps.clear()
            self._due_s = math.nan
            return 0.0
        self._gaps.append(gap_s)
        if len(self._gaps) < 10:
            return 0.0
        interval_s = median(self._gaps)
        if math.isnan(self._due_s):
            self._due_s = arrived_s
            return 0.0
        self._due_s += interval_s
        off_s = arrived_s - self._due_s
        limit_s = max(UNEVEN_S, 1.5 * interval_s)
        if off_s < 0 and arrived_s - self._fell_at_s < 0.5:
            limit_s = UNEVEN_S / 3  # the rest of a burst
        if abs(off_s) < limit_s:
            self._due_s += 0.05 * off_s
            self._held_up_s = max(0.0, self._held_up_s + 0.05 * off_s)
            return 0.0
        self._due_s = arrived_s
        return self._judge(off_s, arrived_s)

    def _judge(self, off_s: float, arrived_s: float) -> float:
        if arrived_s - self._held_up_at_s > STALL_S:
            self._held_up_s = 0.0
        if off_s > 0:
            self._held_up_s += off_s
            self._held_up_at_s = arrived_s
            return -off_s
        self._fell_at_s = arrived_s
        caught_up_s = min(self._held_up_s, -off_s)
        self._held_up_s -= caught_up_s
        return -off_s - caught_up_s


class LatencyMeter:
    """Image latency of one camera.

    latency_s  what is reckoned with now
    measured   it was measured, and not only set
    """

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.measured = False
        self._goal_s = latency_s
        self._lowest_s = latency_s
        self._found_s = latency_s
        self._other_s = math.inf
        self._other_since_s = math.inf
        self._meter = ImageLatency()
        self._pace = Pace()
        self._arrived_s = math.nan

    def taken_s(self, arrived_s: float) -> float:
        """When the picture was taken that arrived then."""
        gap_s = arrived_s - self._arrived_s
        self._arrived_s = arrived_s
        earlier_s = self._pace.earlier_s(arrived_s)
        if earlier_s:
            self._meter.reset()
        if earlier_s > 0:
            # Never below what it was known to be: a rise that was not noticed in time is over by this.
            self.latency_s = self._goal_s = max(self._lowest_s, self.latency_s - earlier_s)
        elif gap_s > 0:
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
        if found is None:
            return
        found = max(0.0, found)
        if abs(found - self._goal_s) > DOUBT_S and self.measured:
            if abs(found - self._other_s) > DOUBT_S:
                self._other_s, self._other_since_s = found, now_s
            if now_s - self._other_since_s >= INSIST_S:
                self._goal_s = found
        elif found != self._found_s:
            self._found_s, self._other_s = found, math.inf
            weight = 1.0 if abs(found - self._goal_s) > DOUBT_S else SLOWLY
            self._goal_s += weight * (found - self._goal_s)
        self.measured = True
        self._lowest_s = min(self._lowest_s, self._goal_s)
