"""What tracks look like, from the embeddings of some of their sightings, and how much boxes look like them.

Knows unit vectors and their cosines. Does not know where anything is, nor which network the vectors come from: the
scale of likeness is learnt from the vectors themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.tracking.found import Found
from engine.tracking.track_table import TrackTable
from engine.types import Bools

F64 = NDArray[np.float64]
Rows = NDArray[np.intp]

KEPT = 0.9
"""Share of what is known of a track that a sure new sighting leaves standing (BoT-SORT's alpha)."""
SAME_PERSON = 3.4
"""By how many deviations of strangers' cosines the same person is more alike than strangers, on average."""
PRIOR_MEAN, PRIOR_DEVIATION, PRIOR_PAIRS = 0.4, 0.12, 30.0
"""What is thought of strangers before any were seen, and how many seen pairs outweigh it."""
MOST_PAIRS = 5000.0
"""Older pairs fade beyond this, so that the scale follows the light and the time of year."""
LEAST_DEVIATION = 0.03
SHORTEST_SUM = 1e-3
APART = 0.05
"""Two boxes that overlap by less are two people."""


class Strangers:
    """How much alike two different people look to the network in use, learnt from boxes of one frame.

    Two boxes of a frame that lie apart are two people, so every frame with looks shows what no likeness means.
    Cosines of one network say little about another's: of people in one frame OSNet x0.25 gives 0.46 ± 0.09, OMZ 0248
    0.25 ± 0.13. Counted in such deviations both give the same person 3.4 more than strangers, and that is 1 here.
    """

    def __init__(self) -> None:
        self._pairs = PRIOR_PAIRS
        self._sum = PRIOR_PAIRS * PRIOR_MEAN
        self._squares = PRIOR_PAIRS * (PRIOR_MEAN**2 + PRIOR_DEVIATION**2)

    @property
    def mean(self) -> float:
        """Mean cosine of two people."""
        return self._sum / self._pairs

    @property
    def deviation(self) -> float:
        """Standard deviation of that cosine."""
        variance = self._squares / self._pairs - self.mean**2
        return float(np.sqrt(max(variance, LEAST_DEVIATION**2)))

    def learn(self, cosines: F64) -> None:
        """Take in cosines (k,) of pairs known to be of two people."""
        if not len(cosines):
            return
        pairs = self._pairs + len(cosines)
        fading = min(1.0, MOST_PAIRS / pairs)
        self._pairs = pairs * fading
        self._sum = (self._sum + float(cosines.sum())) * fading
        self._squares = (self._squares + float((cosines**2).sum())) * fading

    def likeness(self, cosines: F64) -> F64:
        """0 where two look as different as strangers do on average, 1 as the same person does; clipped to that."""
        return np.clip((cosines - self.mean) / (self.deviation * SAME_PERSON), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much boxes look like tracks. `degree` float64 (n, m) 0..1, `known` bool (n, m): both were looked at."""

    degree: F64
    known: Bools

    def shift(self, similarity: F64, weight: float) -> F64:
        """Similarity (n, m) of places, raised where looks agree and lowered where they do not, where it is not 0."""
        shifted = similarity + weight * (self.degree - 0.5)
        return np.where(self.known & (similarity > 0), shifted, similarity)

    def among(self, rows: Rows, columns: Rows) -> Likeness:
        """Of some tracks and boxes."""
        picked = rows[:, None], columns
        return Likeness(self.degree[picked], self.known[picked])


class Appearance:
    """Compares boxes with tracks and keeps what tracks look like. One per tracker."""

    def __init__(self) -> None:
        self.strangers = Strangers()

    def compare(self, tracks: TrackTable, found: Found) -> Likeness | None:
        """None where nothing can be said because nobody looked."""
        if found.looks is None or not len(tracks) or tracks.looks.shape[1] != found.looks.shape[1]:
            return None
        known = (tracks.sightings > 0)[:, None] & found.looked
        if not known.any():
            return None
        return Likeness(self.strangers.likeness((tracks.looks @ found.looks.T).astype(np.float64)), known)

    def learn(self, found: Found, least_score: float) -> None:
        """Learn from sure boxes that lie apart how strangers look."""
        if found.looks is None:
            return
        sure = np.flatnonzero(found.clear & (found.winners < 0) & (found.scores >= least_score))
        if len(sure) < 2:
            return
        two = np.triu(found.overlap[sure[:, None], sure] < APART, 1)
        two &= found.class_ids[sure][:, None] == found.class_ids[sure]
        self.strangers.learn((found.looks[sure] @ found.looks[sure].T)[two].astype(np.float64))

    def remember(self, tracks: TrackTable, rows: Rows, found: Found, columns: Rows) -> None:
        """Take the looks of boxes `columns` (k,), as far as somebody looked, into those of tracks `rows` (k,).

        A mean over the first sightings, from the tenth on a moving one; unsure boxes, which are often half hidden,
        count less. Vectors of another length come from another network: all that was known is forgotten.
        """
        if found.looks is None:
            return
        if tracks.looks.shape[1] != found.looks.shape[1]:
            tracks.forget_looks(found.looks.shape[1])
            self.strangers = Strangers()
        clear = found.clear[columns]
        rows, columns = rows[clear], columns[clear]
        if not len(rows):
            return
        before = tracks.sightings[rows]
        share = np.where(before, np.maximum(1 - KEPT, 1 / (before + 1.0)) * found.scores[columns], 1.0)[
            :, None
        ]
        mixed = tracks.looks[rows] * (1 - share) + found.looks[columns] * share
        lengths = np.linalg.norm(mixed, axis=1)
        usable = lengths > SHORTEST_SUM
        tracks.looks[rows[usable]] = (mixed[usable] / lengths[usable, None]).astype(np.float32)
        tracks.sightings[rows[usable]] += 1
