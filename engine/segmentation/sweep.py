"""The grid of points with which mode `auto` looks for everything, a few at each keyframe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.segmentation.geometry import Outline
from engine.types import F32

GOLDEN = 0.6180339887


class PointSweep:
    """`side` × `side` points over the picture, taken in an order in which even a few are spread over all of it.

    sweeps  times that the whole grid has been gone through
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._order = _spread(side * side)
        self._next = 0
        self.sweeps = 0

    def __len__(self) -> int:
        """Points of the grid."""
        return len(self._order)

    def take(self, count: int, size_wh: tuple[int, int], known: Sequence[Outline]) -> F32:
        """float32 (k, 2): up to `count` next points in source pixels that lie on none of the known outlines.

        Points on known objects count as looked at. Goes at most once round the grid.
        """
        taken: list[F32] = []
        missing, left = count, len(self._order)
        while missing > 0 and left > 0:
            points = self._points(min(missing, left), size_wh)
            left -= len(points)
            free = np.ones(len(points), np.bool_)
            for outline in known:
                free &= ~outline.at(points)
            taken.append(points[free])
            missing -= len(taken[-1])
        return np.concatenate(taken) if taken else np.empty((0, 2), np.float32)

    def _points(self, count: int, size_wh: tuple[int, int]) -> F32:
        numbers = [self._order[(self._next + step) % len(self._order)] for step in range(count)]
        self.sweeps += (self._next + count) // len(self._order)
        self._next = (self._next + count) % len(self._order)
        cells = np.array([divmod(number, self._side)[::-1] for number in numbers], np.float32)
        points: F32 = ((cells + 0.5) / self._side * np.array(size_wh)).astype(np.float32)
        return points


def _spread(count: int) -> list[int]:
    """The numbers below `count`, each once, so that successive numbers lie far apart."""
    step = max(1, round(count * GOLDEN))
    while np.gcd(step, count) != 1:
        step += 1
    return [number * step % count for number in range(count)]
