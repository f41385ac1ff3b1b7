"""Geometry of a slot pool: how many slots and rows, how large they are, and where each control word lies.

Everybody who maps a pool has the same layout; the header page says which one, so a mix-up is an error at
attach time. This module touches no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ipc.segment import PAGE_BYTES, page_aligned

FREE: Final = 0
WRITING: Final = 1
PUBLISHED: Final = 2

META_BYTES: Final = 256
MAX_SLOTS: Final = 64
MAX_ROWS: Final = 16

_MAGIC: Final = 0x43414D52494E4731  # "CAMRING1"

# Word offsets in the control page, slot words first. Rows are `MAX_ROWS` apart whatever the layout has.
ROW_LEASES: Final = MAX_SLOTS
ROW_ACKNOWLEDGED: Final = ROW_LEASES + MAX_ROWS
REQUIRED_ROWS: Final = ROW_ACKNOWLEDGED + MAX_ROWS
EPOCH: Final = REQUIRED_ROWS + 1
AWAITED_SEQ: Final = EPOCH + 1


class PoolError(Exception):
    """A pool was used against its rules: this is a bug in the caller, not bad input."""


@dataclass(frozen=True)
class PoolLayout:
    """Geometry of a pool, the same for everybody who maps it.

    leases      how many slots each consumer row may hold at once
    slot_bytes  payload of one slot
    history     slots kept beyond what the rule below demands; how far ordered readers may lag
    first_seq   sequence number of the first publish; a later generation goes on where the last one ended
    """

    leases: tuple[int, ...]
    slot_bytes: int
    history: int = 2
    first_seq: int = 1
    generation: int = 1

    def __post_init__(self) -> None:
        if self.slots > MAX_SLOTS:
            raise PoolError(f"a pool has at most {MAX_SLOTS} slots, this layout asks for {self.slots}")
        if len(self.leases) > MAX_ROWS:
            raise PoolError(f"a pool has at most {MAX_ROWS} rows, this layout asks for {len(self.leases)}")
        if min((*self.leases, self.slot_bytes, self.first_seq)) < 1 or self.history < 0:
            raise PoolError(f"leases, slot_bytes and first_seq start at 1 and history at 0: {self}")

    @property
    def slots(self) -> int:
        """Number of slots: all leases, one being written, one newest, and the history (invariant I4)."""
        return sum(self.leases) + 2 + self.history

    @property
    def slot_stride(self) -> int:
        """Bytes from one slot to the next; whole pages."""
        return page_aligned(self.slot_bytes)

    @property
    def control_bytes(self) -> int:
        """Size of the control segment: header page, control page, meta."""
        return 2 * PAGE_BYTES + page_aligned(self.slots * META_BYTES)

    @property
    def data_bytes(self) -> int:
        """Size of the data segment."""
        return self.slots * self.slot_stride

    @property
    def header(self) -> tuple[int, ...]:
        """The words at the start of the header page, by which a mapped segment is recognised."""
        return (_MAGIC, self.slots, len(self.leases), self.slot_bytes, self.first_seq, self.generation)


@dataclass(frozen=True)
class PoolStatistics:
    """One look at a pool.

    newest_seq    sequence of the newest published slot, `first_seq - 1` before the first
    published     how many slots this generation has published
    leased        slots held by each row
    acknowledged  highest sequence each row has reported as done with, 0 at first
    epoch         how many producers the pool has had
    """

    newest_seq: int
    published: int
    leased: tuple[int, ...]
    acknowledged: tuple[int, ...]
    epoch: int
