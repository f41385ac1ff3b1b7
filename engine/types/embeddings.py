"""What objects look like, as vectors of a re-identification network, for those of a frame that were looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types.arrays import F16, F32, I32, U8, Bools


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings of some of a frame's objects. Raises `ValueError` for other shapes or types.

    rows     int32 (k,): which objects they are of, rising
    vectors  float16 (k, d): of length 1, so that the dot product of two is their cosine
    """

    rows: I32
    vectors: F16

    def __post_init__(self) -> None:
        if self.rows.dtype != np.int32 or self.rows.ndim != 1:
            raise ValueError(f"rows must be int32 (k,), not {self.rows.dtype} {self.rows.shape}")
        if self.vectors.dtype != np.float16 or self.vectors.ndim != 2 or len(self.vectors) != len(self.rows):
            raise ValueError(
                f"vectors must be float16 ({len(self.rows)}, d), not {self.vectors.dtype} {self.vectors.shape}"
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def take(self, index: Bools | NDArray[np.intp], count: int) -> Embeddings:
        """Those of the objects selected out of `count` by a mask or an index array, under their new rows; copies."""
        new_row = np.full(count, -1, np.int32)
        chosen = np.arange(count)[index]
        new_row[chosen] = np.arange(len(chosen))
        rows = new_row[self.rows]
        order = np.argsort(rows, kind="stable")
        order = order[rows[order] >= 0]
        return Embeddings(rows[order], self.vectors[order])

    def dense(self, count: int) -> tuple[F32, Bools]:
        """float32 (count, d), zeros where there is none, and which objects have one."""
        vectors = np.zeros((count, self.dims), np.float32)
        vectors[self.rows] = self.vectors
        present = np.zeros(count, np.bool_)
        present[self.rows] = True
        return vectors, present

    @staticmethod
    def nbytes(count: int, dims: int) -> int:
        """Bytes that so many vectors take at the end of a slot: whole words of eight."""
        return -(-count * (4 + 2 * dims) // 8) * 8

    def write_at_end(self, slot_u8: U8) -> None:
        """Lay rows and vectors out at the end of a slot, which has room for them."""
        tail = slot_u8[len(slot_u8) - self.nbytes(len(self), self.dims) :]
        split = 4 * len(self)
        tail[:split] = np.ascontiguousarray(self.rows).view(np.uint8)
        tail[split : split + 2 * self.vectors.size] = (
            np.ascontiguousarray(self.vectors).reshape(-1).view(np.uint8)
        )

    @classmethod
    def view_at_end(cls, count: int, dims: int, slot_u8: U8) -> Embeddings | None:
        """The arrays at the end of a slot, None where there are none. No copy."""
        if count == 0:
            return None
        tail = slot_u8[len(slot_u8) - cls.nbytes(count, dims) :]
        split = 4 * count
        rows = tail[:split].view(np.int32)
        vectors = tail[split : split + 2 * count * dims].view(np.float16).reshape(count, dims)
        return cls(rows, vectors)
