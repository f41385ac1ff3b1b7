"""Which detection belongs to which track: overlap, gates and the optimal assignment.

Knows boxes as float64 (n, 4) left, top, right, bottom. Does not know what a track is. The only file that
imports scipy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

CHI2_95_4DOF = 9.4877
"""A measurement of four coordinates lies within this squared Mahalanobis distance 95 times in 100."""


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


def shadows(overlap: F64, scores: NDArray[np.float32], most: float) -> Bools:
    """Mask (m,) of boxes that say again what a better-scored box says: they overlap it by more than `most`.

    `overlap` is the (m, m) overlap of the boxes with each other. Greedy from the best score, as in NMS, but
    across classes: a car that is also reported as a truck is one object.
    """
    shadow = np.zeros(len(scores), np.bool_)
    close = overlap > most
    np.fill_diagonal(close, False)
    if not close.any():
        return shadow
    for i in np.argsort(-scores, kind="stable"):
        if not shadow[i]:
            shadow |= close[i]
    return shadow


def assign(similarity: F64, least: float) -> tuple[Rows, Rows]:
    """Pairs (rows, columns) that give the largest sum of similarity above `least`, each used at most once.

    Pairs not above `least` are never made, and never make a better pair impossible.
    """
    gain = similarity - least
    np.maximum(gain, 0.0, out=gain)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    made = gain[rows, columns] > 0.0
    return rows[made], columns[made]
