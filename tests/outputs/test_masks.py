"""Masks for other programs: the same pixels in every form, smooth, and nothing outside of the picture."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco

from engine.outputs.masks import Ring, coco_rle, from_coco_rle, full_size, mask_fields, multi_polygon
from engine.types import Bools, Masks, MaskSource
from tests.outputs.results import disc

# What COCO's tools return from `decode` does not know numpy 2's `copy` yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

WIDTH, HEIGHT = 320, 240
MARGIN = 60


def one_mask(rect_xyxy: tuple[float, float, float, float], grid: Bools) -> Masks:
    return Masks.of_grids(np.array([rect_xyxy], np.float32), [grid])


def interpolated(
    grid: Bools, rect_xyxy: tuple[float, float, float, float], width: int, height: int
) -> NDArray[np.float64]:
    """The value at every pixel's centre, as the module says it: above one half it belongs to the object."""
    left, top, right, bottom = rect_xyxy
    picture = np.zeros((height, width))
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
                picture[row, column] = upper * (1 - (down - i)) + lower * (down - i)
    return picture


def decoded(rle: dict[str, Any]) -> Bools:
    return np.asarray(coco.decode({**rle, "counts": rle["counts"].encode()}), np.bool_)


def filled(parts: list[list[Ring]], width: int, height: int) -> Bools:
    """Even-odd filling: pixels from whose centre a ray to the left crosses an odd number of edges."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    inside = np.zeros((height, width), np.bool_)
    for ring in (ring for part in parts for ring in part):
        for (x1, y1), (x2, y2) in itertools.pairwise(ring):
            if y1 != y2:
                reached = (min(y1, y2) <= y) & (y < max(y1, y2))
                inside ^= reached & (x1 + (y - y1) / (y2 - y1) * (x2 - x1) < x)
    return inside


def area(ring: Ring) -> float:
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in itertools.pairwise(ring)) / 2


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
    found, values = full_size(one_mask(rect, grid), 0, 40, 30), interpolated(grid, rect, 40, 30)
    # A pixel whose value is one half but for rounding may fall to either side.
    wrong = (found != (values > 0.5)) & (abs(values - 0.5) > 1e-4)
    assert not wrong.any()
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
def test_run_lengths_are_read_back(grid: Bools, rect: tuple[float, float, float, float]) -> None:
    masks = one_mask(rect, grid)
    np.testing.assert_array_equal(
        from_coco_rle(coco_rle(masks, 0, 40, 30), 40, 30), full_size(masks, 0, 40, 30)
    )


@settings(max_examples=200, deadline=None)
@given(counts=st.text(st.characters(min_codepoint=32, max_codepoint=127), max_size=12))
def test_run_lengths_from_anywhere_are_a_picture_or_refused(counts: str) -> None:
    try:
        picture = from_coco_rle({"size": [30, 40], "counts": counts}, 40, 30)
    except ValueError as error:
        assert "run lengths" in str(error)
    else:
        assert picture.shape == (30, 40)


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ("", "0 pixels of 1200"), ("o", "end in the middle"), ("\x7f1", "letters that"), ("ooooooooo1", "letters that"),
        ("N", "negative or longer"), ("0PTo0", "negative or longer"),
    ],
)  # fmt: skip
def test_damaged_run_lengths_are_refused_with_a_reason(counts: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        from_coco_rle({"size": [30, 40], "counts": counts}, 40, 30)


def test_run_lengths_of_another_picture_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of a picture of \[40, 30\] \(height, width\), not \[30, 40\]"):
        from_coco_rle({"size": [40, 30], "counts": "`U1"}, 40, 30)


@settings(max_examples=150, deadline=None)
@given(grid=GRIDS, rect=RECTS)
def test_polygons_are_polygons_inside_of_the_picture(
    grid: Bools, rect: tuple[float, float, float, float]
) -> None:
    for part in multi_polygon(one_mask(rect, grid), 0, 40, 30):
        for ring in part:
            assert len(ring) >= 4 and ring[0] == ring[-1]
            for x, y in ring:
                assert 0 <= x <= 40 and 0 <= y <= 30 and [x, y] == [round(x, 1), round(y, 1)]
        assert area(part[0]) > 0 and all(area(hole) < 0 for hole in part[1:])


@settings(max_examples=150, deadline=None)
@given(grid=GRIDS, rect=RECTS)
@example(
    grid=np.array(
        [[1, 0, 0, 1, 1, 1, 1, 1, 0], [1, 1, 0, 1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 1, 1, 1, 1]], np.bool_
    ),
    rect=(0.0, -17.0, 31.0, 15.0),
)
def test_polygons_filled_by_even_odd_are_the_pixels_to_within_a_cell(
    grid: Bools, rect: tuple[float, float, float, float]
) -> None:
    """Where they differ, the edge of the object is not further away than a cell and a pixel."""
    assume(rect[2] - rect[0] >= grid.shape[1] / 2 and rect[3] - rect[1] >= grid.shape[0] / 2)
    pixels = full_size(one_mask(rect, grid), 0, 40, 30)
    drawn = filled(multi_polygon(one_mask(rect, grid), 0, 40, 30), 40, 30)
    # The edge four times finer, and also outside of the picture: what is thinner than a pixel has one, too.
    finer = (np.array(rect) + MARGIN) * 4
    fine = full_size(one_mask(tuple(finer.tolist()), grid), 0, (40 + 2 * MARGIN) * 4, (30 + 2 * MARGIN) * 4)
    near_x, near_y = (
        4 + math.ceil((finer[2 + axis] - finer[axis]) / grid.shape[1 - axis]) for axis in (0, 1)
    )
    around = np.ones((2 * near_y + 1, 2 * near_x + 1), np.uint8)
    near = cv2.dilate(fine.view(np.uint8), around) != cv2.erode(fine.view(np.uint8), around)
    inner = slice(4 * MARGIN, -4 * MARGIN)
    uncertain = near[inner, inner].reshape(30, 4, 40, 4).any(axis=(1, 3))
    assert not ((pixels != drawn) & ~uncertain).any()


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
    pixels = full_size(masks, 0, WIDTH, HEIGHT)
    assert pixels.sum() > 5000
    assert iou(filled(multi_polygon(masks, 0, WIDTH, HEIGHT), WIDTH, HEIGHT), pixels) >= 0.98


def test_a_disc_stays_round_and_takes_few_points() -> None:
    """Smooth between coarse cells: nearer to the circle than a line along the cells would be."""
    masks = one_mask((60.0, 20.0, 260.0, 220.0), disc(20, 20))
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    circle = np.hypot(x + 0.5 - 160, y + 0.5 - 120) < 100
    cells = disc(20, 20).repeat(10, axis=0).repeat(10, axis=1)
    stairs = np.pad(cells, ((20, 20), (60, 60)))
    ((outline,),) = multi_polygon(masks, 0, WIDTH, HEIGHT)
    assert iou(full_size(masks, 0, WIDTH, HEIGHT), circle) > iou(stairs, circle)
    assert iou(filled([[outline]], WIDTH, HEIGHT), circle) > iou(stairs, circle)
    assert 8 <= len(outline) <= 40


def test_a_mask_that_fills_its_box_is_its_box() -> None:
    masks = one_mask((10.0, 20.0, 60.0, 100.0), np.ones((16, 10), np.bool_))
    picture = full_size(masks, 0, WIDTH, HEIGHT)
    assert picture.sum() == 50 * 80 and picture[20:100, 10:60].all()
    ((outline,),) = multi_polygon(masks, 0, WIDTH, HEIGHT)
    assert {tuple(corner) for corner in outline} == {(10.0, 20.0), (60.0, 20.0), (60.0, 100.0), (10.0, 100.0)}


def test_an_outline_follows_the_corner_of_the_picture() -> None:
    """A line cut off before corners are left out, as one between far points outside would miss it."""
    diamond = np.add.outer(abs(np.arange(40) - 19.5), abs(np.arange(40) - 19.5)) < 20
    masks = one_mask((-30.0, -30.0, 70.0, 70.0), diamond)
    ((outline,),) = multi_polygon(masks, 0, WIDTH, HEIGHT)
    assert [0.0, 0.0] in outline
    pixels = full_size(masks, 0, WIDTH, HEIGHT)
    assert iou(filled([[outline]], WIDTH, HEIGHT), pixels) > 0.97


def test_parts_are_polygons_of_their_own_with_their_holes() -> None:
    grid = np.zeros((20, 40), np.bool_)
    grid[2:18, 2:18], grid[6:14, 6:14], grid[9:11, 9:11] = True, False, True
    grid[4:16, 26:36] = True
    masks = one_mask((0.0, 0.0, 320.0, 160.0), grid)
    parts = multi_polygon(masks, 0, WIDTH, HEIGHT)
    found = sorted((min(x for x, _ in part[0]), len(part)) for part in parts)
    assert found == [(16.0, 2), (72.0, 1), (208.0, 1)]
    drawn, picture = filled(parts, WIDTH, HEIGHT), full_size(masks, 0, WIDTH, HEIGHT)
    assert iou(drawn, picture) > 0.95
    assert not drawn[60, 60] and drawn[80, 80]


def test_what_is_said_of_a_mask_is_its_identity_age_source_and_confidence() -> None:
    masks = Masks.of_grids(
        np.array([[0, 0, 80, 80]] * 3, np.float32), [disc(7, 11), disc(9, 5), np.zeros((0, 0), np.bool_)],
        np.array([MaskSource.MEMORY, MaskSource.AUTOMATIC, MaskSource.BOX], np.int32),
        np.array([0.91234, 0.5, 0.4], np.float32), np.array([120.04, 0, 0], np.float32),
    )  # fmt: skip
    first, unconfirmed, without = mask_fields(masks, [4, 0, 5], (WIDTH, HEIGHT), "rle")
    assert first.pop("mask") == coco_rle(masks, 0, WIDTH, HEIGHT)
    assert first == {"mask_id": 4, "mask_age_ms": 120.0, "mask_source": "memory", "mask_confidence": 0.912}
    assert unconfirmed["mask_id"] is None and unconfirmed["mask_source"] == "automatic"
    assert set(without) == set(unconfirmed) and set(without.values()) == {None}
    (polygon, *_) = mask_fields(masks, [4, 0, 5], (WIDTH, HEIGHT), "polygon")
    assert polygon["polygon"] == multi_polygon(masks, 0, WIDTH, HEIGHT) and "mask" not in polygon


@pytest.mark.parametrize(
    ("rect", "grid"),
    [
        ((10.0, 10.0, 50.0, 50.0), np.zeros((8, 8), np.bool_)),
        ((10.0, 10.0, 50.0, 50.0), np.zeros((0, 0), np.bool_)),
        ((-90.0, -90.0, -10.0, -10.0), np.ones((8, 8), np.bool_)),
        ((330.0, 10.0, 400.0, 50.0), np.ones((8, 8), np.bool_)),
        ((10.0, 10.0, 10.0, 50.0), np.ones((8, 8), np.bool_)),
        ((-50.0, -50.0, 50.0, 50.0), np.eye(8, dtype=np.bool_)[::-1] & (np.arange(8) < 2)),
    ],
    ids=["empty", "none", "above left", "right", "without width", "round the corner"],
)
def test_nothing_to_see_is_an_empty_mask(rect: tuple[float, float, float, float], grid: Bools) -> None:
    masks = one_mask(rect, grid)
    assert multi_polygon(masks, 0, WIDTH, HEIGHT) == []
    assert not full_size(masks, 0, WIDTH, HEIGHT).any()
    assert decoded(coco_rle(masks, 0, WIDTH, HEIGHT)).shape == (HEIGHT, WIDTH)
    assert not decoded(coco_rle(masks, 0, WIDTH, HEIGHT)).any()


def test_each_object_has_its_own_mask() -> None:
    rects = np.array([[0, 0, 80, 80], [100, 100, 140, 180]], np.float32)
    masks = Masks.of_grids(rects, [disc(7, 11), disc(9, 5)])
    assert full_size(masks, 1, WIDTH, HEIGHT)[140, 120] and not full_size(masks, 1, WIDTH, HEIGHT)[40, 40]
    assert multi_polygon(masks, 0, WIDTH, HEIGHT) != multi_polygon(masks, 1, WIDTH, HEIGHT)


def test_twenty_outlines_do_not_cost_a_frame() -> None:
    grids = [blob(60, 30, seed) for seed in range(20)]
    masks = Masks.of_grids(np.array([[20, 10, 140, 230]] * 20, np.float32), grids)
    spent_ms = []
    for _ in range(20):
        begun = time.perf_counter()
        for index in range(20):
            multi_polygon(masks, index, WIDTH, HEIGHT)
        spent_ms.append(1e3 * (time.perf_counter() - begun))
    # The best of many: the figure is about this code, not about what else the machine does.
    assert min(spent_ms) < 10
