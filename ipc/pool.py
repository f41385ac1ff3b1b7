"""The slot pool: one producer, a few consumer rows, S slots, and no way to read a torn slot.

A slot's word says `sequence << 2 | state`. A consumer's row is a bit mask of the slots it holds. The producer
never picks a slot whose bit is set in any row, so what a consumer has leased stays as it is until released.
When it needs room it overwrites the oldest slot that nobody holds; it never waits for a consumer, unless the
pool has `required` rows (offline runs), whose owners must have acknowledged a slot before it is reused.

Every operation takes the lock, looks, makes one 64-bit store and lets go. Slot contents are written and read
outside the lock. Nothing derived is stored, so a crash leaves a legal state at every instruction. The
invariants I1..I11 are listed in `docs/ipc.md` and checked in `tests/ipc`.

A handle (`Producer`, `Consumer`, `PoolMemory`) belongs to one thread and is made after the last `fork`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Iterator
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ipc.layout import (
    AWAITED_SEQ,
    EPOCH,
    FREE,
    MAX_ROWS,
    MAX_SLOTS,
    META_BYTES,
    PUBLISHED,
    REQUIRED_ROWS,
    ROW_ACKNOWLEDGED,
    ROW_LEASES,
    WRITING,
    PoolError,
    PoolLayout,
    PoolStatistics,
)
from ipc.lock import KernelLock
from ipc.segment import PAGE_BYTES, create_segment, map_segment

__all__ = [
    "FREE",
    "MAX_ROWS",
    "MAX_SLOTS",
    "META_BYTES",
    "PUBLISHED",
    "WRITING",
    "Consumer",
    "Lease",
    "PoolError",
    "PoolLayout",
    "PoolMemory",
    "PoolStatistics",
    "Producer",
    "Slot",
]

_NO_ARRAY = np.empty(0, np.uint8)
_NO_BYTES = memoryview(b"")


class _Pool:
    """What producer, consumer and owner share: the mapped control words and the lock."""

    def __init__(self, layout: PoolLayout, control_fd: int, lock_path: str | None = None) -> None:
        self.layout = layout
        control = memoryview(map_segment(control_fd, layout.control_bytes, writable=True))
        header = layout.header
        if tuple(control[: 8 * len(header)].cast("Q")) != header:
            raise PoolError(f"this segment is not a pool of the layout {layout}")
        self._words: memoryview[int] = control[PAGE_BYTES : 2 * PAGE_BYTES].cast("Q")
        self._slot_words = self._words[: layout.slots].toreadonly()
        self._meta = control[2 * PAGE_BYTES :]
        self._lock = KernelLock(lock_path) if lock_path else KernelLock.on_descriptor(control_fd)

    def newest_seq(self) -> int:
        """Sequence number of the newest published slot, `first_seq - 1` before the first."""
        with self._lock:
            return self._newest_of(self._slot_words.tolist())

    def newest_meta(self) -> bytes | None:
        """The meta block of the newest published slot: where a restarted producer goes on. None if empty."""
        with self._lock:
            words = self._slot_words.tolist()
            newest = max(words)
            return bytes(self._slot_meta(words.index(newest))) if newest & 3 == PUBLISHED else None

    def metas_after(self, after: int) -> list[tuple[int, bytes]]:
        """Sequence number and meta block of what is published above `after`, oldest first; leases nothing."""
        seen = max(after, 0) << 2 | 3
        with self._lock:
            words = self._slot_words.tolist()
            found = sorted((word >> 2, index) for index, word in enumerate(words) if word > seen)
            return [(seq, bytes(self._slot_meta(index))) for seq, index in found]

    def statistics(self) -> PoolStatistics:
        """A consistent look at the counters."""
        rows = len(self.layout.leases)
        with self._lock:
            newest = self._newest_of(self._slot_words.tolist())
            leases = self._words[ROW_LEASES : ROW_LEASES + rows].tolist()
            acknowledged = self._words[ROW_ACKNOWLEDGED : ROW_ACKNOWLEDGED + rows].tolist()
            epoch = self._words[EPOCH]
        return PoolStatistics(
            newest_seq=newest,
            published=newest - self.layout.first_seq + 1,
            leased=tuple(mask.bit_count() for mask in leases),
            acknowledged=tuple(acknowledged),
            epoch=epoch,
        )

    def close(self) -> None:
        """Give the lock's descriptor back. The mapping goes with the handle and the last view of a slot."""
        self._lock.close()

    def _slot_meta(self, index: int) -> memoryview:
        return self._meta[index * META_BYTES : (index + 1) * META_BYTES]

    def _newest_of(self, words: list[int]) -> int:
        """Sequence of the newest published slot among these words; FREE and WRITING carry none."""
        return max(words) >> 2 or self.layout.first_seq - 1


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
        self._write_header(layout)
        super().__init__(layout, self.control_fd, lock_path)

    def require(self, rows: tuple[int, ...]) -> None:
        """Make the producer wait until these rows have acknowledged what it wants to overwrite."""
        if not set(rows) <= set(range(len(self.layout.leases))):
            raise PoolError(f"rows {rows} are not all among the {len(self.layout.leases)} rows of this pool")
        mask = sum(1 << row for row in set(rows))
        with self._lock:
            self._words[REQUIRED_ROWS] = mask

    def reap_consumer(self, row: int) -> None:
        """Free what a consumer held. Only after its death is confirmed: a living one would read torn data."""
        with self._lock:
            self._words[ROW_LEASES + row] = 0

    def reap_producer(self) -> None:
        """Free the slot a dead producer was writing, if any. Only after its death is confirmed."""
        with self._lock:
            words = self._slot_words.tolist()
            if WRITING in words:
                self._words[words.index(WRITING)] = FREE

    def close(self) -> None:
        """Give the descriptors back; the memory goes when the last process has done so. Once is enough."""
        super().close()
        for fd in (self.control_fd, self.data_fd):
            if fd >= 0:
                os.close(fd)
        self.control_fd = self.data_fd = -1

    def _write_header(self, layout: PoolLayout) -> None:
        """Fill a fresh control segment, before anyone else has its descriptor."""
        control = memoryview(map_segment(self.control_fd, layout.control_bytes, writable=True)).cast("Q")
        for offset, word in enumerate(layout.header):
            control[offset] = word


class Slot:
    """A slot being written.

    seq   the sequence number that it will be published with
    meta  256 bytes; data  `slot_bytes` bytes, both writable memory of the pool
    """

    def __init__(self, index: int, seq: int, meta: memoryview, array: NDArray[np.uint8]) -> None:
        self.index = index
        self.seq = seq
        self.meta = meta
        self.data = array.data
        self._array = array

    def array(self) -> NDArray[np.uint8]:
        """The payload as a writable uint8 array of shape (slot_bytes,): the pool's own memory, not a copy.

        The same array each time that the slot is written.
        """
        return self._array


class Producer(_Pool):
    """The writing end. Claims, fills and publishes slots; continues a dead predecessor's sequence."""

    def __init__(
        self, layout: PoolLayout, control_fd: int, data_fd: int, lock_path: str | None = None
    ) -> None:
        super().__init__(layout, control_fd, lock_path)
        data = memoryview(map_segment(data_fd, layout.data_bytes, writable=True))
        starts = (index * layout.slot_stride for index in range(layout.slots))
        self._arrays = [np.frombuffer(data[start : start + layout.slot_bytes], np.uint8) for start in starts]
        with self._lock:
            self._words[EPOCH] += 1

    def begin(self) -> Slot | None:
        """Claim a slot to write; None only in a pool with `required` rows that have not caught up yet.

        Then `Consumer.acknowledge` tells the reader that brings the news.
        Raises `PoolError` while another slot is claimed: one at a time (invariant I3).
        """
        with self._lock:
            words = self._slot_words.tolist()
            index, awaited_seq = self._victim(words)
            if index >= 0:
                self._words[index] = WRITING
            else:
                self._words[AWAITED_SEQ] = awaited_seq
        if index < 0:
            return None
        return Slot(index, self._newest_of(words) + 1, self._slot_meta(index), self._arrays[index])

    def publish(self, slot: Slot) -> int:
        """Make a filled slot visible; returns its sequence number.

        The number was found when the slot was claimed: nobody else can have published since (invariant I3).
        """
        self._lock.acquire()  # not `with`: 5 µs less on a processor that was idle, as between two frames
        try:
            if self._words[slot.index] != WRITING:
                raise _not_claimed(slot)
            self._words[slot.index] = slot.seq << 2 | PUBLISHED
        finally:
            self._lock.release()
        return slot.seq

    def abort(self, slot: Slot) -> None:
        """Give a claimed slot back unseen (decoder error half way)."""
        with self._lock:
            if self._words[slot.index] != WRITING:
                raise _not_claimed(slot)
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

    def newest(self) -> tuple[bytes, NDArray[np.uint8]] | None:
        """Meta block and payload of what was published last, by this producer or its predecessor; copies.

        None if there is nothing. No lease is needed: nobody but the producer writes.
        """
        with self._lock:
            words = self._slot_words.tolist()
        newest = max(words)
        if newest & 3 != PUBLISHED:
            return None
        index = words.index(newest)
        return bytes(self._slot_meta(index)), self._arrays[index].copy()

    def _victim(self, slot_words: list[int]) -> tuple[int, int]:
        """Slot to overwrite: a free one, else the oldest that nobody holds or still needs; -1 if none.

        With it the oldest sequence that a required row still needs, 0 if there is none.
        """
        if WRITING in slot_words:
            raise PoolError("begin() while a slot is being written: publish, abort or reap it first")
        leased, done, required = 0, sys.maxsize, self._words[REQUIRED_ROWS]
        for row in range(len(self.layout.leases)):
            leased |= self._words[ROW_LEASES + row]
            if required >> row & 1:
                done = min(done, self._words[ROW_ACKNOWLEDGED + row])
        newest = max(slot_words)
        usable = [
            (word, index)
            for index, word in enumerate(slot_words)
            if not leased >> index & 1 and (word == FREE or (word != newest and word >> 2 <= done))
        ]
        if not usable and not required:
            raise PoolError("no slot to write: a consumer holds more leases than its row allows")
        needed = (word >> 2 for word in slot_words if word >> 2 > done)
        return min(usable, default=(0, -1))[1], 0 if usable else min(needed, default=0)


def _not_claimed(slot: Slot) -> PoolError:
    return PoolError(f"slot {slot.index} is not being written: publish or abort it once after begin()")


class Lease:
    """A published slot that stays as it is until released. Use as a context manager, or call `release`.

    seq   sequence number
    gap   how many sequence numbers lie between `after` and this one: what the reader missed
    meta  256 bytes; data  `slot_bytes` bytes, read-only; both are empty once released
    """

    __slots__ = ("_array", "_consumer", "_index", "_released", "data", "gap", "meta", "seq")

    def __init__(self, consumer: Consumer, index: int, seq: int, gap: int) -> None:
        self.seq = seq
        self.gap = gap
        self.meta = consumer._metas[index]
        self._array, self.data = consumer._new_views(index) if consumer.debug else consumer._views[index]
        self._consumer = consumer
        self._index = index
        self._released = False

    def array(self) -> NDArray[np.uint8]:
        """The payload as a read-only uint8 array of shape (slot_bytes,); valid until released."""
        return self._array

    def release(self) -> None:
        """Let the producer have the slot again. A second call does nothing.

        With `Consumer(debug=True)` it raises `PoolError` if a view of the payload is still alive.
        """
        escaped = self._let_go()
        if self._consumer.debug and escaped:
            raise PoolError(f"a view of slot {self._index} (sequence {self.seq}) outlives its lease")

    def _let_go(self) -> bool:
        """Release; True if somebody still has a view of the payload."""
        if self._released:
            return False
        self._released = True
        watch = weakref.ref(self._array)
        self._array, self.data, self.meta = _NO_ARRAY, _NO_BYTES, _NO_BYTES
        self._consumer._release(self._index)
        return watch() is not None

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        else:
            self._let_go()  # the traceback keeps the block's arrays alive: no escape, and not the news


class Consumer(_Pool):
    """A reading end, bound to one row. Never makes a live producer wait, unless its row is `required`."""

    def __init__(
        self,
        layout: PoolLayout,
        control_fd: int,
        data_fd: int,
        row: int,
        *,
        lock_path: str | None = None,
        debug: bool = False,
    ) -> None:
        if not 0 <= row < len(layout.leases):
            raise PoolError(f"row {row} is not among the {len(layout.leases)} rows of this pool")
        super().__init__(layout, control_fd, lock_path)
        self._data = memoryview(map_segment(data_fd, layout.data_bytes, writable=False))
        self.row = row
        self.debug = debug
        self._row_word = ROW_LEASES + row
        self._limit = layout.leases[row]
        self._metas = [self._slot_meta(index).toreadonly() for index in range(layout.slots)]
        self._views = [self._new_views(index) for index in range(layout.slots)]

    def lease_newest(self, after: int) -> Lease | None:
        """Lease the newest slot if its sequence is above `after`; `gap` counts the ones skipped."""
        self._lock.acquire()  # as in `publish`
        try:
            words = self._slot_words.tolist()
            newest = max(words)
            seq = newest >> 2
            if seq <= after or newest & 3 != PUBLISHED:
                return None
            index = words.index(newest)
            self._take(index)
        finally:
            self._lock.release()
        return Lease(self, index, seq, seq - after - 1)

    def lease_next(self, after: int) -> Lease | None:
        """Lease the oldest slot above `after`; `gap` counts the ones that were overwritten unread."""
        seen = max(after, 0) << 2 | 3
        with self._lock:
            words = self._slot_words.tolist()
            word = min((word for word in words if word > seen), default=FREE)
            if word == FREE:
                return None
            index = words.index(word)
            self._take(index)
        return Lease(self, index, word >> 2, (word >> 2) - after - 1)

    def lease(self, seq: int) -> Lease | None:
        """Lease the slot with exactly this sequence number, None if it has been overwritten."""
        wanted = seq << 2 | PUBLISHED
        with self._lock:
            words = self._slot_words.tolist()
            if wanted not in words:
                return None
            index = words.index(wanted)
            self._take(index)
        return Lease(self, index, seq, 0)

    def acknowledge(self, seq: int) -> bool:
        """Say that everything up to `seq` is done with; what a `required` row owes the producer.

        True if the producer waits for this very news, from all rows: then it wants to be woken.
        """
        with self._lock:
            before = self._words[ROW_ACKNOWLEDGED + self.row]
            if seq > before:
                self._words[ROW_ACKNOWLEDGED + self.row] = seq
            awaited_seq = self._words[AWAITED_SEQ]
            return before < awaited_seq <= seq and self._all_have(awaited_seq)

    def _all_have(self, seq: int) -> bool:
        required = self._words[REQUIRED_ROWS]
        return all(
            self._words[ROW_ACKNOWLEDGED + row] >= seq
            for row in range(len(self.layout.leases))
            if required >> row & 1
        )

    def acknowledged(self) -> int:
        """What this row acknowledged last, by this process or by its predecessor; 0 at first."""
        with self._lock:
            return self._words[ROW_ACKNOWLEDGED + self.row]

    def _take(self, index: int) -> None:
        held, limit = self._words[self._row_word], self._limit
        if held >> index & 1:
            raise PoolError(f"slot {index} is already leased by row {self.row}")
        if held.bit_count() >= limit:
            raise PoolError(f"row {self.row} may hold {limit} leases and holds them all")
        self._words[self._row_word] = held | 1 << index

    def _release(self, index: int) -> None:
        with self._lock:
            self._words[self._row_word] &= ~(1 << index)

    def _new_views(self, index: int) -> tuple[NDArray[np.uint8], memoryview]:
        """A slot's payload as an array, and as bytes that hang on this array: its life tells of both."""
        start = index * self.layout.slot_stride
        array = np.frombuffer(self._data[start : start + self.layout.slot_bytes], np.uint8)
        return array, array.data
