"""The search for looks: exact up to a number of identities, by FAISS beyond, exact again where that is not to be had.

Keeps looks and the index over them in step. Knows rows and owners, not identities.
"""

from __future__ import annotations

import numpy as np

from engine.errors import BackendMissing
from engine.identity.faiss_index import SEED, FaissIndex, sample_size
from engine.identity.vectors import Hits, VectorStore, best_of_owners
from engine.types import F32, Bools

EXACT_UP_TO = 100_000
"""Looks that are compared one by one: tens of milliseconds."""
_OUTDATED_AT = 2.0
"""Cells are learnt anew when there are so many times as many looks as they were learnt from."""
_SLICE = 4096
"""Looks that are taken into a new index with each search; exact ones go on until all are in."""
_SWEPT_AT = 256
"""Rows to be taken out of an index are collected up to here."""


class LookSearch:
    """A `VectorStore` and, where it is large, an index over it.

    degraded  one line, where it should have an index and cannot
    """

    def __init__(self, dims: int, exact_up_to: int = EXACT_UP_TO) -> None:
        self.store = VectorStore(dims)
        self.degraded = ""
        self._exact_up_to = exact_up_to
        self._index: FaissIndex | None = None
        self._gone: list[int] = []
        self._coming: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self.store)

    @property
    def exact(self) -> bool:
        """Whether every look is compared."""
        return self._index is None or bool(self._coming)

    def add(self, owner: int, vector: F32) -> int:
        """Keep a look; returns its row."""
        row = self.store.add(owner, vector)
        if self._index is not None:
            self._sweep(row)
            self._index.add(np.array([row]), vector[None].astype(np.float32))
        return row

    def remove(self, row: int) -> None:
        """Forget a look: its numbers are overwritten at once."""
        self.store.remove(row)
        if row in self._coming:
            del self._coming[row]
        elif self._index is not None:
            self._gone.append(row)
            if len(self._gone) >= _SWEPT_AT:
                self._sweep()

    def search(self, queries: F32, wanted: Bools, floor: float) -> Hits:
        """Owners with a look of at least this cosine, for each query (q, d); see `VectorStore.search`."""
        self._settle()
        if self._index is None or self._coming:
            return self.store.search(queries, wanted, floor)
        self._sweep()
        owners = self.store.all_owners()
        rows_wanted = np.zeros(len(owners), np.bool_)
        rows_wanted[owners >= 0] = wanted[owners[owners >= 0]]
        found: Hits = []
        for query, rows in zip(queries, self._index.search(queries, rows_wanted, floor), strict=True):
            cosines = self.store.get(rows) @ query
            near = cosines >= floor
            found.append(best_of_owners([(owners[rows[near]].astype(np.intp), cosines[near])]))
        return found

    def _settle(self) -> None:
        """Have an index where there are many looks, and none where there are few again."""
        count = len(self.store)
        if self._index is not None and count < self._exact_up_to // 2:
            self._index, self._gone, self._coming = None, [], {}
        if self._coming:
            self._take_in()
        if count <= self._exact_up_to or self.degraded:
            return
        if self._index is None or count > _OUTDATED_AT * self._index.learnt_from:
            self._begin_index(count)

    def _begin_index(self, count: int) -> None:
        rows = np.nonzero(self.store.all_owners() >= 0)[0]
        chosen = np.random.default_rng(SEED).permutation(rows)[: sample_size(count)]
        try:
            self._index = FaissIndex(self.store.get(chosen), count)
        except BackendMissing as error:
            self.degraded = str(error)
            return
        self._gone, self._coming = [], dict.fromkeys(rows.tolist())
        self._take_in()

    def _take_in(self) -> None:
        assert self._index is not None
        rows = np.fromiter(self._coming, np.intp, len(self._coming))[:_SLICE]
        self._index.add(rows, self.store.get(rows))
        for row in rows.tolist():
            del self._coming[row]

    def _sweep(self, added: int | None = None) -> None:
        """Take removed rows out of the index; for a row that is used again that cannot wait."""
        if self._index is not None and self._gone and (added is None or added in self._gone):
            self._index.remove(np.array(self._gone, np.intp))
            self._gone = []
