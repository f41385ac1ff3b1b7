"""Time for events: that of the frames, made to go forward."""

from __future__ import annotations

from engine.types import FrameFlag, ResultMeta

LONGEST_STEP_S = 10.0
"""Time goes on by at most this from frame to frame, however far the source's own time jumps."""
FIRST_STEP_S = 0.04


class FrameTime:
    """Seconds since the first frame.

    now_s    time of the newest frame
    usual_s  the newest step that made sense; time goes on by it where the source's own goes back
    broken   the frame does not continue the one before: reconnected, looped, gone back, or another size
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.usual_s = FIRST_STEP_S
        self.broken = False
        self._last: ResultMeta | None = None

    def advance(self, meta: ResultMeta) -> None:
        """Go on to a frame."""
        last, self._last = self._last, meta
        if last is None:
            return
        step_s = meta.time_s - last.time_s
        resized = (meta.width, meta.height) != (last.width, last.height)
        self.broken = step_s < 0.0 or resized or bool(meta.flags & FrameFlag.DISCONTINUITY)
        if step_s < 0.0:
            step_s = self.usual_s
        elif 0.0 < step_s <= LONGEST_STEP_S and not self.broken:
            self.usual_s = step_s
        self.now_s += min(step_s, LONGEST_STEP_S)
