"""What is reported of tracks: the detections with their identity, and the tracks that coast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engine.tracking.association import paired_iou
from engine.tracking.kalman import POSITION, VELOCITY, BoxModel
from engine.tracking.track_table import TrackTable
from engine.types import Bools, Detections, Tracks, TrackState

Rows = NDArray[np.intp]


def report(valid: Detections, rows: Rows, tracks: TrackTable, frame: int, show_score: float) -> Tracks:
    """Detections that are worth showing or continue a confirmed track, with what their tracks know; copies.

    `rows` (m,) are the tracks' rows of the detections, -1 for none. Boxes are the detections'.
    """
    tracked = np.flatnonzero(rows >= 0)
    rows = rows[tracked]
    count = len(valid)
    track_ids = np.zeros(count, np.int64)
    track_ids[tracked] = tracks.track_ids[rows]
    class_ids = valid.class_ids.copy()
    class_ids[tracked] = tracks.class_ids[rows]
    ages = np.zeros(count, np.int32)
    ages[tracked] = frame - tracks.first_frames[rows]
    velocities = np.zeros((count, 2), np.float32)
    velocities[tracked] = tracks.states[rows, VELOCITY, :2]
    states = np.full(count, TrackState.UNTRACKED, np.int32)
    states[tracked] = np.where(tracks.track_ids[rows] > 0, TrackState.CONFIRMED, TrackState.TENTATIVE)
    shown = (valid.scores >= show_score) | (track_ids > 0)
    every = Tracks.of(replace(valid, class_ids=class_ids), track_ids, ages, velocities)
    # Also the copy that lets the caller's arrays, views of a slot, go.
    return replace(every, states=states).take(shown)


def filtered(
    valid: Detections, rows: Rows, tracks: TrackTable, model: BoxModel, least_overlap: float
) -> Detections:
    """The detections with the filter's boxes where they continue confirmed tracks and the two overlap by so much."""
    columns = np.flatnonzero(rows >= 0)
    columns = columns[tracks.track_ids[rows[columns]] > 0]
    expected = model.boxes_xyxy(tracks.states[rows[columns], POSITION]).astype(np.float32)
    close = paired_iou(expected, valid.boxes_xyxy[columns]) >= least_overlap
    boxes = valid.boxes_xyxy.copy()
    boxes[columns[close]] = expected[close]
    return replace(valid, boxes_xyxy=boxes)


def coasting(tracks: TrackTable, coasts: Bools, model: BoxModel, frame: int) -> Tracks:
    """Tracks of a mask (n,) where the filter expects them, with the score of their last sighting and no mask."""
    rows = np.flatnonzero(coasts)
    boxes = model.boxes_xyxy(tracks.states[rows, POSITION]).astype(np.float32)
    expected = Tracks.of(
        Detections(boxes, tracks.scores[rows], tracks.class_ids[rows]),
        tracks.track_ids[rows],
        (frame - tracks.first_frames[rows]).astype(np.int32),
        tracks.states[rows, VELOCITY, :2].astype(np.float32),
    )
    return replace(expected, states=np.full(len(rows), TrackState.COASTING, np.int32))
