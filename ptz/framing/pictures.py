"""When pictures come: how old they are, how often, and whether they have stopped. Knows nothing of what is in them."""

from __future__ import annotations

import math

from ptz.settings import LossSettings

MOST_STALL_S = 1.0
"""However rarely pictures usually come: after this long without one the head is stopped."""
USUAL_GAPS = 2.2
"""Pictures that come this many times later than usual have stopped."""
SLOWLY = 0.1


class PictureClock:
    """The rhythm of one camera's results."""

    def __init__(self) -> None:
        self.interval_s = 0.0
        """Usual time between two pictures; 0 = not known."""
        self.processing_s = 0.1
        """Usual time from a picture's arrival to the first decision that knows it."""
        self._arrived_s = -math.inf
        self._heard_s = -math.inf
        self._unheard = False

    def came(self, arrived_s: float, now_s: float | None) -> None:
        """A picture that arrived at the engine at `arrived_s`; its result came at `now_s`, or since the last tick."""
        gap_s = arrived_s - self._arrived_s
        if 0.0 < gap_s < 2.0:
            self.interval_s += (SLOWLY if self.interval_s else 1.0) * (gap_s - self.interval_s)
        self._arrived_s = arrived_s
        self._unheard = True
        if now_s is not None:
            self._hear(now_s)

    def tick(self, now_s: float) -> None:
        """It is `now_s`."""
        if self._unheard:
            self._hear(now_s)
        elif now_s < self._heard_s - 1.0:
            self._heard_s = now_s  # the clock was set back

    def _hear(self, now_s: float) -> None:
        self._unheard = False
        self._heard_s = now_s
        late_s = min(max(now_s - self._arrived_s, 0.0), 2.0)
        self.processing_s += SLOWLY * (late_s - self.processing_s)

    def silent_s(self, now_s: float, loss: LossSettings) -> float:
        """How long pictures have been missing, beyond what is usual; 0 where they come."""
        patience_s = max(loss.stall_s, min(MOST_STALL_S, USUAL_GAPS * self.interval_s))
        return max(0.0, now_s - self._heard_s - patience_s)
