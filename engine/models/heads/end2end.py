"""Graphs that end with finished boxes: YOLO26, v10, and Ultralytics exports with NMS inside.

Output (N, K, 6 [+ mask coefficients]): left, top, right, bottom in input pixels, score, class. Unused rows have
a score of 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import Candidates, Graph, Head, at_least
from engine.models.heads.labels import COCO
from engine.types import F32

_LEVELS = ((8, 16, 32), (8, 16, 32, 64))


class EndToEnd(Head, order=20):
    """Nothing left to do but the threshold."""

    layout = "end-to-end (YOLO26, v10, NMS inside) (N, K, 6), with or without mask coefficients"
    needs_nms = False

    def __init__(self, names: tuple[str, ...], masks: int) -> None:
        self.labels = names or COCO
        self.counts_classes = bool(names)
        self.note = f"masks: ignored ({masks} coefficients per box)" if masks else ""

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        shape = graph.shapes[0] if graph.shapes else ()
        masks = graph.prototype_channels
        if len(shape) != 3 or shape[2] != 6 + masks or len(graph.shapes) != (2 if masks else 1):
            return None
        if graph.metadata.get("task", "detect") not in ("detect", "segment"):
            return None
        # A row per grid cell is a raw head with one class, not a list of finished boxes.
        cells = {graph.cells(strides) * per_cell for strides in _LEVELS for per_cell in (1, 3)}
        if shape[1] in cells and graph.metadata.get("end2end") != "True":
            return None
        return cls(graph.names, masks)

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows = outputs[0][index]
        rows = rows[at_least(rows[:, 4], confidence)]
        # A class number that is no number would not survive the conversion; its box goes with it.
        known = np.isfinite(rows[:, 5])
        scores = np.where(known, rows[:, 4], np.nan).astype(np.float32)
        class_ids = np.where(known, rows[:, 5], 0).astype(np.int32)
        return Candidates(rows[:, :4], scores, class_ids)
