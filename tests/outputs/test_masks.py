"""Masks for other programs: the same pixels in every form, smooth, and nothing outside of the picture."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from engine.outputs.masks import coco_rle, full_size, polygons
from engine.types import Bools, Masks
from tests.outputs.results import disc

# What COCO's tools return from `decode` does not know numpy 2's `copy` yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

WIDTH, HEIGHT = 320, 240


def one_mask(rect_xyxy: tuple[float, float, float, float], grid: Bools) -> Masks:
    return Masks.of_grids(np.array([rect_xyxy], np.float32), [grid])


def interpolated(grid: Bools, rect_xyxy: tuple[float, float, float, float], width: int, height: int) -> Bools:
    """Pixel by pixel, as the module says it."""
    left, top, right, bottom = rect_xyxy
    picture = np.zeros((height, width), np.bool_)
    padded = np.pad(grid.astype(np.float64), 1, mode="edge")
    for row in range(height):
        for column in range(width):
            x, y = column + 0.5, row + 0.5
            if left <= x < right and top <= y < bottom:
                across = (x - left) / (right - left) * grid.shape[1] + 0.5
                down = (y - top) / (bottom - top) * grid.shape[0] + 0.5
                i, j = int(down), int(across)
                square = padded[i : i + 2, j : j + 2]
                upper, lower = square @ (1 - (across - j), across - j)
                picture[row, column] = upper * (1 - (down - i)) + lower * (down - i) > 0.5
    return picture


def decoded(rle: dict[str, Any]) -> Bools:
    return np.asarray(coco.decode({**rle, "counts": rle["counts"].encode()}), np.bool_)


def filled(outlines: list[list[float]], width: int, height: int) -> Bools:
    """What COCO's own tools make of polygons."""
    if not outlines:
        return np.zeros((height, width), np.bool_)
    merged = coco.merge(coco.frPyObjects(outlines, height, width))
    return np.asarray(coco.decode(merged), np.bool_)


def without_holes(picture: Bools) -> Bools:
    contours, _ = cv2.findContours(picture.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    solid = np.zeros(picture.shape, np.uint8)
    cv2.drawContours(solid, contours, -1, 1, -1)
    return solid.astype(np.bool_)


def iou(a: Bools, b: Bools) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


GRIDS = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).random(drawn[:2]) < 0.6
)
EDGES = st.floats(-20, 60).map(lambda edge: round(edge, 2))
RECTS = st.tuples(EDGES, EDGES, st.floats(0.5, 50), st.floats(0.5, 50)).map(
    lambda drawn: (drawn[0], drawn[1], drawn[0] + round(drawn[2], 2), drawn[1] + round(drawn[3], 2))
)


@settings(max_examples=60, deadline=None)
@given(grid=GRIDS, rect=RECTS)
def test_pixels_are_those_whose_centre_interpolates_to_more_than_half(
    grid: Bools, rect: tuple[float, float, float, float]
) -> None:
    found, expected = full_size(one_mask(rect, grid), 0, 40, 30), interpolated(grid, rect, 40, 30)
    # A pixel whose value is one half but for rounding may fall to either side.
    assert (found != expected).sum() <= 2
    assert found.shape == (30, 40) and found.dtype == np.bool_


@settings(max_examples=100, deadline=None)
@given(grid=GRIDS, rect=RECTS)
def test_run_lengths_are_those_of_cocos_tools(grid: Bools, rect: tuple[float, float, float, float]) -> None:
    masks = one_mask(rect, grid)
    picture, rle = full_size(masks, 0, 40, 30), coco_rle(masks, 0, 40, 30)
    assert rle["size"] == [30, 40]
    assert rle["counts"].encode() == coco.encode(np.asfortranarray(picture.view(np.uint8)))["counts"]
    np.testing.assert_array_equal(decoded(rle), picture)


def test_a_run_goes_on_from_column_to_column() -> None:
    """The tools would read it either way; a reader that compares texts would not."""
    masks = one_mask((0.0, 0.0, 8.0, 4.0), np.ones((1, 1), np.bool_))
    packed = coco.frPyObjects({"size": [4, 8], "counts": [0, 32]}, 4, 8)
    assert coco_rle(masks, 0, 8, 4)["counts"] == packed["counts"].decode()


@settings(max_examples=100, deadline=None)
@given(grid=GRIDS, rect=RECTS)
def test_polygons_are_polygons_inside_of_the_picture(
    grid: Bools, rect: tuple[float, float, float, float]
) -> None:
    for outline in polygons(one_mask(rect, grid), 0, 40, 30):
        assert len(outline) >= 6 and len(outline) % 2 == 0
        assert min(outline) >= 0 and max(outline[::2]) <= 40 and max(outline[1::2]) <= 30
        assert outline == [round(number, 1) for number in outline]


def blob(rows: int, columns: int, seed: int) -> Bools:
    """Something with bays and bulges, parts and holes, as a body is."""
    noise = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    waves = cv2.GaussianBlur(noise, (0, 0), max(rows, columns) / 10)
    y, x = np.ogrid[:rows, :columns]
    distance = np.hypot((x + 0.5) / columns - 0.5, (y + 0.5) / rows - 0.5)
    return np.asarray(distance + 0.08 * waves / waves.std() < 0.42)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size_hw", [(40, 40), (80, 32), (128, 128)])
def test_an_outline_covers_what_the_pixels_cover(size_hw: tuple[int, int], seed: int) -> None:
    masks = one_mask((20.3, 10.8, 290.1, 230.6), blob(*size_hw, seed))
    solid = without_holes(full_size(masks, 0, WIDTH, HEIGHT))
    assert solid.sum() > 5000
    assert iou(filled(polygons(masks, 0, WIDTH, HEIGHT), WIDTH, HEIGHT), solid) >= 0.98


def test_a_disc_stays_round_and_takes_few_points() -> None:
    """Smooth between coarse cells: nearer to the circle than a line along the cells would be."""
    masks = one_mask((60.0, 20.0, 260.0, 220.0), disc(20, 20))
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    circle = np.hypot(x + 0.5 - 160, y + 0.5 - 120) < 100
    cells = disc(20, 20).repeat(10, axis=0).repeat(10, axis=1)
    stairs = np.pad(cells, ((20, 20), (60, 60)))
    (outline,) = polygons(masks, 0, WIDTH, HEIGHT)
    assert iou(full_size(masks, 0, WIDTH, HEIGHT), circle) > iou(stairs, circle)
    assert iou(filled([outline], WIDTH, HEIGHT), circle) > iou(stairs, circle)
    assert 16 <= len(outline) <= 80


def test_a_mask_that_fills_its_box_is_its_box() -> None:
    masks = one_mask((10.0, 20.0, 60.0, 100.0), np.ones((16, 10), np.bool_))
    picture = full_size(masks, 0, WIDTH, HEIGHT)
    assert picture.sum() == 50 * 80 and picture[20:100, 10:60].all()
    (outline,) = polygons(masks, 0, WIDTH, HEIGHT)
    corners = {(outline[index], outline[index + 1]) for index in range(0, len(outline), 2)}
    assert corners == {(10.0, 20.0), (60.0, 20.0), (60.0, 100.0), (10.0, 100.0)}


def test_parts_are_polygons_of_their_own_and_holes_are_filled() -> None:
    grid = np.zeros((20, 40), np.bool_)
    grid[2:18, 2:18], grid[6:14, 6:14] = True, False
    grid[4:16, 26:36] = True
    masks = one_mask((0.0, 0.0, 320.0, 160.0), grid)
    outlines = polygons(masks, 0, WIDTH, HEIGHT)
    assert sorted(min(outline[::2]) for outline in outlines) == [16.0, 208.0]
    picture = full_size(masks, 0, WIDTH, HEIGHT)
    assert not picture[80, 80] and not decoded(coco_rle(masks, 0, WIDTH, HEIGHT))[80, 80]
    assert filled(outlines, WIDTH, HEIGHT)[80, 80]


@pytest.mark.parametrize(
    ("rect", "grid"),
    [
        ((10.0, 10.0, 50.0, 50.0), np.zeros((8, 8), np.bool_)),
        ((10.0, 10.0, 50.0, 50.0), np.zeros((0, 0), np.bool_)),
        ((-90.0, -90.0, -10.0, -10.0), np.ones((8, 8), np.bool_)),
        ((330.0, 10.0, 400.0, 50.0), np.ones((8, 8), np.bool_)),
    ],
    ids=["empty", "none", "above left", "right"],
)
def test_nothing_to_see_is_an_empty_mask(rect: tuple[float, float, float, float], grid: Bools) -> None:
    masks = one_mask(rect, grid)
    assert polygons(masks, 0, WIDTH, HEIGHT) == []
    assert not full_size(masks, 0, WIDTH, HEIGHT).any()
    assert decoded(coco_rle(masks, 0, WIDTH, HEIGHT)).shape == (HEIGHT, WIDTH)
    assert not decoded(coco_rle(masks, 0, WIDTH, HEIGHT)).any()


def test_each_object_has_its_own_mask() -> None:
    rects = np.array([[0, 0, 80, 80], [100, 100, 140, 180]], np.float32)
    masks = Masks.of_grids(rects, [disc(7, 11), disc(9, 5)])
    assert full_size(masks, 1, WIDTH, HEIGHT)[140, 120] and not full_size(masks, 1, WIDTH, HEIGHT)[40, 40]
    assert polygons(masks, 0, WIDTH, HEIGHT) != polygons(masks, 1, WIDTH, HEIGHT)


def test_twenty_outlines_do_not_cost_a_frame() -> None:
    grids = [blob(60, 30, seed) for seed in range(20)]
    masks = Masks.of_grids(np.array([[20, 10, 140, 230]] * 20, np.float32), grids)
    spent_ms = []
    for _ in range(20):
        begun = time.perf_counter()
        for index in range(20):
            polygons(masks, index, WIDTH, HEIGHT)
        spent_ms.append(1e3 * (time.perf_counter() - begun))
    # The best of many: the figure is about this code, not about what else the machine does.
    assert min(spent_ms) < 10
