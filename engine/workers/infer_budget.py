"""How many crops may be embedded: a budget in the frames' own time, the same in every run offline.

Pure arithmetic; who is looked at, and when the frames were, is told.
"""

from __future__ import annotations

from engine.tracking.demand import Need

BURST_S = 1.0
"""What was not used is kept for so long: a door opens, and ten people come in at once."""
KEPT_FREE = {Need.NEW: 0.0, Need.AMBIGUOUS: 0.25, Need.REFRESH: 0.5}
"""Share of a full bucket that is left for those who need it more: they come a frame later, and cannot wait."""


class CropBudget:
    """A bucket that fills by `crops_per_s` up to what comes in `BURST_S`, and is full at the start.

    crops_per_s  0: there is no limit
    """

    def __init__(self, crops_per_s: float) -> None:
        self.crops_per_s = crops_per_s
        self.most = max(1.0, crops_per_s * BURST_S)
        self.left = self.most
        self._time_s: float | None = None

    def come_to(self, time_s: float) -> None:
        """It is so late now. Where time goes back, or jumps as a source reconnects, it fills as if it had not."""
        if self._time_s is not None:
            passed_s = max(0.0, time_s - self._time_s)
            self.left = min(self.most, self.left + passed_s * self.crops_per_s)
        self._time_s = time_s

    def take(self, need: Need) -> bool:
        """Whether there is a crop for this; then it is spent."""
        if not self.crops_per_s:
            return True
        # A bucket for one crop has nothing to keep free, or nobody would ever be looked at again.
        kept_free = min(KEPT_FREE[need] * self.most, self.most - 1.0)
        if self.left < 1.0 + kept_free:
            return False
        self.left -= 1.0
        return True
