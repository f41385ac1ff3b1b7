"""The life of tracks, whatever way boxes find them.

Knows when a track starts, is confirmed, lost and given up, and what of it is reported. Leaves motion to the filter
and its box model, and the association to its subclasses.

Life of a track: a box with at least `start_score` that no track wants starts a tentative one (ID 0). Seen
again in the next frame it is confirmed and gets its ID, or in the one after where the detector is unsure; not
seen again it is forgotten. In the very first frame of a stream there is nothing to wait for: confirmed at once.
A confirmed track that is not seen is predicted on: it coasts for `TrackerSettings.coast_s`, is lost from then on, and
removed when it has been away for longer than `TrackerSettings.patience_s`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.tracking.appearance import Appearance
from engine.tracking.association import grown, iou_matrix
from engine.tracking.base import SHOW_SCORE, Tracker
from engine.tracking.camera_motion import CameraMotion
from engine.tracking.found import Found, Intake
from engine.tracking.kalman import POSITION, SIZE, VELOCITY, BoxModel, KalmanFilter
from engine.tracking.pace import Pace
from engine.tracking.report import coasting, filtered, report
from engine.tracking.settings import FILTERED, TrackerSettings
from engine.tracking.track_table import TrackTable
from engine.types import F32, I32, I64, Detections, FrameFlag, FrameNv12, Tracks, TrackState

Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

CUTS = ("lost", "implausible")
"""What camera motion says where a picture has nothing to do with the one before."""


KNOWN = 5
"""Sightings from which it is known what somebody looks like."""


class BoxTracker(Tracker):
    """See the module. Subclasses give the `model` and `_associate`."""

    model: ClassVar[BoxModel]
    follows_camera: ClassVar[bool] = False
    """Whether `TrackerSettings.camera_motion` is on where it says `auto`."""
    compares_looks: ClassVar[bool] = False
    """Whether looks have a say in the association: colours are looked at, and tracks kept for as long as `recall_s`."""

    def __init__(
        self,
        first_track_id: int = 1,
        show_score: float = SHOW_SCORE,
        settings: TrackerSettings | None = None,
    ) -> None:
        super().__init__(first_track_id, show_score, settings)
        self._intake = Intake(self.settings, self.compares_looks)
        self._filter = KalmanFilter(self.model)
        self._appearance = Appearance()
        self._tracks = TrackTable.empty()
        self._gone = TrackTable.empty()
        self._pace = Pace()
        self._frame = 0
        self._picture_size: tuple[int, int] | None = None
        self._smooth = True
        """Whether this frame goes on where the one before was."""
        mode = self.settings.camera_motion
        if mode != "off" and (mode != "auto" or self.follows_camera):
            self.camera_motion = CameraMotion(mode)
        self.unused_warps = 0
        """Motions of the camera so far that could not be true, and were not applied."""

    def __len__(self) -> int:
        """Tracks that are remembered now, lost and tentative ones included."""
        return len(self._tracks)

    @property
    def invalid_detections(self) -> int:
        """Boxes dropped so far because they are no boxes: not finite, no area, absurdly far out."""
        return self._intake.invalid

    @property
    def surplus_detections(self) -> int:
        """Boxes shown but not tracked so far because a frame had more than `most_detections`."""
        return self._intake.surplus

    @property
    def invalid_embeddings(self) -> int:
        """Embeddings dropped so far because they are none: not finite, or of no length."""
        return self._intake.blind

    def update(self, detections: Detections, time_s: float, frame: FrameNv12 | None = None) -> Tracks:
        """Tracks after this frame; see `Tracker.update`.

        The result holds the detections with at least `show_score` and those that continue a confirmed track,
        in the order given, with their masks, without boxes that are no boxes; then the tracks that coast. The class
        of a tracked object is the one that its detections voted for. Velocities are the filter's. After a frame
        flagged `DISCONTINUITY` speeds are learnt anew; when the picture size changes, tracks are scaled with it.
        """
        step_s = self._pace.step(time_s)
        self._frame += 1
        self._gone = TrackTable.empty()
        self._smooth = True
        first_new = self.next_track_id
        if frame is not None:
            self._follow_picture(frame)
        valid = self._intake.valid(detections)
        chosen = self._intake.choose(valid.scores)
        found = self._intake.look(valid, chosen, frame)
        self._forget()
        self._filter.predict(self._tracks.states, step_s)
        if frame is not None:
            self._follow_camera(frame, found)
        row_of = self._associate(found)
        self._continue(found, row_of)
        self._start(found, row_of)
        rows = np.full(len(valid), -1)
        rows[chosen] = row_of
        if self.settings.boxes == FILTERED and self._smooth:
            valid = filtered(valid, rows, self._tracks, self.model, self.settings.filtered_overlap)
        result = report(valid, rows, self._tracks, self._frame, self.show_score)
        coasts = self._coasts()
        if coasts.any():
            result = result.followed_by(coasting(self._tracks, coasts, self.model, self._frame))
        if len(self._tracks) > self.settings.most_tracks:
            self._drop(~self._tracks.newest(self.settings.most_tracks))
        self.new_ids = np.arange(first_new, self.next_track_id)
        self.removed_ids = self._gone.track_ids
        return result

    def states_of(self, track_ids: I64) -> I32:
        states = np.where(track_ids > 0, TrackState.REMOVED, TrackState.UNTRACKED).astype(np.int32)
        states[track_ids >= self.next_track_id] = TrackState.UNTRACKED
        rows = self._rows_of(self._tracks, track_ids)
        seen = self._tracks.seen_frames == self._frame
        now = np.where(
            seen, TrackState.CONFIRMED, np.where(self._coasts(), TrackState.COASTING, TrackState.LOST)
        )
        states[rows >= 0] = now[rows[rows >= 0]]
        return states

    def looks(self, track_ids: I64) -> tuple[F32, I32]:
        vectors = np.zeros((len(track_ids), self._tracks.looks.shape[1]), np.float32)
        sightings = np.zeros(len(track_ids), np.int32)
        for tracks in (self._gone, self._tracks):
            if tracks.looks.shape[1] != vectors.shape[1]:
                continue
            rows = self._rows_of(tracks, track_ids)
            known = rows >= 0
            vectors[known] = tracks.looks[rows[known]]
            sightings[known] = tracks.sightings[rows[known]]
        return vectors, sightings

    def rename(self, track_id: int, known_id: int) -> None:
        if track_id == known_id:
            return
        if known_id <= 0 or (self._tracks.track_ids == known_id).any():
            raise ValueError(known_id)
        rows = np.flatnonzero(self._tracks.track_ids == track_id)
        if track_id <= 0 or not len(rows):
            raise KeyError(track_id)
        self._tracks.track_ids[rows] = known_id
        self.next_track_id = max(self.next_track_id, known_id + 1)

    @staticmethod
    def _rows_of(tracks: TrackTable, track_ids: I64) -> Rows:
        """(n,) rows of tracks by their IDs, -1 for none."""
        rows = np.full(len(track_ids), -1)
        row_of = {track_id: row for row, track_id in enumerate(tracks.track_ids.tolist()) if track_id}
        for index, track_id in enumerate(track_ids.tolist()):
            rows[index] = row_of.get(track_id, -1)
        return rows

    def _follow_picture(self, frame: FrameNv12) -> None:
        size = (frame.meta.width, frame.meta.height)
        before = self._picture_size
        if before is not None and before != size:
            self._smooth = False
            self._filter.rescale(self._tracks.states, size[0] / before[0], size[1] / before[1])
        self._picture_size = size
        if frame.meta.flags & FrameFlag.DISCONTINUITY:
            self._smooth = False
            self._filter.forget_motion(self._tracks.states)

    def _follow_camera(self, frame: FrameNv12, found: Found) -> None:
        if self.camera_motion is None:
            return
        states = self._tracks.states
        movers = np.concatenate((self.model.boxes_xyxy(states[:, POSITION]), found.boxes_xyxy))
        warp = self.camera_motion.estimate(frame, movers)
        self._smooth &= warp.trusted or warp.reason not in CUTS
        if warp.moves and not self._filter.warp(states, warp):
            self.unused_warps += 1

    def _drop(self, dropped: Bools) -> None:
        """Give tracks up; those with an ID are remembered until the next update as gone."""
        if dropped.any():
            named = dropped & (self._tracks.track_ids > 0)
            if named.any():
                self._gone = self._gone.followed_by(self._tracks.take(named))
            self._tracks.keep(~dropped)

    def _forget(self) -> None:
        tracks = self._tracks
        patient = ~self._overdue() | self._recallable()
        just_seen = tracks.seen_frames == self._frame - 1
        self._drop(~(patient & (just_seen | (tracks.track_ids > 0))))
        # What makes a box grow or shrink, such as a half-hidden person, does not go on while it is not seen.
        tracks.states[tracks.seen_frames < self._frame - 1, VELOCITY, SIZE] = 0

    def _overdue(self) -> Bools:
        """(n,) tracks that have not been seen for too long to be found by where they are."""
        tracks = self._tracks
        patience_s = self.settings.patience_s(self._pace.interval_s, tracks.seen_s - tracks.first_s)
        return self._pace.time_s - tracks.seen_s > patience_s

    def _recallable(self) -> Bools:
        """(n,) tracks that may still be found by what they look like."""
        tracks = self._tracks
        if not self.compares_looks:
            return np.zeros(len(tracks), np.bool_)
        lives_s = tracks.seen_s - tracks.first_s
        patience_s = np.minimum(self.settings.recall_s, self.settings.lost_lives * lives_s)
        return (tracks.sightings >= KNOWN) & (self._pace.time_s - tracks.seen_s <= patience_s)

    @abstractmethod
    def _associate(self, found: Found) -> Rows:
        """(m,) the track's row for each box, -1 for none. Tracks are predicted to the frame of the boxes."""

    def _waits(self, rows: Rows, found: Found, columns: Rows) -> Bools:
        """(k,) which tracks `rows` (k,), just seen as boxes `columns`, are better not given an ID yet."""
        return np.zeros(len(rows), np.bool_)

    def _overlap(self, found: Found) -> NDArray[np.float64]:
        """(n, m) overlap of tracks, where they are expected, with boxes, both enlarged by what the interval allows."""
        expected = self.model.boxes_xyxy(self._tracks.states[:, POSITION])
        reach = min(self.settings.reach, self.settings.reach_per_s * self._pace.interval_s)
        return iou_matrix(grown(expected, reach), grown(found.boxes_xyxy, reach))

    def _continue(self, found: Found, row_of: Rows) -> None:
        columns = np.flatnonzero(row_of >= 0)
        rows = row_of[columns]
        if self._smooth:
            self._filter.correct(self._tracks.states, rows, found.boxes_xyxy[columns])
        else:
            self._tracks.states[rows] = self._filter.initiate(found.boxes_xyxy[columns])
        self._tracks.see(
            rows, found.class_ids[columns], found.scores[columns], self._frame, self._pace.time_s
        )
        self._appearance.remember(self._tracks, rows, found, columns)
        ready = (self._tracks.track_ids[rows] == 0) & (
            self._tracks.evidence[rows] >= self.settings.confirm_score
        )
        rows, columns = rows[ready], columns[ready]
        if found.looks is not None and len(rows):
            rows = rows[~self._waits(rows, found, columns)]
        self._confirm(rows)

    def _confirm(self, rows: Rows) -> None:
        if len(rows):
            self._tracks.track_ids[rows] = self.next_track_id + np.arange(len(rows))
            self.next_track_id += len(rows)

    def _start(self, found: Found, row_of: Rows) -> None:
        """Start tracks on what is left, and note their rows in `row_of`."""
        starts = (row_of < 0) & (found.winners < 0) & (found.scores >= self.settings.start_score)
        columns = np.flatnonzero(starts)
        if not len(columns):
            return
        tracked = found.overlap[columns][:, row_of >= 0].max(axis=1, initial=0.0)
        columns = columns[tracked < self.settings.class_overlap]
        rows = len(self._tracks) + np.arange(len(columns))
        row_of[columns] = rows
        states = self._filter.initiate(found.boxes_xyxy[columns])
        self._tracks.add(
            states, found.class_ids[columns], found.scores[columns], self._frame, self._pace.time_s
        )
        self._appearance.remember(self._tracks, rows, found, columns)
        if self._frame == 1:
            self._confirm(rows)

    def _coasts(self) -> Bools:
        """(n,) tracks that are not seen in this frame and still reported."""
        tracks = self._tracks
        recent = self._pace.time_s - tracks.seen_s <= self.settings.coast_s
        return recent & (tracks.track_ids > 0) & (tracks.seen_frames < self._frame)
