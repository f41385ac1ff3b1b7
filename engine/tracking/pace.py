"""The tracker's own time: always forward, whatever the stream's timestamps do.

Knows timestamps only. A timestamp that stands still, goes back or is no number counts as one ordinary frame
interval, which is learnt from the stream.
"""

from __future__ import annotations

import math
from collections import deque

UNKNOWN_INTERVAL_S = 1 / 30
SHORTEST_INTERVAL_S = 1e-3
REMEMBERED = 15


class Pace:
    """Turns timestamps into steps.

    time_s      seconds since the first frame by the steps taken
    interval_s  the stream's ordinary frame interval: median of the last steps, which a gap does not change
    """

    def __init__(self) -> None:
        self.time_s = 0.0
        self.interval_s = UNKNOWN_INTERVAL_S
        self._last_s = math.nan
        self._steps: deque[float] = deque(maxlen=REMEMBERED)

    def step(self, timestamp_s: float) -> float:
        """Seconds from the frame before to the frame with this timestamp; more than 0."""
        step_s = timestamp_s - self._last_s
        if math.isfinite(timestamp_s):
            self._last_s = timestamp_s
        if math.isfinite(step_s) and step_s > 0:
            step_s = max(step_s, SHORTEST_INTERVAL_S)
            self._steps.append(step_s)
            self.interval_s = sorted(self._steps)[len(self._steps) // 2]
        else:
            step_s = self.interval_s
        self.time_s += step_s
        return step_s
