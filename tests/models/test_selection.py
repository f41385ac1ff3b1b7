"""Thresholds, wanted classes, suppression, labels and masks, on outputs made here and on real ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.models.backend import BackendOptions, backend_named
from engine.models.base import DetectorOptions
from engine.models.heads.base import Graph, Head, Tensor, recognise
from engine.models.prepare import CpuPreparation
from engine.models.selection import Selection, labels_of
from engine.types import Detections
from kernels import reference
from kernels.letterbox import Fit, Letterbox, fit_letterbox

from .samples import picture_frame

FILE = Path("model.onnx")
NAMES = ("person", "dog", "car")
WHOLE = fit_letterbox((128, 128), (128, 128), Fit.CENTRED)
Rows = NDArray[np.float32]


def head_of(*shapes: tuple[int, ...], **metadata: str) -> Head:
    """The head of an Ultralytics graph with an input of 128 × 128 and three classes."""
    outputs = tuple(Tensor(f"output{index}", "float32", shape) for index, shape in enumerate(shapes))
    metadata = {"author": "Ultralytics", "names": str(list(NAMES)), **metadata}
    return recognise(
        Graph((Tensor("images", "float32", (1, 3, 128, 128)),), outputs, shapes, (128, 128), metadata), "m"
    )


RAW = head_of((1, 7, 336))
FINISHED = head_of((1, 300, 6))


def raw_output(boxes_xyxy: Rows, scores: Rows, class_ids: NDArray[np.int32]) -> Rows:
    """The boxes as anchors; the others have a score of 0."""
    output = np.zeros((1, 7, 336), np.float32)
    count = len(scores)
    output[0, :2, :count] = ((boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2).T
    output[0, 2:4, :count] = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).T
    output[0, 4 + class_ids, np.arange(count)] = scores
    return output


def finished_output(*rows: tuple[float, ...]) -> Rows:
    output = np.zeros((1, 300, 6), np.float32)
    output[0, : len(rows)] = np.array(rows, np.float32).reshape(-1, 6)
    return output


def select(head: Head, *outputs: Rows, placed: Letterbox = WHOLE, **options: Any) -> Detections:
    asked = DetectorOptions(**options)
    return Selection(head, labels_of(head, asked, FILE), asked).detections(outputs, 0, placed)


APART = finished_output(
    (0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.4, 0), (40, 0, 49, 9, 0.3, 1), (60, 0, 69, 9, 0.15, 2)
)


@pytest.mark.parametrize(
    ("options", "scores"),
    [
        ({"confidence": 0.2}, [0.9, 0.4, 0.3]),
        ({"confidence": 0.2, "thresholds": {"person": 0.5}}, [0.9, 0.3]),
        ({"confidence": 0.2, "thresholds": {"car": 0.1}}, [0.9, 0.4, 0.3, 0.15]),
        ({"confidence": 0.2, "thresholds": {"person": 0.5, "dog": 0.35, "car": 0.1}}, [0.9, 0.15]),
        ({"confidence": 0.2, "classes": ("dog", "car")}, [0.3]),
        ({"confidence": 0.2, "classes": ("car",), "thresholds": {"car": 0.1}}, [0.15]),
        ({"confidence": 0.9}, [0.9]),
        ({"confidence": 0.1, "max_objects": 2}, [0.9, 0.4]),
    ],
)
def test_thresholds_and_classes(options: dict[str, Any], scores: list[float]) -> None:
    assert select(FINISHED, APART, **options).scores.tolist() == pytest.approx(scores)


def test_names_that_are_no_labels_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"model\.onnx: thresholds names 'persn'.*did you mean 'person'"):
        labels_of(FINISHED, DetectorOptions(thresholds={"persn": 0.5}), FILE)
    with pytest.raises(ConfigError, match=r"classes names 'cat', which is not a label of this model"):
        labels_of(FINISHED, DetectorOptions(classes=("dog", "cat")), FILE)


def test_given_labels_must_be_as_many_as_the_model_has() -> None:
    given_names = ("a", "b", "c")
    assert labels_of(RAW, DetectorOptions(labels=given_names), FILE) == given_names
    for names in (("a", "b"), ("a", "b", "c", "d")):
        with pytest.raises(ConfigError, match=f"labels names {len(names)} classes, but the model has 3"):
            labels_of(RAW, DetectorOptions(labels=names), FILE)


def test_given_labels_may_leave_out_what_the_exporter_leaves_unused() -> None:
    shapes = ((1, 300, 4), (1, 300, 4))
    tensors = tuple(
        Tensor(name, "float32", shape) for name, shape in zip(("dets", "labels"), shapes, strict=True)
    )
    head = recognise(Graph((Tensor("input", "float32", (1, 3, 128, 128)),), tensors, shapes, (128, 128)), "m")
    assert labels_of(head, DetectorOptions(labels=NAMES), FILE) == (*NAMES, "class_3")
    with pytest.raises(ConfigError, match="labels names 2 classes, but the model has 4"):
        labels_of(head, DetectorOptions(labels=NAMES[:2]), FILE)


def test_boxes_of_another_class_do_not_suppress_each_other_wherever_they_are() -> None:
    """OpenCV moves classes apart along the diagonal: a box over the top left corner would meet the other there."""
    boxes = np.array([[100, 100, 128, 128], [-28, -28, 20, 20]], np.float32)
    output = raw_output(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1], np.int32))
    assert len(select(RAW, output, nms_iou=0.1)) == 2


def referred(
    boxes_xyxy: Rows, scores: Rows, class_ids: NDArray[np.int32], iou: float
) -> list[tuple[float, ...]]:
    """What the plain suppression keeps, best first."""
    kept = reference.nms(boxes_xyxy, scores, class_ids, iou)
    return [(*boxes_xyxy[index].tolist(), float(scores[index]), int(class_ids[index])) for index in kept]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Rows, Rows, NDArray[np.int32]]:
    """Boxes on whole pixels inside the picture, so that no overlap falls on a threshold by rounding alone."""
    count = draw(st.integers(0, 60))
    numbers = st.lists(st.integers(0, 100), min_size=count, max_size=count)
    lefts, tops = np.array(draw(numbers), np.float32), np.array(draw(numbers), np.float32)
    sizes = st.lists(st.integers(1, 14), min_size=count, max_size=count)
    widths, heights = 2 * np.array(draw(sizes), np.float32), 2 * np.array(draw(sizes), np.float32)
    scores = (np.array(draw(numbers)) / 100).astype(np.float32)
    class_ids = np.array(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)), np.int32)
    return np.stack([lefts, tops, lefts + widths, tops + heights], axis=1), scores, class_ids


@settings(deadline=None)
@given(crowds(), st.sampled_from([0.251, 0.451, 0.701]))
def test_suppression_is_that_of_the_reference(
    crowd: tuple[Rows, Rows, NDArray[np.int32]], iou: float
) -> None:
    boxes, scores, class_ids = crowd
    found = select(RAW, raw_output(boxes, scores, class_ids), confidence=0.05, nms_iou=iou)
    likely = scores >= np.float32(0.05)
    expected = referred(boxes[likely], scores[likely], class_ids[likely], iou)
    rows = np.column_stack([found.boxes_xyxy, found.scores, found.class_ids])
    assert rows.tolist() == [list(row) for row in expected]


@pytest.mark.data
@pytest.mark.parametrize("name", ["yolov8n_640_f32_dynbatch", "yolox_nano_416_f32", "nanodet_m_320_f32"])
def test_suppression_of_real_outputs_is_that_of_the_reference(data_dir: Path, name: str) -> None:
    path = data_dir / "weights" / f"{name}.onnx"
    backend = backend_named("ort-cpu").load(path, BackendOptions())
    head, call = recognise(backend.graph, str(path)), backend.new_call()
    frame = picture_frame(data_dir / "images" / "bus.jpg")
    placed = CpuPreparation(call.input_nchw, head.pixels, head.fit).prepare(frame, 0)
    outputs = backend.run(call, 1, 0)
    found = select(head, *outputs, placed=placed, confidence=0.03, max_objects=1024)
    candidates = head.decode(outputs, 0, 0.03)
    assert 80 < len(candidates.scores) < 1024
    kept = reference.nms(candidates.boxes_xyxy, candidates.scores, candidates.class_ids, 0.45)
    expected = reference.boxes_to_source(candidates.boxes_xyxy[kept], placed)
    assert found.class_ids.tolist() == candidates.class_ids[kept].tolist()
    assert np.abs(found.boxes_xyxy - expected).max() < 1e-2
    assert found.scores.tolist() == candidates.scores[kept].tolist()


@pytest.mark.parametrize("count", [1024, 1025, 1500, 3600])
def test_only_the_best_of_too_many_candidates_are_compared(count: int) -> None:
    """A grid of boxes that touch nothing, more than go into suppression: the best ones come back, ties in order."""
    columns, rows = np.meshgrid(np.arange(60.0) * 2, np.arange(60.0) * 2)
    boxes = np.stack([columns, rows, columns + 1, rows + 1], axis=-1).reshape(-1, 4)[:count]
    boxes = boxes.astype(np.float32)
    scores = (np.random.default_rng(1).integers(10, 60, count) / 64).astype(np.float32)
    shape = (1, 7, 64 * 64 + 32 * 32 + 16 * 16)
    tensors = (Tensor("output0", "float32", shape),)
    wide = Graph(
        (Tensor("images", "float32", (1, 3, 512, 512)),),
        tensors,
        (shape,),
        (512, 512),
        {"names": str(list(NAMES))},
    )
    output = np.zeros(shape, np.float32)
    output[0, :2, :count], output[0, 2:4, :count] = ((boxes[:, :2] + boxes[:, 2:]) / 2).T, 1
    output[0, 4, :count] = scores
    placed = fit_letterbox((512, 512), (512, 512), Fit.CENTRED)
    found = select(recognise(wide, "m"), output, placed=placed, max_objects=count)
    order = np.argsort(-scores, kind="stable")[:1024]
    assert found.scores.tolist() == scores[order].tolist()
    assert found.boxes_xyxy.tolist() == boxes[order].tolist()


def test_senseless_numbers_are_counted_over_pictures() -> None:
    nan = float("nan")
    output = finished_output(
        (0, 0, 9, 9, 0.9, 0), (nan, 0, 9, 9, 0.9, 0), (0, 0, 9, 9, 0.9, 3), (0, 0, 9, 9, nan, 0)
    )
    selection = Selection(FINISHED, NAMES, DetectorOptions())
    for turn in (1, 2):
        assert len(selection.detections([output], 0, WHOLE)) == 1
        assert selection.discarded == 3 * turn


SEGMENT = head_of((1, 39, 336), (1, 32, 32, 32), task="segment")


def segmented(boxes_xyxy: Rows, placed: Letterbox, **options: Any) -> Detections:
    """Objects whose mask is the left half of the input."""
    output = np.zeros((1, 39, 336), np.float32)
    count = len(boxes_xyxy)
    scores = np.linspace(0.9, 0.5, count).astype(np.float32)
    output[0, :7] = raw_output(boxes_xyxy, scores, np.zeros(count, np.int32))[0]
    output[0, 7, :count] = 1
    prototypes = np.zeros((1, 32, 32, 32), np.float32)
    prototypes[0, 0] = np.where(np.arange(32) < 16, 9, -9)
    return select(SEGMENT, output, prototypes, placed=placed, **options)


def test_masks_lie_in_source_pixels_where_the_box_is() -> None:
    boxes = np.array([[40, 20, 80, 60], [96, 96, 120, 120]], np.float32)
    found = segmented(boxes, fit_letterbox((256, 256), (128, 128), Fit.CENTRED))
    assert found.masks is not None
    assert found.masks.rects_xyxy.tolist() == [[80, 40, 160, 120], [192, 192, 240, 240]]
    assert found.masks.sizes_hw.tolist() == [[40, 40], [24, 24]]
    grid = found.masks.grid(0)
    assert (
        grid[:, :23].all() and not grid[:, 25:].any()
    )  # x = 64 is the middle of the input, column 24 of the box
    assert not found.masks.grid(1).any()


def test_masks_are_cut_off_with_their_boxes() -> None:
    boxes = np.array([[0, 0, 128, 128], [0, 0, 40, 30], [-20, 50, 0.2, 51]], np.float32)
    found = segmented(boxes, fit_letterbox((256, 128), (128, 128), Fit.CENTRED))
    assert found.masks is not None
    assert found.boxes_xyxy[0].tolist() == [0, 0, 256, 128] and len(found) == 2
    assert found.masks.rects_xyxy.tolist() == found.boxes_xyxy.tolist()
    assert found.masks.sizes_hw.tolist() == [[64, 128], [1, 1]]
    assert found.masks.grid(0)[:, :63].all() and found.masks.grid(1).all()


def test_masks_of_nothing_and_masks_that_nobody_wants() -> None:
    nothing = segmented(np.empty((0, 4), np.float32), WHOLE)
    assert len(nothing) == 0 and nothing.masks is not None and len(nothing.masks) == 0
    box = np.array([[40, 20, 80, 60]], np.float32)
    assert segmented(box, WHOLE, masks=False).masks is None
    assert select(FINISHED, APART).masks is None


def test_only_objects_that_stay_have_masks() -> None:
    boxes = np.array([[40, 20, 80, 60], [41, 21, 81, 61], [90, 90, 110, 110]], np.float32)
    found = segmented(boxes, WHOLE)
    assert found.masks is not None and len(found) == len(found.masks) == 2
    assert len(segmented(boxes, WHOLE, max_objects=1)) == 1


def test_large_objects_have_a_grid_of_at_most_128_a_side() -> None:
    shapes = ((1, 39, 5376), (1, 32, 128, 128))
    tensors = tuple(Tensor(f"output{index}", "float32", shape) for index, shape in enumerate(shapes))
    metadata = {"names": str(list(NAMES)), "task": "segment"}
    head = recognise(
        Graph((Tensor("images", "float32", (1, 3, 512, 512)),), tensors, shapes, (512, 512), metadata), "m"
    )
    output = np.zeros(shapes[0], np.float32)
    output[0, :5, 0] = [256, 256, 512, 40, 0.9]
    placed = fit_letterbox((512, 512), (512, 512), Fit.CENTRED)
    found = select(head, output, np.zeros(shapes[1], np.float32), placed=placed)
    assert found.masks is not None and found.masks.sizes_hw.tolist() == [[40, 128]]
