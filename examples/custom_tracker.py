"""A tracker of one's own: each box continues the track whose middle was nearest, if it was near enough.

engine-run --source clip.mp4 --model nano_det --tracker examples/custom_tracker.py:Nearest
"""

from __future__ import annotations

import numpy as np

from engine.tracking.base import Tracker
from engine.types import F32, I64, Detections, FrameNv12, Tracks, TrackState

REACH_PX = 60.0
"""How far somebody gets from one frame to the next."""


class Nearest(Tracker):
    """Greedy, in order of score; a track that has no box in a frame is given up."""

    _middles_xy: F32 = np.empty((0, 2), np.float32)
    _track_ids: I64 = np.empty(0, np.int64)
    _ages = np.empty(0, np.int32)
    _time_s = 0.0

    def update(self, detections: Detections, time_s: float, frame: FrameNv12 | None = None) -> Tracks:
        """One track for each box that is worth showing."""
        seen = detections.take(detections.scores >= self.show_score)
        middles_xy = (seen.boxes_xyxy[:, :2] + seen.boxes_xyxy[:, 2:]) / np.float32(2)
        far_px = np.linalg.norm(middles_xy[:, None] - self._middles_xy[None], axis=2)
        track_ids, ages = np.zeros(len(seen), np.int64), np.zeros(len(seen), np.int32)
        velocities_xy = np.zeros((len(seen), 2), np.float32)
        for row in np.argsort(-seen.scores):
            nearest = int(far_px[row].argmin()) if far_px.shape[1] else -1
            if nearest >= 0 and far_px[row, nearest] < REACH_PX:
                far_px[:, nearest] = np.inf  # it is taken
                track_ids[row], ages[row] = self._track_ids[nearest], self._ages[nearest] + 1
                moved_xy = middles_xy[row] - self._middles_xy[nearest]
                velocities_xy[row] = moved_xy / max(time_s - self._time_s, 1e-3)
            else:
                track_ids[row], self.next_track_id = self.next_track_id, self.next_track_id + 1
        self.new_ids = np.setdiff1d(track_ids, self._track_ids)
        self.removed_ids = np.setdiff1d(self._track_ids, track_ids)
        self._middles_xy, self._track_ids, self._ages, self._time_s = middles_xy, track_ids, ages, time_s
        states = np.full(len(seen), TrackState.CONFIRMED, np.int32)
        no_gids = np.zeros(len(seen), np.int64)
        return Tracks(
            seen.boxes_xyxy,
            seen.scores,
            seen.class_ids,
            track_ids,
            ages,
            velocities_xy,
            states,
            no_gids,
            seen.masks,
        )
