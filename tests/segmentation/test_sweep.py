"""The grid of points of mode `auto`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.segmentation.geometry import outline_of
from engine.segmentation.sweep import PointSweep
from tests.segmentation.scenario import box


@given(st.integers(1, 20), st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_every_point_once_in_each_sweep(side: int, counts: list[int]) -> None:
    sweep = PointSweep(side)
    taken = [tuple(point) for count in counts for point in sweep.take(count, (640, 480), []).tolist()]
    whole = len(taken) // len(sweep)
    assert sweep.sweeps == whole
    for number in range(whole):
        assert len(set(taken[number * len(sweep) : (number + 1) * len(sweep)])) == len(sweep)


def test_a_few_points_are_spread_over_the_picture() -> None:
    points = PointSweep(16).take(16, (640, 480), [])
    quarters = {(x > 320, y > 240) for x, y in points.tolist()}
    assert len(quarters) == 4
    assert (points > 0).all()
    assert (points < np.array([640, 480])).all()


@pytest.mark.parametrize("edges", [(0, 0, 320, 480), (0, 0, 640, 480)])
def test_points_on_known_objects_are_left_out(edges: tuple[int, int, int, int]) -> None:
    outline = outline_of(np.ones((2, 2), np.bool_), box(*edges))
    assert outline is not None
    points = PointSweep(8).take(1000, (640, 480), [outline])
    assert len(points) == 64 * (640 - edges[2]) // 640
    assert (points[:, 0] > edges[2]).all()
