"""What is remembered of each track: a row in columns that grow together, and is used again when the track is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.types import I64, Bools

_FIRST_ROWS = 64


class Column:
    """One value, or a few, of every track. `data` has a row for each; index it with the rows of `TrackTable`."""

    __slots__ = ("_fill", "data")

    def __init__(self, rows: int, dtype: DTypeLike, fill: float, width: tuple[int, ...]) -> None:
        self._fill = fill
        self.data: NDArray[Any] = np.full((rows, *width), fill, dtype)

    def grow(self) -> None:
        """Twice the rows."""
        self.data = np.concatenate((self.data, np.full_like(self.data, self._fill)))

    def clear(self, rows: NDArray[np.intp]) -> None:
        """As at first."""
        self.data[rows] = self._fill


class TrackTable:
    """The rows of the tracks that are known."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._free = list(range(_FIRST_ROWS - 1, -1, -1))
        self._columns: list[Column] = []
        self._ids = self.column(np.int64, 0)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, track_id: int) -> bool:
        return track_id in self._rows

    def column(self, dtype: DTypeLike, fill: float, *width: int) -> Column:
        """A column more, for every row that there is or will be."""
        rows = len(self._ids.data) if self._columns else _FIRST_ROWS
        self._columns.append(Column(rows, dtype, fill, width))
        return self._columns[-1]

    def drop(self, columns: Sequence[Column]) -> None:
        """Columns that nobody needs any more."""
        self._columns = [column for column in self._columns if column not in columns]

    def take(self, track_ids: I64) -> tuple[NDArray[np.intp], Bools]:
        """The row of each track, and whether it is a new one. No ID may be there twice."""
        known = [self._rows.get(track_id, -1) for track_id in track_ids.tolist()]
        rows = np.array(known, np.intp)
        new = rows < 0
        for place in np.flatnonzero(new).tolist():
            rows[place] = self._new_row(int(track_ids[place]))
        if new.any():
            for column in self._columns:
                column.clear(rows[new])
            self._ids.data[rows[new]] = track_ids[new]
        return rows, new

    def _new_row(self, track_id: int) -> int:
        if not self._free:
            count = len(self._ids.data)
            self._free = list(range(2 * count - 1, count - 1, -1))
            for column in self._columns:
                column.grow()
        row = self._rows[track_id] = self._free.pop()
        return row

    def row_of(self, track_id: int) -> int:
        """The row of a known track. Raises `KeyError`."""
        return self._rows[track_id]

    def ids_of(self, rows: NDArray[np.intp]) -> list[int]:
        """Whose rows they are."""
        ids: list[int] = self._ids.data[rows].tolist()
        return ids

    def rows(self) -> NDArray[np.intp]:
        """All rows in use, in the order in which their tracks came."""
        return np.fromiter(self._rows.values(), np.intp, len(self._rows))

    def release(self, track_id: int) -> None:
        """Forget a track; its row may be another's from now on."""
        self._free.append(self._rows.pop(track_id))
