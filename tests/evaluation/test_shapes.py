"""Pixels from polygons and run lengths, against pixel by pixel definitions and COCO's own tools."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from engine.evaluation.shapes import polygon_pixels, run_length_pixels
from engine.types import Bools

HEIGHT, WIDTH = 17, 23


def inside_by_definition(rings: list[list[list[float]]]) -> Bools:
    """Even-odd: a ray from each centre to the left crosses an odd number of edges."""
    picture = np.zeros((HEIGHT, WIDTH), np.bool_)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            x, y, crossed = column + 0.5, row + 0.5, 0
            for ring in rings:
                for (x0, y0), (x1, y1) in pairwise(ring):
                    if (y0 < y) != (y1 < y):
                        crossed += x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x
            picture[row, column] = crossed % 2 == 1
    return picture


# A third off the grid: no corner and, but for bad luck, no edge on a centre, where either answer is right.
PLACES = st.tuples(st.integers(-9, 90), st.integers(-9, 70)).map(
    lambda drawn: [drawn[0] / 3 + 0.01, drawn[1] / 3 + 0.02]
)
RINGS = st.lists(PLACES, min_size=3, max_size=7).map(lambda ring: [*ring, ring[0]])


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(st.lists(RINGS, min_size=1, max_size=2), max_size=2))
def test_polygons_are_filled_by_even_odd(parts: list[list[list[list[float]]]]) -> None:
    filled = polygon_pixels(parts, HEIGHT, WIDTH)
    by_definition = inside_by_definition([ring for part in parts for ring in part])
    assert np.count_nonzero(filled != by_definition) <= 1


def test_a_polygon_with_a_hole_and_a_second_part() -> None:
    outer = [[2, 2], [12, 2], [12, 12], [2, 12], [2, 2]]
    hole = [[4, 4], [4, 8], [8, 8], [8, 4], [4, 4]]
    other = [[15, 5], [18, 5], [18, 9], [15, 9], [15, 5]]
    wanted = np.zeros((HEIGHT, WIDTH), np.bool_)
    wanted[2:12, 2:12] = True
    wanted[4:8, 4:8] = False
    wanted[5:9, 15:18] = True
    np.testing.assert_array_equal(polygon_pixels([[outer, hole], [other]], HEIGHT, WIDTH), wanted)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from((0.0, 0.02, 0.5, 0.98, 1.0)))
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_run_lengths_of_cocos_own_tools(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((HEIGHT * 9, WIDTH * 5)) < share
    packed: dict[str, Any] = coco.encode(np.asfortranarray(mask, np.uint8))
    rle = {"size": packed["size"], "counts": packed["counts"].decode("ascii")}
    np.testing.assert_array_equal(run_length_pixels(rle), mask)


def test_run_lengths_as_numbers() -> None:
    wanted = np.array([[False, True], [True, True], [True, False]])
    np.testing.assert_array_equal(run_length_pixels({"size": [3, 2], "counts": [1, 4, 1]}), wanted)


@pytest.mark.parametrize(
    "rle",
    [
        {},
        {"size": [3, 2]},
        {"size": 3, "counts": "0"},
        {"size": [3, 2], "counts": [1, 4]},
        {"size": [3, 2], "counts": [-1, 7]},
    ],
)
def test_what_is_no_run_length(rle: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="run length"):
        run_length_pixels(rle)


@pytest.mark.parametrize("ring", [[1, 2, 3], [[1, 2, 3]], [[1, float("nan")]]])
def test_what_is_no_ring(ring: Any) -> None:
    with pytest.raises(ValueError, match="ring"):
        polygon_pixels([[ring]], HEIGHT, WIDTH)
