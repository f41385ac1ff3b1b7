"""Scores of rendered runs on cases whose answer is known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.scene_score import (
    F64,
    SceneFrame,
    best_pairs,
    pairs_of,
    score_frames,
    together,
)

PEOPLE = np.array([[10.0, 10, 50, 110], [100, 20, 140, 120], [200, 15, 240, 115]])
RIGHT = np.array([1.0, 0, 1, 0])


def frame(
    number: int,
    boxes: F64 = PEOPLE,
    ids: tuple[int, ...] = (7, 8, 9),
    required: tuple[bool, ...] = (True, True, True),
    visible: F64 = PEOPLE,
    mask_ious: F64 | None = None,
) -> SceneFrame:
    return SceneFrame(
        number / 5,
        np.arange(3),
        PEOPLE,
        visible,
        np.array(required),
        np.array(ids, np.int64),
        boxes,
        mask_ious,
    )


def test_a_perfect_run_is_perfect() -> None:
    masks = np.where(np.eye(3) > 0, 1.0, 0.0)
    score = score_frames([frame(number, mask_ious=masks) for number in range(20)])
    assert (score.recall, score.precision, score.idf1, score.mask_iou) == (1.0, 1.0, 1.0, 1.0)
    assert (score.frames, score.required, score.masks, score.masks_missing) == (20, 60, 60, 0)
    assert score.seconds == pytest.approx(3.8)


def test_boxes_that_lie_beside_find_nobody() -> None:
    score = score_frames([frame(number, PEOPLE + RIGHT * 30.0) for number in range(4)])
    assert (score.recall, score.precision, score.idf1) == (0.0, 0.0, 0.0)
    nearly = score_frames([frame(number, PEOPLE + RIGHT * 8.0) for number in range(4)])
    assert (nearly.recall, nearly.precision) == (1.0, 1.0)


def test_swapped_identities_cost_idf1_and_nothing_else() -> None:
    frames = [frame(number, ids=(7, 8, 9) if number < 15 else (8, 7, 9)) for number in range(20)]
    score = score_frames(frames)
    assert (score.recall, score.precision) == (1.0, 1.0)
    assert score.idf1 == pytest.approx((15 + 15 + 20) / 60)


def test_a_new_identity_halfway_explains_the_half_of_somebody() -> None:
    score = score_frames([frame(number, ids=(7 if number < 10 else 70, 8, 9)) for number in range(20)])
    assert score.idf1 == pytest.approx(50 / 60)


def test_boxes_without_an_identity_are_found_and_explain_nobody() -> None:
    score = score_frames([frame(number, ids=(-1, 8, 9)) for number in range(5)])
    assert (score.recall, score.precision) == (1.0, 1.0)
    assert score.idf1 == pytest.approx(2 * 10 / (15 + 10))


def test_who_need_not_be_found_is_neither_missed_nor_false() -> None:
    required = (True, True, False)
    for boxes, ids in ((PEOPLE, (7, 8, 9)), (PEOPLE[:2], (7, 8))):
        score = score_frames([frame(number, boxes, ids, required) for number in range(5)])
        assert (score.recall, score.precision, score.idf1) == (1.0, 1.0, 1.0)
    # Of the third only a strip is to be seen, and the box is drawn round that.
    strip = np.array([[232.0, 15, 240, 115]])
    visible = np.concatenate([PEOPLE[:2], strip])
    found = np.concatenate([PEOPLE[:2], strip])
    score = score_frames([frame(0, found, (7, 8, 9), required, visible)])
    assert score.precision == 1.0
    twice = np.concatenate([PEOPLE, PEOPLE[2:]])
    assert score_frames([frame(0, twice, (7, 8, 9, 10), required)]).precision == pytest.approx(2 / 3)


def test_two_boxes_on_one_person_are_one_too_many() -> None:
    boxes = np.concatenate([PEOPLE, PEOPLE[:1] + 2.0])
    score = score_frames([frame(0, boxes, (7, 8, 9, 10))])
    assert (score.recall, score.precision) == (1.0, 0.75)


def test_as_many_as_possible_are_found_where_boxes_fit_two_people() -> None:
    people = np.array([[0.0, 0, 40, 100], [15, 0, 55, 100]])
    boxes = np.array([[8.0, 0, 48, 100], [-12.0, 0, 28, 100]])
    everybody = SceneFrame(0, np.arange(2), people, people, np.array([True, True]), np.arange(2), boxes)
    assert pairs_of(everybody) == ([(0, 1), (1, 0)], [])


def test_masks_that_are_missing_are_counted_and_not_judged() -> None:
    masks = np.full((3, 3), np.nan)
    masks[:, :2] = np.array([[0.9, 0.1], [0.0, 0.7], [0.0, 0.0]])
    score = score_frames([frame(0, mask_ious=masks), frame(1)])
    assert score.mask_iou == pytest.approx(0.8) and (score.masks, score.masks_missing) == (2, 1)


def test_nothing_to_measure_is_no_number() -> None:
    score = score_frames([])
    assert all(np.isnan([score.recall, score.precision, score.idf1, score.mask_iou, score.time_in_frame]))
    assert np.isnan(together([]).masked_fps)


def test_cameras_together_are_sums() -> None:
    good, bad = score_frames([frame(0)]), score_frames([frame(0, PEOPLE + 60.0)])
    both = together([good, bad])
    assert (both.recall, both.precision, both.required) == (0.5, 0.5, 6)


@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0, 3.0, 5.0]), min_size=4, max_size=4), max_size=5)
)
def test_pairs_are_the_best_there_are(rows: list[list[float]]) -> None:
    weights = np.array(rows, np.float64).reshape(-1, 4)
    for each in (weights, weights.T):
        pairs = best_pairs(each)
        assert len({row for row, _ in pairs}) == len(pairs) == len({column for _, column in pairs})
        wide = each if each.shape[0] <= each.shape[1] else each.T
        sums = [
            sum(wide[row, column] for row, column in enumerate(chosen))
            for chosen in permutations(range(wide.shape[1]), wide.shape[0])
        ]
        assert sum(each[pair] for pair in pairs) == max(sums, default=0.0)
