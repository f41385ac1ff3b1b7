"""NanoDet and NanoDet-Plus: class scores, and for each side of the box a distribution over distances.

The mean of the distribution over 0 … bins-1, times the stride, is the distance from the cell's centre to the left,
top, right or bottom edge. Pictures are stretched to the input; BGR, mean and deviation of ImageNet in grey levels.

NanoDet: per stride cls_pred_stride_S (N, cells, classes), scores 0..1, and dis_pred_stride_S (N, cells, 4 × bins);
a cell's centre is (cell + 0.5) × stride - 0.5. NanoDet-Plus: one output (N, cells, classes + 4 × bins) over
strides 8, 16, 32, 64; a cell's centre is cell × stride.

Facts: RangiLyu/nanodet tools/export_onnx.py, nanodet/model/head/{gfl_head,nanodet_plus_head}.py, config/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.models.heads.base import Candidates, Graph, Head, at_least, labels_for
from engine.models.heads.yolox import grid
from engine.types import F32, I32
from kernels.colour import PixelFormat
from kernels.letterbox import Fit

_OUTPUT = re.compile(r"(cls|dis)_pred_stride_(\d+)")
_PIXELS = PixelFormat(bgr=True, mean=(103.53, 116.28, 123.675), scale=(1 / 57.375, 1 / 57.12, 1 / 58.395))
_PLUS_STRIDES = (8, 16, 32, 64)
_PLUS_DISTANCES = 4 * 8
"""Numbers per cell of NanoDet-Plus that are distances: all of its configurations have eight bins."""


@dataclass(frozen=True, slots=True)
class _Level:
    """One stride: which outputs it has, and where its cells' centres are in input pixels, float32 (cells, 2)."""

    scores_at: int
    distances_at: int
    centres_xy: F32
    stride: int


class Nanodet(Head, order=10):
    """Generalised focal loss head of NanoDet-m."""

    layout = "NanoDet cls_pred_stride_S (N, cells, classes) + dis_pred_stride_S (N, cells, 4 × bins)"
    fit = Fit.STRETCH
    pixels = _PIXELS

    def __init__(self, labels: tuple[str, ...], levels: tuple[_Level, ...]) -> None:
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
            levels.append(_Level(named["cls", stride], named["dis", stride], centres_xy, stride))
        return cls(labels_for(graph, graph.shapes[levels[0].scores_at][2]), tuple(levels))

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        boxes, scores, class_ids = [], [], []
        for level in self._levels:
            chosen, best, numbers = _best_classes(outputs[level.scores_at][index], confidence)
            scores.append(best)
            class_ids.append(numbers)
            distances = _expectation(outputs[level.distances_at][index][chosen]) * np.float32(level.stride)
            boxes.append(_around(level.centres_xy[chosen], distances))
        return Candidates(np.concatenate(boxes), np.concatenate(scores), np.concatenate(class_ids))


class NanodetPlus(Head, order=16):
    """The same with everything in one output."""

    layout = "NanoDet-Plus (N, cells, classes + 32)"
    fit = Fit.STRETCH
    pixels = _PIXELS

    def __init__(self, graph: Graph) -> None:
        self.labels = labels_for(graph, graph.shapes[0][2] - _PLUS_DISTANCES)
        cells_xy, self._strides = grid(graph.input_wh, _PLUS_STRIDES)
        self._centres_xy = cells_xy * self._strides[:, None]

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        shape = graph.shapes[0] if graph.shapes else ()
        if len(graph.shapes) != 1 or len(shape) != 3 or shape[2] <= _PLUS_DISTANCES or not graph.examples:
            return None
        if shape[1] != graph.cells(_PLUS_STRIDES):
            return None
        # YOLOX has the same shape, but its first four numbers are places and sizes, and its last ones scores.
        scores, logits = np.split(graph.examples[0], [shape[2] - _PLUS_DISTANCES], axis=2)
        fits = _are_scores(scores) and not _are_scores(logits)
        return cls(graph) if fits else None

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows, classes = outputs[0][index], len(self.labels)
        chosen, scores, class_ids = _best_classes(rows[:, :classes], confidence)
        distances = _expectation(rows[chosen, classes:]) * self._strides[chosen, None]
        return Candidates(_around(self._centres_xy[chosen], distances), scores, class_ids)


def _are_scores(values: F32) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _best_classes(class_scores: F32, confidence: float) -> tuple[NDArray[np.intp], F32, I32]:
    """(cells, scores, class_ids) of the cells whose best class has at least `confidence`."""
    chosen = at_least(class_scores.max(axis=1), confidence)
    rows = class_scores[chosen]
    return chosen, rows.max(axis=1), rows.argmax(axis=1).astype(np.int32)


def _around(centres_xy: F32, distances: F32) -> F32:
    """Boxes float32 (n, 4) from centres and distances to left, top, right, bottom."""
    return np.concatenate([centres_xy - distances[:, :2], centres_xy + distances[:, 2:]], axis=1)


def _expectation(logits: F32) -> F32:
    """float32 (n, 4): the mean bin of each of the four distributions of (n, 4 × bins)."""
    bins = logits.reshape(len(logits), 4, logits.shape[1] // 4)
    weights = np.exp(bins - bins.max(axis=2, keepdims=True))
    numbers = np.arange(bins.shape[2], dtype=np.float32)
    mean: F32 = (weights @ numbers) / weights.sum(axis=2)
    return mean
