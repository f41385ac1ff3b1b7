"""Search among more looks than is quick to compare one by one: FAISS. The only file that imports it.

An inverted file over cells, in half precision (Jégou et al. 2011, "Product quantization for nearest neighbor search",
section IV, without the product): looks in the cells nearest to the query are compared, so that one in a far cell may be
missed. Everything that is found is compared again exactly by the caller.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BackendMissing
from engine.types import F32, Bools

_CELLS = 1.5
"""Cells, times the square root of the looks; more would take longer to learn than a tracker may pause."""
_ROUNDS = 4
_TRAINED_ON = 40
"""Looks a cell is learnt from; FAISS asks for 39."""
_PROBED = 48
"""Cells that are searched: of 10⁵ looks a tenth."""
_NEAREST = 64
SEED = 1


def cells_of(count: int) -> int:
    """Cells for so many looks."""
    return int(np.clip(_CELLS * np.sqrt(count), 1, max(1, count // _TRAINED_ON)))


def sample_size(count: int) -> int:
    """How many looks the cells for so many are learnt from."""
    return min(count, cells_of(count) * _TRAINED_ON)


class FaissIndex:
    """An index over the rows of a `VectorStore`, by their numbers. Raises `BackendMissing` without FAISS."""

    def __init__(self, vectors: F32, count: int) -> None:
        """Learn the cells for so many looks from some of them: float32 (n, d), of which `sample_size` are enough."""
        try:
            import faiss
        except ImportError:
            raise BackendMissing(
                "more identities than are searched exactly in good time, and FAISS is not installed: "
                "pip install 'camring[gallery]'"
            ) from None
        self._faiss: Any = faiss
        dims, cells = vectors.shape[1], cells_of(count)
        quantizer = self._faiss.IndexFlatIP(dims)
        kind = self._faiss.ScalarQuantizer.QT_fp16
        metric = self._faiss.METRIC_INNER_PRODUCT
        self._index: Any = self._faiss.IndexIVFScalarQuantizer(quantizer, dims, cells, kind, metric)
        self._index.own_fields = True
        quantizer.this.disown()
        self._index.cp.seed, self._index.cp.niter = SEED, _ROUNDS
        self._index.nprobe = min(_PROBED, cells)
        self._index.train(np.ascontiguousarray(vectors))
        self.learnt_from = count

    def __len__(self) -> int:
        """Looks in it."""
        return int(self._index.ntotal)

    def add(self, rows: NDArray[np.intp], vectors: F32) -> None:
        """Take some in: float32 (n, d)."""
        self._index.add_with_ids(np.ascontiguousarray(vectors), rows.astype(np.int64))

    def remove(self, rows: NDArray[np.intp]) -> None:
        """Take some out: a pass over all cells, so better many at once."""
        self._index.remove_ids(self._faiss.IDSelectorBatch(rows.astype(np.int64)))

    def search(self, queries: F32, wanted_rows: Bools, floor: float) -> list[NDArray[np.intp]]:
        """Rows near each query (q, d), only those with `wanted_rows[row]`, with about this cosine or more."""
        bits = np.packbits(wanted_rows, bitorder="little")
        selector = self._faiss.IDSelectorBitmap(bits)
        parameters = self._faiss.SearchParametersIVF(sel=selector, nprobe=self._index.nprobe)
        cosines, rows = self._index.search(np.ascontiguousarray(queries), _NEAREST, params=parameters)
        near = (rows >= 0) & (cosines >= floor - 0.01)
        return [rows[index][near[index]].astype(np.intp) for index in range(len(queries))]
