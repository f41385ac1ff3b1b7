"""Where a PTZ camera must look to see what another camera shows at a place: learned from what both have seen.

Feet stand on the ground. A direction below the horizon is a point of the ground, in heights of the camera above it; a
pixel of another camera and that point are related by a homography, which is fitted robustly to the pairs that come in
while both cameras run. Nothing has to be measured out. It does not know heads, tracks or times.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import PtzRefused
from ptz.types import F64, Bools

LEAST_PAIRS = 6
"""Below this nothing is fitted: four pairs always fit."""
PER_CELL = 8
MOST_CELLS = 64
CELLS = 8
"""The other camera's picture is divided into this many columns, so that one busy place does not crowd out the rest."""
FIT_DEG = 2.0
"""A pair that is further from the fit than this does not fit."""
HORIZON_DEG = -0.5
RIDGE = 1e-4
SAMPLES = 80

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class MappedDirection:
    """Where to look, and how far that can be trusted: `sigma_deg` expected error, `trust` from 0 (a guess) to 1."""

    pan_deg: float
    tilt_deg: float
    sigma_deg: float
    trust: float


def ground(pan_deg: F64, tilt_deg: F64) -> F64:
    """The points of the ground in these directions, float64 (n, 2), in heights of the camera: to the right, ahead."""
    reach = 1.0 / np.tan(np.radians(-tilt_deg))
    return np.stack([reach * np.sin(np.radians(pan_deg)), reach * np.cos(np.radians(pan_deg))], axis=-1)


def direction_of(points: F64) -> F64:
    """Unit vectors (n, 3) from the camera to points of the ground (n, 2)."""
    rays = np.concatenate([points, np.full((len(points), 1), -1.0)], axis=1)
    lengths: F64 = np.linalg.norm(rays, axis=1, keepdims=True)
    return rays / lengths


class Mapping:
    """From pixels of a fixed camera, or directions of a PTZ camera, to directions of another PTZ camera.

    Remembers at most `MOST_CELLS` x `PER_CELL` pairs, the newest of each place.
    """

    def __init__(self, width: int = 0, height: int = 0) -> None:
        """`width`, `height` of the fixed camera's picture; 0 = the input is a direction in degrees."""
        self.width = width
        self.height = height
        self.refused = 0
        """Pairs that were none: not finite, above the horizon."""
        self._cells: OrderedDict[tuple[int, int], deque[tuple[float, float, float, float]]] = OrderedDict()
        self._new = 0
        self._fit: _Fit | None = None

    def __len__(self) -> int:
        return sum(map(len, self._cells.values()))

    def learn(self, place: Place, pan_deg: float, tilt_deg: float) -> None:
        """The same feet were seen at `place` (pixel, or azimuth and elevation) and in this direction."""
        point = self._point(place)
        if point is None or not (math.isfinite(pan_deg) and -90.0 < tilt_deg < HORIZON_DEG):
            self.refused += 1
            return
        cell = self._cell(place)
        if cell not in self._cells and len(self._cells) >= MOST_CELLS:
            self._cells.popitem(last=False)
        self._cells.setdefault(cell, deque(maxlen=PER_CELL)).append((*point, pan_deg % 360.0, tilt_deg))
        self._cells.move_to_end(cell)
        self._new += 1

    def direction(self, place: Place) -> MappedDirection | None:
        """Where to look for what stands at `place`; None while nothing is known, and where it would be in the sky."""
        fit = self._fitted()
        point = self._point(place)
        if fit is None or point is None:
            return None
        mapped = fit.apply(np.array([point]))
        if mapped is None:
            return None
        x, y = mapped[0]
        away = float(np.min(np.linalg.norm(fit.points - np.array(point), axis=1)) / fit.spread)
        nearness = 1.0 / (1.0 + (2.0 * away) ** 2)
        return MappedDirection(
            pan_deg=math.degrees(math.atan2(x, y)) % 360.0,
            tilt_deg=-math.degrees(math.atan2(1.0, math.hypot(x, y))),
            sigma_deg=fit.sigma_deg * (1.0 + 4.0 * away),
            trust=fit.trust * nearness,
        )

    @property
    def trust(self) -> float:
        """How good the fit is, 0..1: by the number of pairs, the share that fits, and the error of those."""
        fit = self._fitted()
        return 0.0 if fit is None else fit.trust

    def explain(self) -> str:
        """One line for people: pairs, how many fit, error."""
        fit = self._fitted()
        if fit is None:
            return f"{len(self)} pairs, {LEAST_PAIRS} are needed"
        fitting = int(fit.inliers.sum())
        return f"{fitting} of {len(fit.inliers)} pairs fit, {fit.sigma_deg:.2f}° off, trust {fit.trust:.2f}"

    def to_json(self) -> dict[str, object]:
        """Plain values for `json.dump`: the pairs; the fit is made from them."""
        pairs = [list(pair) for pairs in self._cells.values() for pair in pairs]
        return {"width": self.width, "height": self.height, "pairs": pairs}

    @staticmethod
    def from_json(data: object) -> Mapping:
        """What `to_json` gave. Raises `PtzRefused` for anything else."""
        if not isinstance(data, Table) or not isinstance(data.get("pairs"), Sequence):
            raise PtzRefused("this is no mapping between cameras: expected width, height and pairs")
        width, height, pairs = data.get("width"), data.get("height"), data["pairs"]
        if not (isinstance(width, int) and isinstance(height, int) and width >= 0 and height >= 0):
            raise PtzRefused("the mapping between cameras has no width and height")
        mapping = Mapping(width, height)
        for pair in pairs:
            if not (
                isinstance(pair, Sequence)
                and len(pair) == 4
                and all(isinstance(value, int | float) and math.isfinite(value) for value in pair)
            ):
                raise PtzRefused(f"a pair of the mapping between cameras is not four numbers: {pair!r}")
            mapping.learn(mapping._place((pair[0], pair[1])), pair[2], pair[3])
        return mapping

    def _point(self, place: Place) -> Place | None:
        """The input of the homography: pixels from the middle in halves of the width, or a point of the ground."""
        first, second = float(place[0]), float(place[1])
        if not (math.isfinite(first) and math.isfinite(second)):
            return None
        if self.width and self.height:
            half = self.width / 2.0
            return (first - half) / half, (second - self.height / 2.0) / half
        if not -90.0 < second < HORIZON_DEG:
            return None
        x, y = ground(np.array([first]), np.array([second]))[0]
        return float(x), float(y)

    def _place(self, point: Place) -> Place:
        """The inverse of `_point`."""
        if self.width and self.height:
            half = self.width / 2.0
            return point[0] * half + half, point[1] * half + self.height / 2.0
        reach = math.hypot(*point)
        return math.degrees(math.atan2(point[0], point[1])), -math.degrees(math.atan2(1.0, reach))

    def _cell(self, place: Place) -> tuple[int, int]:
        if self.width and self.height:
            side = self.width / CELLS
            return int(place[0] // side), int(place[1] // side)
        return int((place[0] % 360.0) // 15.0), int(place[1] // 7.5)

    def _fitted(self) -> _Fit | None:
        """The fit, made anew when a tenth of the pairs is new."""
        if self._new and (self._fit is None or self._new * 10 >= len(self)):
            self._new = 0
            rows = np.array([pair for pairs in self._cells.values() for pair in pairs])
            self._fit = _fit(rows[:, :2], rows[:, 2], rows[:, 3]) if len(rows) >= LEAST_PAIRS else None
        return self._fit


@dataclass(frozen=True, slots=True)
class _Fit:
    """A homography between points (n, 2) and the ground, `matrix` (3, 3) for points relative to `middle`."""

    matrix: F64
    middle: F64
    spread: float
    points: F64
    inliers: Bools
    sigma_deg: float

    def apply(self, points: F64) -> F64 | None:
        """Points of the ground, None where one of them is beyond the horizon."""
        mapped, depth = _apply(self.matrix, (points - self.middle) / self.spread)
        return mapped if bool((depth > 1e-3).all()) else None

    @property
    def trust(self) -> float:
        fitting = int(self.inliers.sum())
        enough = min(1.0, max(0.0, (fitting - 4) / 16.0))
        return float(enough * np.mean(self.inliers) * math.exp(-self.sigma_deg / 4.0))


def _apply(matrix: F64, points: F64) -> tuple[F64, F64]:
    rows = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    depth = rows[:, 2]
    return rows[:, :2] / np.where(np.abs(depth) < 1e-6, 1e-6, depth)[:, None], depth


def _solve(points: F64, targets: F64, weights: F64) -> F64:
    """The homography (3, 3) with last entry 1 from points to targets, by ridge regression: where the pairs leave it
    open (all on one line) it stays flat."""
    n = len(points)
    columns = np.zeros((2 * n, 8))
    ones = np.concatenate([points, np.ones((n, 1))], axis=1)
    columns[:n, :3] = ones
    columns[n:, 3:6] = ones
    columns[:n, 6:] = -targets[:, :1] * points
    columns[n:, 6:] = -targets[:, 1:] * points
    twice = np.concatenate([weights, weights])[:, None]
    rows, right = columns * twice, np.concatenate([targets[:, 0], targets[:, 1]]) * twice[:, 0]
    normal = rows.T @ rows
    normal += np.eye(8) * RIDGE * max(1e-9, float(np.trace(normal)) / 8.0) / max(n, 1)
    solved = np.linalg.solve(normal, rows.T @ right)
    return np.append(solved, 1.0).reshape(3, 3)


def _errors_deg(matrix: F64, points: F64, rays: F64) -> F64:
    """Angles between where the homography puts points and where they were seen, (n,); 180 beyond the horizon."""
    mapped, depth = _apply(matrix, points)
    cosines = np.clip((direction_of(mapped) * rays).sum(axis=1), -1.0, 1.0)
    return np.where(depth > 1e-3, np.degrees(np.arccos(cosines)), 180.0)


def _fit(points: F64, pan_deg: F64, tilt_deg: F64) -> _Fit:
    """The homography that most pairs agree on: samples of four, then all that fit, weighted by what an error means."""
    targets = ground(pan_deg, tilt_deg)
    rays = direction_of(targets)
    weights = np.sin(np.radians(-tilt_deg)) ** 2
    middle = np.median(points, axis=0)
    spread = max(1e-6, float(np.median(np.abs(points - middle)) * 3.0))
    around = (points - middle) / spread
    draw = np.random.default_rng(len(points))
    best, best_cost = _solve(around, targets, weights), math.inf
    for _ in range(SAMPLES):
        chosen = draw.choice(len(points), size=5, replace=False)
        matrix = _solve(around[chosen], targets[chosen], weights[chosen])
        cost = float(np.minimum(_errors_deg(matrix, around, rays), FIT_DEG).sum())
        if cost < best_cost:
            best, best_cost = matrix, cost
    for _ in range(4):
        errors = _errors_deg(best, around, rays)
        if int((errors <= FIT_DEG).sum()) < LEAST_PAIRS - 1:
            break
        depth = np.maximum(_apply(best, around)[1], 1e-2)
        best = _solve(around, targets, np.where(errors <= 2.0 * FIT_DEG, weights / depth, 0.0))
    errors = _errors_deg(best, around, rays)
    inliers = errors <= FIT_DEG
    sigma_deg = float(np.sqrt(np.mean(errors[inliers] ** 2))) if inliers.any() else 180.0
    return _Fit(best, middle, spread, points, inliers, max(0.05, sigma_deg))
