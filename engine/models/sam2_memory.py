"""What a segmenter remembers of objects: one bounded bank for all cameras, allocated once.

A structure of arrays over rows, one row for an object of a camera. A row never moves: it is given to an object by
its key and is free again when the object is removed. Slot 0 holds the conditioning frame, the others are a ring of
the frames remembered last; so it is with the pointers, whose ring is longer. Memories are kept in bfloat16, as the
official predictor keeps them. Knows neither graphs nor pictures: features have one size whatever the camera's is, so
that memories outlive a change of its resolution.

Time is counted for each object by itself, in frames that it remembers: an object that is refreshed on every fourth
keyframe, or whose memory is frozen while it is out of sight, has the same past as one that is seen on all. Where every
frame is remembered this is the official predictor's count.

Source of the slots and their ages: Ravi et al., arXiv 2408.00714, and the video predictor of its code.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import PromptError
from engine.models.sam2_selection import BoxMotion
from engine.types import F32, I64, Bools

Key = tuple[str, int]
"""Camera and object_id."""
U16 = NDArray[np.uint16]

WIDTHS = (64, 256)
"""Of memories and of pointers, in all official models."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the memory attention is fed with, for n rows; views of memory that the next recall writes over.

    Names are those of the graph's inputs: memory float32 (n, M, L, W), memory_tpos int64 (n, M), obj_ptr float32
    (n, P, C), obj_ptr_tdiff float32 (n, P), memory_valid float32 (n, M), obj_ptr_valid float32 (n, P).
    """

    memory: F32
    memory_tpos: I64
    obj_ptr: F32
    obj_ptr_tdiff: F32
    memory_valid: F32
    obj_ptr_valid: F32

    def feeds(self) -> dict[str, NDArray[np.float32] | I64]:
        """By name of the graph's input."""
        return {name: getattr(self, name) for name in self.__slots__}


class MemoryBank:
    """Memories, pointers and motion of at most `capacity` objects. Not for two threads at once.

    rows_at_once  most rows in one `recall`, which has memory of its own for them
    """

    def __init__(
        self, capacity: int, tokens: int, slots: int = 7, pointers: int = 16, rows_at_once: int = 16,
        widths: tuple[int, int] = WIDTHS,
    ) -> None:  # fmt: skip
        """tokens: L, of one frame's memory; widths: W of memories and C of pointers.

        Raises `ValueError` for sizes below one (below two for the slots).
        """
        if min(capacity, tokens, rows_at_once, *widths) < 1 or min(slots, pointers) < 2:
            raise ValueError(f"capacity {capacity}, tokens {tokens}, slots {slots}, pointers {pointers}")
        width, pointer_width = widths
        self.capacity, self.tokens, self.slots, self.pointers = capacity, tokens, slots, pointers
        self.rows_at_once = rows_at_once
        self.motion = BoxMotion(capacity)
        self._memory: U16 = np.zeros((capacity, slots, tokens, width), np.uint16)
        self._memory_step = np.full((capacity, slots), -1, np.int64)
        self._pointer: F32 = np.zeros((capacity, pointers, pointer_width), np.float32)
        self._pointer_step = np.full((capacity, pointers), -1, np.int64)
        self._now = np.zeros(capacity, np.int64)
        self._used = np.zeros(capacity, np.int64)
        self._protected = np.zeros(capacity, np.bool_)
        self._uses = 0
        self._row: dict[Key, int] = {}
        self._free = list(range(capacity))
        self._recalled: F32 = np.zeros((rows_at_once, slots, tokens, width), np.float32)

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, key: Key) -> bool:
        return key in self._row

    @property
    def keys(self) -> tuple[Key, ...]:
        """The objects that have a row, oldest first."""
        return tuple(self._row)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, for ever."""
        arrays = (self._memory, self._pointer, self._recalled, self._memory_step, self._pointer_step)
        return sum(array.nbytes for array in arrays)

    def row(self, key: Key) -> int | None:
        """The row of an object, None where it has none."""
        return self._row.get(key)

    def steps(self, key: Key) -> int:
        """How many frames an object has remembered; 0 where it has no row."""
        row = self._row.get(key)
        return 0 if row is None else int(self._now[row])

    def remembers(self, key: Key) -> bool:
        """Whether an object has a memory that it could be followed with."""
        row = self._row.get(key)
        return row is not None and bool((self._memory_step[row] >= 0).any())

    def add(self, key: Key) -> tuple[int, Key | None]:
        """A row for an object, the same if it has one; and the object that has lost its row for it, or None.

        The one that was touched least recently gives way, never a protected one. Raises `PromptError`, changing
        nothing, where all are protected.
        """
        row = self._row.get(key)
        if row is not None:
            self.touch([row])
            return row, None
        evicted = None if self._free else self._oldest()
        if evicted is not None:
            self.remove(evicted)
        row = heapq.heappop(self._free)
        self._row[key] = row
        self.touch([row])
        return row, evicted

    def remove(self, key: Key) -> bool:
        """Give an object's row back; False where it had none."""
        row = self._row.pop(key, None)
        if row is None:
            return False
        self.forget(row)
        self._protected[row] = False
        heapq.heappush(self._free, row)
        return True

    def remove_camera(self, camera: str) -> int:
        """Remove all objects of a camera; how many there were."""
        gone = [key for key in self._row if key[0] == camera]
        for key in gone:
            self.remove(key)
        return len(gone)

    def protect(self, key: Key, protected: bool = True) -> None:
        """Whether an object may never be evicted. Without effect on one that has no row."""
        row = self._row.get(key)
        if row is not None:
            self._protected[row] = protected

    def forget(self, row: int) -> None:
        """Empty a row; its object keeps it."""
        self._memory_step[row] = -1
        self._pointer_step[row] = -1
        self._now[row] = 0
        self.motion.forget(row)

    def touch(self, rows: list[int]) -> None:
        """Say that these rows are in use: they are evicted last."""
        for row in rows:
            self._uses += 1
            self._used[row] = self._uses

    def remember(self, rows: I64, memories: F32, pointers: F32, conditioning: Bools) -> None:
        """Take one more frame into each of n different rows.

        memories      float32 (n, L, W), finite
        pointers      float32 (n, C)
        conditioning  bool (n,): the frame replaces the conditioning frame, else it goes into the ring
        """
        for row, memory, pointer, first in zip(rows, memories, pointers, conditioning, strict=True):
            now = int(self._now[row])
            slot = 0 if first else 1 + (now - 1) % (self.slots - 1)
            self._memory[row, slot] = to_bfloat16(memory)
            self._memory_step[row, slot] = now
            slot = 0 if first else 1 + (now - 1) % (self.pointers - 1)
            self._pointer[row, slot] = pointer
            self._pointer_step[row, slot] = now
            self._now[row] = now + 1

    def recall(self, rows: I64, *, padded: bool = False) -> Recalled:
        """What n rows know, n ≤ `rows_at_once`.

        padded  with all M slots and P pointers, the empty ones not valid; else with as many as the fullest row has
        """
        age = self._now[rows, None] - self._memory_step[rows]
        valid = (self._memory_step[rows] >= 0) & ((age < self.slots) | (np.arange(self.slots) == 0))
        order, count = _valid_first(valid, padded)
        memory = self._recalled[: len(rows), :count]
        if count < self.slots:
            # Contiguous whatever the count is: the runtime reads it in place.
            memory = self._recalled.reshape(-1)[: memory.size].reshape(memory.shape)
        for target, row, slots in zip(memory, rows, order, strict=True):
            for at, slot in enumerate(slots):
                from_bfloat16(self._memory[row, slot], target[at])
        tpos = np.where(order == 0, self.slots - 1, np.take_along_axis(age, order, 1) - 1)
        pointer_age = self._now[rows, None] - self._pointer_step[rows]
        pointer_valid = (self._pointer_step[rows] >= 0) & (
            (pointer_age < self.pointers) | (np.arange(self.pointers) == 0)
        )
        chosen, _ = _valid_first(pointer_valid, padded)
        pointer_is_valid = np.take_along_axis(pointer_valid, chosen, 1).astype(np.float32)
        return Recalled(
            memory,
            np.clip(tpos, 0, self.slots - 1),
            self._pointer[rows[:, None], chosen],
            np.take_along_axis(pointer_age, chosen, 1).astype(np.float32) * pointer_is_valid,
            np.take_along_axis(valid, order, 1).astype(np.float32),
            pointer_is_valid,
        )

    def _oldest(self) -> Key:
        free = [(int(self._used[row]), key) for key, row in self._row.items() if not self._protected[row]]
        if not free:
            raise PromptError(
                f"all {self.capacity} objects of the bank are protected; raise segment.max_objects or remove some"
            )
        return min(free)[1]


def _valid_first(valid: Bools, padded: bool) -> tuple[I64, int]:
    """Slots of each row, valid ones first, cut after the most that a row has; and how many that are."""
    if padded:
        return np.broadcast_to(np.arange(valid.shape[1]), valid.shape).copy(), valid.shape[1]
    order = np.argsort(~valid, axis=1, kind="stable")
    count = max(1, int(valid.sum(axis=1).max(initial=0)))
    return order[:, :count], count


def to_bfloat16(values: F32) -> U16:
    """The upper halves of float32 numbers, rounded to nearest, ties to even; finite numbers only."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    upper: U16 = (rounded >> np.uint32(16)).astype(np.uint16)
    return upper


def from_bfloat16(upper: U16, target: F32) -> None:
    """Write bfloat16 numbers into a float32 array of the same shape."""
    np.left_shift(upper, np.uint32(16), out=target.view(np.uint32), dtype=np.uint32, casting="unsafe")
