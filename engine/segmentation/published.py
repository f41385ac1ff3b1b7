"""The rows of a frame that are published: tracks under their objects' IDs, and objects that only a mask shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.segmentation.jobs import ObjectMask
from engine.segmentation.modes import Mode
from engine.segmentation.table import HeldObject, ObjectTable
from engine.types import F32, I64, MaskSource, Tracks, TrackState


def published(table: ObjectTable, tracks: Tracks, mode: Mode, stale_s: float) -> Tracks:
    """Tracks in their order, then objects without a track by ID. Without masks.

    The box of a track whose object has a fresh mask that agrees with it is drawn towards the mask's edges: all the
    way for a mask of this very frame with confidence 1, less the older (not at all from `stale_s`) and the less sure.
    """
    object_ids = renamed(table, tracks)
    boxes_xyxy = tracks.boxes_xyxy
    if mode.remembers:
        boxes_xyxy = np.stack([
            _tightened(table, int(object_id), box_xyxy, stale_s)
            for object_id, box_xyxy in zip(object_ids, tracks.boxes_xyxy, strict=True)
        ]) if len(tracks) else boxes_xyxy  # fmt: skip
    rows = replace(tracks, boxes_xyxy=boxes_xyxy, track_ids=object_ids, masks=None)
    alone = sorted(
        (held for held in table.objects.values() if shown_alone(held)), key=lambda held: held.object_id
    )
    return _appended(rows, alone) if mode.remembers and alone else rows


def named(table: ObjectTable, tracks: Tracks) -> Tracks:
    """The tracks under their objects' IDs, otherwise as they are."""
    return replace(tracks, track_ids=renamed(table, tracks), masks=None)


def renamed(table: ObjectTable, tracks: Tracks) -> I64:
    """int64 (n,): the published ID of each track."""
    return published_ids(table, tracks.track_ids)


def published_ids(table: ObjectTable, track_ids: I64) -> I64:
    """int64 (n,): the published ID of each of these of the tracker's."""
    return np.array([table.identities.of(int(track_id)) for track_id in track_ids], np.int64)


def shown_alone(held: HeldObject) -> bool:
    """Whether only its mask shows an object: no track at present, and the newest mask saw it."""
    return held.sure and not held.tracked and held.lost_since_s is None


def _tightened(table: ObjectTable, object_id: int, box_xyxy: F32, stale_s: float) -> F32:
    held = table.objects.get(object_id)
    if held is None or held.tighten is None or held.masked_s is None:
        return box_xyxy
    weight = held.confidence * max(0.0, 1.0 - (table.now_s - held.masked_s) / stale_s)
    width, height = box_xyxy[2:] - box_xyxy[:2]
    drawn: F32 = (box_xyxy + weight * held.tighten * [width, height, width, height]).astype(np.float32)
    return drawn


def _appended(rows: Tracks, alone: list[HeldObject]) -> Tracks:
    def behind(column: NDArray[Any], values: list[Any]) -> NDArray[Any]:
        return np.concatenate((column, np.array(values, column.dtype).reshape(-1, *column.shape[1:])))

    return Tracks(
        behind(rows.boxes_xyxy, [held.box_xyxy for held in alone]),
        behind(rows.scores, [held.confidence for held in alone]),
        behind(rows.class_ids, [held.class_id for held in alone]),
        behind(rows.track_ids, [held.object_id for held in alone]),
        behind(rows.ages, [held.records for held in alone]),
        behind(rows.velocities_xy, [held.velocity_xy for held in alone]),
        behind(rows.states, [TrackState.CONFIRMED] * len(alone)),
        behind(rows.gids, [0] * len(alone)),
    )


def detector_masks(table: ObjectTable, tracks: Tracks) -> tuple[ObjectMask, ...]:
    """The masks that came with the detections, for the tracks that are segmented."""
    if tracks.masks is None:
        return ()
    object_ids = renamed(table, tracks)
    return tuple(
        ObjectMask(
            int(object_id), MaskSource.DETECTOR, tracks.masks.grid(row), tracks.masks.rects_xyxy[row].copy(),
            float(tracks.masks.confidences[row]), 1.0, np.empty(0, np.float32),
        )
        for row, object_id in enumerate(object_ids)
        if int(object_id) in table.objects and tracks.masks.present()[row]
    )  # fmt: skip
