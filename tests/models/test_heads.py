"""Which layout is taken for which head, and what each makes of numbers worked out by hand."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import ModelUnsupported
from engine.models.heads.base import RGB_0_TO_1, Candidates, Graph, Tensor, parse_names, parse_size, recognise
from engine.models.heads.detr import HuggingFaceDetr, RfDetr
from engine.models.heads.end2end import EndToEnd
from engine.models.heads.inputs import constants_of, pictures_first, repeated
from engine.models.heads.labels import COCO, coco_by_category
from engine.models.heads.nanodet import Nanodet, NanodetPlus
from engine.models.heads.objectness import Objectness
from engine.models.heads.queries import IMAGENET
from engine.models.heads.rtdetr import RtDetrFinished, RtDetrUltralytics
from engine.models.heads.ultralytics import UltralyticsRaw
from engine.models.heads.yolox import Yolox, grid
from kernels.letterbox import Fit

ULTRALYTICS: dict[str, Any] = {"author": "Ultralytics", "stride": "32", "names": "{0: 'cat', 1: 'dog'}"}


def graph(*shapes: tuple[int, ...], side: int = 128, tensors: Sequence[str] = (), **metadata: Any) -> Graph:
    outputs = tuple(
        Tensor(tensors[index] if tensors else f"output{index}", "float32", shape)
        for index, shape in enumerate(shapes)
    )
    return Graph((Tensor("images", "float32", (1, 3, side, side)),), outputs, shapes, (side, side), metadata)


def with_example(found: Graph, *examples: NDArray[np.float32]) -> Graph:
    """The graph as it is known after a run that gave these outputs."""
    return replace(found, examples=examples)


def told_sizes(found: Graph) -> Graph:
    """The graph with the further input of RT-DETR's own exporter."""
    return replace(found, constants={"orig_target_sizes": np.array([found.input_wh])})


POSE = {**ULTRALYTICS, "task": "pose", "kpt_shape": "[17, 3]"}
QUERIES = {**ULTRALYTICS, "head": "RTDETRDecoder"}
OFFICIAL = ("labels", "boxes", "scores")
HUGGING_FACE = ("logits", "pred_boxes")
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
    (graph((1, 84, 80)), UltralyticsRaw),
    (graph((1, 57, 336), **POSE), UltralyticsRaw),
    (graph((1, 300, 57), **POSE), EndToEnd),
    (graph((1, 1008, 39), (1, 32, 32, 32), **ULTRALYTICS, task="segment"), Objectness),
    (graph((1, 300, 6), **QUERIES), RtDetrUltralytics),
    (graph((1, 300, 6), **{**QUERIES, "head": "Detect"}), EndToEnd),
    (told_sizes(graph((1, 300), (1, 300, 4), (1, 300), tensors=OFFICIAL)), RtDetrFinished),
    (graph((1, 300, 80), (1, 300, 4), tensors=HUGGING_FACE), HuggingFaceDetr),
    (graph((1, 300, 4), (1, 300, 91), tensors=("dets", "labels")), RfDetr),
    (graph((1, 300, 4), (1, 300, 91), (1, 300, 32, 32), tensors=("dets", "labels", "masks")), RfDetr),
]


@pytest.mark.parametrize(("found", "head"), LAYOUTS)
def test_layouts_are_told_apart(found: Graph, head: type) -> None:
    assert type(recognise(found, "model.onnx")) is head


@pytest.mark.parametrize(
    "found",
    [
        graph(),
        graph((1, 1000, 5)),
        graph((1, 335, 85)),
        graph((1, 56, 336), **ULTRALYTICS, task="pose"),
        graph((1, 56, 336), **{**POSE, "kpt_shape": "[17]"}),
        graph((1, 300), (1, 300, 4), (1, 300), tensors=OFFICIAL),
        told_sizes(graph((1, 300), (1, 300, 4), (1, 200), tensors=OFFICIAL)),
        graph((1, 300, 80), (1, 200, 4), tensors=HUGGING_FACE),
        graph((1, 300, 5), (1, 300), tensors=("dets", "labels")),
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
    assert "names: 2 classes" in message or "names" not in found.metadata


@pytest.mark.parametrize("shape", [(1, 512), (1, 256, 1, 1)])
def test_a_network_that_compares_is_no_detector(shape: tuple[int, ...]) -> None:
    found = graph(shape)
    with pytest.raises(ModelUnsupported, match=r"^model.onnx: .*belongs under reid.model. Found ") as info:
        recognise(found, "model.onnx")
    assert found.describe() in str(info.value)


@pytest.mark.parametrize("task", ["obb", "classify", "semantic", "depth"])
def test_tasks_without_upright_boxes_are_refused_whatever_the_layout(task: str) -> None:
    with pytest.raises(
        ModelUnsupported, match=f"model.onnx: a model for the task '{task}' gives .*, not boxes"
    ):
        recognise(graph((1, 6, 336), **ULTRALYTICS, task=task), "model.onnx")


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
        ("{0: 'a', 2: 'c'}", ("a", "class_1", "c")),
        ("{'0': 'a'}", ()),
        ("{0: 'a', -1: 'b'}", ()),
        ("{999999999: 'a'}", ()),
        ("{}", ()),
        ("{[]: 1}", ()),
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


def decoded_masks(found: Graph, output: NDArray[np.float32]) -> Candidates:
    """What comes of an output with prototypes that are all ones in the second picture."""
    head = recognise(found, "m")
    prototypes = np.stack([empty(32, 32, 32), np.ones((32, 32, 32), np.float32)])
    used = head.prototypes([output, prototypes], 1)
    assert used is not None and used.shape == (32, 32, 32) and used.all()
    return head.decode([output, prototypes], 1, 0.25)


def test_mask_coefficients_are_no_classes() -> None:
    coefficients = np.arange(32, dtype=np.float32)
    raw, finished, anchors = empty(2, 38, 336), empty(2, 300, 38), empty(2, 1008, 39)
    raw[1, :6, 5], raw[1, 6:, 5] = [20, 30, 10, 20, 0.2, 0.7], coefficients
    finished[1, 7, :6], finished[1, 7, 6:] = [15, 20, 25, 40, 0.7, 1], coefficients
    anchors[1, 9, :7], anchors[1, 9, 7:] = [20, 30, 10, 20, 1, 0.2, 0.7], coefficients
    for output in (raw, finished, anchors):
        found = decoded_masks(graph((1, *output.shape[1:]), (1, 32, 32, 32), **ULTRALYTICS), output)
        assert found.boxes_xyxy.tolist() == [[15, 20, 25, 40]] and found.class_ids.tolist() == [1]
        assert found.mask_coefficients is not None and found.mask_coefficients.tolist() == [
            coefficients.tolist()
        ]
        assert found.take(np.array([False])).mask_coefficients is not None


def test_keypoints_are_no_classes_and_this_is_said() -> None:
    raw, finished = empty(1, 57, 336), empty(1, 300, 57)
    raw[0, :6, 5], raw[0, 6:, :] = [20, 30, 10, 20, 0.2, 0.7], 9.0
    finished[0, 7, :6], finished[0, 7, 6:] = [15, 20, 25, 40, 0.7, 1], 9.0
    for output in (raw, finished):
        head = recognise(graph(output.shape, **POSE), "m")
        found = head.decode([output], 0, 0.25)
        assert found.boxes_xyxy.tolist() == [[15, 20, 25, 40]] and found.class_ids.tolist() == [1]
        assert found.mask_coefficients is None and head.prototypes([output], 0) is None
        assert head.note == "keypoints: ignored (51 numbers per box)" and len(head.labels) == 2


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
    # Far below 0, as some are logits; scores are never, but what holds for this holds for 0.
    nothing = [np.full(shape, -50, np.float32) for shape in found.shapes]
    assert len(decoder.decode(nothing, 0, 0.25).scores) == 0
    broken = [np.full(shape, np.nan, np.float32) for shape in found.shapes]
    candidates = decoder.decode(broken, 0, 0.25)
    assert len(candidates.scores) and not np.isfinite(candidates.scores).any(), head


def yolox_example(*, decoded: bool, objectness: float) -> NDArray[np.float32]:
    """What YOLOX says of an empty picture, as offsets in cells or in pixels."""
    cells_xy, strides = grid((128, 128), (8, 16, 32))
    noise = np.random.default_rng(1).normal(0.5, 0.6, cells_xy.shape).astype(np.float32)
    example = empty(1, 336, 7)
    example[0, :, :2] = (cells_xy + noise) * strides[:, None] if decoded else noise
    example[0, :, 2:4] = 40 if decoded else 0.4
    example[0, :, 4], example[0, :, 5:] = objectness, 0.01
    return example


def test_yolox_that_was_decoded_in_the_graph_is_told_by_an_empty_picture() -> None:
    output = empty(1, 336, 7)
    output[0, 265] = [24, 20, 32, 48, 0.5, 0.2, 0.8]
    raw = recognise(with_example(graph((1, 336, 7)), yolox_example(decoded=False, objectness=1e-5)), "m")
    assert raw.note == "" and raw.decode([output], 0, 0.25).boxes_xyxy[0, 0] < -1000
    decoded = recognise(with_example(graph((1, 336, 7)), yolox_example(decoded=True, objectness=1e-5)), "m")
    assert decoded.decode([output], 0, 0.25).boxes_xyxy.tolist() == [[8, -4, 40, 44]]
    assert decoded.pixels.bgr and decoded.fit is Fit.TOP_LEFT and "decoded in the graph" in decoded.note


def test_yolov6_is_told_by_an_objectness_that_is_always_one() -> None:
    found = with_example(graph((1, 336, 7)), yolox_example(decoded=True, objectness=1.0))
    head = recognise(found, "m")
    assert head.pixels == RGB_0_TO_1 and head.fit is Fit.CENTRED and "YOLOv6" in head.note
    assert Yolox.pixels.bgr and Yolox.fit is Fit.TOP_LEFT


def test_nanodet_plus_by_hand() -> None:
    output = empty(1, 340, 80 + 32)
    output[0, :, 80:] = np.random.default_rng(2).normal(0, 3, (340, 32))
    found = with_example(graph((1, 340, 112)), output.copy())
    # Row 256 + 9 is the cell in column 1 and row 1 of the grid with stride 16.
    output[0, 265, 3] = 0.6
    bins = output[0, 265, 80:].reshape(4, 8)
    bins[:] = 0
    bins[0, 1], bins[1, 0], bins[2, 7] = 100, 100, 100  # the fourth stays flat: mean 3.5
    head = recognise(found, "m")
    assert isinstance(head, NanodetPlus) and head.labels == COCO
    assert head.fit is Fit.STRETCH and head.pixels == Nanodet.pixels
    candidates = head.decode([output], 0, 0.25)
    assert candidates.boxes_xyxy[0].tolist() == pytest.approx([0, 16, 16 + 112, 16 + 56])
    assert candidates.class_ids.tolist() == [3] and candidates.scores.tolist() == pytest.approx([0.6])


def test_yolox_with_four_levels_is_not_taken_for_nanodet_plus() -> None:
    example = empty(1, 340, 112)
    example[0, :, :4] = np.random.default_rng(3).normal(0, 2, (340, 4))
    assert type(recognise(with_example(graph((1, 340, 112)), example), "m")) is Yolox


def test_layers_that_halve_odd_lengths_round_up() -> None:
    found = graph((1, 3598, 112), side=416)
    assert found.cells((8, 16, 32, 64)) == 52 * 52 + 26 * 26 + 13 * 13 + 7 * 7 == 3598
    assert len(grid((416, 416), (8, 16, 32, 64))[0]) == 3598


def test_rtdetr_finished_by_hand() -> None:
    labels, boxes, scores = empty(2, 300), empty(2, 300, 4), empty(2, 300)
    labels[1, 4], boxes[1, 4], scores[1, 4] = 17, [10, 20, 30, 40], 0.8
    labels[1, 5], scores[1, 5] = np.nan, 0.9
    shapes = [(1, *array.shape[1:]) for array in (scores, labels, boxes)]
    head = recognise(told_sizes(graph(*shapes, tensors=("scores", "labels", "boxes"))), "m")
    found = head.decode([scores, labels, boxes], 1, 0.25)
    assert found.boxes_xyxy[0].tolist() == [10, 20, 30, 40] and found.class_ids.tolist() == [17, 0]
    assert found.scores[0] == pytest.approx(0.8) and np.isnan(found.scores[1])
    assert head.fit is Fit.STRETCH and head.pixels == RGB_0_TO_1 and not head.needs_nms
    assert head.labels == COCO and not head.counts_classes


def test_ultralytics_rtdetr_by_hand() -> None:
    ranked, scored = empty(1, 300, 6), empty(1, 300, 7)
    ranked[0, 2] = [0.25, 0.5, 0.25, 0.5, 0.7, 1]
    scored[0, 2] = [0.25, 0.5, 0.25, 0.5, 0.2, 0.7, 0.3]
    three = {**QUERIES, "names": "['a', 'b', 'c']"}
    for output, metadata in ((ranked, QUERIES), (scored, three)):
        head = recognise(graph(output.shape, **metadata), "m")
        found = head.decode([output], 0, 0.25)
        assert found.boxes_xyxy[0].tolist() == [16, 32, 48, 96]
        assert head.fit is Fit.STRETCH and not head.needs_nms
    assert found.class_ids.tolist() == [1, 2] and found.scores.tolist() == pytest.approx([0.7, 0.3])


def test_older_exports_of_rtdetr_are_told_by_boxes_that_are_parts() -> None:
    parts, pixels = empty(1, 300, 6), empty(1, 300, 6)
    parts[..., :4], pixels[..., :4] = 0.5, 60
    found = graph((1, 300, 6), **ULTRALYTICS)
    assert type(recognise(with_example(found, parts), "m")) is RtDetrUltralytics
    assert type(recognise(with_example(found, pixels), "m")) is EndToEnd
    assert type(recognise(with_example(found, empty(1, 300, 6)), "m")) is EndToEnd


def hugging_face(classes: int, *examples: NDArray[np.float32], **metadata: Any) -> Graph:
    return with_example(graph((1, 100, classes), (1, 100, 4), tensors=HUGGING_FACE, **metadata), *examples)


def test_hugging_face_with_a_score_for_each_class_by_hand() -> None:
    logits, boxes = np.full((1, 100, 3), -9, np.float32), empty(1, 100, 4)
    head = recognise(hugging_face(3, logits, boxes), "m")
    logits[0, 7], boxes[0, 7] = [0, 2, -1], [0.25, 0.5, 0.25, 0.5]
    found = head.decode([logits, boxes], 0, 0.4)
    assert found.boxes_xyxy.tolist() == [[16, 32, 48, 96]] * 2 and found.class_ids.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.5, 1 / (1 + np.exp(-2))])
    assert head.labels == ("class_0", "class_1", "class_2") and head.pixels == RGB_0_TO_1
    assert head.fit is Fit.STRETCH and "0..1" in head.note


def test_hugging_face_with_a_class_for_nothing_by_hand() -> None:
    logits, boxes = empty(1, 100, 3), empty(1, 100, 4)
    logits[..., 2] = 8
    head = recognise(hugging_face(3, logits.copy(), boxes), "m")
    logits[0, 7], boxes[0, 7] = [1, 3, 0], [0.25, 0.5, 0.25, 0.5]
    found = head.decode([logits, boxes], 0, 0.25)
    assert found.class_ids.tolist() == [1] and head.labels == ("class_0", "class_1")
    assert found.scores[0] == pytest.approx(np.exp(3) / (np.exp(1) + np.exp(3) + 1))
    assert head.pixels == IMAGENET and "normalised" in head.note


def test_whether_there_is_a_class_for_nothing() -> None:
    assert recognise(hugging_face(3, **ULTRALYTICS), "m").labels == ("cat", "dog")
    assert recognise(hugging_face(2, **ULTRALYTICS), "m").labels == ("cat", "dog")
    assert recognise(hugging_face(92), "m").labels == coco_by_category()
    assert recognise(hugging_face(91), "m").labels == coco_by_category()
    assert recognise(hugging_face(80), "m").labels == COCO
    one = np.full((1, 100, 1), 5, np.float32)
    assert recognise(hugging_face(1, one), "m").labels == ("class_0",)


def test_rf_detr_by_hand() -> None:
    dets, labels = empty(1, 300, 4), np.full((1, 300, 91), -20, np.float32)
    dets[0, 3], labels[0, 3, 18] = [0.25, 0.5, 0.25, 0.5], 2
    head = recognise(graph(dets.shape, labels.shape, tensors=("dets", "labels")), "m")
    found = head.decode([dets, labels], 0, 0.25)
    assert found.boxes_xyxy.tolist() == [[16, 32, 48, 96]]
    assert [head.labels[index] for index in found.class_ids] == ["dog"]
    assert head.pixels == IMAGENET and head.fit is Fit.STRETCH and head.spare_classes == 1
    assert IMAGENET.mean == pytest.approx([0.485 * 255, 0.456 * 255, 0.406 * 255])
    assert [1 / scale for scale in IMAGENET.scale] == pytest.approx([0.229 * 255, 0.224 * 255, 0.225 * 255])


def test_rf_detr_says_its_names_and_that_masks_are_ignored() -> None:
    described = json.dumps({"class_id_to_name": {"0": "cat", "2": "dog"}})
    shapes = (1, 300, 4), (1, 300, 4), (1, 300, 32, 32)
    names = ("dets", "labels", "masks")
    head = recognise(graph(*shapes, tensors=names, rfdetr_inference=described), "m")
    assert head.labels == ("cat", "class_1", "dog", "class_3") and "masks: ignored" in head.note
    broken = recognise(graph(*shapes, tensors=names, rfdetr_inference="{"), "m")
    assert broken.labels == ("class_0", "class_1", "class_2", "class_3")


def test_queries_give_as_many_objects_as_there_are_queries_the_best_ones() -> None:
    rng = np.random.default_rng(4)
    logits, boxes = rng.normal(3, 1, (1, 50, 20)).astype(np.float32), empty(1, 50, 4)
    logits[0, 0, 0] = np.nan
    found = recognise(graph(logits.shape, boxes.shape, tensors=HUGGING_FACE), "m").decode(
        [logits, boxes], 0, 0.1
    )
    best = np.sort(logits[np.isfinite(logits)])[-50:]
    assert np.sort(found.scores).tolist() == pytest.approx((1 / (1 + np.exp(-best))).tolist())


def test_numbers_that_are_none_are_kept_for_the_count() -> None:
    logits, boxes = np.full((1, 100, 3), -1e4, np.float32), empty(1, 100, 4)
    head = recognise(hugging_face(3, logits.copy(), boxes), "m")
    logits[0, 5, 1], logits[0, 6, 1] = np.nan, 1e4
    scores = head.decode([logits, boxes], 0, 0.25).scores
    assert np.isnan(scores).sum() == 1 and scores[np.isfinite(scores)].tolist() == [1.0]


def test_coco_by_category_number() -> None:
    labels = coco_by_category()
    assert len(labels) == 91 and labels[1] == "person" and labels[18] == "dog" and labels[90] == "toothbrush"
    assert labels[0] == "class_0" and labels[83] == "class_83" and labels[84] == "book"
    assert tuple(label for label in labels if not label.startswith("class_")) == COCO


PICTURES = Tensor("images", "float32", ("N", 3, 64, 96))
SIZES = Tensor("orig_target_sizes", "int64", ("N", 2))
MASK = Tensor("pixel_mask", "int64", ("N", "h", 48))


def test_pictures_come_first_among_the_inputs() -> None:
    assert pictures_first((SIZES, PICTURES)) == (PICTURES, SIZES)
    assert pictures_first((SIZES,)) == () == pictures_first((PICTURES, PICTURES))
    assert pictures_first((Tensor("x", "uint8", (1, 3, 4, 4)), Tensor("x", "float32", (1, 1, 4, 4)))) == ()


def test_further_inputs_are_the_same_in_every_call() -> None:
    constants = constants_of((SIZES, MASK), (96, 64))
    assert constants is not None
    assert constants["orig_target_sizes"].tolist() == [[96, 64]]
    assert constants["orig_target_sizes"].dtype == np.int64
    assert constants["pixel_mask"].shape == (1, 64, 48) and constants["pixel_mask"].all()
    assert repeated(constants, 3)["orig_target_sizes"].tolist() == [[96, 64]] * 3
    assert constants_of((), (96, 64)) == {}
    assert constants_of((SIZES, Tensor("scale_factor", "float32", ("N", 2))), (96, 64)) is None
