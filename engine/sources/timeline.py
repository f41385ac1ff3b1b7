"""Presentation times of one source, in nanoseconds, over as many passes as it is played."""

from __future__ import annotations

from fractions import Fraction

GUESSED_FPS = 25.0
"""For the duration of the last frame of a pass where the container declares no rate."""


class Timeline:
    """Timestamps as nanoseconds: never negative, and increasing when a file starts again."""

    def __init__(self) -> None:
        self._last_ns = -1
        self._next_pass_ns: int | None = None
        self._offset_ns = 0
        self._turn: tuple[int, int] | None = None

    def pts_ns(self, pts: int | None, time_base: Fraction | None) -> int:
        """The time that a timestamp in units of `time_base` stands for, -1 if there is none."""
        if pts is None or time_base is None:
            return -1
        pts_ns = pts * time_base.numerator * 1_000_000_000 // time_base.denominator
        if self._next_pass_ns is not None:
            self._offset_ns, self._next_pass_ns = self._next_pass_ns - pts_ns, None
        elif self._last_ns < 0 and pts_ns < 0:
            self._offset_ns = -pts_ns
        self._last_ns = pts_ns + self._offset_ns
        return self._last_ns

    def start_again(self, fps: float) -> None:
        """The next frame is the first of another pass and follows the last one by a frame's time."""
        self._next_pass_ns = self._last_ns + round(1e9 / (fps or GUESSED_FPS))

    def seconds_until(self, pts_ns: int, now_ns: int) -> float:
        """How long to hold a picture that came before its time; starts anew when that falls out of step."""
        if self._turn is None:
            self._turn = (pts_ns, now_ns)
        early_s = (pts_ns - self._turn[0] - (now_ns - self._turn[1])) / 1e9
        if pts_ns < 0 or not -1.0 < early_s < 2.0:
            self._turn = None
            return 0.0
        return max(0.0, early_s)
