"""One motion from many points: who agrees, how sure it is, and what is plausible."""

from __future__ import annotations

import numpy as np
import pytest

from engine.tracking.camera_motion_fit import fit_motion
from engine.tracking.camera_motion_warp import (
    Warp,
    corners_xy,
    is_plausible,
    most_shift,
    points_through,
)

NOISE = 0.001
CORNERS = np.array(((-1, -0.75), (1, -0.75), (1, 0.75), (-1, 0.75)))
BENT = np.array(((1.02, -0.03, 0.08), (0.03, 1.02, -0.04), (0.02, -0.01, 1.0)))


def scattered(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform((-1, -0.75), (1, 0.75), (count, 2))


def test_a_homography_is_found_among_strangers() -> None:
    random = np.random.default_rng(1)
    before = scattered(100)
    now = points_through(BENT, before) + random.normal(0, NOISE / 2, before.shape)
    now[60:] = scattered(40, 2)
    fit = fit_motion(before, now, NOISE, CORNERS)
    assert np.abs(points_through(fit.matrix, CORNERS) - points_through(BENT, CORNERS)).max() < 3 * NOISE
    assert fit.agreeing[:60].all() and np.count_nonzero(fit.agreeing[60:]) <= 2
    assert fit.error < 2 * NOISE


def test_points_in_one_place_are_sure_of_that_place_only() -> None:
    before = scattered(60) * 0.05 + (0.9, 0.6)
    now = before + np.array((0.05, 0.0))
    fit = fit_motion(before, now, NOISE, CORNERS)
    assert np.abs(points_through(fit.matrix, before) - now).max() < NOISE
    assert fit.error > 5 * NOISE


def test_few_points_do_not_bend_the_picture() -> None:
    """Without a shift there is no perspective, however the noise falls."""
    before = scattered(14, 3)
    now = before + np.random.default_rng(4).normal(0, NOISE, before.shape)
    fit = fit_motion(before, now, NOISE, CORNERS)
    assert np.abs(fit.matrix[2, :2]).max() < 2 * NOISE


@pytest.mark.parametrize("count", [2, 3, 12])
def test_points_all_in_one_spot_give_numbers(count: int) -> None:
    spot = np.full((count, 2), 0.3)
    fit = fit_motion(spot, spot + 0.1, NOISE, CORNERS)
    assert np.isfinite(fit.matrix).all() and np.isfinite(fit.error)


def test_the_same_points_always_give_the_same() -> None:
    before = scattered(80)
    now = points_through(BENT, before)
    now[:30] = scattered(30, 7)
    np.random.seed(5)
    first = fit_motion(before, now, NOISE, CORNERS).matrix.tobytes()
    assert all(fit_motion(before, now, NOISE, CORNERS).matrix.tobytes() == first for _ in range(3))


def shifted(x: float = 0.0, y: float = 0.0, scale: float = 1.0, turn: float = 0.0) -> np.ndarray:
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    middle = np.array(((1, 0, 320), (0, 1, 240), (0, 0, 1)))
    turned = np.array(((cosine, -sine, x), (sine, cosine, y), (0, 0, 1)))
    matrix: np.ndarray = middle @ turned @ np.linalg.inv(middle)
    return matrix


@pytest.mark.parametrize(
    ("matrix", "plausible"),
    [
        (shifted(), True),
        (shifted(200, 100), True),
        (shifted(scale=1.3), True),
        (shifted(turn=0.3), True),
        (shifted(500), False),
        (shifted(y=-400), False),
        (shifted(scale=2.0), False),
        (shifted(scale=0.4), False),
        (shifted(turn=1.0), False),
        (shifted(turn=np.pi), False),
        (np.diag((-1.0, 1.0, 1.0)), False),
        (np.full((3, 3), np.nan), False),
        (np.diag((1.0, 1.0, np.inf)), False),
        (np.zeros((3, 3)), False),
        (np.array(((1, 0, 0), (0, 1, 0), (0.01, 0, 1.0))), False),
    ],
)
def test_what_a_camera_can_do(matrix: np.ndarray, plausible: bool) -> None:
    assert is_plausible(matrix, (640, 480)) is plausible


def test_the_corner_that_moves_most() -> None:
    assert most_shift(np.eye(3), (640, 480)) == 0
    assert most_shift(shifted(3, -7), (640, 480)) == pytest.approx(7)
    assert most_shift(shifted(scale=1.1), (640, 480)) == pytest.approx(32)


def test_how_the_picture_turns_around_a_point() -> None:
    """Against small steps to the right and down."""
    matrix = np.array(((1.02, -0.03, 8), (0.03, 0.98, -4), (2e-4, -1e-4, 1.0)))
    points = corners_xy((640, 480)) * 0.9 + 5
    moved, turned = Warp(matrix, True, "flow").around(points)
    assert moved == pytest.approx(points_through(matrix, points))
    for column, step in enumerate(((1e-4, 0), (0, 1e-4))):
        beside = points_through(matrix, points + step)
        assert turned[:, :, column] == pytest.approx((beside - moved) / 1e-4, abs=1e-6)


def test_a_point_behind_the_camera_stays_finite() -> None:
    matrix = np.array(((1.0, 0, 0), (0, 1, 0), (-0.01, 0, 1)))
    moved, turned = Warp(matrix, True, "flow").around(np.array([[100.0, 5.0], [300.0, 5.0]]))
    assert np.isfinite(moved).all() and np.isfinite(turned).all()


def test_nothing_is_the_identity() -> None:
    assert not Warp.still("still", trusted=True).moves
    assert Warp(shifted(0.5), True, "flow").moves
