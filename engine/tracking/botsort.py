"""BoT-SORT's association (arXiv:2206.14651): two stages, overlap times score, width and height in the state.

The default. Knows nothing of camera motion and appearance: a moving camera is to the filter a moving world.
"""

from __future__ import annotations

from engine.tracking.kalman import CentreSize
from engine.tracking.two_stage import TwoStageTracker


class BotSort(TwoStageTracker, name="botsort"):
    """Tracks boxes by centre, width and height, with noise in x after the width and in y after the height."""

    model = CentreSize()
