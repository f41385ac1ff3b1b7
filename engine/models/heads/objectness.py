"""YOLOv5 and YOLOv7: three anchors per cell, decoded by the graph.

Output (N, 3 × cells, 5 + classes): centre x, centre y, width, height in input pixels, objectness, class scores,
all 0..1. YOLOX has the same columns but one row per cell, and leaves the decoding to the reader.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import Candidates, Graph, Head, at_least, centre_to_corners, labels_for
from engine.types import F32

_LEVELS = ((8, 16, 32), (8, 16, 32, 64))


class Objectness(Head, order=40):
    """Score = objectness × best class."""

    layout = "YOLOv5/v7 (N, 3 × cells, 5+classes)"

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        # Exports that keep the three raw feature maps as further outputs have five dimensions there.
        shape = graph.shapes[0] if graph.shapes else ()
        if len(shape) != 3 or shape[2] < 6 or any(len(extra) != 5 for extra in graph.shapes[1:]):
            return None
        if shape[1] not in {3 * graph.cells(strides) for strides in _LEVELS}:
            return None
        return cls(labels_for(graph, shape[2] - 5))

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows = outputs[0][index]
        rows = rows[at_least(rows[:, 4], confidence)]
        class_ids = rows[:, 5:].argmax(axis=1)
        scores = rows[:, 4] * rows[np.arange(len(rows)), 5 + class_ids]
        chosen = at_least(scores, confidence)
        boxes = centre_to_corners(rows[chosen, :4])
        return Candidates(boxes, scores[chosen], class_ids[chosen].astype(np.int32))
