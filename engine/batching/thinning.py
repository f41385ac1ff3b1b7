"""Thinning a camera to a target rate, by the times of its frames.

A frame is taken when enough time has been saved since the frames taken before. What is left over counts for the
next one, so that nothing drifts: 15 frames/s thinned to 10 are two of three, not every second one.
"""

from __future__ import annotations

from typing import Final

UNKNOWN_STEP_NS: Final = 40_000_000
"""From frame to frame where a file has no times: 25 frames/s, as everywhere in the engine."""

JITTER_NS: Final = 20_000_000
"""A frame that comes early by less borrows the time from the next one."""


class Thinning:
    """One camera's target rate. `fps` 0 takes every frame."""

    def __init__(self, fps: float) -> None:
        self.period_ns = round(1e9 / fps) if fps else 0
        self._enough_ns = self.period_ns - min(self.period_ns // 8, JITTER_NS)
        self._most_ns = (
            2 * self.period_ns
        )  # after a pause two frames may come together, not all that were missed
        self._saved_ns = self.period_ns
        self._last_ns: int | None = None

    def takes(self, time_ns: int) -> bool:
        """Whether the next frame is wanted. `time_ns` is its own time, negative where it has none.

        Time that goes backwards (a file that starts again, a clock that was set) begins anew.
        """
        if not self.period_ns:
            return True
        if time_ns < 0:
            time_ns = UNKNOWN_STEP_NS + (self._last_ns or 0)
        passed_ns = time_ns - self._last_ns if self._last_ns is not None else 0
        self._last_ns = time_ns
        self._saved_ns = min(self._most_ns, self._saved_ns + passed_ns) if passed_ns >= 0 else self.period_ns
        if self._saved_ns < self._enough_ns:
            return False
        self._saved_ns -= self.period_ns
        return True

    def next_taken_ns(self, frame_period_ns: int) -> int:
        """How long after the last frame one will be taken, if they come every `frame_period_ns`."""
        lacking_ns = max(1, self._enough_ns - self._saved_ns) if self.period_ns else 1
        return -(-lacking_ns // frame_period_ns) * frame_period_ns
