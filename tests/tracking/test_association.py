"""Overlap, class gate, shadows and assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.tracking.association import (
    F64,
    PAIR_WORTH,
    Pairs,
    assign,
    gate_classes,
    iou_matrix,
    likelihood,
    shadowed_by,
)


def test_iou_of_known_boxes() -> None:
    a = np.array([[0.0, 0, 10, 10], [20, 20, 30, 40]])
    b = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(iou_matrix(a, b), np.array([[1, 1 / 3, 0, 0], [0, 0, 0, 0.5]]))
    assert iou_matrix(a, np.empty((0, 4))).shape == (2, 0)


def test_another_class_needs_more_overlap_and_counts_for_less() -> None:
    overlap = np.array([[0.8, 0.8, 0.6, 0.6]])
    gate_classes(overlap, np.array([2], np.int32), np.array([2, 7, 2, 7], np.int32), 0.7)
    np.testing.assert_allclose(overlap, [[0.8, 0.72, 0.6, 0]])


def test_shadows_follow_the_best_score() -> None:
    overlap = np.array([[1, 0.9, 0.7], [0.9, 1, 0.9], [0.7, 0.9, 1]])
    assert shadowed_by(overlap, np.array([0.9, 0.5, 0.4], np.float32), 0.8).tolist() == [-1, 0, -1]
    assert shadowed_by(overlap, np.array([0.5, 0.9, 0.4], np.float32), 0.8).tolist() == [1, -1, 1]
    assert shadowed_by(overlap, np.array([0.5, 0.9, 0.4], np.float32), 0.95).tolist() == [-1, -1, -1]


def test_likelihood_ends_at_the_gate() -> None:
    near = likelihood(np.array([[0.0, 5.0, 20.0], [0.0, 5.0, 20.0]]), np.array([[10.0], [2.0]]))
    np.testing.assert_allclose(near, np.array([[1, 0.5, 0], [1, 0, 0]]))


def test_a_forbidden_pair_does_not_displace_a_good_one() -> None:
    """Minimising the total cost over all rows would pair 0-1 and 1-0, and then lose both at the gate."""
    similarity = np.array([[0.9, 0.5], [0.5, 0.0]])
    rows, columns = assign(similarity, 0.6)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0)]


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 1)),
    st.floats(0, 1),
)
def test_assignment_is_the_best_of_all(similarity: F64, least: float) -> None:
    rows, columns = assign(similarity, least)
    assert len(set(rows.tolist())) == len(rows)
    assert len(set(columns.tolist())) == len(columns)
    assert (similarity[rows, columns] > least).all()
    wide = np.zeros((4, 8))
    worth = np.where(similarity > least, similarity - least + PAIR_WORTH, 0)
    wide[: similarity.shape[0], : similarity.shape[1]] = worth
    best = max(wide[np.arange(4), list(order)].sum() for order in itertools.permutations(range(8), 4))
    assert worth[rows, columns].sum() == pytest.approx(best)


def test_two_pairs_are_made_rather_than_one_better_one() -> None:
    """Two tracks that cross: the nearer box for the one must not leave the other without."""
    similarity = np.array([[0.8, 0.5], [0.45, 0.1]])
    rows, columns = assign(similarity, 0.3)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_what_is_taken_is_out_of_later_stages() -> None:
    pairs = Pairs(2, np.array([True, True, False]))
    everything = np.ones((2, 3))
    pairs.make(everything, np.array([True, False]), np.array([True, False, True]), 0.1)
    assert pairs.row_of.tolist() == [0, -1, -1]
    pairs.make(everything, np.array([True, True]), np.array([True, True, True]), 0.1)
    assert pairs.row_of.tolist() == [0, 1, -1]
    assert not pairs.free_rows.any()
