"""ByteTrack (arXiv:2110.06864): two stages, overlap times score, aspect ratio and height in the state."""

from __future__ import annotations

from engine.tracking.kalman import CentreAspect
from engine.tracking.two_stage import TwoStageTracker


class ByteTrack(TwoStageTracker, name="bytetrack"):
    """Tracks boxes by centre, aspect ratio and height, with all noise after the height."""

    model = CentreAspect()
