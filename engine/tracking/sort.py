"""SORT (arXiv:1602.00763): one stage, overlap alone; what is not seen is given up at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.tracking.association import Pairs, gate_classes
from engine.tracking.box_tracker import BoxTracker
from engine.tracking.found import Found
from engine.tracking.kalman import CentreAspect
from engine.tracking.settings import TrackerSettings

Rows = NDArray[np.intp]


class Sort(BoxTracker, name="sort"):
    """The plain one, to compare with: boxes from score 0.5, overlap above 0.3, and tracks live for one frame without a
    box. The paper keeps the area where this keeps the height, both with the aspect ratio."""

    model = CentreAspect()
    defaults = TrackerSettings(
        low_score=0.5, high_score=0.5, start_score=0.5, match_similarity=0.3, confirm_similarity=0.3,
        lost_s=0.0, lost_frames=2, confirm_score=0.0, reach=0.0,
    )  # fmt: skip

    def _associate(self, found: Found) -> Rows:
        overlap = self._overlap(found)
        gate_classes(overlap, self._tracks.class_ids, found.class_ids, self.settings.class_overlap)
        pairs = Pairs(len(self._tracks), found.winners < 0)
        every = np.ones(len(self._tracks), np.bool_)
        high = found.scores >= self.settings.high_score
        pairs.make(overlap, every, high, self.settings.match_similarity)
        return pairs.row_of
