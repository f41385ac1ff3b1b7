"""Looks in memory: exact search, FAISS beyond, and without FAISS."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest

from engine.identity.search import LookSearch
from engine.identity.vectors import BLOCK, VectorStore
from engine.types import F32


def some_looks(count: int, dims: int = 32, seed: int = 0) -> F32:
    looks = np.random.default_rng(seed).standard_normal((count, dims)).astype(np.float32)
    unit: F32 = looks / np.linalg.norm(looks, axis=1, keepdims=True)
    return unit


def test_exact_search_finds_what_comparing_one_by_one_finds() -> None:
    looks, queries = some_looks(BLOCK + 100), some_looks(3, seed=1)
    store = VectorStore(32)
    for index, look in enumerate(looks):
        store.add(index // 2, look)
    for wanted in (np.ones(BLOCK, np.bool_), np.arange(BLOCK) % 50 == 0):
        for query, (owners, cosines) in zip(queries, store.search(queries, wanted, 0.3), strict=True):
            of_looks = looks @ query
            best = np.maximum(of_looks[::2], of_looks[1::2])
            expected = np.nonzero((best >= 0.3) & wanted[: len(best)])[0]
            assert sorted(owners.tolist()) == expected.tolist() and len(expected) > 3
            np.testing.assert_allclose(cosines[np.argsort(owners)], best[expected], rtol=1e-5)


def test_rows_are_used_again_and_hold_nothing_in_between() -> None:
    store = VectorStore(32)
    rows = [store.add(1, look) for look in some_looks(10)]
    store.remove(rows[3])
    assert not store.get(np.array([rows[3]])).any() and store.owner(rows[3]) == -1 and len(store) == 9
    assert store.add(2, some_looks(1)[0]) == rows[3]
    before = store.nbytes
    for _ in range(5):
        store.remove(rows[3])
        store.add(2, some_looks(1)[0])
    assert store.nbytes == before


def test_faiss_takes_over_beyond_a_number_and_gives_back_below() -> None:
    pytest.importorskip("faiss")
    looks = some_looks(3000, 16)
    search = LookSearch(16, exact_up_to=2000)
    rows = [search.add(index, look) for index, look in enumerate(looks)]
    wanted = np.ones(3000, np.bool_)
    queries = looks[:50]
    found = search.search(queries, wanted, 0.9)
    assert not search.exact
    for index, (owners, cosines) in enumerate(found):
        assert index in owners.tolist() and cosines.max() == pytest.approx(1.0, abs=1e-5)
    wanted[:25] = False
    assert all(
        index not in owners for index, (owners, _) in enumerate(search.search(queries, wanted, 0.9)[:25])
    )
    for row in rows[:100]:
        search.remove(row)
    newcomer = search.add(2999, looks[0])
    assert newcomer == rows[99], "a row that the index still knows is used again"
    (owners, _), *_ = search.search(looks[:1], np.ones(3000, np.bool_), 0.99)
    assert owners.tolist() == [2999]
    for row in rows[100:2500]:
        search.remove(row)
    search.search(queries, wanted, 0.9)
    assert search.exact


def test_an_index_is_filled_search_by_search_and_nobody_is_missed_meanwhile() -> None:
    pytest.importorskip("faiss")
    looks = some_looks(11_000, 16)
    search = LookSearch(16, exact_up_to=9000)
    rows = [search.add(index, look) for index, look in enumerate(looks[:10_000])]
    wanted = np.ones(11_000, np.bool_)
    exact = []
    for round_ in range(4):
        for index in (round_, 9999 - round_):
            ((owners, _),) = search.search(looks[index : index + 1], wanted, 0.999)
            assert owners.tolist() == [index]
        exact.append(search.exact)
        search.remove(rows[5000 + round_])
        assert search.add(10_000 + round_, looks[10_000 + round_]) == rows[5000 + round_]
    assert exact[0] and not exact[-1]
    for index in range(4):
        (owners, _), (others, _) = search.search(looks[[10_000 + index, 5000 + index]], wanted, 0.999)
        assert owners.tolist() == [10_000 + index] and others.tolist() == []


def test_faiss_gives_the_same_every_time() -> None:
    pytest.importorskip("faiss")
    answers = []
    for _ in range(2):
        search = LookSearch(16, exact_up_to=500)
        for index, look in enumerate(some_looks(1000, 16)):
            search.add(index, look)
        answers.append(search.search(some_looks(20, 16, seed=3), np.ones(1000, np.bool_), 0.2))
    for (owners, cosines), (others, their_cosines) in zip(*answers, strict=True):
        assert owners.tolist() == others.tolist() and cosines.tolist() == their_cosines.tolist()


def test_without_faiss_the_exact_search_goes_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    search = LookSearch(16, exact_up_to=100)
    looks = some_looks(200, 16)
    for index, look in enumerate(looks):
        search.add(index, look)
    ((owners, _),) = search.search(looks[150:151], np.ones(200, np.bool_), 0.99)
    assert owners.tolist() == [150] and search.exact
    assert "pip install 'camring[gallery]'" in search.degraded and "\n" not in search.degraded


def test_memory_is_given_in_blocks_and_not_moved() -> None:
    store = VectorStore(8)
    sizes = []
    for index in range(3 * BLOCK):
        store.add(index, np.zeros(8, np.float32))
        sizes.append(store.nbytes)
    steps = {after - before for before, after in pairwise(sizes)}
    assert steps == {0, BLOCK * 36} and len(set(sizes)) == 3
