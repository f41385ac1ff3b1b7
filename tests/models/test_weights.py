"""Every detector weight file of the test data gives the boxes that its maker's own pipeline gives."""

import threading
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ModelUnsupported
from engine.models.base import BatchItem, DetectorOptions
from engine.models.onnx_detector import OnnxDetector
from engine.types import Detections
from kernels.reference import overlap

from .samples import picture_frame

pytestmark = pytest.mark.data

WEIGHTS = [
    "yolov8n_640_int8", "yolov8n_640_f32_dynbatch", "yolo11n_320_int8", "yolo26n_640_int8_e2e",
    "yolov8n-seg_320_int8", "yolov8n-seg_320_f32_dynbatch", "yolox_nano_416_f32", "nanodet_m_320_f32",
    "light_person_detector_192_f32",
]  # fmt: skip
REID_WEIGHTS = ["osnet_x0_25_msmt17_dynbatch", "person_reid_retail_0248"]
"""Give a vector for a person, not boxes: expected values are of another kind, and as detectors they are refused."""
PICTURES = ["bus.jpg", "zidane.jpg"]


def open_weights(data_dir: Path, name: str, **options: Any) -> OnnxDetector:
    return OnnxDetector(data_dir / "weights" / f"{name}.onnx", DetectorOptions(**options))


def expected_boxes(data_dir: Path, name: str) -> dict[str, list[list[Any]]]:
    items = tomllib.loads((data_dir / "MANIFEST.toml").read_text())["item"]
    item = next(item for item in items if item["file"] == f"weights/{name}.onnx")
    found: dict[str, list[list[Any]]] = item["expected"]
    return found


def same(a: Detections, b: Detections, tolerance: float = 0.0) -> bool:
    return len(a) == len(b) and all(
        np.allclose(getattr(a, field), getattr(b, field), rtol=0, atol=tolerance)
        for field in ("boxes_xyxy", "scores", "class_ids")
    )


@pytest.mark.parametrize("name", WEIGHTS)
def test_expected_boxes(data_dir: Path, name: str) -> None:
    detector = open_weights(data_dir, name, lanes=1)
    expected = expected_boxes(data_dir, name)
    for picture in PICTURES:
        [found] = detector.infer([BatchItem(picture_frame(data_dir / "images" / picture))])
        for label, score, *box in expected[picture]:
            scores = [
                float(found.scores[index])
                for index in range(len(found))
                if detector.labels[found.class_ids[index]] == label
                and overlap(found.boxes_xyxy[index], np.array(box[:4], np.float32)) > 0.85
            ]
            assert any(abs(found_score - score) < 0.08 for found_score in scores), (picture, label, score)
        assert np.count_nonzero(found.scores >= 0.6) <= len(expected[picture])
        assert (np.diff(found.scores) <= 0).all()


def test_every_weight_file_of_the_manifest_is_tested(data_dir: Path) -> None:
    items = tomllib.loads((data_dir / "MANIFEST.toml").read_text())["item"]
    files = {Path(item["file"]).stem for item in items if item["kind"] == "weights"}
    assert files == {*WEIGHTS, *REID_WEIGHTS} and len(files) == 11


def test_labels_come_from_the_file(data_dir: Path) -> None:
    detector = open_weights(data_dir, "yolo11n_320_int8", lanes=1)
    assert detector.labels[:6] == ("person", "bicycle", "car", "motorcycle", "airplane", "bus")
    assert open_weights(data_dir, "light_person_detector_192_f32", lanes=1).labels == ("person",)


def test_only_wanted_classes_are_returned(data_dir: Path) -> None:
    frame = picture_frame(data_dir / "images" / "bus.jpg")
    detector = open_weights(data_dir, "yolox_nano_416_f32", lanes=1, classes=("bus",))
    [found] = detector.infer([BatchItem(frame)])
    assert len(found) and {detector.labels[index] for index in found.class_ids} == {"bus"}


@pytest.mark.parametrize("name", ["yolov8n-seg_320_f32_dynbatch", "yolox_nano_416_f32"])
def test_a_batch_gives_what_single_frames_give(data_dir: Path, name: str) -> None:
    frames = [picture_frame(data_dir / "images" / picture) for picture in (*PICTURES, "bus.jpg")]
    detector = open_weights(data_dir, name, lanes=1, batch=3)
    together = detector.infer([BatchItem(frame) for frame in frames])
    alone = [detector.infer([BatchItem(frame)])[0] for frame in frames]
    assert detector.batch == (3 if "dynbatch" in name else 1)
    assert all(same(a, b, 1e-3) for a, b in zip(together, alone, strict=True))
    assert same(together[0], together[2], 1e-3) and not same(together[0], together[1], 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_lanes_side_by_side_give_the_same(data_dir: Path, threads: int) -> None:
    frames = [picture_frame(data_dir / "images" / picture) for picture in PICTURES]
    detector = open_weights(data_dir, "light_person_detector_192_f32", lanes=3, threads=threads)
    alone = [detector.infer([BatchItem(frame)])[0] for frame in frames]
    found: dict[tuple[int, int], Detections] = {}

    def work(lane: int) -> None:
        for turn in range(20):
            found[lane, turn] = detector.infer([BatchItem(frames[(lane + turn) % 2])], lane)[0]

    workers = [threading.Thread(target=work, args=(lane,)) for lane in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 60
    assert all(same(result, alone[(lane + turn) % 2]) for (lane, turn), result in found.items())


def test_the_head_and_the_backend_are_named_with_reasons(data_dir: Path) -> None:
    detector = open_weights(data_dir, "yolov8n-seg_320_int8", backends=("ort-tensorrt", "ort-cpu"))
    by_name = {choice.what: choice for choice in detector.choices}
    assert by_name["backend"].chosen == "ort-cpu"
    assert "no TensorrtExecutionProvider" in by_name["backend"].reason
    assert by_name["head"].chosen in detector.description
    assert by_name["batch"].chosen == "1"
    assert by_name["layout"].chosen == "1×1" and detector.lanes == 1
    [degraded] = detector.degraded
    assert "ort-cpu" in degraded and "onnxruntime-gpu" in degraded


@pytest.mark.parametrize("name", REID_WEIGHTS)
def test_what_is_no_detector_says_what_was_found(data_dir: Path, name: str) -> None:
    with pytest.raises(
        ModelUnsupported, match=r"Found inputs: (images|inputs:0) float32 \[.*outputs: "
    ) as info:
        open_weights(data_dir, name)
    assert "\n" not in str(info.value) and name in str(info.value)
