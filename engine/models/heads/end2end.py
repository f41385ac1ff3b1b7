"""Graphs that end with finished boxes: YOLO26, v10, and Ultralytics exports with NMS inside.

Output (N, K, 6 [+ mask coefficients or keypoints]): left, top, right, bottom in input pixels, score, class.
Unused rows have a score of 0. Pixels are RGB 0..1, centred.

Facts: docs.ultralytics.com/modes/export (`nms`, `end2end`), THU-MIG/yolov10; outputs of exports of release 8.4.190.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import Candidates, Graph, Head, at_least
from engine.models.heads.labels import COCO
from engine.models.heads.ultralytics import TASKS, keypoint_note
from engine.types import F32, I32

_LEVELS = ((8, 16, 32), (8, 16, 32, 64))


class EndToEnd(Head, order=20):
    """Nothing left to do but the threshold."""

    layout = "end-to-end (YOLO26, v10, NMS inside) (N, K, 6), with mask coefficients or keypoints or without"
    needs_nms = False

    def __init__(self, names: tuple[str, ...], masks: int, note: str) -> None:
        self.labels = names or COCO
        self.counts_classes = bool(names)
        self._masks, self.note = masks, note

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        shape = graph.shapes[0] if graph.shapes else ()
        masks = graph.prototype_channels
        if len(shape) != 3 or len(graph.shapes) != (2 if masks else 1) or graph.task not in TASKS:
            return None
        if shape[2] != 6 + masks + graph.keypoint_numbers:
            return None
        # A row per grid cell is a raw head with one class, not a list of finished boxes.
        cells = {graph.cells(strides) * per_cell for strides in _LEVELS for per_cell in (1, 3)}
        if shape[1] in cells and graph.metadata.get("end2end") != "True":
            return None
        return cls(graph.names, masks, keypoint_note(graph))

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows = outputs[0][index]
        rows = rows[at_least(rows[:, 4], confidence)]
        scores, class_ids = numbered_classes(rows[:, 4], rows[:, 5])
        return Candidates(
            rows[:, :4], scores, class_ids, rows[:, 6 : 6 + self._masks] if self._masks else None
        )

    def prototypes(self, outputs: Sequence[F32], index: int) -> F32 | None:
        return outputs[1][index] if self._masks else None


def numbered_classes(scores: F32, numbers: F32) -> tuple[F32, I32]:
    """Scores, and class numbers given as float32 as int32.

    A class number that is no number would not survive the conversion: its score becomes NaN, so that it is
    counted and dropped.
    """
    known = np.isfinite(numbers)
    class_ids = np.where(known, numbers, 0).astype(np.int32)
    return np.where(known, scores, np.float32(np.nan)), class_ids
