"""Looks of many identities as unit vectors in memory, and the exact search among them.

Vectors lie in blocks, so that more of them never means moving those that are there. Knows whose a vector is by a
number; who may be found is the caller's business.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.types import F32, I32, Bools

BLOCK = 8192
"""Vectors in a block: 16 MiB with 512 dimensions."""

Hits = list[tuple[NDArray[np.intp], F32]]
"""For each query: owners, and the cosine with the most similar look of each; unordered."""


class VectorStore:
    """Float32 vectors of one length, each with an owner. A row keeps its number for as long as it is there."""

    def __init__(self, dims: int) -> None:
        self.dims = dims
        self._blocks: list[F32] = []
        self._owners: list[I32] = []
        self._free: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        """Vectors that are there."""
        return self._count

    @property
    def nbytes(self) -> int:
        """Memory taken, that of rows that are free again with it."""
        return len(self._blocks) * BLOCK * (4 * self.dims + 4)

    def add(self, owner: int, vector: F32) -> int:
        """Keep a vector; returns its row."""
        if not self._free:
            first = len(self._blocks) * BLOCK
            self._blocks.append(np.zeros((BLOCK, self.dims), np.float32))
            self._owners.append(np.full(BLOCK, -1, np.int32))
            self._free = list(range(first + BLOCK - 1, first - 1, -1))
        row = self._free.pop()
        block, at = divmod(row, BLOCK)
        self._blocks[block][at] = vector
        self._owners[block][at] = owner
        self._count += 1
        return row

    def remove(self, row: int) -> None:
        """Overwrite a vector with zeros; its row is free."""
        block, at = divmod(row, BLOCK)
        self._blocks[block][at] = 0.0
        self._owners[block][at] = -1
        self._free.append(row)
        self._count -= 1

    def get(self, rows: NDArray[np.intp]) -> F32:
        """float32 (k, d), copies."""
        found = [self._blocks[row // BLOCK][row % BLOCK] for row in rows.tolist()]
        return np.stack(found) if found else np.zeros((0, self.dims), np.float32)

    def copy_into(self, copies: NDArray[np.float16], rows: NDArray[np.intp]) -> None:
        """Copy vectors into float16 (k, d), block by block."""
        blocks = rows // BLOCK
        for block in np.unique(blocks).tolist():
            chosen = blocks == block
            copies[chosen] = self._blocks[block][rows[chosen] % BLOCK]

    def owner(self, row: int) -> int:
        """Whose vector that is; -1: nobody's any more."""
        return int(self._owners[row // BLOCK][row % BLOCK])

    def all_owners(self) -> I32:
        """int32 (rows,): the owner of every row, -1 where it is free."""
        return np.concatenate(self._owners) if self._owners else np.empty(0, np.int32)

    def search(self, queries: F32, wanted: Bools, floor: float) -> Hits:
        """Every owner with `wanted[owner]` that has a look of at least this cosine, for each query (q, d)."""
        found: list[list[tuple[NDArray[np.intp], F32]]] = [[] for _ in queries]
        for vectors, owners in zip(self._blocks, self._owners, strict=True):
            possible = np.zeros(BLOCK, np.bool_)
            taken = owners >= 0
            possible[taken] = wanted[owners[taken]]
            if not possible.any():
                continue
            rows = np.nonzero(possible)[0]
            # Few rows are quicker gathered than passed over.
            sparse = 4 * len(rows) < BLOCK
            cosines = (vectors[rows] if sparse else vectors) @ queries.T
            places = owners[rows] if sparse else owners
            for index, column in enumerate(cosines.T):
                near = np.nonzero(column >= floor if sparse else (column >= floor) & possible)[0]
                found[index].append((places[near].astype(np.intp), column[near]))
        return [best_of_owners(parts) for parts in found]


def best_of_owners(parts: list[tuple[NDArray[np.intp], F32]]) -> tuple[NDArray[np.intp], F32]:
    """Each owner once, with its greatest cosine."""
    if not parts:
        return np.empty(0, np.intp), np.empty(0, np.float32)
    owners = np.concatenate([part[0] for part in parts])
    cosines = np.concatenate([part[1] for part in parts])
    order = np.lexsort((-cosines, owners))
    owners, cosines = owners[order], cosines[order]
    first = np.ones(len(owners), np.bool_)
    first[1:] = owners[1:] != owners[:-1]
    return owners[first], cosines[first]
