"""Ultralytics v8, v9, v11, v12 without NMS inside: one row per number, one column per anchor.

Output (N, 4 + classes [+ mask coefficients], anchors): centre x, centre y, width, height in input pixels, then
class scores 0..1; no objectness. A segmentation graph has prototypes as a second output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import Candidates, Graph, Head, at_least, centre_to_corners, labels_for
from engine.types import F32

_LEVELS = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))
"""Strides of the feature maps: the usual ones, P6 and P2 models."""


class UltralyticsRaw(Head, order=30):
    """Scores and boxes of every anchor."""

    layout = "Ultralytics v8/v9/v11 (N, 4+classes, anchors), with or without mask coefficients"

    def __init__(self, labels: tuple[str, ...], masks: int) -> None:
        self.labels = labels
        self.note = f"masks: ignored ({masks} coefficients per box)" if masks else ""

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        shape = graph.shapes[0] if graph.shapes else ()
        masks = graph.prototype_channels
        if len(shape) != 3 or len(graph.shapes) != (2 if masks else 1):
            return None
        if graph.metadata.get("task", "detect") not in ("detect", "segment"):
            return None
        classes = shape[1] - 4 - masks
        anchors_fit = shape[2] in {graph.cells(strides) for strides in _LEVELS}
        names_disagree = bool(graph.names) and len(graph.names) != classes
        if classes < 1 or not anchors_fit or names_disagree:
            return None
        return cls(labels_for(graph, classes), masks)

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows = outputs[0][index]
        class_scores = rows[4 : 4 + len(self.labels)]
        # Reducing over the outer axis reads memory in order; only the few columns that pass are looked at again.
        chosen = at_least(class_scores.max(axis=0), confidence)
        columns = class_scores[:, chosen]
        class_ids = columns.argmax(axis=0).astype(np.int32)
        return Candidates(centre_to_corners(rows[:4, chosen].T), columns.max(axis=0), class_ids)
