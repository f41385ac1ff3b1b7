"""What of one frame is looked at, and how it goes into the frame's record. Knows no network and no thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.tracking.demand import Need
from engine.types import F16, I32, U8, Bools, Detections, Embeddings, Written


@dataclass(slots=True, eq=False)
class Look:
    """The boxes of one frame that are looked at.

    rows         int32 (k,): which detections, rising
    needs        why, in the same order
    asked_ns     when that was decided
    done         whether there is nothing to wait for any more
    embeddings   what came of it, None where nothing did
    """

    rows: I32
    needs: tuple[Need, ...]
    asked_ns: int = 0
    done: bool = False
    embeddings: Embeddings | None = None

    def settle(self, vectors: F16) -> tuple[Need, ...]:
        """The network's answer is there, float16 (k, d), zeros where it had none; returns the needs that were met."""
        sound: Bools = np.asarray(vectors.any(axis=1))
        if sound.any():
            self.embeddings = Embeddings(self.rows[sound], vectors[sound])
        self.done = True
        return tuple(need for need, met in zip(self.needs, sound, strict=True) if met)


NOTHING = Look(np.empty(0, np.int32), (), done=True)
"""A frame of which nothing is looked at."""


def write_record(found: Detections, slot_u8: U8) -> tuple[Written, Embeddings | None]:
    """Lay detections out in a slot, their embeddings at its end; returns what was written of both.

    Embeddings have room of their own (`topology.embedding_room_bytes`). Those that have none nevertheless are left out,
    the last rows first, and those of objects that have none.
    """
    looks = found.embeddings
    if looks is None:
        return found.write_into(slot_u8), None
    while len(looks) and Embeddings.nbytes(len(looks), looks.dims) > len(slot_u8):
        looks = Embeddings(looks.rows[:-1], looks.vectors[:-1])
    written = found.write_into(slot_u8[: len(slot_u8) - Embeddings.nbytes(len(looks), looks.dims)])
    there = int(np.searchsorted(looks.rows, written.count))
    looks = Embeddings(looks.rows[:there], looks.vectors[:there])
    if not there:
        return written, None
    looks.write_at_end(slot_u8)
    return written, looks


def most_rows(room_bytes: int, dims: int) -> int:
    """How many embeddings of this length there is room for."""
    whole_words = room_bytes // 8 * 8
    return whole_words // (4 + 2 * dims)
