"""One motion of the whole picture from the ways of many of its points, most of which agree.

First a similarity by consensus over fixed draws of two points (Fischler and Bolles, 1981, scored as in MSAC), then a
homography by reweighted least squares. The homography's further freedom is held back by what a turning camera can do:
no perspective without a shift, and hardly any shear. So few points, or points in one place, do not bend the picture.

Points are float64 (n, 2), centred on the picture's middle and in units of half its longer side. Knows points only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.tracking.camera_motion_warp import F64, points_through

FloatT = TypeVar("FloatT", bound=np.floating[Any])

_COMPLEX = np.array((1, 1j))

_DRAWS = np.random.default_rng(20).random((48, 2))
"""Fixed, so that the same points always give the same motion: 48 draws miss a pair among two fifths of the points once
in 4000 times."""
_LOOSE_SHARE = 0.12
"""How far points may be from a similarity, as a share of the shift, where the truth is a homography."""
_ROUNDS = 3
_SHEAR, _PERSPECTIVE, _PERSPECTIVE_OF_SHIFT = 0.01, 0.001, 1.0
"""Standard deviations that a homography's freedom is expected to have. Perspective is shift × tan²(hfov / 2)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A motion and how well it is supported.

    matrix    (3, 3) homography
    agreeing  bool (n,) points that follow it
    error     expected error of the motion at the worst corner of the picture, in units of the points'
    """

    matrix: F64
    agreeing: NDArray[np.bool_]
    error: float


def agreeing_with(matrix: F64, before_xy: F64, now_xy: F64, radius: float) -> NDArray[np.bool_]:
    """bool (n,) which points a motion brings to within `radius` of where they are."""
    away = points_through(matrix, before_xy) - now_xy
    near: NDArray[np.bool_] = np.einsum("ij,ij->i", away, away) <= radius * radius
    return near


def fit_motion(before_xy: F64, now_xy: F64, noise: float, corners: F64) -> Fit:
    """The motion that most of at least two points follow.

    noise    how far a point that follows the motion is away from it, usually
    corners  (4, 2) of the picture, for `Fit.error`
    """
    first = _consensus(before_xy, now_xy, noise)
    matrix, normal = _refined(first, before_xy, now_xy, noise)
    agreeing = agreeing_with(matrix, before_xy, now_xy, 4 * noise)
    terms = _terms(corners)
    variance = np.einsum("ij,ji->i", terms, np.linalg.solve(normal, terms.T))
    return Fit(matrix, agreeing, float(np.sqrt(variance.max())) * noise)


def _consensus(before_xy: F64, now_xy: F64, noise: float) -> F64:
    """The similarity, as a homography, that most points agree with."""
    before, now = before_xy @ _COMPLEX, now_xy @ _COMPLEX
    pairs = (_DRAWS * len(before)).astype(np.intp)
    apart = before[pairs[:, 0]] - before[pairs[:, 1]]
    usable = np.abs(apart) > 20 * noise
    pairs, apart = pairs[usable], apart[usable]
    turns = np.append((now[pairs[:, 0]] - now[pairs[:, 1]]) / apart, 1.0)
    # The last is a mere shift, for points so close together that no two tell a turn.
    shifts = np.append(
        now[pairs[:, 0]] - turns[:-1] * before[pairs[:, 0]], middle_of(now_xy - before_xy) @ _COMPLEX
    )
    away = turns[:, None] * before + shifts[:, None] - now
    radius = 4 * noise + _LOOSE_SHARE * np.abs(shifts)
    costs = (away.real**2 + away.imag**2) / (radius * radius)[:, None]
    best = int(np.minimum(costs, 1.0).sum(axis=1).argmin())
    turn, shift = turns[best], shifts[best]
    return np.array(((turn.real, -turn.imag, shift.real), (turn.imag, turn.real, shift.imag), (0, 0, 1)))


def _refined(matrix: F64, before_xy: F64, now_xy: F64, noise: float) -> tuple[F64, F64]:
    """The homography nearest to the points that agree, and the normal matrix (8, 8) of the last round."""
    shift = float(np.hypot(matrix[0, 2], matrix[1, 2]))
    bending = noise / (_PERSPECTIVE + _PERSPECTIVE_OF_SHIFT * shift)
    prior = np.diag((0, 0, 0, 0, (noise / _SHEAR) ** 2, (noise / _SHEAR) ** 2, bending**2, bending**2))
    radius = 4 * noise + _LOOSE_SHARE * shift
    normal = prior
    for _ in range(_ROUNDS):
        moved = points_through(matrix, before_xy)
        away = now_xy - moved
        weights = radius**2 / (radius**2 + np.einsum("ij,ij->i", away, away))
        weights = np.repeat(weights * weights, 2)
        terms = _terms(moved)
        weighted = terms * weights[:, None]
        normal = weighted.T @ terms + prior
        # A hair on the diagonal, for points all in one place.
        normal[np.diag_indices(8)] += 1e-9
        matrix = _step(np.linalg.solve(normal, weighted.T @ away.reshape(-1))) @ matrix
        matrix /= matrix[2, 2]
        radius = max(radius / 2, 2 * noise)
    return matrix, normal


def _terms(points_xy: F64) -> F64:
    """(2n, 8) how each of eight small motions moves x and y of each point: shift, growth, turn, shear, perspective."""
    x, y = points_xy.T
    terms = np.zeros((len(points_xy), 2, 8))
    across, down = terms[:, 0].T, terms[:, 1].T
    across[0] = down[1] = 1
    across[2] = across[4] = down[3] = down[5] = x
    across[5] = down[2] = y
    np.negative(y, out=across[3])
    np.negative(y, out=down[4])
    across[6], across[7], down[7] = x * x, x * y, y * y
    down[6] = across[7]
    return terms.reshape(-1, 8)


def _step(small: F64) -> F64:
    """The homography of the eight small motions."""
    right, below, growth, turn, stretch, shear, bend_x, bend_y = small
    return np.array(
        (
            (1 + growth + stretch, shear - turn, right),
            (shear + turn, 1 + growth - stretch, below),
            (-bend_x, -bend_y, 1),
        )
    )


def middle_of(values: NDArray[FloatT]) -> NDArray[FloatT]:
    """(k,) the upper median of each column (n, k); several times as fast as the mean of both."""
    middle: NDArray[FloatT] = np.partition(values, len(values) // 2, axis=0)[len(values) // 2]
    return middle
