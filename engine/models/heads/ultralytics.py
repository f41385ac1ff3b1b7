"""Ultralytics v3u, v5u, v6, v8, v9, 11, 12 (and 10, 26 exported so) without NMS inside: one column per anchor.

Output (N, 4 + classes [+ more], anchors): centre x, centre y, width, height in input pixels, then class scores
0..1; no objectness. More are mask coefficients, with the prototypes (N, coefficients, height / 4, width / 4) as
second output, or the numbers of the keypoints, which `kpt_shape` counts. Pixels are RGB 0..1, centred.

Facts: docs.ultralytics.com/modes/export, /tasks/segment, /tasks/pose; outputs of exports of release 8.4.190.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.models.heads.base import Candidates, Graph, Head, labels_for
from engine.types import F32
from kernels import cpu as kernels

_LEVELS = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))
"""Strides of the feature maps: the usual ones, P6, P2 and tiny models."""
TASKS = ("", "detect", "segment", "pose")
"""Tasks whose outputs begin with boxes; empty where the file says nothing."""


class UltralyticsRaw(Head, order=30):
    """Scores and boxes of every anchor."""

    layout = "Ultralytics v3u to 26 (N, 4+classes, anchors), with mask coefficients or keypoints or without"

    def __init__(self, labels: tuple[str, ...], masks: int, note: str) -> None:
        self.labels, self._masks, self.note = labels, masks, note

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        shape = graph.shapes[0] if graph.shapes else ()
        masks = graph.prototype_channels
        if len(shape) != 3 or len(graph.shapes) != (2 if masks else 1) or graph.task not in TASKS:
            return None
        classes = shape[1] - 4 - masks - graph.keypoint_numbers
        anchors_fit = shape[2] in {graph.cells(strides) for strides in _LEVELS}
        names_disagree = bool(graph.names) and len(graph.names) != classes
        if classes < 1 or not anchors_fit or names_disagree:
            return None
        return cls(labels_for(graph, classes), masks, keypoint_note(graph))

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows, classes = outputs[0][index], len(self.labels)
        boxes, scores, class_ids, columns = kernels.decode_anchors(rows, classes, confidence)
        coefficients = rows[4 + classes : 4 + classes + self._masks, columns].T if self._masks else None
        return Candidates(boxes, scores, class_ids, coefficients)

    def prototypes(self, outputs: Sequence[F32], index: int) -> F32 | None:
        return outputs[1][index] if self._masks else None


def keypoint_note(graph: Graph) -> str:
    """What is said of a pose model: its boxes are used, its keypoints are not."""
    numbers = graph.keypoint_numbers
    return f"keypoints: ignored ({numbers} numbers per box)" if numbers else ""
