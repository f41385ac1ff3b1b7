"""YOLOv5 and YOLOv7: three anchors per cell, decoded by the graph.

Output (N, 3 × cells, 5 + classes [+ mask coefficients]): centre x, centre y, width, height in input pixels,
objectness, class scores, all 0..1; YOLOv5-seg has prototypes (N, coefficients, height / 4, width / 4) as second
output. Pixels are RGB 0..1, centred. YOLOX has the same columns but one row per cell, and leaves the decoding to
the reader.

Facts: ultralytics/yolov5 export.py and segment/predict.py; WongKinYiu/yolov7 export.py (`--grid`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.models.heads.base import Candidates, Graph, Head, at_least, centre_to_corners, labels_for
from engine.types import F32, I32

_LEVELS = ((8, 16, 32), (8, 16, 32, 64))


class Objectness(Head, order=40):
    """Score = objectness × best class."""

    layout = "YOLOv5/v7 (N, 3 × cells, 5+classes), with or without mask coefficients"

    def __init__(self, labels: tuple[str, ...], masks: int) -> None:
        self.labels, self._masks = labels, masks

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        # Exports that keep the three raw feature maps as further outputs have five dimensions there.
        shape = graph.shapes[0] if graph.shapes else ()
        masks = graph.prototype_channels
        further = () if masks else graph.shapes[1:]
        if len(shape) != 3 or shape[2] < 6 + masks or any(len(extra) != 5 for extra in further):
            return None
        if shape[1] not in {3 * graph.cells(strides) for strides in _LEVELS}:
            return None
        return cls(labels_for(graph, shape[2] - 5 - masks), masks)

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows, scores, class_ids, _ = best_rows(outputs[0][index], len(self.labels), confidence)
        coefficients = rows[:, 5 + len(self.labels) :] if self._masks else None
        return Candidates(centre_to_corners(rows[:, :4]), scores, class_ids, coefficients)

    def prototypes(self, outputs: Sequence[F32], index: int) -> F32 | None:
        return outputs[1][index] if self._masks else None


def best_rows(rows: F32, classes: int, confidence: float) -> tuple[F32, F32, I32, NDArray[np.intp]]:
    """(rows, scores, class_ids, positions) where objectness × best class has at least `confidence`.

    rows  float32 (n, 5 + classes + any more): four numbers of the box, objectness, class scores
    """
    likely = at_least(rows[:, 4], confidence)
    class_scores = rows[likely, 5 : 5 + classes]
    class_ids = class_scores.argmax(axis=1).astype(np.int32)
    scores = rows[likely, 4] * class_scores[np.arange(len(likely)), class_ids]
    chosen = at_least(scores, confidence)
    return rows[likely[chosen]], scores[chosen], class_ids[chosen], likely[chosen]
