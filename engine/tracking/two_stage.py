"""Tracking by detection in two stages: sure boxes first, then the unsure ones that continue a track.

Knows the order of association and the life of a track. Does not look at pixels, and leaves motion to the
filter and its box model. `bytetrack` and `botsort` are this class with their box models.

Life of a track: a box with at least `start_score` that no track wants starts a tentative one (ID 0). Seen
again in the next frame it is confirmed and gets its ID, otherwise it is forgotten; in the very first frame of
a stream there is nothing to wait for and it is confirmed at once. A confirmed track that is not seen is
predicted on until it has been lost for longer than `TrackerSettings.patience_s`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.tracking.association import Pairs, gate_classes, iou_matrix, likelihood, shadowed_by
from engine.tracking.base import SHOW_SCORE, Tracker
from engine.tracking.kalman import POSITION, SIZE, VELOCITY, BoxModel, KalmanFilter
from engine.tracking.pace import Pace
from engine.tracking.track_table import TrackTable
from engine.types import F32, I32, Detections, FrameFlag, FrameNv12, Tracks

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

LARGEST_COORDINATE_PX = 1e6


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """What a tracker may be told. Score and overlap limits are those of the ByteTrack and BoT-SORT papers.

    low_score           boxes below this are not looked at
    high_score          boxes from here on may continue any track; below, only one seen in the frame before
    start_score         boxes from here on may start a track
    match_similarity    least overlap × score to continue a confirmed track
    confirm_similarity  least overlap × score to confirm a tentative one
    low_overlap         least overlap of a box below `high_score` with the track that it continues
    class_overlap       least overlap of a track with a box of another class; a box that overlaps a tracked
                        object by this much starts no track of its own
    duplicate_overlap   boxes that overlap by more are one object, whatever their classes
    gate                largest squared Mahalanobis distance (4 degrees of freedom) at which a box continues a
                        track that it does not overlap: 95 of 100 true boxes are nearer
    lost_gate           the same for tracks that were lost: 80 of 100, since strangers come near as well
    lost_s, lost_frames see `patience_s`
    most_detections     per frame, best scores first; the others are shown with ID 0
    most_tracks         the ones seen last are kept
    """

    low_score: float = 0.1
    high_score: float = 0.6
    start_score: float = 0.6
    match_similarity: float = 0.2
    confirm_similarity: float = 0.3
    low_overlap: float = 0.5
    class_overlap: float = 0.7
    duplicate_overlap: float = 0.8
    gate: float = 9.488
    lost_gate: float = 5.989
    lost_s: float = 2.0
    lost_frames: int = 5
    most_detections: int = 500
    most_tracks: int = 1000

    def patience_s(self, interval_s: float) -> float:
        """How long a track may be lost: `lost_s`, or `lost_frames` ordinary frames where these are longer."""
        return max(self.lost_s, self.lost_frames * interval_s)


@dataclass(frozen=True, slots=True)
class _Found:
    """The usable boxes of one frame. `overlap` (m, m) is of each with each; `winners` see `shadowed_by`."""

    boxes_xyxy: F64
    scores: F32
    class_ids: I32
    overlap: F64
    winners: Rows


class TwoStageTracker(Tracker):
    """See the module. Subclasses give the `model`.

    invalid_detections   boxes dropped so far because they are no boxes: not finite, no area, absurdly far out
    surplus_detections   boxes shown but not tracked so far because a frame had more than `most_detections`
    """

    model: ClassVar[BoxModel]

    def __init__(
        self,
        first_track_id: int = 1,
        show_score: float = SHOW_SCORE,
        settings: TrackerSettings | None = None,
    ) -> None:
        super().__init__(first_track_id, show_score)
        self.settings = settings or TrackerSettings()
        self.invalid_detections = 0
        self.surplus_detections = 0
        self._filter = KalmanFilter(self.model)
        self._tracks = TrackTable.empty()
        self._pace = Pace()
        self._frame = 0
        self._picture_size: tuple[int, int] | None = None

    def __len__(self) -> int:
        """Tracks that are remembered now, lost and tentative ones included."""
        return len(self._tracks)

    def update(self, detections: Detections, time_s: float, frame: FrameNv12 | None = None) -> Tracks:
        """Tracks after this frame; see `Tracker.update`.

        The result holds the detections with at least `show_score` and those that continue a confirmed track,
        in the order given, with their masks, without boxes that are no boxes. The class of a tracked object is
        the one that its detections voted for. Velocities are the filter's. After a frame flagged `DISCONTINUITY`
        speeds are learnt anew; when the picture size changes, tracks are scaled with it.
        """
        step_s = self._pace.step(time_s)
        self._frame += 1
        if frame is not None:
            self._follow_picture(frame)
        valid = self._valid(detections)
        chosen = self._choose(valid.scores)
        found = self._look(valid, chosen)
        self._forget()
        self._filter.predict(self._tracks.states, step_s)
        row_of = self._associate(found)
        self._continue(found, row_of)
        self._start(found, row_of)
        rows = np.full(len(valid), -1)
        rows[chosen] = row_of
        result = self._report(valid, rows)
        self._tracks.shrink(self.settings.most_tracks)
        return result

    def _follow_picture(self, frame: FrameNv12) -> None:
        size = (frame.meta.width, frame.meta.height)
        before = self._picture_size
        if before is not None and before != size:
            self._filter.rescale(self._tracks.states, size[0] / before[0], size[1] / before[1])
        self._picture_size = size
        if frame.meta.flags & FrameFlag.DISCONTINUITY:
            self._filter.forget_motion(self._tracks.states)

    def _valid(self, detections: Detections) -> Detections:
        boxes = detections.boxes_xyxy
        # Not-a-number fails every comparison, so this catches it as well.
        inside = (np.abs(boxes) < LARGEST_COORDINATE_PX).all(axis=1)
        valid = inside & (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isfinite(detections.scores)
        if valid.all():
            return detections
        self.invalid_detections += len(valid) - int(np.count_nonzero(valid))
        return detections.take(valid)

    def _choose(self, scores: F32) -> Rows:
        chosen = np.flatnonzero(scores >= self.settings.low_score)
        if len(chosen) > self.settings.most_detections:
            self.surplus_detections += len(chosen) - self.settings.most_detections
            best = np.argsort(-scores[chosen], kind="stable")[: self.settings.most_detections]
            chosen = np.sort(chosen[best])
        return chosen

    def _look(self, valid: Detections, chosen: Rows) -> _Found:
        boxes, scores = valid.boxes_xyxy[chosen].astype(np.float64), valid.scores[chosen]
        overlap = iou_matrix(boxes, boxes)
        winners = shadowed_by(overlap, scores, self.settings.duplicate_overlap)
        return _Found(boxes, scores, valid.class_ids[chosen], overlap, winners)

    def _forget(self) -> None:
        tracks, patience_s = self._tracks, self.settings.patience_s(self._pace.interval_s)
        patient = self._pace.time_s - tracks.seen_s <= patience_s
        just_seen = tracks.seen_frames == self._frame - 1
        tracks.keep(patient & (just_seen | (tracks.track_ids > 0)))
        # What makes a box grow or shrink, such as a half-hidden person, does not go on while it is not seen.
        tracks.states[tracks.seen_frames < self._frame - 1, VELOCITY, SIZE] = 0

    def _associate(self, found: _Found) -> Rows:
        """(m,) the track's row for each box, -1 for none."""
        settings, tracks = self.settings, self._tracks
        overlap = iou_matrix(self.model.boxes_xyxy(tracks.states[:, POSITION]), found.boxes_xyxy)
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

    def _merge(self, found: _Found, overlap: F64, pairs: Pairs) -> None:
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

    def _continue(self, found: _Found, row_of: Rows) -> None:
        columns = np.flatnonzero(row_of >= 0)
        rows = row_of[columns]
        self._filter.correct(self._tracks.states, rows, found.boxes_xyxy[columns])
        self._tracks.see(
            rows, found.class_ids[columns], found.scores[columns], self._frame, self._pace.time_s
        )
        self._confirm(rows[self._tracks.track_ids[rows] == 0])

    def _confirm(self, rows: Rows) -> None:
        if len(rows):
            self._tracks.track_ids[rows] = self.next_track_id + np.arange(len(rows))
            self.next_track_id += len(rows)

    def _start(self, found: _Found, row_of: Rows) -> None:
        """Start tracks on what is left, and note their rows in `row_of`."""
        starts = (row_of < 0) & (found.winners < 0) & (found.scores >= self.settings.start_score)
        columns = np.flatnonzero(starts)
        if not len(columns):
            return
        tracked = found.overlap[columns][:, row_of >= 0].max(axis=1, initial=0.0)
        columns = columns[tracked < self.settings.class_overlap]
        first = len(self._tracks)
        row_of[columns] = first + np.arange(len(columns))
        states = self._filter.initiate(found.boxes_xyxy[columns])
        self._tracks.add(
            states, found.class_ids[columns], found.scores[columns], self._frame, self._pace.time_s
        )
        if self._frame == 1:
            self._confirm(row_of[columns])

    def _report(self, valid: Detections, rows: Rows) -> Tracks:
        tracks, tracked = self._tracks, np.flatnonzero(rows >= 0)
        rows = rows[tracked]
        count = len(valid)
        track_ids = np.zeros(count, np.int64)
        track_ids[tracked] = tracks.track_ids[rows]
        class_ids = valid.class_ids.copy()
        class_ids[tracked] = tracks.class_ids[rows]
        ages = np.zeros(count, np.int32)
        ages[tracked] = self._frame - tracks.first_frames[rows]
        velocities = np.zeros((count, 2), np.float32)
        velocities[tracked] = tracks.states[rows, VELOCITY, :2]
        shown = (valid.scores >= self.show_score) | (track_ids > 0)
        every = Tracks.of(replace(valid, class_ids=class_ids), track_ids, ages, velocities)
        # Also the copy that lets the caller's arrays, views of a slot, go.
        return every.take(shown)
