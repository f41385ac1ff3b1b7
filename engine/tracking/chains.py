"""Boxes followed from frame to frame by overlap alone, before any tracker has seen them; for `engine.tracking.demand`.

Chains are short and cheap, and they may be wrong: what hangs on them is whether somebody looks more closely. Boxes are
float64 (n, 4) left, top, right, bottom, each of positive size.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(slots=True)
class Chains:
    """Boxes followed so far, as parallel arrays in the order of their birth.

    boxes_xyxy  (n, 4) last box
    steps_xy    (n, 2) how far its centre went in the last frame it was seen twice in a row
    unseen      (n,) frames since that box
    since_look  (n,) frames since the last look
    owed        (n,) looks that are due for the reason in `owed_need`
    """

    boxes_xyxy: F64
    steps_xy: F64
    unseen: I64
    since_look: I64
    owed: I64
    owed_need: I64

    @classmethod
    def begin(cls, boxes_xyxy: F64, looks: int, need: int) -> Chains:
        """New ones at these boxes, with so many looks due for this reason."""
        count = len(boxes_xyxy)
        zeros, twos = np.zeros(count, np.int64), np.zeros((count, 2))
        return cls(boxes_xyxy, twos, zeros, zeros.copy(), np.full(count, looks), np.full(count, need))

    def __len__(self) -> int:
        return len(self.unseen)

    def age(self) -> None:
        """A frame has come."""
        self.unseen += 1
        self.since_look += 1

    def overlap_with(self, boxes_xyxy: F64) -> F64:
        """(n, m) overlap with boxes, where the chains were or would be had they gone on: the larger."""
        ahead = self.boxes_xyxy + np.tile(self.steps_xy * self.unseen[:, None], 2)
        return np.maximum(overlap_of(self.boxes_xyxy, boxes_xyxy), overlap_of(ahead, boxes_xyxy))

    def go_on(self, rows: Rows, boxes_xyxy: F64) -> None:
        """These chains take these boxes."""
        moved = (boxes_xyxy - self.boxes_xyxy[rows]).reshape(-1, 2, 2).mean(axis=1)
        self.steps_xy[rows] = moved / self.unseen[rows, None]
        self.boxes_xyxy[rows] = boxes_xyxy
        self.unseen[rows] = 0

    def followed_by(self, others: Chains, kept: Bools) -> Chains:
        """Those of a mask, and others behind them."""
        both = ((getattr(self, each.name)[kept], getattr(others, each.name)) for each in fields(self))
        return Chains(*map(np.concatenate, both))


def overlap_of(a_xyxy: F64, b_xyxy: F64) -> F64:
    """Intersection over union (n, m) of boxes (n, 4) with boxes (m, 4), each of positive size."""
    shared = _shared(a_xyxy, b_xyxy)
    return shared / (_areas(a_xyxy)[:, None] + _areas(b_xyxy) - shared)


def _shared(a_xyxy: F64, b_xyxy: F64) -> F64:
    """Area (n, m) that boxes have in common."""
    sides = np.minimum(a_xyxy[:, None, 2:], b_xyxy[:, 2:]) - np.maximum(a_xyxy[:, None, :2], b_xyxy[:, :2])
    np.maximum(sides, 0.0, out=sides)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _areas(boxes_xyxy: F64) -> F64:
    return np.asarray((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1))


def covered_shares(boxes_xyxy: F64) -> F64:
    """(m,) the largest share of each box that one other box lies on."""
    shared = _shared(boxes_xyxy, boxes_xyxy)
    np.fill_diagonal(shared, 0.0)
    return np.asarray(shared.max(axis=0, initial=0.0) / _areas(boxes_xyxy))


def pair(overlap: F64, least: float) -> Rows:
    """(m,) the chain of each box, -1 for none: pairs that are best for both, again and again among what is left."""
    chain_of = np.full(overlap.shape[1], -1)
    left = np.where(overlap >= least, overlap, 0.0)
    while left.size and left.max() > 0.0:
        best_box = left.argmax(axis=1)
        chains = np.flatnonzero(left.max(axis=1) > 0.0)
        chains = chains[left.argmax(axis=0)[best_box[chains]] == chains]
        boxes = best_box[chains]
        chain_of[boxes] = chains
        left[chains] = 0.0
        left[:, boxes] = 0.0
    return chain_of


def regret_of(overlap: F64, chain_of: Rows, plausible: float) -> F64:
    """(m,) by how much overlap the next best pairing is worse: two boxes that change chains, a chain that is without a
    box and takes this one, or a box without a chain that takes its place. Infinite where nothing else is plausible."""
    regret = np.full(len(chain_of), np.inf)
    boxes = np.flatnonzero(chain_of >= 0)
    if not len(boxes):
        return regret
    possible = np.where(overlap >= plausible, overlap, 0.0)
    chains = chain_of[boxes]
    among = possible[np.ix_(chains, boxes)]
    own = among.diagonal().copy()
    crossed = among + among.T
    np.fill_diagonal(crossed, 0.0)
    swapped = np.where(crossed > 0.0, own[:, None] + own - crossed, np.inf).min(axis=1)
    free_chain = np.ones(len(overlap), np.bool_)
    free_chain[chains] = False
    other_chain = possible[free_chain][:, boxes].max(axis=0, initial=0.0)
    other_box = possible[chains][:, chain_of < 0].max(axis=1, initial=0.0)
    rival = np.maximum(other_chain, other_box)
    regret[boxes] = np.minimum(swapped, np.where(rival > 0.0, own - rival, np.inf))
    return regret
