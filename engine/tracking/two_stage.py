"""Association in two stages: sure boxes first, then the unsure ones that continue a track.

Knows the order in which boxes find their tracks. Does not look at pixels, and leaves the life of a track to
`box_tracker` and motion to the filter and its box model. `bytetrack` and `botsort` are this class with their box
models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.tracking.association import Pairs, gate_classes, likelihood
from engine.tracking.box_tracker import BoxTracker
from engine.tracking.found import Found
from engine.tracking.settings import TrackerSettings

F64 = NDArray[np.float64]
Rows = NDArray[np.intp]

__all__ = ["TrackerSettings", "TwoStageTracker"]


class TwoStageTracker(BoxTracker):
    """See the module. Subclasses give the `model`."""

    def _associate(self, found: Found) -> Rows:
        settings, tracks = self.settings, self._tracks
        overlap = self._overlap(found)
        gate_classes(overlap, tracks.class_ids, found.class_ids, settings.class_overlap)
        fused = overlap * found.scores
        confirmed = tracks.track_ids > 0
        just_seen = tracks.seen_frames == self._frame - 1
        high = found.scores >= settings.high_score
        pairs = Pairs(len(tracks), found.winners < 0)
        pairs.make(fused, confirmed, high, settings.match_similarity)
        pairs.make(overlap, confirmed & just_seen, ~high, settings.low_overlap)
        pairs.make(fused, ~confirmed, high, settings.confirm_similarity)
        rows, columns = pairs.free(high)
        if len(rows) and len(columns):
            gates = np.where(just_seen[rows], settings.gate, settings.lost_gate)
            near = likelihood(
                self._filter.squared_distances(tracks.states[rows], found.boxes_xyxy[columns]), gates
            )
            near[tracks.class_ids[rows][:, None] != found.class_ids[columns]] = 0.0
            pairs.make_among(near, rows, columns, 0.0)
        self._merge(found, overlap, pairs)
        return pairs.row_of

    def _merge(self, found: Found, overlap: F64, pairs: Pairs) -> None:
        """Forget the second track of an object that was taken for two while its two boxes lay further apart.

        Such a track is left without a box, because its own lies in the shadow of one of another class.
        """
        shadow = np.flatnonzero(found.winners >= 0)
        shadow = shadow[found.class_ids[shadow] != found.class_ids[found.winners[shadow]]]
        if len(shadow):
            own = self._tracks.class_ids[:, None] == found.class_ids[shadow]
            second = pairs.free_rows & (own & (overlap[:, shadow] >= self.settings.class_overlap)).any(axis=1)
            # Never seen, as it were: dropped with the next frame, so that rows keep their numbers now.
            self._tracks.seen_s[second] = -np.inf
