"""What the detector does around the head, and what it says of files; models are made here."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engine.errors import ConfigError, ModelCorrupt, ModelNotFound, ModelUnsupported
from engine.models.base import BatchItem, DetectorOptions
from engine.models.onnx_detector import OnnxDetector

from .samples import grey_frame, toy_model

NAMES = {"names": "{0: 'cat', 1: 'dog'}", "end2end": "True", "author": "Ultralytics"}


def finished_boxes(*rows: tuple[float, ...], count: int = 10) -> dict[str, NDArray[np.float32]]:
    """Output of an end-to-end graph: the rows, then unused ones."""
    table = np.zeros((1, count, 6), np.float32)
    table[0, : len(rows)] = np.array(rows, np.float32).reshape(-1, 6)
    return {"output0": table}


def test_boxes_come_back_in_source_pixels(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx",
        finished_boxes((8, 20, 24, 40, 0.5, 1), (0, 16, 64, 48, 0.9, 0)),
        metadata=NAMES,
    )
    detector = OnnxDetector(path, DetectorOptions(lanes=1))
    [found] = detector.infer([BatchItem(grey_frame(128, 64))])
    assert found.boxes_xyxy.tolist() == [[0, 0, 128, 64], [16, 8, 48, 48]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert [detector.labels[index] for index in found.class_ids] == ["cat", "dog"]


def test_boxes_in_the_padding_are_dropped(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 0, 24, 15, 0.9, 1), (8, 0, 24, 20, 0.8, 1)), metadata=NAMES
    )
    [found] = OnnxDetector(path, DetectorOptions()).infer([BatchItem(grey_frame(128, 64))])
    assert found.boxes_xyxy.tolist() == [[16, 0, 48, 8]]


def test_confidence_and_most_objects(tmp_path: Path) -> None:
    rows = [(0, 16, 10 + index, 48, 0.05 + index / 10, 0) for index in range(8)]
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(*rows), metadata=NAMES)
    [found] = OnnxDetector(path, DetectorOptions(confidence=0.2, max_objects=4)).infer(
        [BatchItem(grey_frame(128, 64))]
    )
    assert found.scores.tolist() == pytest.approx([0.75, 0.65, 0.55, 0.45])
    [found] = OnnxDetector(path, DetectorOptions(confidence=0.6)).infer([BatchItem(grey_frame(128, 64))])
    assert len(found) == 2


def test_senseless_numbers_are_dropped_and_counted(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    good = (8, 20, 24, 40, 0.5, 1)
    bad = [
        (nan, 20, 24, 40, 0.9, 1), (8, 20, inf, 40, 0.9, 1), (8, 20, 24, 40, nan, 1), (8, 20, 24, 40, inf, 1),
        (8, 20, 24, 40, 0.9, nan), (8, 20, 24, 40, 0.9, 7), (8, 20, 24, 40, 0.9, -1),
    ]  # fmt: skip
    detector = OnnxDetector(
        toy_model(tmp_path / "toy.onnx", finished_boxes(*bad, good), metadata=NAMES), DetectorOptions(lanes=2)
    )
    for lane in (0, 1):
        [found] = detector.infer([BatchItem(grey_frame(64, 64))], lane)
        assert found.boxes_xyxy.tolist() == [[8, 20, 24, 40]]
    assert detector.discarded == 2 * len(bad)


@pytest.mark.parametrize("size", ["batch", 1, 2])
def test_any_batch_size_of_the_file_serves_any_number_of_frames(tmp_path: Path, size: int | str) -> None:
    boxes = finished_boxes((8, 20, 24, 40, 0.5, 1))
    if isinstance(size, int):
        boxes = {"output0": boxes["output0"].repeat(size, axis=0)}
    path = toy_model(tmp_path / "toy.onnx", boxes, (size, 3, 64, 64), metadata=NAMES)
    detector = OnnxDetector(path, DetectorOptions(batch=3))
    for count in (0, 1, 3, 5):
        found = detector.infer([BatchItem(grey_frame(64, 64))] * count)
        assert [len(one) for one in found] == [1] * count


def test_half_precision_files(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata=NAMES, half=True
    )
    detector = OnnxDetector(path, DetectorOptions(lanes=1))
    [found] = detector.infer([BatchItem(grey_frame(64, 64))])
    assert found.boxes_xyxy.tolist() == [[8, 20, 24, 40]] and found.boxes_xyxy.dtype == np.float32
    assert "float16" in detector.description


def test_files_of_any_size_use_the_size_in_their_metadata(tmp_path: Path) -> None:
    shape = ("batch", 3, "height", "width")
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), shape, {**NAMES, "imgsz": "[64, 128]"}
    )
    [found] = OnnxDetector(path, DetectorOptions(lanes=1)).infer([BatchItem(grey_frame(256, 128))])
    assert found.boxes_xyxy.tolist() == [[16, 40, 48, 80]]
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), shape, NAMES)
    assert "640 × 640" in OnnxDetector(path, DetectorOptions(lanes=1)).description


def test_labels_may_be_given(tmp_path: Path) -> None:
    path = toy_model(
        tmp_path / "toy.onnx", finished_boxes((8, 20, 24, 40, 0.5, 1)), metadata={"end2end": "True"}
    )
    assert OnnxDetector(path, DetectorOptions()).labels[0] == "person"
    assert OnnxDetector(path, DetectorOptions(labels=("a", "b"))).labels == ("a", "b")


def test_labels_and_classes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    with pytest.raises(ConfigError, match="labels names 1 classes, but the model has 2"):
        OnnxDetector(path, DetectorOptions(labels=("a",)))
    with pytest.raises(ConfigError, match=r"'dogg'.*did you mean 'dog'"):
        OnnxDetector(path, DetectorOptions(classes=("dogg",)))


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        OnnxDetector(tmp_path / "nowhere.onnx", DetectorOptions())
    with pytest.raises(ModelNotFound):
        OnnxDetector(tmp_path, DetectorOptions())


@pytest.mark.parametrize("kind", ["empty", "text", "half", "noise", "names"])
def test_damaged_files_are_corrupt(tmp_path: Path, kind: str) -> None:
    path = toy_model(tmp_path / "toy.onnx", finished_boxes(), metadata=NAMES)
    whole = path.read_bytes()
    broken = {
        "empty": b"",
        "text": b"<html>404 not found</html>",
        "half": whole[: len(whole) // 2],
        "noise": np.random.default_rng(1).bytes(4000),
        "names": whole.replace(b"ReduceMean", b"\xff\xfe\xfd\xfc\xfbeMean"),
    }[kind]
    path.write_bytes(broken)
    with pytest.raises(
        ModelCorrupt, match=rf"sha256 [0-9a-f]{{64}}, {len(broken)} bytes.*engine-models fetch"
    ):
        OnnxDetector(path, DetectorOptions())


def test_a_pytorch_file_says_export(tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "yolo.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x")
    with pytest.raises(ModelUnsupported, match="export it to ONNX"):
        OnnxDetector(path, DetectorOptions())


def test_unknown_operators_are_unsupported(tmp_path: Path) -> None:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    graph = helper.make_graph([helper.make_node("Nonsense", ["images"], ["y"])], "g", [images], [images])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 99)], ir_version=8)
    path = tmp_path / "future.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelUnsupported, match=r"future\.onnx: ONNX Runtime cannot load it") as info:
        OnnxDetector(path, DetectorOptions())
    assert "\n" not in str(info.value)


def test_a_graph_that_cannot_run_is_unsupported(tmp_path: Path) -> None:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, "h", "w"])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    shape = onnx.numpy_helper.from_array(np.array([7, 7]), "shape")
    node = helper.make_node("Reshape", ["images", "shape"], ["y"])
    graph = helper.make_graph([node], "g", [images], [result], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = tmp_path / "stuck.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelUnsupported, match="does not run on a picture of 640 × 640"):
        OnnxDetector(path, DetectorOptions())
