"""How often a camera gives a frame, and whether it gives any at present.

Counts frames over the span in which they came. An average over the gaps between frames would follow every pause:
consumer cameras hold back half a second around a key frame and send the rest in one burst, so that the gaps swing
between 3 and 500 ms while the count in eight seconds hardly moves.
"""

from __future__ import annotations

from collections import deque
from typing import Final

HORIZON_NS: Final = 2_000_000_000
"""A camera without a frame for so long is not live."""
SPAN_NS: Final = 8_000_000_000
"""Frames older than this are forgotten: four times the longest pause of a live camera."""
SETTLED_NS: Final = 500_000_000
"""A shorter span says nothing: it may be the burst with which a stream begins."""


class Arrivals:
    """The recent frames of one camera."""

    def __init__(self) -> None:
        self._times_ns: deque[int] = deque()
        self._counts: deque[int] = deque()
        self._total = 0

    def add(self, now_ns: int, frames: int = 1) -> None:
        """So many frames have come since the last one, the newest of them just now."""
        if self._times_ns and now_ns - self._times_ns[-1] > HORIZON_NS:
            self._times_ns.clear()
            self._counts.clear()
        self._total += frames
        self._times_ns.append(now_ns)
        self._counts.append(self._total)
        while now_ns - self._times_ns[0] > SPAN_NS:
            self._times_ns.popleft()
            self._counts.popleft()

    @property
    def last_ns(self) -> int | None:
        """When the newest frame came; None before the first."""
        return self._times_ns[-1] if self._times_ns else None

    def live(self, now_ns: int) -> bool:
        """Whether there was a frame within the horizon."""
        return bool(self._times_ns) and now_ns - self._times_ns[-1] <= HORIZON_NS

    @property
    def period_ns(self) -> int | None:
        """Time from frame to frame; None while too little has been seen."""
        span_ns = self._times_ns[-1] - self._times_ns[0] if self._times_ns else 0
        if span_ns < SETTLED_NS:
            return None
        return span_ns // (self._counts[-1] - self._counts[0])
