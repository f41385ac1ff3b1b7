"""Association in two stages: sure boxes first, then the unsure ones that continue a track.

Knows the order in which boxes find their tracks. Does not look at pixels, and leaves the life of a track to
`box_tracker`, motion to the filter and its box model, and looks to `appearance`. `bytetrack` and `botsort` are this
class with their box models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.tracking.appearance import Likeness
from engine.tracking.association import Pairs, gate_classes, likelihood
from engine.tracking.box_tracker import BoxTracker
from engine.tracking.found import Found
from engine.tracking.kalman import POSITION

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

LEAST_GATE = 0.05
"""What is left of a gate where looks do not agree at all, as a share of it; where they agree it is twice as wide."""
RECALL_HEIGHTS, RECALL_HEIGHTS_S = 0.75, 0.75
"""How far from where it is expected a lost track may be found by its looks alone, in heights of its box: so much, and
so much more for every second that it has been away (who turned round and walks is 0.8 heights a second off)."""
RECALL_SIZES = 2.0
"""By what factor it may have grown or shrunk meanwhile."""


class TwoStageTracker(BoxTracker):
    """See the module. Subclasses give the `model`."""

    def _associate(self, found: Found) -> Rows:
        settings, tracks = self.settings, self._tracks
        overlap = self._overlap(found)
        gate_classes(overlap, tracks.class_ids, found.class_ids, settings.class_overlap)
        likeness = self._appearance.compare(tracks, found)
        fused, near = overlap * found.scores, overlap
        if likeness is not None:
            fused = likeness.shift(fused, settings.appearance_weight)
            near = likeness.shift(near, settings.appearance_weight)
        confirmed = tracks.track_ids > 0
        just_seen = tracks.seen_frames == self._frame - 1
        high = found.scores >= settings.high_score
        pairs = Pairs(len(tracks), found.winners < 0)
        pairs.make(fused, confirmed, high, settings.match_similarity)
        pairs.make(near, confirmed & just_seen, ~high, settings.low_overlap)
        pairs.make(near, confirmed & ~just_seen, ~high, settings.low_overlap)
        pairs.make(fused, ~confirmed, high, settings.confirm_similarity)
        self._reach_far(found, pairs, high, likeness)
        if likeness is not None:
            self._recall(found, pairs, high, likeness)
        self._merge(found, overlap, pairs)
        self._appearance.learn(found, settings.high_score)
        return pairs.row_of

    def _reach_far(self, found: Found, pairs: Pairs, high: Bools, likeness: Likeness | None) -> None:
        """Pair what does not overlap but is where the filter thinks it may be; looks widen or narrow the gate."""
        tracks = self._tracks
        rows, columns = pairs.free(high)
        if not (len(rows) and len(columns)):
            return
        just_seen = tracks.seen_frames[rows] == self._frame - 1
        gates = np.where(just_seen, self.settings.gate, self.settings.lost_gate)[:, None]
        if likeness is not None:
            looks = likeness.among(rows, columns)
            gates = np.where(looks.known, gates * np.maximum(2 * looks.degree, LEAST_GATE), gates)
        distances = self._filter.squared_distances(tracks.states[rows], found.boxes_xyxy[columns])
        expected = likelihood(distances, gates)
        expected[tracks.class_ids[rows][:, None] != found.class_ids[columns]] = 0.0
        pairs.make_among(expected, rows, columns, 0.0)

    def _recall(self, found: Found, pairs: Pairs, high: Bools, likeness: Likeness) -> None:
        """Pair lost tracks with boxes that look like them, out of the filter's gate but not out of all reason."""
        tracks = self._tracks
        rows, columns = pairs.free(high)
        rows = rows[(tracks.track_ids[rows] > 0) & (tracks.seen_frames[rows] < self._frame - 1)]
        if not (len(rows) and len(columns)):
            return
        looks = likeness.among(rows, columns)
        expected = self.model.boxes_xyxy(tracks.states[rows, POSITION])
        boxes = found.boxes_xyxy[columns]
        away = ((boxes[:, :2] + boxes[:, 2:]) - (expected[:, None, :2] + expected[:, None, 2:])) / 2
        heights = expected[:, 3] - expected[:, 1]
        most = (RECALL_HEIGHTS + RECALL_HEIGHTS_S * (self._pace.time_s - tracks.seen_s[rows])) * heights
        grown_by = (boxes[:, 3] - boxes[:, 1]) / heights[:, None]
        sensible = np.hypot(away[..., 0], away[..., 1]) < most[:, None]
        sensible &= (grown_by < RECALL_SIZES) & (grown_by > 1 / RECALL_SIZES)
        sensible &= tracks.class_ids[rows][:, None] == found.class_ids[columns]
        alike = np.where(looks.known & sensible, looks.degree, 0.0)
        pairs.make_among(alike, rows, columns, self.settings.recall_likeness)

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
