"""Prompts for training: boxes stay about where people are, clicks where their label says."""

from __future__ import annotations

import numpy as np
import pytest

from tools.nano.segmenter_prompts import (
    NOT_ON_OBJECT,
    ON_OBJECT,
    as_points,
    click_beside,
    click_inside,
    correction,
    loose_box,
)

SIDE = 64


def mask_of(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def at(mask: np.ndarray, point: np.ndarray) -> bool:
    return bool(mask[int(point[1]), int(point[0])])


def test_loose_boxes_vary_around_the_exact_one_and_stay_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    exact = np.array([10, 20, 30, 60], np.float32)
    boxes = np.stack([loose_box(rng, exact, SIDE) for _ in range(2000)])
    assert boxes.dtype == np.float32
    assert np.abs(boxes.mean(0) - exact).max() < 0.3
    spread = boxes[:, 0].std() / 20
    assert 0.05 < spread < 0.12
    assert boxes.min() >= 0 and boxes.max() <= SIDE
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (63, 63, 64, 64), (0, 0, 64, 64)])
def test_boxes_at_the_edge_keep_an_area(box: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        left, top, right, bottom = loose_box(rng, np.array(box, np.float32), SIDE)
        assert 0 <= left < right <= SIDE and 0 <= top < bottom <= SIDE


def test_clicks_lie_on_the_object_and_off_its_outline() -> None:
    rng = np.random.default_rng(2)
    mask = mask_of(10, 10, 20, 40)
    for _ in range(200):
        point = click_inside(rng, mask)
        assert point is not None and at(mask, point)
        assert 11 < point[0] < 19 and 11 < point[1] < 39


def test_a_line_of_pixels_can_be_clicked_on() -> None:
    rng = np.random.default_rng(3)
    mask = mask_of(10, 10, 11, 40)
    point = click_inside(rng, mask)
    assert point is not None and at(mask, point)
    assert click_inside(rng, mask_of(0, 0, 0, 0)) is None


def test_clicks_beside_an_object_are_near_it_and_not_on_it() -> None:
    rng = np.random.default_rng(4)
    mask = mask_of(20, 10, 30, 50)
    for _ in range(200):
        point = click_beside(rng, mask)
        assert point is None or not at(mask, point)
        assert point is None or (14 <= point[0] <= 36 and 1 <= point[1] <= 59)
    assert click_beside(rng, np.ones((SIDE, SIDE), np.bool_)) is None


def test_corrections_are_clicks_into_the_larger_error() -> None:
    rng = np.random.default_rng(5)
    wanted = mask_of(10, 10, 30, 50)
    for _ in range(50):
        point, label = correction(rng, mask_of(10, 10, 30, 20), wanted)
        assert label == ON_OBJECT and at(wanted & ~mask_of(10, 10, 30, 20), point)
        point, label = correction(rng, mask_of(10, 10, 60, 50), wanted)
        assert label == NOT_ON_OBJECT and at(mask_of(30, 10, 60, 50), point)


def test_corrections_where_nothing_is_wrong_or_nothing_is_there() -> None:
    rng = np.random.default_rng(6)
    wanted = mask_of(10, 10, 30, 50)
    point, label = correction(rng, wanted, wanted)
    assert label == ON_OBJECT and at(wanted, point)
    empty = mask_of(0, 0, 0, 0)
    assert correction(rng, empty, empty)[1] == NOT_ON_OBJECT
    point, label = correction(rng, mask_of(5, 5, 9, 9), empty)
    assert label == NOT_ON_OBJECT and at(mask_of(5, 5, 9, 9), point)


def test_a_box_is_two_points() -> None:
    coords, labels = as_points(np.array([1, 2, 3, 4], np.float32))
    assert coords.tolist() == [[1, 2], [3, 4]] and labels.tolist() == [2, 3]
