"""How long recent calls of a detector took. Knows nothing of what was computed."""

from __future__ import annotations

import statistics
from collections import deque
from threading import Lock

_KEPT = 9
"""Calls that count for each number of frames; the median of so many is not moved by a hiccup."""


class CallTimes:
    """Seconds by number of frames; may be written by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._prepare_s: deque[float] = deque(maxlen=_KEPT)
        self._compute_s: dict[int, deque[float]] = {}

    def prepared(self, frames: int, seconds: float) -> None:
        """Count a call's preparation."""
        with self._lock:
            self._prepare_s.append(seconds / max(1, frames))

    def computed(self, frames: int, seconds: float) -> None:
        """Count a call's computation."""
        with self._lock:
            self._compute_s.setdefault(frames, deque(maxlen=_KEPT)).append(seconds)

    def forget(self) -> None:
        """Begin again: another device computes now."""
        with self._lock:
            self._prepare_s.clear()
            self._compute_s.clear()

    def expected_s(self, frames: int) -> tuple[float, float]:
        """(preparation, computation) of a call with so many frames, 0 where nothing is known.

        A number of frames that was not seen is reckoned from the nearest one that was, in proportion.
        """
        with self._lock:
            prepare_s = frames * statistics.median(self._prepare_s) if self._prepare_s else 0.0
            if not self._compute_s:
                return prepare_s, 0.0
            nearest = min(self._compute_s, key=lambda seen: (abs(seen - frames), seen))
            return prepare_s, statistics.median(self._compute_s[nearest]) * frames / nearest
