"""Masks of the real segmentation weights, against those of their makers' pipeline and against full resolution."""

import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.models.backend import BackendOptions, backend_named
from engine.models.base import BatchItem, DetectorOptions
from engine.models.heads.base import Candidates, recognise
from engine.models.onnx_detector import OnnxDetector
from engine.models.prepare import CpuPreparation
from engine.types import Detections, FrameNv12
from kernels import cpu as kernels
from kernels.letterbox import Letterbox
from kernels.reference import overlap

from .samples import picture_frame

pytestmark = pytest.mark.data

WEIGHTS = ["yolov8n-seg_320_int8", "yolov8n-seg_320_f32_dynbatch"]
PICTURES = ["bus.jpg", "zidane.jpg"]
OPTIONS: dict[str, Any] = {"confidence": 0.25, "lanes": 1, "threads": 1, "batch": 1}

Bools = NDArray[np.bool_]


def full_masks(found: Detections, frame: FrameNv12) -> list[Bools]:
    """bool (height, width) of each object, as they are drawn."""
    assert found.masks is not None
    masks = []
    for index in range(len(found)):
        y, uv = np.zeros_like(frame.y), np.zeros_like(frame.uv)
        left, top, right, bottom = (float(edge) for edge in found.masks.rects_xyxy[index])
        rect = (left, top, right, bottom)
        kernels.blend_mask(y, uv, found.masks.grid(index), rect, (255, 255, 255), 1.0)
        masks.append(y == 255)
    return masks


def masks_at_full_resolution(
    candidates: Candidates, prototypes_chw: NDArray[np.float32], boxes: NDArray[np.float32], placed: Letterbox
) -> list[Bools]:
    """Every mask computed for the whole picture and cut to its box: slow and plain."""
    assert candidates.mask_coefficients is not None
    masks = []
    for coefficients, box in zip(candidates.mask_coefficients, boxes, strict=True):
        cells = 1 / (1 + np.exp(-np.tensordot(coefficients, prototypes_chw, 1)))
        wide = cv2.resize(cells, (placed.input_width, placed.input_height), interpolation=cv2.INTER_LINEAR)
        inner = wide[placed.top : placed.top + placed.height, placed.left : placed.left + placed.width]
        size_wh = (placed.source_width, placed.source_height)
        mask = np.asarray(cv2.resize(inner, size_wh, interpolation=cv2.INTER_LINEAR)) > 0.5
        columns, rows = np.arange(size_wh[0]) + 0.5, np.arange(size_wh[1])[:, None] + 0.5
        mask &= (columns >= box[0]) & (columns < box[2]) & (rows >= box[1]) & (rows < box[3])
        masks.append(mask)
    return masks


def raw_masks(path: Path, frame: FrameNv12, found: Detections) -> list[Bools]:
    """The full-resolution masks of the objects found, from the outputs of the graph itself."""
    backend = backend_named("ort-cpu").load(path, BackendOptions())
    head, call = recognise(backend.graph, str(path)), backend.new_call()
    placed = CpuPreparation(call.input_nchw, head.pixels, head.fit).prepare(frame, 0)
    outputs = backend.run(call, 1, 0)
    candidates, prototypes = head.decode(outputs, 0, 0.25), head.prototypes(outputs, 0)
    source = kernels.boxes_to_source(candidates.boxes_xyxy, placed)
    same = [int(np.abs(source - box).max(axis=1).argmin()) for box in found.boxes_xyxy]
    assert prototypes is not None
    return masks_at_full_resolution(candidates.take(np.array(same)), prototypes, source[same], placed)


def expected_rows(data_dir: Path, name: str, picture: str) -> list[list[Any]]:
    items = tomllib.loads((data_dir / "MANIFEST.toml").read_text())["item"]
    item = next(item for item in items if item["file"] == f"weights/{name}.onnx")
    rows: list[list[Any]] = item["expected"][picture]
    return rows


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", WEIGHTS)
def test_masks(data_dir: Path, name: str, picture: str) -> None:
    path, frame = data_dir / "weights" / f"{name}.onnx", picture_frame(data_dir / "images" / picture)
    [found] = OnnxDetector(path, DetectorOptions(**OPTIONS)).infer([BatchItem(frame)])
    assert found.masks is not None and found.masks.rects_xyxy.tolist() == found.boxes_xyxy.tolist()
    masks = full_masks(found, frame)
    for _, _, *box, pixels in expected_rows(data_dir, name, picture):
        overlaps = [overlap(one, np.array(box, np.float32)) for one in found.boxes_xyxy]
        best = int(np.argmax(overlaps))
        assert overlaps[best] > 0.9
        assert np.count_nonzero(masks[best]) == pytest.approx(pixels, rel=0.04)
    for mask, reference in zip(masks, raw_masks(path, frame, found), strict=True):
        assert np.count_nonzero(mask & reference) / np.count_nonzero(mask | reference) >= 0.97


def test_masks_are_small(data_dir: Path) -> None:
    path = data_dir / "weights" / f"{WEIGHTS[1]}.onnx"
    [found] = OnnxDetector(path, DetectorOptions(**OPTIONS)).infer(
        [BatchItem(picture_frame(data_dir / "images" / "bus.jpg"))]
    )
    assert found.masks is not None
    assert found.masks.sizes_hw.max() <= 128 and found.masks.bits.nbytes < 5000


def test_no_masks_are_made_where_nobody_looks(data_dir: Path) -> None:
    path, frame = data_dir / "weights" / f"{WEIGHTS[1]}.onnx", picture_frame(data_dir / "images" / "bus.jpg")
    [with_masks] = OnnxDetector(path, DetectorOptions(**OPTIONS)).infer([BatchItem(frame)])
    [without] = OnnxDetector(path, DetectorOptions(**OPTIONS, masks=False)).infer([BatchItem(frame)])
    assert with_masks.masks is not None and without.masks is None
    assert with_masks.boxes_xyxy.tolist() == without.boxes_xyxy.tolist()
