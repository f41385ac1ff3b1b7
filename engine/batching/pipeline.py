"""When the next call of the detector should begin: calls that prepare their pictures while others compute.

A detector computes `lanes` calls at a time and holds `calls` of them. Live, a call beyond the lanes is begun just
early enough to be prepared when a lane falls free, because its frames grow old from then on. Offline it is begun at
once.
"""

from __future__ import annotations

from dataclasses import dataclass

MARGIN = 1.25
"""Preparing may take so much longer than it did lately before a lane has to wait for it."""
MARGIN_NS = 1_000_000
"""And a wake-up takes its time."""


@dataclass(slots=True)
class Running:
    """A call in flight and when it should end; `end_ns` is None where nothing is known of its duration."""

    end_ns: int | None


class Pipeline:
    """The calls in flight, and what is expected of them."""

    def __init__(self, lanes: int, calls: int, *, live: bool) -> None:
        self.lanes, self.calls, self.live = lanes, calls, live
        self._running: list[Running] = []

    @property
    def in_flight(self) -> int:
        """Calls that have begun and not ended."""
        return len(self._running)

    def begins_at(self, now_ns: int, prepare_s: float) -> int | None:
        """When the next call should begin; None: not before another one has ended."""
        if self.in_flight < self.lanes:
            return now_ns
        if self.in_flight >= self.calls:
            return None
        if not self.live:
            return now_ns
        free_ns = self._lane_free_ns(now_ns)
        if free_ns is None:
            return None
        return free_ns - round(prepare_s * MARGIN * 1e9) - MARGIN_NS

    def begin(self, now_ns: int, prepare_s: float, compute_s: float) -> Running:
        """A call begins."""
        ready_ns = now_ns + round(prepare_s * 1e9)
        if self.in_flight >= self.lanes:
            ready_ns = max(ready_ns, self._lane_free_ns(now_ns) or ready_ns)
        running = Running(ready_ns + round(compute_s * 1e9) if compute_s > 0 else None)
        self._running.append(running)
        return running

    def end(self, running: Running) -> None:
        """A call has ended."""
        self._running.remove(running)

    def _lane_free_ns(self, now_ns: int) -> int | None:
        """When a lane should be free that no call waits for yet; None where that cannot be said."""
        ends_ns = [call.end_ns for call in self._running if call.end_ns is not None]
        if len(ends_ns) < self.in_flight:
            return None
        return max(now_ns, sorted(ends_ns)[self.in_flight - self.lanes])
