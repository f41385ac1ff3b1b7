"""BoT-SORT's association (arXiv:2206.14651): two stages, overlap times score, width and height in the state.

The default. Follows the camera where frames are given, and appearance where detections carry embeddings.
"""

from __future__ import annotations

from engine.tracking.kalman import CentreSize
from engine.tracking.two_stage import TwoStageTracker


class BotSort(TwoStageTracker, name="botsort"):
    """Tracks boxes by centre, width and height, with noise in x after the width and in y after the height."""

    model = CentreSize()
    follows_camera = True
