"""Which detection belongs to which track: overlap, gates and the optimal assignment.

Knows boxes as float64 (n, 4) left, top, right, bottom. Does not know what a track is. The only file that
imports scipy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

F64 = NDArray[np.float64]
Boxes = NDArray[np.floating]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]


def iou_matrix(a_xyxy: F64, b_xyxy: F64) -> F64:
    """Intersection over union (n, m) of boxes (n, 4) with boxes (m, 4), each of positive size."""
    corner = np.minimum(a_xyxy[:, None, 2:], b_xyxy[:, 2:])
    corner -= np.maximum(a_xyxy[:, None, :2], b_xyxy[:, :2])
    np.maximum(corner, 0.0, out=corner)
    shared = corner[..., 0] * corner[..., 1]
    a_size, b_size = a_xyxy[:, 2:] - a_xyxy[:, :2], b_xyxy[:, 2:] - b_xyxy[:, :2]
    union = (a_size[:, 0] * a_size[:, 1])[:, None] + b_size[:, 0] * b_size[:, 1]
    union -= shared
    shared /= union
    return shared


def paired_iou(a_xyxy: Boxes, b_xyxy: Boxes) -> Boxes:
    """Intersection over union (n,) of each box of (n, 4) with the one of the same row, each of positive size."""
    corner = np.minimum(a_xyxy[:, 2:], b_xyxy[:, 2:]) - np.maximum(a_xyxy[:, :2], b_xyxy[:, :2])
    shared = np.maximum(corner, 0).prod(axis=1)
    union = (a_xyxy[:, 2:] - a_xyxy[:, :2]).prod(axis=1) + (b_xyxy[:, 2:] - b_xyxy[:, :2]).prod(axis=1)
    return np.asarray(shared / (union - shared))


def grown(boxes_xyxy: F64, share: float) -> F64:
    """Boxes (n, 4) made larger by a share of their width and height on each side."""
    margin = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]) * share
    return np.concatenate((boxes_xyxy[:, :2] - margin, boxes_xyxy[:, 2:] + margin), axis=1)


def gate_classes(
    overlap: F64, track_classes: NDArray[np.int32], class_ids: NDArray[np.int32], least: float
) -> None:
    """In place: a track may take a box of another class only where they overlap by at least `least`.

    A detector that calls one car a truck now and then draws nearly the same box; a rider and a horse do not.
    Of two such boxes the one of the track's own class wins, because the other's overlap counts for less.
    """
    other = track_classes[:, None] != class_ids
    if other.any():
        overlap[other & (overlap < least)] = 0.0
        overlap[other] *= 0.9


def shadowed_by(overlap: F64, scores: NDArray[np.float32], most: float) -> Rows:
    """(m,) for each box the better-scored one that it repeats, overlapping it by more than `most`; else -1.

    `overlap` is the (m, m) overlap of the boxes with each other. Greedy from the best score, as non-maximum
    suppression is, but across classes: a car that is also reported as a truck is one object.
    """
    winners = np.full(len(scores), -1)
    close = overlap > most
    if np.count_nonzero(close) == len(scores):
        return winners
    for i in np.argsort(-scores, kind="stable"):
        if winners[i] < 0:
            losers = close[i] & (winners < 0)
            losers[i] = False
            winners[losers] = i
    return winners


def likelihood(squared_distances: F64, gates: F64) -> F64:
    """(n, m) 1 for boxes where the track is expected, falling to 0 at the gate and beyond.

    `gates` are the tracks' (n, 1), or those of each pair (n, m).
    """
    near = 1.0 - squared_distances / gates
    return np.maximum(near, 0.0, out=near)


PAIR_WORTH = 0.2
"""What a pair counts for by itself, beside its similarity: `least` is a gate and not a price. Otherwise two boxes over
two tracks that cross would be given up for one that fits better, and the other track be lost."""


def assign(similarity: F64, least: float) -> tuple[Rows, Rows]:
    """Pairs (rows, columns) with the largest sum of similarity above `least` and `PAIR_WORTH`, each used at most once.

    Pairs not above `least` are never made, and never make a better pair impossible.
    """
    gain = np.where(similarity > least, similarity - least + PAIR_WORTH, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    made = gain[rows, columns] > 0.0
    return rows[made], columns[made]


class Pairs:
    """Pairs of tracks and boxes made so far in one frame; what is taken is out of later stages.

    row_of     intp (m,): the track's row for each box, -1 for none
    free_rows  bool (n,): tracks without a box
    """

    def __init__(self, track_count: int, usable: Bools) -> None:
        """`usable` (m,) marks the boxes that may be taken."""
        self.row_of = np.full(len(usable), -1)
        self.free_rows = np.ones(track_count, np.bool_)
        self._free_columns = usable.copy()

    def free(self, columns: Bools) -> tuple[Rows, Rows]:
        """Tracks without a box, and the boxes of a mask (m,) without a track."""
        return np.flatnonzero(self.free_rows), np.flatnonzero(self._free_columns & columns)

    def make(self, similarity: F64, rows: Bools, columns: Bools, least: float) -> None:
        """Pair what is still free among `rows` (n,) and `columns` (m,) by `similarity` (n, m)."""
        row_index = np.flatnonzero(self.free_rows & rows)
        column_index = np.flatnonzero(self._free_columns & columns)
        if len(row_index) and len(column_index):
            self.make_among(similarity[row_index[:, None], column_index], row_index, column_index, least)

    def make_among(self, similarity: F64, rows: Rows, columns: Rows, least: float) -> None:
        """Pair `rows` (a,) with `columns` (b,), all free, by `similarity` (a, b)."""
        chosen_rows, chosen_columns = assign(similarity, least)
        taken, columns = rows[chosen_rows], columns[chosen_columns]
        self.row_of[columns] = taken
        self.free_rows[taken] = False
        self._free_columns[columns] = False
