"""Logits to grids: where the object is, at any size of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from engine.models.sam2_grids import grid_of
from engine.types import F32


def disc(centre_xy: tuple[float, float], radius: float, side: int = 64) -> F32:
    """Logits that fall off from the middle of a disc; all in parts of the picture."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    logits: F32 = (20 * (radius - np.hypot(x - centre_xy[0], y - centre_xy[1]))).astype(np.float32)
    return logits


@pytest.mark.parametrize("least_cells", [0, 40, 96, 400])
@pytest.mark.parametrize("size_wh", [(64, 64), (1280, 720), (333, 517)])
@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.02, 0.98)])
def test_the_grid_covers_the_object_in_the_picture(
    centre: tuple[float, float], size_wh: tuple[int, int], least_cells: int
) -> None:
    grid, rect = grid_of(disc(centre, 0.2), size_wh, least_cells)
    cell_w, cell_h = size_wh[0] / 64, size_wh[1] / 64
    wanted = np.array(
        [max(0, centre[0] - 0.2) * size_wh[0], max(0, centre[1] - 0.2) * size_wh[1],
         min(1, centre[0] + 0.2) * size_wh[0], min(1, centre[1] + 0.2) * size_wh[1]]
    )  # fmt: skip
    assert (np.abs(rect - wanted) <= [cell_w, cell_h, cell_w, cell_h]).all()
    assert grid[:, 0].any() and grid[:, -1].any() and grid[0].any() and grid[-1].any(), (
        "cut out without a margin"
    )
    share = grid.mean() * (rect[2] - rect[0]) * (rect[3] - rect[1]) / (size_wh[0] * size_wh[1])
    whole = (disc(centre, 0.2, 1024) > 0).mean()
    assert share == pytest.approx(whole, rel=0.06)


def test_outlines_of_small_objects_are_interpolated_as_the_whole_would_be() -> None:
    import cv2

    logits = disc((0.4, 0.6), 0.1) + np.random.default_rng(0).normal(0, 0.3, (64, 64)).astype(np.float32)
    grid, rect = grid_of(logits, (640, 640))
    whole = cv2.resize(logits, (256, 256), interpolation=cv2.INTER_LINEAR) > 0
    left, top, right, bottom = (rect / 2.5).round().astype(int)
    assert np.allclose(rect / 2.5, [left, top, right, bottom], atol=1e-4)
    rows, columns = np.nonzero(logits > 0)
    near = whole[4 * rows.min() - 4 : 4 * rows.max() + 8, 4 * columns.min() - 4 : 4 * columns.max() + 8]
    assert np.array_equal(grid, whole[top:bottom, left:right])
    assert grid.sum() == near.sum()


def test_cells_are_never_finer_than_pixels() -> None:
    grid, rect = grid_of(disc((0.5, 0.5), 0.1), (64, 64))
    assert grid.shape[1] == rect[2] - rect[0]


def test_nothing_gives_no_cells() -> None:
    grid, rect = grid_of(np.full((64, 64), -1024, np.float32), (640, 480))
    assert grid.shape == (0, 0) and not rect.any()


def test_a_speck_that_interpolation_would_wipe_out_is_kept() -> None:
    logits = np.full((64, 64), -100, np.float32)
    logits[10, 20] = 0.1
    grid, rect = grid_of(logits, (640, 640))
    assert grid.tolist() == [[True]]
    assert rect.tolist() == [200, 100, 210, 110]


def test_everything_is_everything() -> None:
    grid, rect = grid_of(np.ones((64, 64), np.float32), (640, 480))
    assert grid.all() and rect.tolist() == [0, 0, 640, 480]
