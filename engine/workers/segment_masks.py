"""Masks of a record as arrays: carried along with boxes, filled up from another source, cut down to some.

Pure functions of arrays. Masks that are moved with the picture's content are `engine.segmentation.mask_motion`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.types import F32, Bools, Masks, Tracks


def moved_by_box(before: Tracks, rows: Tracks, elapsed_ms: float) -> Masks:
    """The masks of an earlier record for these rows, each moved and stretched as its box was."""
    if before.masks is None:
        return Masks.none(len(rows))
    at = {object_id: row for row, object_id in enumerate(before.track_ids.tolist()) if object_id}
    found = [at.get(object_id, -1) for object_id in rows.track_ids.tolist()]
    grids = [before.masks.grid(row) if row >= 0 else np.zeros((0, 0), np.bool_) for row in found]
    rects = np.zeros((len(rows), 4), np.float32)
    sources, confidences, ages = np.zeros(len(rows), np.int32), rects[:, 0].copy(), rects[:, 0].copy()
    for row, old in enumerate(found):
        if old >= 0:
            rects[row] = carried(before.masks.rects_xyxy[old], before.boxes_xyxy[old], rows.boxes_xyxy[row])
            sources[row], confidences[row] = before.masks.sources[old], before.masks.confidences[old]
            ages[row] = before.masks.ages_ms[old] + max(0.0, elapsed_ms)
    return Masks.of_grids(rects, grids, sources, confidences, ages)


def carried(rect_xyxy: F32, from_xyxy: F32, to_xyxy: F32) -> F32:
    """A rectangle that lies in one box, as it lies in another."""
    size = np.tile(np.maximum(from_xyxy[2:] - from_xyxy[:2], 1e-3), 2)
    scale = np.tile(to_xyxy[2:] - to_xyxy[:2], 2) / size
    moved: F32 = ((rect_xyxy - np.tile(from_xyxy[:2], 2)) * scale + np.tile(to_xyxy[:2], 2)).astype(
        np.float32
    )
    return moved


def only(masks: Masks, wanted: Bools) -> Masks:
    """The same rows, with the masks of some of them."""
    none = np.zeros((0, 0), np.bool_)
    grids = [masks.grid(row) if each else none for row, each in enumerate(wanted.tolist())]
    return Masks.of_grids(masks.rects_xyxy, grids, masks.sources, masks.confidences, masks.ages_ms)


def filled_up(masks: Masks, spare: Masks | None) -> Masks:
    """Masks, and where an object has none the one that came with its detection. `spare` is of the first rows."""
    if spare is None:
        return masks
    wanting = ~masks.present()[: len(spare)] & spare.present()
    if not wanting.any():
        return masks
    rows = [(spare if row < len(spare) and wanting[row] else masks, row) for row in range(len(masks))]

    def column(name: str) -> Any:
        return np.stack([getattr(source, name)[row] for source, row in rows])

    return Masks.of_grids(
        column("rects_xyxy"), [source.grid(row) for source, row in rows], column("sources"),
        column("confidences"), column("ages_ms"),
    )  # fmt: skip
