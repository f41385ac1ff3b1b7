"""The slot pool: one producer, a few consumer rows, S slots, and no way to read a torn slot.

A slot's word says `sequence << 2 | state`. A consumer's row is a bit mask of the slots it holds. The producer
never picks a slot whose bit is set in any row, so what a consumer has leased stays as it is until released.
When it needs room it overwrites the oldest slot that nobody holds; it never waits for a consumer, unless the
pool has `required` rows (offline runs), whose owners must have acknowledged a slot before it is reused.

Every operation takes the lock, looks, makes one 64-bit store and lets go. Slot contents are written and read
outside the lock. Nothing derived is stored, so a crash leaves a legal state at every instruction. The
invariants I1..I10 are listed in `docs/ipc.md` and checked in `tests/ipc`.

A handle (`Producer`, `Consumer`, `PoolMemory`) belongs to one thread.
"""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Iterator, MutableSequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ipc.lock import KernelLock
from ipc.segment import PAGE_BYTES, create_segment, map_segment, page_aligned

FREE: Final = 0
WRITING: Final = 1
PUBLISHED: Final = 2

META_BYTES: Final = 256
MAX_SLOTS: Final = 64
MAX_ROWS: Final = 16

_MAGIC: Final = 0x43414D52494E4731  # "CAMRING1"

# Word offsets in the control page. Row words are `MAX_ROWS` apart whatever the layout has.
_ROW_LEASES: Final = MAX_SLOTS
_ROW_ACKNOWLEDGED: Final = _ROW_LEASES + MAX_ROWS
_REQUIRED_ROWS: Final = _ROW_ACKNOWLEDGED + MAX_ROWS
_EPOCH: Final = _REQUIRED_ROWS + 1

Words = MutableSequence[int]


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
        if not 1 <= self.slots <= MAX_SLOTS:
            raise PoolError(f"a pool has at most {MAX_SLOTS} slots, this layout asks for {self.slots}")
        if len(self.leases) > MAX_ROWS:
            raise PoolError(f"a pool has at most {MAX_ROWS} rows, this layout asks for {len(self.leases)}")

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


@dataclass(frozen=True)
class PoolStatistics:
    """One look at a pool.

    newest_seq    sequence of the newest published slot, `first_seq - 1` before the first
    leased        slots held by each row
    acknowledged  highest sequence each row has reported as done with
    epoch         how many producers the pool has had
    """

    newest_seq: int
    published: int
    leased: tuple[int, ...]
    acknowledged: tuple[int, ...]
    epoch: int


class _Pool:
    """What producer, consumer and owner share: the mapped control words and the lock."""

    def __init__(self, layout: PoolLayout, control_fd: int, lock_path: str | None = None) -> None:
        self.layout = layout
        self._control = map_segment(control_fd, layout.control_bytes, writable=True)
        header = memoryview(self._control)[:64].cast("Q")
        if header[0] != _MAGIC or header[1] != layout.slots or header[2] != layout.slot_bytes:
            raise PoolError("this segment is not a pool of that layout")
        self._words: Words = memoryview(self._control)[PAGE_BYTES : 2 * PAGE_BYTES].cast("Q")
        self._meta = memoryview(self._control)[2 * PAGE_BYTES :]
        self._lock = KernelLock(lock_path) if lock_path else KernelLock.on_descriptor(control_fd)

    def _slot_meta(self, index: int) -> memoryview:
        return self._meta[index * META_BYTES : (index + 1) * META_BYTES]

    def _newest(self) -> tuple[int, int]:
        """(sequence, slot) of the newest published slot; (first_seq - 1, -1) when there is none."""
        best_seq, best_slot = self.layout.first_seq - 1, -1
        words = self._words
        for index in range(self.layout.slots):
            word = words[index]
            if word & 3 == PUBLISHED and word >> 2 > best_seq:
                best_seq, best_slot = word >> 2, index
        return best_seq, best_slot

    def newest_seq(self) -> int:
        """Sequence number of the newest published slot, `first_seq - 1` before the first."""
        with self._lock:
            return self._newest()[0]

    def statistics(self) -> PoolStatistics:
        """A consistent look at the counters."""
        rows = range(len(self.layout.leases))
        with self._lock:
            newest = self._newest()[0]
            return PoolStatistics(
                newest_seq=newest,
                published=newest - self.layout.first_seq + 1,
                leased=tuple(self._words[_ROW_LEASES + row].bit_count() for row in rows),
                acknowledged=tuple(self._words[_ROW_ACKNOWLEDGED + row] for row in rows),
                epoch=self._words[_EPOCH],
            )


class PoolMemory(_Pool):
    """The owner's handle: creates the segments, holds them for the whole run, reaps the dead.

    The supervisor owns it, because who owns memory must outlive who uses it.
    """

    def __init__(self, label: str, layout: PoolLayout, lock_path: str | None = None) -> None:
        """Allocate a pool. `lock_path` names an existing lock file where segments cannot be locked (macOS).

        Raises `ipc.segment.SegmentError` when the memory is not there.
        """
        self.label = label
        self.lock_path = lock_path
        self.control_fd = create_segment(f"{label}-control", layout.control_bytes)
        try:
            self.data_fd = create_segment(label, layout.data_bytes)
        except BaseException:
            os.close(self.control_fd)
            raise
        with map_segment(self.control_fd, layout.control_bytes, writable=True) as control:
            header = memoryview(control)[:24].cast("Q")
            header[0], header[1], header[2] = _MAGIC, layout.slots, layout.slot_bytes
            header.release()
        super().__init__(layout, self.control_fd, lock_path)

    def require(self, rows: tuple[int, ...]) -> None:
        """Make the producer wait until these rows have acknowledged what it wants to overwrite."""
        mask = sum(1 << row for row in rows)
        with self._lock:
            self._words[_REQUIRED_ROWS] = mask

    def reap_consumer(self, row: int) -> None:
        """Free what a consumer held. Only after its death is confirmed: a living reader would see torn data."""
        with self._lock:
            self._words[_ROW_LEASES + row] = 0

    def reap_producer(self) -> None:
        """Free the slot a dead producer was writing, if any. Only after its death is confirmed."""
        with self._lock:
            for index in range(self.layout.slots):
                if self._words[index] & 3 == WRITING:
                    self._words[index] = FREE
                    return

    def close(self) -> None:
        """Give the descriptors back; the memory goes when the last process has done so."""
        os.close(self.control_fd)
        os.close(self.data_fd)
        self._lock.close()


class Slot:
    """A slot being written: `meta` (256 bytes) and `data` (`slot_bytes` bytes), both writable memory of the pool."""

    def __init__(self, index: int, meta: memoryview, data: memoryview) -> None:
        self.index = index
        self.meta = meta
        self.data = data

    def array(self) -> NDArray[np.uint8]:
        """The payload as a writable uint8 array of shape (slot_bytes,): the pool's own memory, not a copy."""
        return np.frombuffer(self.data, np.uint8)


class Producer(_Pool):
    """The writing end. Claims, fills and publishes slots; continues a dead predecessor's sequence."""

    def __init__(
        self, layout: PoolLayout, control_fd: int, data_fd: int, lock_path: str | None = None
    ) -> None:
        super().__init__(layout, control_fd, lock_path)
        self._data = memoryview(map_segment(data_fd, layout.data_bytes, writable=True))
        with self._lock:
            self._words[_EPOCH] += 1

    def begin(self) -> Slot | None:
        """Claim a slot to write; None only in a pool with `required` rows that have not caught up yet."""
        with self._lock:
            index = self._victim()
            if index >= 0:
                self._words[index] = WRITING
        if index < 0:
            return None
        start = index * self.layout.slot_stride
        return Slot(index, self._slot_meta(index), self._data[start : start + self.layout.slot_bytes])

    def publish(self, slot: Slot) -> int:
        """Make a filled slot visible; returns its sequence number."""
        with self._lock:
            seq = self._newest()[0] + 1
            self._words[slot.index] = seq << 2 | PUBLISHED
        return seq

    def abort(self, slot: Slot) -> None:
        """Give a claimed slot back unseen (decoder error half way)."""
        with self._lock:
            self._words[slot.index] = FREE

    @contextlib.contextmanager
    def write(self) -> Iterator[Slot]:
        """`begin` … `publish`, or `abort` if the block raises. For pools without `required` rows."""
        slot = self.begin()
        if slot is None:
            raise PoolError("write() on a pool with required rows; use begin() and wait")
        try:
            yield slot
        except BaseException:
            self.abort(slot)
            raise
        self.publish(slot)

    def newest_meta(self) -> bytes | None:
        """The meta block of the newest published slot: where a restarted producer goes on. None if empty."""
        with self._lock:
            slot = self._newest()[1]
            return bytes(self._slot_meta(slot)) if slot >= 0 else None

    def _victim(self) -> int:
        """Slot to overwrite: free ones first, then the oldest that nobody holds or still needs."""
        words, rows = self._words, range(len(self.layout.leases))
        busy = 0
        for row in rows:
            busy |= words[_ROW_LEASES + row]
        required = words[_REQUIRED_ROWS]
        done = min(
            (words[_ROW_ACKNOWLEDGED + row] for row in rows if required >> row & 1), default=sys.maxsize
        )
        newest = self._newest()[1]
        best, best_seq = -1, sys.maxsize
        for index in range(self.layout.slots):
            word = words[index]
            seq = word >> 2 if word & 3 == PUBLISHED else -1
            if word & 3 == WRITING or busy >> index & 1 or index == newest or seq > done:
                continue
            if seq < best_seq:
                best, best_seq = index, seq
        if best < 0 and not required:
            raise PoolError("no slot to write: a consumer holds more leases than its row allows")
        return best


class Lease:
    """A published slot that stays as it is until released. Use as a context manager, or call `release`.

    seq   sequence number
    gap   how many published slots an ordered reader lost just before this one
    meta  256 bytes; data  `slot_bytes` bytes, read-only
    """

    def __init__(self, consumer: Consumer, index: int, seq: int, gap: int) -> None:
        self.seq = seq
        self.gap = gap
        self.meta = consumer._slot_meta(index).toreadonly()
        self.data = consumer._slot_data(index)
        self._consumer = consumer
        self._index = index
        self._array: NDArray[np.uint8] | None = None
        self._released = False

    def array(self) -> NDArray[np.uint8]:
        """The payload as a read-only uint8 array of shape (slot_bytes,); valid until released."""
        if self._array is None:
            self._array = np.frombuffer(self.data, np.uint8)
        return self._array

    def release(self) -> None:
        """Let the producer have the slot again. A second call does nothing.

        With `Consumer(debug=True)` it raises `PoolError` if an array made from this lease is still alive.
        """
        if self._released:
            return
        self._released = True
        watch = None if self._array is None else weakref.ref(self._array)
        self._array = None
        self._consumer._release(self._index)
        if self._consumer.debug and watch is not None and watch() is not None:
            raise PoolError(f"a view of slot {self._index} (sequence {self.seq}) outlives its lease")

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Consumer(_Pool):
    """A reading end, bound to one row. Never makes a live producer wait."""

    def __init__(  # noqa: PLR0913 - a handle is made of its layout, its three descriptors and its row
        self,
        layout: PoolLayout,
        control_fd: int,
        data_fd: int,
        row: int,
        *,
        lock_path: str | None = None,
        debug: bool = False,
    ) -> None:
        super().__init__(layout, control_fd, lock_path)
        self._data = memoryview(map_segment(data_fd, layout.data_bytes, writable=False))
        self.row = row
        self.debug = debug

    def lease_newest(self, after: int) -> Lease | None:
        """Lease the newest slot if its sequence is above `after`; `gap` counts the ones skipped."""
        with self._lock:
            seq, index = self._newest()
            if seq <= after or index < 0:
                return None
            self._take(index)
        return Lease(self, index, seq, seq - after - 1)

    def lease_next(self, after: int) -> Lease | None:
        """Lease the oldest slot above `after`; `gap` counts the ones that were overwritten unread."""
        words = self._words
        best_seq, best = sys.maxsize, -1
        with self._lock:
            for index in range(self.layout.slots):
                word = words[index]
                if word & 3 == PUBLISHED and after < word >> 2 < best_seq:
                    best_seq, best = word >> 2, index
            if best < 0:
                return None
            self._take(best)
        return Lease(self, best, best_seq, best_seq - after - 1)

    def lease(self, seq: int) -> Lease | None:
        """Lease the slot with exactly this sequence number, None if it has been overwritten."""
        wanted = seq << 2 | PUBLISHED
        with self._lock:
            for index in range(self.layout.slots):
                if self._words[index] == wanted:
                    self._take(index)
                    break
            else:
                return None
        return Lease(self, index, seq, 0)

    def acknowledge(self, seq: int) -> None:
        """Say that everything up to `seq` is done with; what a `required` row owes the producer."""
        with self._lock:
            self._words[_ROW_ACKNOWLEDGED + self.row] = seq

    def acknowledged(self) -> int:
        """What this row acknowledged last, by this process or by its predecessor."""
        with self._lock:
            return self._words[_ROW_ACKNOWLEDGED + self.row]

    def _take(self, index: int) -> None:
        held = self._words[_ROW_LEASES + self.row]
        if held >> index & 1:
            raise PoolError(f"slot {index} is already leased by row {self.row}")
        if held.bit_count() >= self.layout.leases[self.row]:
            raise PoolError(
                f"row {self.row} may hold {self.layout.leases[self.row]} leases and holds them all"
            )
        self._words[_ROW_LEASES + self.row] = held | 1 << index

    def _release(self, index: int) -> None:
        with self._lock:
            self._words[_ROW_LEASES + self.row] &= ~(1 << index)

    def _slot_data(self, index: int) -> memoryview:
        start = index * self.layout.slot_stride
        return self._data[start : start + self.layout.slot_bytes]
