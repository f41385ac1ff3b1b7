"""RT-DETR and what came of it (D-FINE, DEIM), as their own exporters and Ultralytics write them.

With the post-processing inside: inputs images and orig_target_sizes; outputs labels (N, K) class numbers, boxes
(N, K, 4) corners in the pixels of orig_target_sizes, scores (N, K). Pixels are RGB 0..1, stretched.
Facts: lyuwenyu/RT-DETR rtdetrv2_pytorch (tools/export_onnx.py, references/deploy/rtdetrv2_onnxruntime.py),
Peterande/D-FINE and Intellindust-AI-Lab/DEIMv2 (tools/deployment/export_onnx.py, tools/inference/onnx_inf.py).

Ultralytics: output (N, K, 4 + classes), centre and size as parts of the input's sides and class scores 0..1;
since 8.4 (N, K, 6) with score and class instead. Pixels are RGB 0..1, stretched.
Facts: docs.ultralytics.com/models/rtdetr; outputs of exports of release 8.4.190.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import Candidates, Graph, Head, at_least, centre_to_corners
from engine.models.heads.end2end import numbered_classes
from engine.models.heads.labels import COCO
from engine.models.heads.queries import best_pairs
from engine.types import F32
from kernels.letterbox import Fit

_LARGEST_PART = 1.5
"""Boxes as parts of the picture's sides may stick out a little, but are never as large as pixels are."""


class RtDetrFinished(Head, order=11):
    """Boxes are finished, and in input pixels because that is the size which the graph is told."""

    layout = "RT-DETR/D-FINE/DEIM labels (N, K) + boxes (N, K, 4) + scores (N, K) with orig_target_sizes"
    fit = Fit.STRETCH
    needs_nms = False

    def __init__(self, names: tuple[str, ...], positions: tuple[int, int, int]) -> None:
        self.labels = names or COCO
        self.counts_classes = bool(names)
        self._labels, self._boxes, self._scores = positions

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        labels, boxes, scores = positions = tuple(
            graph.output(name) for name in ("labels", "boxes", "scores")
        )
        if min(positions) < 0 or "orig_target_sizes" not in graph.constants:
            return None
        count = graph.shapes[labels][1:]
        if len(count) != 1 or graph.shapes[scores][1:] != count or graph.shapes[boxes][1:] != (*count, 4):
            return None
        return cls(graph.names, (labels, boxes, scores))

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        scores = outputs[self._scores][index]
        chosen = at_least(scores, confidence)
        kept, class_ids = numbered_classes(scores[chosen], outputs[self._labels][index][chosen])
        return Candidates(outputs[self._boxes][index][chosen], kept, class_ids)


class RtDetrUltralytics(Head, order=12):
    """Boxes as parts of the picture."""

    layout = "Ultralytics RT-DETR (N, K, 4+classes) or (N, K, 6)"
    fit = Fit.STRETCH
    needs_nms = False

    def __init__(self, names: tuple[str, ...], input_wh: tuple[int, int], *, ranked: bool) -> None:
        self.labels = names
        self._input_wh, self._ranked = input_wh, ranked

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        shape = graph.shapes[0] if graph.shapes else ()
        if len(shape) != 3 or len(graph.shapes) != 1 or not graph.ultralytics or not graph.names:
            return None
        # Exporters before 8.4 did not write which head a model has.
        named = graph.metadata.get("head") == "RTDETRDecoder"
        if not named and ("head" in graph.metadata or not _are_parts(graph)):
            return None
        if named and shape[2] == 6:
            return cls(graph.names, graph.input_wh, ranked=True)
        if shape[2] == 4 + len(graph.names):
            return cls(graph.names, graph.input_wh, ranked=False)
        return None

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows = outputs[0][index]
        if not self._ranked:
            return best_pairs(rows[:, 4:], rows[:, :4], self._input_wh, confidence)
        rows = rows[at_least(rows[:, 4], confidence)]
        scores, class_ids = numbered_classes(rows[:, 4], rows[:, 5])
        sides = np.array(self._input_wh * 2, np.float32)
        return Candidates(centre_to_corners(rows[:, :4] * sides), scores, class_ids)


def _are_parts(graph: Graph) -> bool:
    """Whether the boxes found in the empty picture are parts of its sides: no pixels, and not all zero."""
    boxes = graph.examples[0][..., :4] if graph.examples else np.zeros(0, np.float32)
    return bool(boxes.size and boxes.any() and np.abs(boxes).max() < _LARGEST_PART)
