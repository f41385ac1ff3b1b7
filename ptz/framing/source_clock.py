"""A camera's own clock: pictures that arrive late were not taken late.

RTP time stamps and the times in a file say when a picture was taken, by a clock that runs evenly but shows another time
than ours. What the difference between arrival and that clock does from one picture to the next is the network's and the
buffers' doing. Pure; knows nothing of how old pictures are in all.
"""

from __future__ import annotations

import math

DRIFT_SHARE = 0.002
"""Two clocks drift apart by less than 0.1 ms a second: so much of a small difference is taken for that, every time."""
DRIFT_S = 0.1
"""A difference that is larger is lateness."""
LATEST_S = 3.0
"""More is no lateness: the camera's clock was set, or its stream began anew."""


class SourceClock:
    """Relates a camera's clock to ours."""

    def __init__(self) -> None:
        self.late_s = 0.0
        """How much later than usual the newest picture arrived; negative = earlier."""
        self._offset_s = math.nan
        self._source_s = -math.inf

    def steady_s(self, arrived_s: float, source_s: float) -> float:
        """When a picture would have arrived if it had taken as long as usual.

        arrived_s  by our clock; source_s by the camera's, NaN where it tells none: then as it arrived
        """
        if not math.isfinite(source_s):
            self._offset_s, self.late_s = math.nan, 0.0
            return arrived_s
        offset_s = arrived_s - source_s
        late_s = offset_s - self._offset_s
        if 0.0 <= self._source_s - source_s < LATEST_S:
            return arrived_s - self.late_s  # seen before, or overtaken: it tells nothing new
        if not (abs(late_s) <= LATEST_S and source_s > self._source_s):
            self._offset_s, late_s = offset_s, 0.0
        elif abs(late_s) < DRIFT_S:
            self._offset_s += DRIFT_SHARE * late_s
        self._source_s, self.late_s = source_s, late_s
        return arrived_s - late_s
