"""Results as `supervision.Detections`, for its annotators, zones and metrics. The only file that imports supervision.

Takes a record (`camring.frame/1`, a line of a JSONL file or a message of a broker), or a result of the Python API.
Source of the fields: supervision 0.31, `Detections`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from engine.errors import OutputError
from engine.types import F32, I32, I64, U8, Bools

if TYPE_CHECKING:
    from supervision import Detections

NO_ID = -1
"""`tracker_id` of an object that is not confirmed as a track."""


class TrackedResult(Protocol):
    """What is needed of a result of the Python API."""

    camera: str
    frame_number: int
    time: float
    boxes_xyxy: F32
    ids: I64
    gids: I64
    scores: F32
    class_ids: I32
    labels: tuple[str, ...]
    states: tuple[str, ...]

    def mask(self, index: int) -> Bools | None:
        """bool (height, width) of an object, None where it has none."""


def to_supervision(
    result: Mapping[str, Any] | TrackedResult,
    *,
    classes: Sequence[str] = (),
    size_wh: tuple[int, int] | None = None,
) -> Detections:
    """`Detections` of one frame: `xyxy`, `confidence`, `class_id`, `tracker_id` (-1 without an ID), `mask` where any.

    classes  records name labels only: `class_id` is the place of the label here, then of further labels as they come
             in this record; a result of the API has numbers of its own
    size_wh  of the picture, to fill polygons of a record; without it those have no masks; run lengths know it

    `data` holds `class_name`, `state` and `gid` (0 where none is known) of each object, `metadata` camera, frame and
    time. Raises `OutputError` where supervision is not installed, `ValueError` for a record of another schema.
    """
    detections = _detections_class()
    if not isinstance(result, Mapping):
        return detections(
            xyxy=result.boxes_xyxy.astype(np.float32).reshape(-1, 4),
            confidence=result.scores.astype(np.float32),
            class_id=result.class_ids.astype(int),
            tracker_id=np.where(result.ids > 0, result.ids, NO_ID).astype(int),
            mask=_stacked([result.mask(index) for index in range(len(result.ids))]),
            data=_data(result.labels, result.states, result.gids.tolist()),
            metadata={"camera": result.camera, "frame": result.frame_number, "time": result.time},
        )
    if result.get("schema") != "camring.frame/1":
        raise ValueError(f"a record of schema camring.frame/1 is needed, found {result.get('schema')!r}")
    objects: list[Mapping[str, Any]] = result["objects"]
    labels = [each["label"] for each in objects]
    known = list(dict.fromkeys([*classes, *labels]))
    boxes = np.array([each["bbox"] for each in objects], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return detections(
        xyxy=boxes,
        confidence=np.array([each["confidence"] for each in objects], np.float32),
        class_id=np.array([known.index(label) for label in labels], int),
        tracker_id=np.array([each["id"] or NO_ID for each in objects], int),
        mask=_stacked([_mask_of(each, size_wh) for each in objects]),
        data=_data(
            labels,
            [each.get("state", "untracked") for each in objects],
            [each.get("gid", 0) for each in objects],
        ),
        metadata={"camera": result["camera"], "frame": result["frame"], "time": result["time"]},
    )


def _detections_class() -> type[Detections]:
    try:
        from supervision import Detections
    except ImportError:
        raise OutputError("supervision is not installed: pip install 'camring[supervision]'") from None
    found: type[Detections] = Detections
    return found


def _data(labels: Sequence[str], states: Sequence[str], gids: Sequence[int]) -> dict[str, Any]:
    return {
        "class_name": np.array(labels, dtype=str),
        "state": np.array(states, dtype=str),
        "gid": np.array(gids, dtype=int),
    }


def _stacked(masks: Sequence[Bools | None]) -> Bools | None:
    """bool (n, height, width): objects without a mask have an empty one; None where nobody has any."""
    shape = next((mask.shape for mask in masks if mask is not None), None)
    if shape is None:
        return None
    return np.stack([np.zeros(shape, np.bool_) if mask is None else mask for mask in masks])


def _mask_of(thing: Mapping[str, Any], size_wh: tuple[int, int] | None) -> Bools | None:
    """The mask of an object of a record, None where it has none or it cannot be filled."""
    if thing.get("mask"):
        height, width = thing["mask"]["size"]
        return _pixels_of(thing["mask"]["counts"], height, width)
    if not thing.get("polygon") or size_wh is None:
        return None
    filled: U8 = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    for part in thing["polygon"]:
        # A sixteenth of a pixel, and the centre of the first pixel at a half.
        rings = [np.round((np.array(ring) - 0.5) * 16).astype(np.int32) for ring in part]
        cv2.fillPoly(filled, rings, 1, shift=4)  # even-odd: rings within the first are holes
    return filled.astype(np.bool_)


def _pixels_of(counts: str, height: int, width: int) -> Bools:
    """bool (height, width) of COCO's compressed run lengths."""
    from supervision import rle_to_mask

    mask: Bools = np.asarray(rle_to_mask(counts, (width, height)), np.bool_)
    return mask
