"""Which layout is taken for which head, and what each makes of numbers worked out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import ModelUnsupported
from engine.models.heads.base import Graph, Tensor, parse_names, parse_size, recognise
from engine.models.heads.end2end import EndToEnd
from engine.models.heads.labels import COCO
from engine.models.heads.nanodet import Nanodet
from engine.models.heads.objectness import Objectness
from engine.models.heads.ultralytics import UltralyticsRaw
from engine.models.heads.yolox import Yolox

ULTRALYTICS: dict[str, Any] = {"author": "Ultralytics", "stride": "32", "names": "{0: 'cat', 1: 'dog'}"}


def graph(*shapes: tuple[int, ...], side: int = 128, tensors: Sequence[str] = (), **metadata: Any) -> Graph:
    outputs = tuple(
        Tensor(tensors[index] if tensors else f"output{index}", "float32", shape)
        for index, shape in enumerate(shapes)
    )
    return Graph((Tensor("images", "float32", (1, 3, side, side)),), outputs, shapes, (side, side), metadata)


# 128 × 128 has 256 + 64 + 16 = 336 cells at strides 8, 16 and 32, and 4 more at 64.
NANODET_NAMES = ("cls_pred_stride_8", "cls_pred_stride_16", "dis_pred_stride_8", "dis_pred_stride_16")
LAYOUTS = [
    (graph((1, 6, 336), **ULTRALYTICS), UltralyticsRaw),
    (graph((1, 6, 340), **ULTRALYTICS), UltralyticsRaw),
    (graph((1, 84, 336)), UltralyticsRaw),
    (graph((1, 5, 8400), side=640), UltralyticsRaw),
    (graph((1, 84, 8500), side=640), UltralyticsRaw),
    (graph((1, 84, 34000), side=640), UltralyticsRaw),
    (graph((1, 38, 336), (1, 32, 32, 32), **ULTRALYTICS, task="segment"), UltralyticsRaw),
    (graph((1, 116, 336), (1, 32, 32, 32)), UltralyticsRaw),
    (graph((1, 300, 6), **ULTRALYTICS), EndToEnd),
    (graph((1, 300, 6)), EndToEnd),
    (graph((1, 336, 6), **ULTRALYTICS, end2end="True"), EndToEnd),
    (graph((1, 300, 38), (1, 32, 32, 32), **ULTRALYTICS, task="segment"), EndToEnd),
    (graph((1, 1008, 7), **ULTRALYTICS), Objectness),
    (graph((1, 1008, 85)), Objectness),
    (graph((1, 1008, 6)), Objectness),
    (graph((1, 1008, 85), (1, 3, 16, 16, 85), (1, 3, 8, 8, 85), (1, 3, 4, 4, 85)), Objectness),
    (graph((1, 336, 85)), Yolox),
    (graph((1, 340, 85)), Yolox),
    (graph((1, 336, 6)), Yolox),
    (graph((1, 256, 80), (1, 64, 80), (1, 256, 32), (1, 64, 32), tensors=NANODET_NAMES), Nanodet),
]


@pytest.mark.parametrize(("found", "head"), LAYOUTS)
def test_layouts_are_told_apart(found: Graph, head: type) -> None:
    assert type(recognise(found, "model.onnx")) is head


@pytest.mark.parametrize(
    "found",
    [
        graph((1, 512)),
        graph(),
        graph((1, 1000, 5)),
        graph((1, 335, 85)),
        graph((1, 56, 336), **ULTRALYTICS, task="pose"),
        graph((1, 7, 336), **ULTRALYTICS),  # names say two classes, the output has three
        graph((1, 336, 7), **ULTRALYTICS),
        graph((1, 256, 80), (1, 64, 80), (1, 256, 32), (1, 63, 32), tensors=NANODET_NAMES),
        graph((1, 256, 80), (1, 256, 32), tensors=("cls_pred_stride_8", "other")),
    ],
)
def test_other_layouts_are_refused_with_what_was_found(found: Graph) -> None:
    with pytest.raises(ModelUnsupported) as info:
        recognise(found, "model.onnx")
    message = str(info.value)
    assert message.startswith("model.onnx: ") and found.describe() in message and "YOLOX" in message
    assert "task: pose" in message or "task" not in found.metadata


def test_labels() -> None:
    assert recognise(graph((1, 6, 336), **ULTRALYTICS), "m").labels == ("cat", "dog")
    assert recognise(graph((1, 336, 85)), "m").labels == COCO
    assert recognise(graph((1, 336, 6)), "m").labels == ("person",)
    assert recognise(graph((1, 336, 8)), "m").labels == ("class_0", "class_1", "class_2")
    assert len(COCO) == 80 and COCO[0] == "person" and COCO[79] == "toothbrush" and COCO[56] == "chair"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'a', 1: 'b'}", ("a", "b")),
        ("{1: 'b', 0: 'a'}", ("a", "b")),
        ("['a', 'b']", ("a", "b")),
        ("{0: 'a', 2: 'c'}", ()),
        ("", ()),
        ("__import__('os').abort()", ()),
        ("{0: 'a'", ()),
        ("{" * 500, ()),
        ("7", ()),
    ],
)
def test_names_are_read_without_being_run(text: str, names: tuple[str, ...]) -> None:
    assert parse_names(text) == names


@pytest.mark.parametrize(
    ("text", "size_wh"),
    [("[384, 640]", (640, 384)), ("320", (320, 320)), ("", (640, 640)), ("[1]", (640, 640)), ("[-1, 5]", (640, 640)),
     ("['a', 'b']", (640, 640)), ("[", (640, 640))],
)  # fmt: skip
def test_sizes(text: str, size_wh: tuple[int, int]) -> None:
    assert parse_size(text) == size_wh


def empty(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def test_ultralytics_by_hand() -> None:
    output = empty(2, 6, 336)
    output[1, :, 5] = [20, 30, 10, 20, 0.2, 0.7]
    output[1, :, 9] = [40, 40, 4, 4, 0.3, 0.1]
    output[1, :, 11] = [50, 50, 4, 4, 0.24, 0.1]
    head = recognise(graph((1, 6, 336), **ULTRALYTICS), "m")
    found = head.decode([output], 1, 0.25)
    assert found.boxes_xyxy.tolist() == [[15, 20, 25, 40], [38, 38, 42, 42]]
    assert found.scores.tolist() == pytest.approx([0.7, 0.3]) and found.class_ids.tolist() == [1, 0]
    assert len(head.decode([output], 0, 0.25).scores) == 0


def test_mask_coefficients_are_no_classes() -> None:
    output = empty(1, 38, 336)
    output[0, :6, 5] = [20, 30, 10, 20, 0.2, 0.7]
    output[0, 6:, :] = 9.0
    head = recognise(graph((1, 38, 336), (1, 32, 32, 32), **ULTRALYTICS), "m")
    assert head.decode([output, empty(1, 32, 32, 32)], 0, 0.25).class_ids.tolist() == [1]
    assert "masks: ignored" in head.note


def test_end_to_end_by_hand() -> None:
    output = empty(1, 300, 6)
    output[0, 3] = [1, 2, 3, 4, 0.6, 1]
    found = recognise(graph((1, 300, 6), **ULTRALYTICS), "m").decode([output], 0, 0.25)
    assert found.boxes_xyxy.tolist() == [[1, 2, 3, 4]] and found.class_ids.tolist() == [1]


def test_objectness_by_hand() -> None:
    output = empty(1, 1008, 7)
    output[0, 100] = [20, 30, 10, 20, 0.5, 0.2, 0.8]
    output[0, 101] = [20, 30, 10, 20, 0.5, 0.2, 0.4]
    output[0, 102] = [20, 30, 10, 20, 0.1, 1.0, 1.0]
    found = recognise(graph((1, 1008, 7), **ULTRALYTICS), "m").decode([output], 0, 0.25)
    assert found.boxes_xyxy.tolist() == [[15, 20, 25, 40]]
    assert found.scores.tolist() == pytest.approx([0.4]) and found.class_ids.tolist() == [1]


def test_yolox_by_hand() -> None:
    output = empty(1, 336, 7)
    # Row 256 + 9 is the cell in column 1 and row 1 of the grid with stride 16.
    output[0, 265] = [0.5, 0.25, np.log(2), np.log(3), 0.5, 0.2, 0.8]
    output[0, 266] = [0, 0, 1000, 0, 0.9, 0.9, 0.1]
    head = recognise(graph((1, 336, 7)), "m")
    found = head.decode([output], 0, 0.25)
    assert found.boxes_xyxy[0].tolist() == pytest.approx([24 - 16, 20 - 24, 24 + 16, 20 + 24], abs=1e-4)
    assert found.scores.tolist() == pytest.approx([0.4, 0.81]) and found.class_ids.tolist() == [1, 0]
    assert np.isfinite(found.boxes_xyxy).all()
    assert head.pixels.bgr and not recognise(graph((1, 6, 336), **ULTRALYTICS), "m").pixels.bgr


def test_nanodet_by_hand() -> None:
    cls8, cls16, dis8, dis16 = empty(1, 256, 80), empty(1, 64, 80), empty(1, 256, 32), empty(1, 64, 32)
    cls16[0, 10, 3] = 0.6  # column 2, row 1
    bins = dis16[0, 10].reshape(4, 8)
    bins[0, 2], bins[1, 0], bins[2, 7] = 100, 100, 100  # the fourth stays flat: mean 3.5
    shapes = tuple(array.shape for array in (cls8, cls16, dis8, dis16))
    head = recognise(graph(*shapes, tensors=NANODET_NAMES), "m")
    found = head.decode([cls8, cls16, dis8, dis16], 0, 0.25)
    assert found.boxes_xyxy[0].tolist() == pytest.approx([39.5 - 32, 23.5, 39.5 + 112, 23.5 + 56])
    assert found.class_ids.tolist() == [3]
    assert head.decode([cls8, empty(1, 64, 80), dis8, dis16], 0, 0.25).boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize(("found", "head"), LAYOUTS)
def test_nothing_and_nan_are_no_boxes_that_count(found: Graph, head: type) -> None:
    decoder = recognise(found, "m")
    nothing = [empty(*shape) for shape in found.shapes]
    assert len(decoder.decode(nothing, 0, 0.25).scores) == 0
    broken = [np.full(shape, np.nan, np.float32) for shape in found.shapes]
    candidates = decoder.decode(broken, 0, 0.25)
    assert len(candidates.scores) and not np.isfinite(candidates.scores).any(), head
