"""The usual way to do it: cv2.VideoCapture, letterbox, onnxruntime, threshold and suppression in one loop.

Written as a careful user would, without anything of the project. Two layouts of raw output are read: that of
Ultralytics v8 to 11 (centre, size, a score for each class) and that of YOLOX (the same in cells, times an objectness).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

CONFIDENCE = 0.25
NMS_IOU = 0.45
YOLOX_STRIDES = (8, 16, 32)

Image = NDArray[np.uint8]
F32 = NDArray[np.float32]


def session(model: Path, threads: int = 1) -> ort.InferenceSession:
    """On the CPU, with so many threads; 0 is the default of onnxruntime, one for each core."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def input_size_hw(one: ort.InferenceSession) -> tuple[int, int]:
    """Height and width of the model's input; 640 where the model leaves them open."""
    height, width = (size if isinstance(size, int) else 640 for size in one.get_inputs()[0].shape[2:])
    return height, width


class PlainDetector:
    """One model in one session, picture by picture."""

    def __init__(self, model: Path, threads: int = 0) -> None:
        self._session = session(model, threads)
        self._input = self._session.get_inputs()[0].name
        self._height, self._width = input_size_hw(self._session)
        rows = self._session.run(
            None, {self._input: np.zeros((1, 3, self._height, self._width), np.float32)}
        )[0]
        self._cells = None if rows.shape[1] < rows.shape[2] else self._yolox_cells(rows.shape[1])

    def _yolox_cells(self, count: int) -> F32:
        """Column, row and stride of each cell, (cells, 3). Raises `SystemExit` if it is not YOLOX's layout."""
        cells = np.concatenate(
            [
                np.stack((*np.meshgrid(range(self._width // s), range(self._height // s)),), -1).reshape(
                    -1, 2
                )
                for s in YOLOX_STRIDES
            ]
        )
        strides = [(self._width // s) * (self._height // s) * [s] for s in YOLOX_STRIDES]
        if len(cells) != count:
            raise SystemExit("the plain loop reads the outputs of YOLOv8 to 11 and of YOLOX only")
        return np.column_stack((cells, np.concatenate(strides))).astype(np.float32)

    def detect(self, image_bgr: Image) -> F32:
        """Left, top, right, bottom in the picture, score and class of each object, (objects, 6)."""
        scale = min(self._width / image_bgr.shape[1], self._height / image_bgr.shape[0])
        width, height = round(image_bgr.shape[1] * scale), round(image_bgr.shape[0] * scale)
        left, top = (self._width - width) // 2, (self._height - height) // 2
        if self._cells is not None:
            left = top = 0
        canvas = np.full((self._height, self._width, 3), 114, np.uint8)
        cv2.resize(image_bgr, (width, height), dst=canvas[top : top + height, left : left + width])
        found = self._rows_to_boxes(self._session.run(None, {self._input: self._to_input(canvas)})[0][0])
        found[:, :4] = (found[:, :4] - np.array((left, top, left, top), np.float32)) / scale
        return found

    def _to_input(self, canvas: Image) -> F32:
        if self._cells is not None:
            return np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32)[None]
        chw = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1), np.float32)
        chw *= np.float32(1 / 255)
        return chw[None]

    def _rows_to_boxes(self, output: F32) -> F32:
        """Best class of every row above the threshold, then suppression class by class."""
        rows = output.T if self._cells is None else output
        scores = rows[:, 4:] if self._cells is None else rows[:, 5:] * rows[:, 4:5]
        keep = np.flatnonzero(scores.max(axis=1) > CONFIDENCE)
        class_ids = scores[keep].argmax(axis=1)
        best = scores[keep, class_ids]
        centre, size = rows[keep, :2], rows[keep, 2:4]
        if self._cells is not None:
            at = self._cells[keep]
            centre, size = (centre + at[:, :2]) * at[:, 2:], np.exp(size) * at[:, 2:]
        corner = centre - size / 2
        boxes_xywh = np.concatenate((corner, size), axis=1)
        chosen = cv2.dnn.NMSBoxesBatched(
            boxes_xywh.tolist(), best.tolist(), class_ids.tolist(), CONFIDENCE, NMS_IOU
        )
        order = np.asarray(chosen, np.int64).reshape(-1)
        return np.column_stack(
            (corner[order], corner[order] + size[order], best[order], class_ids[order])
        ).astype(np.float32)


def frames_of(clip: Path) -> Iterator[Image]:
    """All pictures of a file."""
    capture = cv2.VideoCapture(str(clip))
    while True:
        ok, image = capture.read()
        if not ok:
            capture.release()
            return
        yield np.asarray(image, np.uint8)


def frames_in_turn(clips: Sequence[Path]) -> Iterator[Image]:
    """One picture of each file after the other, until all have ended."""
    running = [frames_of(clip) for clip in clips]
    while running:
        for frames in list(running):
            image = next(frames, None)
            if image is None:
                running.remove(frames)
            else:
                yield image
