"""YOLOX: one anchor per cell, boxes relative to their cell.

Output (N, cells, 5 + classes) over strides 8, 16, 32 (64), rows of the grid first: centre = (cell + offset) ×
stride, size = exp(number) × stride, objectness, class scores 0..1. Pixels are BGR 0..255, top-left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import Candidates, Graph, Head, at_least, centre_to_corners, labels_for
from engine.types import F32
from kernels.colour import PixelFormat
from kernels.letterbox import Fit

_LEVELS = ((8, 16, 32), (8, 16, 32, 64))


class Yolox(Head, order=50):
    """Score = objectness × best class."""

    layout = "YOLOX (N, cells, 5+classes)"
    fit = Fit.TOP_LEFT
    pixels = PixelFormat(bgr=True)

    def __init__(self, labels: tuple[str, ...], cells_xy: F32, strides: F32) -> None:
        self.labels = labels
        self._cells_xy = cells_xy
        self._strides = strides

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        shape = graph.shapes[0] if graph.shapes else ()
        if len(graph.shapes) != 1 or len(shape) != 3 or shape[2] < 6 or graph.ultralytics:
            return None
        for strides in _LEVELS:
            if shape[1] == graph.cells(strides):
                # One-class models of this family are person detectors as a rule.
                labels = ("person",) if shape[2] == 6 and not graph.names else labels_for(graph, shape[2] - 5)
                return cls(labels, *grid(graph.input_wh, strides))
        return None

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows = outputs[0][index]
        likely = at_least(rows[:, 4], confidence)
        rows = rows[likely]
        class_ids = rows[:, 5:].argmax(axis=1)
        scores = rows[:, 4] * rows[np.arange(len(rows)), 5 + class_ids]
        chosen = at_least(scores, confidence)
        strides = self._strides[likely[chosen], None]
        centres = (rows[chosen, :2] + self._cells_xy[likely[chosen]]) * strides
        # exp of more than 20 is a box wider than any picture; the cut keeps it finite.
        sizes = np.exp(np.minimum(rows[chosen, 2:4], np.float32(20.0))) * strides
        boxes = centre_to_corners(np.concatenate([centres, sizes], axis=1))
        return Candidates(boxes, scores[chosen], class_ids[chosen].astype(np.int32))


def grid(input_wh: tuple[int, int], strides: Sequence[int]) -> tuple[F32, F32]:
    """Cell column and row float32 (cells, 2) and stride float32 (cells,) of every output row."""
    cells, sizes = [], []
    for stride in strides:
        columns, rows = np.meshgrid(np.arange(input_wh[0] // stride), np.arange(input_wh[1] // stride))
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        sizes.append(np.full(columns.size, stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(sizes).astype(np.float32)
