"""Thinning a camera to a target rate, by the times of its frames.

A frame is taken when enough time has passed since the frames taken before. The time that is left over counts for
the next one, so that nothing drifts: 15 frames/s thinned to 10 are every first and second of three, not every
second one.
"""

from __future__ import annotations

from typing import Final

UNKNOWN_STEP_NS: Final = 40_000_000
"""From frame to frame where a file has no times: 25 frames/s, as everywhere in the engine."""


class Thinning:
    """One camera's target rate. `fps` 0 takes every frame."""

    def __init__(self, fps: float) -> None:
        self.period_ns = round(1e9 / fps) if fps else 0
        # Half a period is the jitter that is borne; a whole one more is what a late frame may bring with it.
        self._first_ns, self._most_ns = 3 * self.period_ns // 2, 2 * self.period_ns
        self._saved_ns = self._first_ns
        self._last_ns: int | None = None

    def takes(self, time_ns: int) -> bool:
        """Whether the next frame is wanted. `time_ns` is its own time, negative where it has none.

        Time that goes backwards (a file that starts again, a clock that was set) begins anew.
        """
        if not self.period_ns:
            return True
        if time_ns < 0:
            time_ns = UNKNOWN_STEP_NS + (self._last_ns if self._last_ns is not None else 0)
        if self._last_ns is not None:
            passed_ns = time_ns - self._last_ns
            started_anew = passed_ns < 0
            self._saved_ns = (
                self._first_ns if started_anew else min(self._most_ns, self._saved_ns + passed_ns)
            )
        self._last_ns = time_ns
        if self._saved_ns < self.period_ns:
            return False
        self._saved_ns -= self.period_ns
        return True

    def next_taken_ns(self, frame_period_ns: int) -> int:
        """How long after the last frame one will be taken, if they come every `frame_period_ns`."""
        lacking_ns = self.period_ns - self._saved_ns
        if lacking_ns <= frame_period_ns:
            return frame_period_ns
        return -(-lacking_ns // frame_period_ns) * frame_period_ns
