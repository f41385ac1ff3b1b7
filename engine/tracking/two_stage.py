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
from engine.tracking.box_tracker import KNOWN, BoxTracker
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
WAIT_S = 1.0
"""How long a new track may be kept without an ID: it may be somebody who is lost, and it is not known yet what it looks
like."""
LONG_AWAY_S, LEAST_LIKENESS = 1.0, 0.5
"""After so long an absence anybody may stand where somebody is expected: of whom it is known what they look like, they
are found there only by a box that looks at least so much like them."""


class TwoStageTracker(BoxTracker):
    """See the module. Subclasses give the `model`."""

    compares_looks = True

    def _associate(self, found: Found) -> Rows:
        settings, tracks = self.settings, self._tracks
        overlap = self._overlap(found)
        gate_classes(overlap, tracks.class_ids, found.class_ids, settings.class_overlap)
        likeness = self._appearance.compare(tracks, found)
        confirmed = tracks.track_ids > 0
        there = confirmed & ~self._overdue()
        fused, near = overlap * found.scores * (there | ~confirmed)[:, None], overlap
        if likeness is not None:
            fused = likeness.shift(fused, settings.appearance_weight)
            fused = np.maximum(fused, self._recalled(found, likeness))
            near = likeness.shift(near, settings.appearance_weight)
        just_seen = tracks.seen_frames == self._frame - 1
        high = found.scores >= settings.high_score
        pairs = Pairs(len(tracks), found.winners < 0)
        pairs.make(fused, confirmed, high, settings.match_similarity)
        pairs.make(near, there & just_seen, ~high, settings.low_overlap)
        pairs.make(near, there & ~just_seen, ~high, settings.low_overlap)
        pairs.make(fused, ~confirmed, high, settings.confirm_similarity)
        self._reach_far(found, pairs, high, likeness)
        self._merge(found, overlap, pairs)
        self._appearance.learn(found, settings.high_score)
        return pairs.row_of

    def _reach_far(self, found: Found, pairs: Pairs, high: Bools, likeness: Likeness | None) -> None:
        """Pair what does not overlap but is where the filter thinks it may be; looks widen or narrow the gate."""
        tracks = self._tracks
        rows, columns = pairs.free(high)
        rows = rows[~self._overdue()[rows]]
        if not (len(rows) and len(columns)):
            return
        just_seen = tracks.seen_frames[rows] == self._frame - 1
        gates = np.where(just_seen, self.settings.gate, self.settings.lost_gate)[:, None]
        expected = tracks.class_ids[rows][:, None] == found.class_ids[columns]
        if likeness is not None:
            looks = likeness.among(rows, columns)
            gates = np.where(looks.known, gates * np.maximum(2 * looks.degree, LEAST_GATE), gates)
            long_away = self._pace.time_s - tracks.seen_s[rows] > LONG_AWAY_S
            alike = looks.known & (looks.degree >= LEAST_LIKENESS)
            expected = expected & (alike | ~(long_away & (tracks.sightings[rows] > 0))[:, None])
        distances = self._filter.squared_distances(tracks.states[rows], found.boxes_xyxy[columns])
        pairs.make_among(likelihood(distances, gates) * expected, rows, columns, 0.0)

    def _recalled(self, found: Found, likeness: Likeness) -> F64:
        """(n, m) what speaks for lost tracks and boxes that look like them, overlap or not: as `Likeness.shift` has it
        of two that hardly overlap. 0 for all other pairs."""
        tracks, settings = self._tracks, self.settings
        lost = (tracks.track_ids > 0) & (tracks.seen_frames < self._frame - 1)
        alike = likeness.known & (likeness.degree >= settings.recall_likeness) & lost[:, None]
        if alike.any():
            alike &= self._in_reach(np.arange(len(tracks)), found.boxes_xyxy)
            alike &= tracks.class_ids[:, None] == found.class_ids
        return np.where(alike, settings.appearance_weight * (likeness.degree - 0.5), 0.0)

    def _in_reach(self, rows: Rows, boxes: F64) -> Bools:
        """(k, m) whether tracks `rows` may be at boxes (m, 4) by now, by all reason."""
        tracks = self._tracks
        expected = self.model.boxes_xyxy(tracks.states[rows, POSITION])
        away = ((boxes[:, :2] + boxes[:, 2:]) - (expected[:, None, :2] + expected[:, None, 2:])) / 2
        heights = expected[:, 3] - expected[:, 1]
        most = (RECALL_HEIGHTS + RECALL_HEIGHTS_S * (self._pace.time_s - tracks.seen_s[rows])) * heights
        grown_by = (boxes[:, 3] - boxes[:, 1]) / heights[:, None]
        sensible = np.hypot(away[..., 0], away[..., 1]) < most[:, None]
        sensible &= (grown_by < RECALL_SIZES) & (grown_by > 1 / RECALL_SIZES)
        return np.asarray(sensible)

    def _waits(self, rows: Rows, found: Found, columns: Rows) -> Bools:
        """Who may be somebody lost, and has not shown yet what they look like."""
        tracks = self._tracks
        young = self._pace.time_s - tracks.first_s[rows] < WAIT_S
        waits = young & (tracks.sightings[rows] == 0)
        lost = (tracks.track_ids > 0) & (tracks.seen_frames < self._frame) & (tracks.sightings >= KNOWN)
        lost_rows = np.flatnonzero(lost)
        if not (waits.any() and len(lost_rows)):
            return np.zeros(len(rows), np.bool_)
        may_be = self._in_reach(lost_rows, found.boxes_xyxy[columns])
        may_be &= tracks.class_ids[lost_rows][:, None] == tracks.class_ids[rows]
        return np.asarray(waits & may_be.any(axis=0))

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
