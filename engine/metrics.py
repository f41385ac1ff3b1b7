"""Small statistics that workers keep and the supervisor adds up: latency histograms and rates.

Knows numbers and a clock. Does not know who measures what, nor how it is exported.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from itertools import accumulate
from typing import TypedDict

from engine.clock import Clock

_BUCKETS_PER_DECADE = 20
_DECADES = 6
_SHORTEST_MS = 0.1

UPPER_BOUNDS_MS = tuple(
    _SHORTEST_MS * 10 ** (i / _BUCKETS_PER_DECADE) for i in range(_DECADES * _BUCKETS_PER_DECADE + 1)
)
"""Upper bounds of the buckets, 0.1 ms to 100 s, each 12 % above the last; one bucket more lies above."""


class LatencyDict(TypedDict):
    """A `LatencyHistogram` as plain data.

    counts  by bucket number (as text, because it travels as JSON), only the buckets that are not empty
    """

    counts: dict[str, int]
    sum_ms: float
    min_ms: float
    max_ms: float


class LatencyHistogram:
    """Durations in fixed logarithmic buckets: constant size, mergeable, percentiles within 12 %."""

    def __init__(self) -> None:
        self._counts = [0] * (len(UPPER_BOUNDS_MS) + 1)
        self.count = 0
        self.sum_ms = 0.0
        self.min_ms = float("inf")
        self.max_ms = 0.0

    def add(self, duration_ms: float) -> None:
        """Count one duration. Negative ones (clocks of two machines) count as 0."""
        duration_ms = max(0.0, duration_ms)
        self._counts[bisect_left(UPPER_BOUNDS_MS, duration_ms)] += 1
        self.count += 1
        self.sum_ms += duration_ms
        self.min_ms = min(self.min_ms, duration_ms)
        self.max_ms = max(self.max_ms, duration_ms)

    def merge(self, other: LatencyHistogram) -> None:
        """Add everything that `other` has counted."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)]
        self.count += other.count
        self.sum_ms += other.sum_ms
        self.min_ms = min(self.min_ms, other.min_ms)
        self.max_ms = max(self.max_ms, other.max_ms)

    def since(self, earlier: LatencyHistogram) -> LatencyHistogram:
        """What was counted after `earlier`, a previous state of this histogram.

        Its `min_ms` and `max_ms` are those of the whole histogram.
        """
        later = LatencyHistogram()
        later._counts = [now - then for now, then in zip(self._counts, earlier._counts, strict=True)]
        if min(later._counts) < 0:
            raise ValueError("the earlier histogram has counted more than this one")
        later.count = self.count - earlier.count
        later.sum_ms = self.sum_ms - earlier.sum_ms
        later.min_ms, later.max_ms = self.min_ms, self.max_ms
        return later

    def quantile_ms(self, quantile: float) -> float | None:
        """The duration that a share `quantile` (0..1) of all stays below; None while nothing is counted."""
        if self.count == 0:
            return None
        rank = quantile * self.count
        below = 0
        for bucket, count in enumerate(self._counts):
            if count and below + count >= rank:
                return self._within(bucket, (rank - below) / count)
            below += count
        return self.max_ms

    @property
    def p50_ms(self) -> float | None:
        """The median."""
        return self.quantile_ms(0.50)

    @property
    def p95_ms(self) -> float | None:
        """95 of 100 stay below this."""
        return self.quantile_ms(0.95)

    @property
    def p99_ms(self) -> float | None:
        """99 of 100 stay below this."""
        return self.quantile_ms(0.99)

    def cumulative(self) -> list[tuple[float, int]]:
        """(upper bound in ms, durations up to it), five bounds a decade; the last bound is infinity."""
        step = _BUCKETS_PER_DECADE // 5
        sums = list(accumulate(self._counts))
        return [*zip(UPPER_BOUNDS_MS[::step], sums[:-1:step], strict=True), (float("inf"), self.count)]

    def to_dict(self) -> LatencyDict:
        """Plain data for a JSON snapshot."""
        return {
            "counts": {str(bucket): count for bucket, count in enumerate(self._counts) if count},
            "sum_ms": self.sum_ms,
            "min_ms": self.min_ms if self.count else 0.0,
            "max_ms": self.max_ms,
        }

    @classmethod
    def from_dict(cls, snapshot: LatencyDict) -> LatencyHistogram:
        """The histogram that `to_dict` has written. Raises `ValueError` for a bucket that does not exist."""
        histogram = cls()
        counts: Mapping[str, int] = snapshot["counts"]
        for bucket, count in counts.items():
            if not 0 <= int(bucket) < len(histogram._counts):
                raise ValueError(f"bucket {bucket} does not exist, there are {len(histogram._counts)}")
            histogram._counts[int(bucket)] = count
        histogram.count = sum(histogram._counts)
        histogram.sum_ms = snapshot["sum_ms"]
        histogram.min_ms = snapshot["min_ms"] if histogram.count else float("inf")
        histogram.max_ms = snapshot["max_ms"]
        return histogram

    def _within(self, bucket: int, share: float) -> float:
        """The point at `share` of a bucket, on the bucket's logarithmic scale."""
        upper_ms = UPPER_BOUNDS_MS[bucket] if bucket < len(UPPER_BOUNDS_MS) else self.max_ms
        lower_ms = UPPER_BOUNDS_MS[bucket - 1] if bucket > 0 else 0.0
        if lower_ms > 0.0 and upper_ms > lower_ms:
            point_ms = float(lower_ms * (upper_ms / lower_ms) ** share)
        else:
            point_ms = lower_ms + (upper_ms - lower_ms) * share
        return min(max(point_ms, self.min_ms), self.max_ms)


class RateMeter:
    """Events per second over a sliding window: falls to 0 when nothing happens any more."""

    def __init__(self, clock: Clock, window_s: float = 5.0) -> None:
        self._clock = clock
        self._window_ns = round(window_s * 1e9)
        self._started_ns = clock.now_ns()
        self._ticks: deque[tuple[int, int]] = deque()
        self._in_window = 0
        self.total = 0

    def tick(self, events: int = 1) -> None:
        """Count events that have happened just now."""
        self._ticks.append((self._clock.now_ns(), events))
        self._in_window += events
        self.total += events
        self._forget()

    def per_second(self) -> float:
        """The present rate. In the first second it is too low rather than too high."""
        self._forget()
        elapsed_ns = self._clock.now_ns() - self._started_ns
        return self._in_window * 1e9 / min(self._window_ns, max(elapsed_ns, 1_000_000_000))

    def _forget(self) -> None:
        horizon_ns = self._clock.now_ns() - self._window_ns
        while self._ticks and self._ticks[0][0] <= horizon_ns:
            self._in_window -= self._ticks.popleft()[1]


class BusyMeter:
    """Share of the time that something was at work, over a sliding window."""

    def __init__(self, clock: Clock, window_s: float = 10.0) -> None:
        self._clock = clock
        self._window_ns = round(window_s * 1e9)
        self._started_ns = clock.now_ns()
        self._began_ns: int | None = None
        self._spans: deque[tuple[int, int]] = deque()

    def begin(self) -> None:
        """It begins to work."""
        self._began_ns = self._clock.now_ns()

    def end(self) -> None:
        """It has finished."""
        if self._began_ns is not None:
            self._spans.append((self._began_ns, self._clock.now_ns()))
            self._began_ns = None

    def share(self) -> float:
        """0..1, what is under way included."""
        now_ns = self._clock.now_ns()
        from_ns = max(self._started_ns, now_ns - self._window_ns)
        while self._spans and self._spans[0][1] <= from_ns:
            self._spans.popleft()
        spans = [*self._spans, *([(self._began_ns, now_ns)] if self._began_ns is not None else [])]
        busy_ns = sum(until_ns - max(since_ns, from_ns) for since_ns, until_ns in spans)
        return busy_ns / max(1, now_ns - from_ns)
