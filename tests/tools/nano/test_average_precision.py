"""Average precision against cases counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.types import F32
from tools.nano.average_precision import (
    Judged,
    average_precision,
    best_f1_score,
    coco_average_precision,
    share_at,
)


def boxes(*rows: tuple[float, float, float, float]) -> F32:
    return np.array(rows, np.float32).reshape(len(rows), 4)


A, B = (0.0, 0.0, 10.0, 20.0), (100.0, 0.0, 110.0, 20.0)
ELSEWHERE = (50.0, 50.0, 60.0, 70.0)


def judged(found: F32, scores: list[float], wanted: F32, ignored: F32 | None = None) -> Judged:
    return Judged(found, np.array(scores, np.float32), wanted, boxes() if ignored is None else ignored)


def test_both_found_before_a_false_one_is_perfect() -> None:
    one = judged(boxes(A, B, ELSEWHERE), [0.9, 0.8, 0.3], boxes(A, B))
    assert average_precision([one]) == pytest.approx(1.0)


def test_a_false_box_between_two_right_ones() -> None:
    # Recalls up to 0.5 at precision 1 (51 of 101 points), the others at 2/3.
    one = judged(boxes(A, ELSEWHERE, B), [0.9, 0.8, 0.7], boxes(A, B))
    assert average_precision([one]) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_second_box_on_the_same_person_is_false() -> None:
    one = judged(boxes(A, A), [0.9, 0.8], boxes(A))
    assert share_at([one], 0.5).precision == 0.5
    assert share_at([one], 0.85).precision == 1.0


def test_boxes_in_ignored_regions_count_for_nothing() -> None:
    one = judged(boxes(ELSEWHERE, A), [0.9, 0.8], boxes(A), ignored=boxes((45, 45, 65, 75)))
    assert average_precision([one]) == pytest.approx(1.0)
    assert share_at([one], 0.1).boxes == 1


def test_a_person_in_an_ignored_region_is_found_all_the_same() -> None:
    one = judged(boxes(A), [0.9], boxes(A), ignored=boxes((-5, -5, 30, 30)))
    share = share_at([one], 0.1)
    assert (share.recall, share.precision, share.boxes) == (1.0, 1.0, 1)


def test_overlap_limits() -> None:
    # Shifted down by a quarter of the height: IoU 15 / 25 = 0.6, right at 0.5, 0.55 and 0.6 of the ten.
    one = judged(boxes((0.0, 5.0, 10.0, 25.0)), [0.9], boxes(A))
    assert average_precision([one], 0.5) == 1.0 and average_precision([one], 0.65) == 0.0
    assert coco_average_precision([one]) == pytest.approx(0.3)


def test_pictures_share_one_ranking() -> None:
    false, right = judged(boxes(ELSEWHERE), [0.9], boxes()), judged(boxes(A), [0.5], boxes(A))
    assert average_precision([false, right]) == pytest.approx(0.5)
    assert best_f1_score([false, right]) == pytest.approx(0.5)


def test_nobody_there() -> None:
    assert math.isnan(average_precision([judged(boxes(A), [0.9], boxes())]))
    assert share_at([judged(boxes(), [], boxes())], 0.5).recall == 1.0
