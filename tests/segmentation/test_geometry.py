"""Boxes and outlines, against counting pixels."""

from __future__ import annotations

import numpy as np
import pytest

from engine.segmentation.geometry import (
    Outline,
    area,
    iou,
    ious,
    mapped,
    outline_iou,
    outline_of,
    share_inside,
)
from tests.segmentation.scenario import box


def disc(x: float, y: float, radius: float, cells: int = 40) -> Outline:
    steps = (np.arange(cells) + 0.5) / cells * 2 - 1
    grid = steps[:, None] ** 2 + steps**2 <= 1
    outline = outline_of(grid, box(x - radius, y - radius, x + radius, y + radius))
    assert outline is not None
    return outline


def counted(a: Outline, b: Outline) -> float:
    y, x = np.mgrid[0:200, 0:200].astype(np.float32) + 0.5
    points = np.stack((x.ravel(), y.ravel()), axis=1).astype(np.float32)
    on_a, on_b = a.at(points), b.at(points)
    return float((on_a & on_b).sum() / (on_a | on_b).sum())


@pytest.mark.parametrize(("x", "radius"), [(100, 50), (110, 50), (100, 40), (140, 30), (125, 45)])
def test_outlines_on_different_grids_overlap_as_their_pixels_do(x: float, radius: float) -> None:
    a, b = disc(100, 100, 50), disc(x, 100, radius, cells=23)
    assert outline_iou(a, b) == pytest.approx(counted(a, b), abs=0.03)
    assert outline_iou(a, b) == pytest.approx(outline_iou(b, a), abs=1e-6)


def test_outlines_apart_do_not_overlap() -> None:
    assert outline_iou(disc(50, 50, 20), disc(150, 150, 20)) == 0.0


def test_the_box_of_an_outline() -> None:
    grid = np.zeros((4, 8), np.bool_)
    grid[1:3, 2:7] = True
    outline = outline_of(grid, box(100, 100, 180, 140))
    assert outline is not None
    assert outline.box_xyxy.tolist() == [120, 110, 170, 130]
    there = outline.moved(box(120, 110, 170, 130), box(20, 10, 120, 50))
    assert there.box_xyxy.tolist() == [20, 10, 120, 50]
    assert there.at(box(21, 11, 119, 49).reshape(2, 2)).all()
    assert outline.scaled(np.full(4, 0.5, np.float32)).box_xyxy.tolist() == [60, 55, 85, 65]


def test_a_grid_that_shows_nothing_is_no_outline() -> None:
    assert outline_of(np.zeros((4, 4), np.bool_), box(0, 0, 9, 9)) is None
    assert outline_of(np.zeros((0, 0), np.bool_), box(0, 0, 9, 9)) is None
    assert outline_of(np.ones((4, 4), np.bool_), box(9, 0, 9, 9)) is None


def test_boxes() -> None:
    a, b = box(0, 0, 10, 10), box(5, 0, 15, 10)
    assert iou(a, b) == pytest.approx(1 / 3)
    assert ious(a, np.stack((a, b, box(20, 20, 30, 30), box(3, 3, 3, 3)))) == pytest.approx([1, 1 / 3, 0, 0])
    assert share_inside(box(0, 0, 4, 4), b) == 0
    assert share_inside(box(4, 0, 6, 10), b) == 0.5
    assert (area(box(5, 5, 5, 9)), share_inside(box(5, 5, 5, 9), a)) == (0.0, 0.0)
    assert mapped(box(2, 2, 4, 4), a, box(100, 100, 120, 110)).tolist() == [104, 102, 108, 104]
