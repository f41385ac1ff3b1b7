"""Boxes: out of a model's rows, rid of their doubles, back into the picture."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels import cpu, reference
from kernels.letterbox import Fit, fit_letterbox
from tests.kernels.twins import REFERENCE, Twin, every_twin, fast_twin

HOST = pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

FITS = st.sampled_from(Fit)
SIZES = st.tuples(st.integers(2, 4000), st.integers(2, 4000))


@HOST
@given(source_wh=SIZES, fit=FITS, corners=st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_come_back_to_where_they_were(
    kernels: ModuleType, source_wh: tuple[int, int], fit: Fit, corners: tuple[float, float, float, float]
) -> None:
    box = fit_letterbox(source_wh, (640, 384), fit)
    source = np.array([corners], np.float32) * np.array([*source_wh, *source_wh], np.float32)
    placed = source * np.array([box.width, box.height] * 2) / np.array([*source_wh, *source_wh])
    placed += np.array([box.left, box.top] * 2)
    back = kernels.boxes_to_source(placed.astype(np.float32), box)
    scale_x, scale_y = box.scale_xy
    assert np.abs(back - source).max() <= 1e-3 * max(scale_x, scale_y, 1) + 1e-3


@HOST
def test_boxes_are_clipped_to_the_picture(kernels: ModuleType) -> None:
    box = fit_letterbox((1280, 720), (640, 640), Fit.CENTRED)
    outside = np.array([[-50, 0, 700, 640], [-50, -50, -10, -10]], np.float32)
    clipped = kernels.boxes_to_source(outside, box)
    assert clipped.tolist() == [[0, 0, 1280, 720], [0, 0, 0, 0]]
    assert kernels.boxes_to_source(np.empty((0, 4), np.float32), box).shape == (0, 4)


def model_rows(boxes_cxcywh: list[list[float]], class_scores: list[list[float]], extra: int = 0) -> F32:
    """What a model gives for these anchors: (4 + classes + extra, anchors)."""
    table = np.concatenate([boxes_cxcywh, class_scores, np.full((len(boxes_cxcywh), extra), 0.99)], axis=1)
    return np.ascontiguousarray(table.T, np.float32)


@every_twin
def test_anchors_known(twin: Twin) -> None:
    rows = model_rows(
        [[10, 20, 4, 6], [1, 1, 2, 2], [50, 50, 10, 10], [5, 5, 1, 1]],
        [[0.1, 0.75], [0.2, 0.49], [0.5, 0.5], [0.9, 0.1]],
        extra=2,
    )
    boxes, scores, class_ids, columns = twin.decode_anchors(rows, 2, 0.5)
    assert boxes.tolist() == [[8, 17, 12, 23], [45, 45, 55, 55], [4.5, 4.5, 5.5, 5.5]]
    assert scores.tolist() == [0.75, 0.5, np.float32(0.9)]
    assert class_ids.tolist() == [1, 0, 0]
    assert columns.tolist() == [0, 2, 3]
    kinds = [str(array.dtype) for array in (boxes, scores, class_ids, columns)]
    assert kinds == ["float32", "float32", "int32", "int64"]


@every_twin
def test_a_score_that_is_no_number_is_kept(twin: Twin) -> None:
    rows = model_rows([[1, 1, 2, 2]] * 3, [[0.1, 0.2], [0.9, np.nan], [np.nan, 0.9]])
    _, scores, class_ids, columns = twin.decode_anchors(rows, 2, 0.5)
    assert np.isnan(scores).all() and class_ids.tolist() == [1, 0] and columns.tolist() == [1, 2]


@every_twin
def test_no_anchor_reaches_the_confidence(twin: Twin) -> None:
    boxes, scores, class_ids, columns = twin.decode_anchors(model_rows([[1, 1, 2, 2]], [[0.1]]), 1, 0.5)
    assert boxes.shape == (0, 4) and len(scores) == len(class_ids) == len(columns) == 0


@fast_twin
@given(
    anchors=st.integers(1, 1500),
    classes=st.integers(1, 5),
    extra=st.sampled_from([0, 3]),
    confidence=st.sampled_from([0.0, 0.25, 0.9]),
    seed=st.integers(0, 99),
)
def test_anchors_equal_reference(
    twin: Twin, anchors: int, classes: int, extra: int, confidence: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows = random.random((4 + classes + extra, anchors)).astype(np.float32)
    rows[:4] *= 640
    scores = rows[4:]
    scores[...] = np.round(scores * 20) / 20  # equal scores, and some that equal the confidence
    scores[random.random(scores.shape) < 0.01] = np.nan
    ours = twin.decode_anchors(rows, classes, confidence)
    expected = REFERENCE.decode_anchors(rows, classes, confidence)
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-6, atol=1e-4)
    for one, other in zip(ours[1:], expected[1:], strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@every_twin
def test_nms_known(twin: Twin) -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.6, 0.9, 0.8, 0.7], np.float32)
    classes = np.array([0, 0, 1, 0], np.int32)
    assert twin.nms(boxes, scores, classes, 0.5).tolist() == [1, 2, 3]
    assert twin.nms(boxes, scores, np.zeros(4, np.int32), 0.5).tolist() == [1, 3]
    assert twin.nms(boxes, scores, classes, 0.9).tolist() == [1, 2, 3, 0]


@every_twin
@pytest.mark.parametrize("count", [0, 1])
def test_nms_of_next_to_nothing(twin: Twin, count: int) -> None:
    boxes = np.array([[0, 0, 5, 5]], np.float32)[:count]
    kept = twin.nms(boxes, np.ones(count, np.float32), np.zeros(count, np.int32), 0.5)
    assert kept.tolist() == list(range(count)) and kept.dtype == np.intp


@every_twin
def test_a_box_that_lost_beats_nobody(twin: Twin) -> None:
    """A row of boxes, each over the next: every second one stays, however long the row."""
    left = np.arange(40, dtype=np.float32) * 4
    boxes = np.stack([left, left * 0, left + 10, left * 0 + 10], axis=1)
    scores = np.linspace(0.9, 0.1, 40).astype(np.float32)
    kept = twin.nms(boxes, scores, np.zeros(40, np.int32), 0.4)
    assert kept.tolist() == list(range(0, 40, 2))


@every_twin
def test_equal_boxes_of_equal_score_leave_the_first(twin: Twin) -> None:
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (70, 1))
    kept = twin.nms(boxes, np.full(70, 0.5, np.float32), np.arange(70, dtype=np.int32) % 2, 0.5)
    assert kept.tolist() == [0, 1]


@fast_twin
@given(
    st.lists(
        st.tuples(
            *[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2, st.integers(-2, 50), st.integers(0, 2)
        ),
        max_size=25,
    ),
    st.sampled_from([0.3, 0.45, 0.6, 0.9]),
)
def test_nms_equals_reference(twin: Twin, objects: list[tuple[int, ...]], iou: float) -> None:
    table = np.array(objects, np.float32).reshape(-1, 6)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1).astype(np.float32)
    scores, classes = (table[:, 4] / 50).astype(np.float32), table[:, 5].astype(np.int32)
    overlaps = {reference.overlap(a, b) for a in boxes for b in boxes}
    assume(all(abs(value - iou) > 1e-5 for value in overlaps))
    assert twin.nms(boxes, scores, classes, iou).tolist() == (
        REFERENCE.nms(boxes, scores, classes, iou).tolist()
    )


@fast_twin
@pytest.mark.parametrize("number", [31, 32, 33, 500, 1024])
def test_nms_of_many_boxes_equals_reference(twin: Twin, number: int) -> None:
    random = np.random.default_rng(number)
    corners = random.uniform(0, 300, (number, 2))
    boxes = np.concatenate([corners, corners + random.uniform(10, 80, (number, 2))], axis=1)
    scores = (random.integers(1, 40, number) / 40).astype(np.float32)  # many are equal
    classes = random.integers(0, 3, number, np.int32)
    arrays = boxes.astype(np.float32), scores, classes
    assert twin.nms(*arrays, 0.45).tolist() == REFERENCE.nms(*arrays, 0.45).tolist()
