"""YOLOX, and Meituan's YOLOv6, which looks like it: one anchor per cell.

Output (N, cells, 5 + classes) over strides 8, 16, 32 (64), rows of the grid first: four numbers of the box,
objectness, class scores 0..1. YOLOX leaves the decoding to the reader: centre = (cell + offset) × stride, size =
exp(number) × stride; exported with `--decode_in_inference`, and by YOLOv6, the numbers are centre and size in
input pixels. YOLOX wants BGR 0..255, top-left; YOLOv6 RGB 0..1, centred, and its objectness is 1 everywhere.

Facts: Megvii-BaseDetection/YOLOX tools/export_onnx.py, yolox/models/yolo_head.py, demo/ONNXRuntime;
meituan/YOLOv6 yolov6/models/effidehead.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.models.heads.base import RGB_0_TO_1, Candidates, Graph, Head, centre_to_corners, labels_for
from engine.models.heads.objectness import best_rows
from engine.types import F32
from kernels.colour import PixelFormat
from kernels.letterbox import Fit

_LEVELS = ((8, 16, 32), (8, 16, 32, 64))


class Yolox(Head, order=50):
    """Score = objectness × best class."""

    layout = "YOLOX, YOLOv6 (N, cells, 5+classes)"
    fit = Fit.TOP_LEFT
    pixels = PixelFormat(bgr=True)

    def __init__(self, graph: Graph, strides: Sequence[int]) -> None:
        classes = graph.shapes[0][2] - 5
        # One-class models of this family are person detectors as a rule.
        person = classes == 1 and not graph.names
        self.labels = ("person",) if person else labels_for(graph, classes)
        self._cells_xy, self._strides = grid(graph.input_wh, strides)
        example = graph.examples[0][0] if graph.examples else None
        self._decoded = example is not None and self._in_pixels(example)
        if example is not None and self._decoded:
            self.note = "boxes are decoded in the graph"
            if (example[:, 4] == 1).all():
                self.fit, self.pixels = Fit.CENTRED, RGB_0_TO_1
                self.note += "; objectness is always 1: YOLOv6"

    @classmethod
    def recognise(cls, graph: Graph) -> Head | None:
        shape = graph.shapes[0] if graph.shapes else ()
        if len(graph.shapes) != 1 or len(shape) != 3 or shape[2] < 6 or graph.ultralytics:
            return None
        return next((cls(graph, levels) for levels in _LEVELS if shape[1] == graph.cells(levels)), None)

    def decode(self, outputs: Sequence[F32], index: int, confidence: float) -> Candidates:
        rows, scores, class_ids, positions = best_rows(outputs[0][index], len(self.labels), confidence)
        if self._decoded:
            return Candidates(centre_to_corners(rows[:, :4]), scores, class_ids)
        strides = self._strides[positions, None]
        centres = (rows[:, :2] + self._cells_xy[positions]) * strides
        # exp of more than 20 is a box wider than any picture; the cut keeps it finite.
        sizes = np.exp(np.minimum(rows[:, 2:4], np.float32(20.0))) * strides
        return Candidates(centre_to_corners(np.concatenate([centres, sizes], axis=1)), scores, class_ids)

    def _in_pixels(self, rows: F32) -> bool:
        """Whether the boxes of an empty picture lie on the grid as they are.

        A centre is within a stride or two of its cell. Read as pixels, offsets would all be in the top left
        corner; read as offsets, pixels would be as far from the cell as the cell is from the corner. Which of the
        two is nearer is clear for all but the first few cells, so the median decides.
        """
        middle = np.float32(0.5)
        pixels = np.abs(rows[:, :2] / self._strides[:, None] - self._cells_xy - middle)
        offsets = np.abs(rows[:, :2] - middle)
        return bool(np.median(pixels) < np.median(offsets))


def grid(input_wh: tuple[int, int], strides: Sequence[int]) -> tuple[F32, F32]:
    """Cell column and row float32 (cells, 2) and stride float32 (cells,) of every output row."""
    cells, sizes = [], []
    for stride in strides:
        # Layers that halve an odd length round up.
        columns, rows = np.meshgrid(*(np.arange(-(-length // stride)) for length in input_wh))
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        sizes.append(np.full(columns.size, stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(sizes).astype(np.float32)
