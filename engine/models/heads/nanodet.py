"""NanoDet: per stride one output of class scores and one of box distances.

Outputs cls_pred_stride_S (N, cells, classes), scores 0..1, and dis_pred_stride_S (N, cells, 4 × bins): for left,
top, right, bottom a distribution over 0 … bins-1 whose mean times the stride is the distance from the cell's
centre. The picture is stretched to the input; BGR, mean and deviation of ImageNet in grey levels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import Candidates, Graph, Head, at_least, labels_for
from engine.models.heads.yolox import grid
from engine.types import F32
from kernels.colour import PixelFormat
from kernels.letterbox import Fit

_OUTPUT = re.compile(r"(cls|dis)_pred_stride_(\d+)")


class Nanodet(Head, order=10):
    """Generalised focal loss head of NanoDet-m."""

    layout = "NanoDet cls_pred_stride_S (N, cells, classes) + dis_pred_stride_S (N, cells, 4 × bins)"
    fit = Fit.STRETCH
    pixels = PixelFormat(bgr=True, mean=(103.53, 116.28, 123.675), scale=(1 / 57.375, 1 / 57.12, 1 / 58.395))

    def __init__(self, labels: tuple[str, ...], levels: tuple[tuple[int, int, F32, int], ...]) -> None:
        self.labels = labels
        self._levels = levels

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        matches = [_OUTPUT.fullmatch(output.name) for output in graph.outputs]
        named = {(match[1], int(match[2])): i for i, match in enumerate(matches) if match}
        strides = sorted({stride for _, stride in named})
        if len(named) != len(matches) or len(matches) != 2 * len(strides) or not strides:
            return None
        levels = []
        for stride in strides:
            scores, distances = (graph.shapes[named[kind, stride]] for kind in ("cls", "dis"))
            centres_xy = (grid(graph.input_wh, (stride,))[0] + np.float32(0.5)) * stride - np.float32(0.5)
            if not (len(scores) == len(distances) == 3) or distances[2] % 4:
                return None
            if not (scores[1] == distances[1] == len(centres_xy)):
                return None
            levels.append((named["cls", stride], named["dis", stride], centres_xy, stride))
        return cls(labels_for(graph, graph.shapes[levels[0][0]][2]), tuple(levels))

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        boxes, scores, class_ids = [], [], []
        for scores_at, distances_at, centres_xy, stride in self._levels:
            class_scores = outputs[scores_at][index]
            chosen = at_least(class_scores.max(axis=1), confidence)
            rows = class_scores[chosen]
            scores.append(rows.max(axis=1))
            class_ids.append(rows.argmax(axis=1).astype(np.int32))
            distances = _expectation(outputs[distances_at][index][chosen]) * np.float32(stride)
            centres = centres_xy[chosen]
            boxes.append(np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1))
        return Candidates(np.concatenate(boxes), np.concatenate(scores), np.concatenate(class_ids))


def _expectation(logits: F32) -> F32:
    """float32 (n, 4): the mean bin of each of the four distributions of (n, 4 × bins)."""
    bins = logits.reshape(len(logits), 4, logits.shape[1] // 4)
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    numbers = np.arange(bins.shape[2], dtype=np.float32)
    mean: F32 = (weights @ numbers) / weights.sum(axis=2)
    return mean
