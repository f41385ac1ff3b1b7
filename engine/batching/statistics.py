"""What the batches were like: counted over the run, and recently."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

RECENT_BATCHES = 100


@dataclass
class BatchStatistics:
    """Batches so far.

    batches, frames  over all incarnations of the worker
    ahead            batches that were begun while all lanes were busy
    recent           (frames, frames that could have been in it) of the last batches
    """

    batches: int = 0
    frames: int = 0
    ahead: int = 0
    recent: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=RECENT_BATCHES))

    def count(self, frames: int, possible: int, *, ahead: bool) -> None:
        """One batch was run. `possible`: live cameras, or the most that a batch holds where that is less."""
        self.batches += 1
        self.frames += frames
        self.ahead += ahead
        self.recent.append((frames, max(frames, possible)))

    def go_on_from(self, before: dict[str, Any]) -> None:
        """Count on from what a predecessor has told."""
        self.batches += int(before.get("batches", 0))
        self.frames += int(before.get("frames", 0))
        self.ahead += int(before.get("ahead", 0))

    def to_dict(self) -> dict[str, Any]:
        """Counts, mean frames per batch and mean share of what was possible; None while there was no batch."""
        frames, possible = (
            (sum(column) for column in zip(*self.recent, strict=True)) if self.recent else (0, 0)
        )
        return {
            "batches": self.batches,
            "frames": self.frames,
            "ahead": self.ahead,
            "batch_frames": frames / len(self.recent) if self.recent else None,
            "occupancy": frames / possible if possible else None,
        }
