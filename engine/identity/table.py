"""Identities as parallel arrays: who, where and when last, under which IDs. Knows no looks but their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.types import I32, I64

F64 = NDArray[np.float64]

_FIRST_CAPACITY = 64


class IdentityTable:
    """Rows of identities; a row keeps its number for as long as the identity is known. Free rows have gid 0.

    gids               int64 (n,)
    class_ids          int32 (n,)
    first_s, last_s    float64 (n,): when it was first and last seen
    entered_s          float64 (n,): when it came in last
    places             int32 (n,): camera it was last seen by, -1: one that is gone
    visits             int32 (n,): times it came in
    living             int32 (n,): in how many pictures it is now
    known_ids          int64 (n, cameras): its track ID before each camera, 0: has not been there
    looks              int32 (n, views): rows of its looks, -1: none
    """

    gids: I64
    class_ids: I32
    first_s: F64
    last_s: F64
    entered_s: F64
    places: I32
    visits: I32
    living: I32
    known_ids: I64
    looks: I32

    def __init__(self, cameras: int, views: int) -> None:
        self._columns: dict[str, tuple[Any, tuple[int, ...], int]] = {
            "gids": (np.int64, (), 0),
            "class_ids": (np.int32, (), 0),
            "first_s": (np.float64, (), 0),
            "last_s": (np.float64, (), 0),
            "entered_s": (np.float64, (), 0),
            "places": (np.int32, (), -1),
            "visits": (np.int32, (), 0),
            "living": (np.int32, (), 0),
            "known_ids": (np.int64, (cameras,), 0),
            "looks": (np.int32, (views,), -1),
        }
        self.row_of: dict[int, int] = {}
        self._free: list[int] = []
        for name, (dtype, shape, _) in self._columns.items():
            setattr(self, name, np.empty((0, *shape), dtype))

    def __len__(self) -> int:
        """Identities that are known."""
        return len(self.row_of)

    def add_camera(self) -> None:
        """A place more, before which nobody has been."""
        cameras = self.known_ids.shape[1] + 1
        self._columns["known_ids"] = (np.int64, (cameras,), 0)
        self.known_ids = np.pad(self.known_ids, ((0, 0), (0, 1)))

    def add(self, gid: int) -> int:
        """A new row for an identity."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        self.gids[row] = gid
        self.row_of[gid] = row
        return row

    def remove(self, row: int) -> None:
        """Forget an identity."""
        del self.row_of[int(self.gids[row])]
        for name, (_, _, empty) in self._columns.items():
            getattr(self, name)[row] = empty
        self._free.append(row)

    def rows(self) -> NDArray[np.intp]:
        """Rows of all identities, in the order of their gids."""
        taken = np.nonzero(self.gids)[0]
        return taken[np.argsort(self.gids[taken])]

    def looks_of(self, row: int) -> NDArray[np.intp]:
        """Rows of an identity's looks."""
        looks = self.looks[row]
        kept: NDArray[np.intp] = looks[looks >= 0].astype(np.intp)
        return kept

    def _grow(self) -> None:
        before = len(self.gids)
        after = max(_FIRST_CAPACITY, 2 * before)
        for name, (dtype, shape, empty) in self._columns.items():
            grown = np.full((after, *shape), empty, dtype)
            grown[:before] = getattr(self, name)
            setattr(self, name, grown)
        self._free = list(range(after - 1, before - 1, -1))
