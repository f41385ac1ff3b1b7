"""What happened in a frame, as parallel arrays that lie at the end of a result slot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

import numpy as np

from engine.types.arrays import F32, I32, I64, U8
from engine.types.columns import Columns, check_columns, lay_out, view_columns


class EventKind(IntEnum):
    """What an event says, and what its `value` is.

    APPEARED      a track was confirmed
    LEFT          a track was given up; value: seconds from its first to its last sighting
    CROSSED       a line was crossed; value: +1 from its left to its right side (as seen from first to second point), -1
                  the other way
    ENTERED       a zone was entered
    EXITED        a zone was left; value: seconds spent in it
    DWELLED       somebody has been in a zone for as long as it asks for; value: seconds so far
    COUNT         the number of objects in a zone has changed; value: how many there are; track 0
    SPEED         speed of an object over the last second, reported now and then; value: heights of its box a second
    FAST          somebody moves fast ("runner"); value: heights of its box a second
    GROUPED       objects have formed a group; one row a member, all with the same `group`; value: members
    UNGROUPED     a group has come apart; track 0; value: seconds that it lasted
    """

    APPEARED = 0
    LEFT = 1
    CROSSED = 2
    ENTERED = 3
    EXITED = 4
    DWELLED = 5
    COUNT = 6
    SPEED = 7
    FAST = 8
    GROUPED = 9
    UNGROUPED = 10


@dataclass(frozen=True, slots=True)
class Events:
    """Events of one frame, as parallel arrays. Raises `ValueError` for other shapes or types.

    track_ids   int64 (n,): whom it is about; 0: nobody in particular
    gids        int64 (n,): its identity over all cameras, 0: none known
    groups      int64 (n,): number of the group, 0: not about a group
    kinds       int32 (n,): `EventKind`
    regions     int32 (n,): place of the zone or line in the camera's configuration, -1: none
    class_ids   int32 (n,): class of the object, -1: none
    values      float32 (n,): see `EventKind`
    points_xy   float32 (n, 2): where, in source pixels
    """

    track_ids: I64
    gids: I64
    groups: I64
    kinds: I32
    regions: I32
    class_ids: I32
    values: F32
    points_xy: F32

    _COLUMNS: ClassVar[Columns] = (
        ("track_ids", np.int64, 1), ("gids", np.int64, 1), ("groups", np.int64, 1), ("kinds", np.int32, 1),
        ("regions", np.int32, 1), ("class_ids", np.int32, 1), ("values", np.float32, 1), ("points_xy", np.float32, 2),
    )  # fmt: skip
    BYTES_PER_EVENT: ClassVar[int] = 48

    def __post_init__(self) -> None:
        check_columns(self._COLUMNS, self, len(self))

    def __len__(self) -> int:
        return len(self.track_ids)

    @classmethod
    def empty(cls) -> Events:
        """Nothing happened."""
        wide, narrow = np.empty(0, np.int64), np.empty(0, np.int32)
        return cls(
            wide, wide, wide, narrow, narrow, narrow, np.empty(0, np.float32), np.empty((0, 2), np.float32)
        )

    def first(self, count: int) -> Events:
        """The first ones; no copy."""
        return Events(**{name: getattr(self, name)[:count] for name, _, _ in self._COLUMNS})

    def write_at_end(self, slot_u8: U8) -> None:
        """Lay the arrays out at the end of a slot, which has room for them."""
        tail = slot_u8[len(slot_u8) - len(self) * self.BYTES_PER_EVENT :]
        lay_out([getattr(self, name) for name, _, _ in self._COLUMNS], tail)

    @classmethod
    def view_at_end(cls, count: int, slot_u8: U8) -> Events:
        """The arrays at the end of a slot. No copy."""
        tail = slot_u8[len(slot_u8) - count * cls.BYTES_PER_EVENT :]
        return cls(**view_columns(cls._COLUMNS, count, tail))
