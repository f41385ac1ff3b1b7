"""Pairs of boxes and what is counted of them, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engine.types import Detections
from tools.accuracy import Agreement, at_least, iou, pairs


def boxes(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Rows of left, top, right, bottom, score, class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32))


def test_overlap() -> None:
    a = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    b = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    assert iou(a, b).tolist() == [pytest.approx([1 / 3, 0, 1, 0]), [0, 0, 0, 0]]


def test_the_best_overlap_is_paired_first_and_once() -> None:
    a = boxes((0, 0, 10, 10, 0.9, 0), (2, 0, 12, 10, 0.8, 0))
    b = boxes((1.5, 0, 11.5, 10, 0.7, 0))
    assert [(x, y) for x, y, _ in pairs(a, b, 0.5)] == [(1, 0)]


def test_boxes_that_lie_on_each_other_are_told_apart_by_score() -> None:
    a = boxes((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 10, 0.3, 0))
    b = boxes((0, 0, 10, 10.001, 0.31, 0), (0, 0, 10, 10.001, 0.89, 0))
    assert sorted((x, y) for x, y, _ in pairs(a, b, 0.5)) == [(0, 1), (1, 0)]


def test_classes_are_never_mixed() -> None:
    assert pairs(boxes((0, 0, 10, 10, 0.9, 0)), boxes((0, 0, 10, 10, 0.9, 1)), 0.1) == []


def test_boxes_that_do_not_touch_are_no_pair_even_when_nothing_is_asked() -> None:
    assert pairs(boxes((0, 0, 1, 1, 0.9, 0)), boxes((5, 5, 6, 6, 0.9, 0)), 0.0) == []


def test_counts_over_frames() -> None:
    agreement = Agreement()
    agreement.add(boxes((0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.9, 0)), boxes((0, 0, 10, 10, 0.8, 0)), 0.5)
    agreement.add(boxes(), boxes((0, 0, 10, 10, 0.8, 0)), 0.5)
    assert (agreement.wanted, agreement.found, agreement.matched) == (2, 2, 1)
    assert (agreement.recall, agreement.precision, agreement.mean_iou) == (0.5, 0.5, 1.0)
    assert agreement.worst_score_error == pytest.approx(0.1)


def test_nothing_wanted_and_nothing_found_is_perfect() -> None:
    agreement = Agreement()
    agreement.add(boxes(), boxes(), 0.5)
    assert (agreement.recall, agreement.precision, agreement.mean_iou) == (1, 1, 1)


def test_scores_from_a_threshold_on() -> None:
    assert at_least(boxes((0, 0, 1, 1, 0.25, 0), (0, 0, 1, 1, 0.24, 0)), 0.25).scores.tolist() == [0.25]
