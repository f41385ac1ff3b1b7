"""Paths, lines and polygons as arrays, in pixels; y goes down, so a positive turn is one to the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.types import I64, Bools

F64 = NDArray[np.float64]

_MOST_PAIRS = 1 << 20
"""Pairs of a point and a piece that are worked on at a time: bounds the memory for thousands of tracks."""


class Pieces:
    """The straight pieces of several lines or outlines, one behind the other.

    starts, ends  float64 (m, 2)
    first         intp (k,): where the pieces of each of the k begin
    """

    def __init__(self, paths: Sequence[F64], closed: bool) -> None:
        """`paths` are points (p, 2) each; `closed`: the last one is joined to the first."""
        ends = [np.roll(path, -1, axis=0) if closed else path[1:] for path in paths]
        starts = [path if closed else path[:-1] for path in paths]
        counts = [len(each) for each in starts]
        self.starts: F64 = np.concatenate(starts)
        self.ends: F64 = np.concatenate(ends)
        self.first: NDArray[np.intp] = np.cumsum([0, *counts[:-1]])

    def __len__(self) -> int:
        return len(self.starts)

    def lengths(self) -> F64:
        """Of each piece."""
        lengths: F64 = np.hypot(*(self.ends - self.starts).T)
        return lengths

    def parts(self, points: int) -> Iterator[slice]:
        """Stretches of so many points that fit into memory together with all pieces."""
        size = max(1, _MOST_PAIRS // len(self))
        yield from (slice(start, start + size) for start in range(0, points, size))


def turns(starts: F64, ends: F64, points: F64) -> F64:
    """(n, m) for starts (n or 1, m or 1, 2) and so on: more than 0 where a point lies to the right of start → end."""
    along, to = ends - starts, points - starts
    result: F64 = along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
    return result


def crossings(before: F64, now: F64, pieces: Pieces) -> I64:
    """(n, k): by how many pieces of each line the straight path of each point leads, left to right less right to left.

    before, now  (n, 2)
    """
    p, q = before[:, None], now[:, None]
    a, b = pieces.starts[None], pieces.ends[None]
    was_right, is_right = turns(a, b, p) > 0.0, turns(a, b, q) > 0.0
    apart = (turns(p, q, a) > 0.0) != (turns(p, q, b) > 0.0)
    signed = np.where(apart, is_right.astype(np.int64) - was_right, 0)
    return np.add.reduceat(signed, pieces.first, axis=1)


def distances(points: F64, pieces: Pieces, counted: Bools | None = None) -> F64:
    """(n, k): from each point to the nearest piece of each line; only to those counted, infinite where none is."""
    along = pieces.ends - pieces.starts
    to = points[:, None] - pieces.starts[None]
    share = (to * along).sum(axis=2) / np.maximum((along * along).sum(axis=1), 1e-12)
    off = to - np.clip(share, 0.0, 1.0)[..., None] * along
    apart = np.hypot(off[..., 0], off[..., 1])
    if counted is not None:
        apart = np.where(counted, apart, np.inf)
    nearest: F64 = np.minimum.reduceat(apart, pieces.first, axis=1)
    return nearest


def inside(points: F64, outlines: Pieces) -> Bools:
    """(n, k): whether a ray from each point to the right leaves each outline an odd number of times."""
    x, y = points[:, None, 0], points[:, None, 1]
    (ax, ay), (bx, by) = outlines.starts.T, outlines.ends.T
    spans = (ay > y) != (by > y)
    rise = np.where(by == ay, 1.0, by - ay)
    hit = spans & (x < ax + (y - ay) / rise * (bx - ax))
    within: Bools = np.add.reduceat(hit.astype(np.int64), outlines.first, axis=1) % 2 == 1
    return within
