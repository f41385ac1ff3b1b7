"""The best assignment and its margins, against scipy and by example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from engine.identity.assignment import best_pairs, pairs_with_margin


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 7), st.integers(0, 9), st.integers(0, 10_000), st.booleans())
def test_it_is_worth_what_scipys_is(rows: int, columns: int, seed: int, ties: bool) -> None:
    values = np.random.default_rng(seed).normal(size=(rows, columns))
    if ties:
        values = np.round(values, 0)
    pairs = best_pairs(values)
    assert len(set(pairs.values())) == len(pairs) and all(values[pair] > 0 for pair in pairs.items())
    alone = np.concatenate((np.maximum(values, 0.0), np.zeros((rows, rows))), axis=1)
    chosen = linear_sum_assignment(alone, maximize=True)
    best = alone[chosen].sum()
    assert sum(values[pair] for pair in pairs.items()) == pytest.approx(best)
    with_margin = pairs_with_margin(values)
    assert sum(values[row, column] for row, (column, _) in with_margin.items()) == pytest.approx(best)
    assert all(margin >= -1e-9 for _, margin in with_margin.values())


def test_the_margin_of_one_is_the_distance_to_its_next_best() -> None:
    for others, expected in ((0.25, 0.05), (-1.0, 0.3)):
        column, margin = pairs_with_margin(np.array([[0.3, others]]))[0]
        assert column == 0 and margin == pytest.approx(expected)


def test_who_looks_like_two_is_sure_where_one_of_them_surely_is_another() -> None:
    alone = pairs_with_margin(np.array([[0.30, 0.29]]))
    assert alone[0][1] == pytest.approx(0.01)
    both = pairs_with_margin(np.array([[0.30, 0.29], [-1.0, 0.40]]))
    assert {row: column for row, (column, _) in both.items()} == {0: 0, 1: 1}
    assert both[0][1] == pytest.approx(0.30) and both[1][1] == pytest.approx(0.40)


def test_two_who_could_change_places_are_unsure() -> None:
    pairs = pairs_with_margin(np.array([[0.30, 0.29], [0.30, 0.30]]))
    assert {row: column for row, (column, _) in pairs.items()} == {0: 0, 1: 1}
    assert pairs[0][1] == pytest.approx(0.01)


def test_groups_that_have_nothing_to_do_with_each_other_are_solved_apart() -> None:
    values = np.full((40, 40), -1.0)
    np.fill_diagonal(values, 0.5)
    pairs = pairs_with_margin(values)
    assert {row: column for row, (column, _) in pairs.items()} == {row: row for row in range(40)}
    assert [margin for _, margin in pairs.values()] == pytest.approx([0.5] * 40)
