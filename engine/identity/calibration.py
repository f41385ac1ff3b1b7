"""How alike a network finds different people, learnt from those who are in one picture.

Cosines of one network mean nothing to another: on the crops of PETS09 OSNet gives different people .46 on average and
OMZ's network .25, and the same person .75 and .65. Measured from the mean of different people to 1, the same person
lies at .54 with either. So that is what a threshold is given in, and the mean is learnt where it is certain who is
different: two people in one picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.types import F32, I32

DIFFERENT_MEAN = 0.46
"""Assumed at first; that of a network that finds people alike, so that a mistake is to recognise too few."""
_WEIGHT = 20.0
"""Pairs that the first assumption counts for."""
_LONGEST = 20_000.0
"""Pairs after which older ones count less: light changes."""
_MOST_PEOPLE = 24


@dataclass
class Scale:
    """Where different people lie, and from where on two looks may be of one person.

    fixed  the threshold somebody has set; 0: learnt
    share  how far from the mean of different people towards 1 the threshold lies
    pairs, total  pairs of different people so far, older ones counting less, and the sum of their cosines
    """

    fixed: float
    share: float
    pairs: float = 0.0
    total: float = 0.0

    @property
    def different_mean(self) -> float:
        """Mean cosine of different people."""
        return (_WEIGHT * DIFFERENT_MEAN + self.total) / (_WEIGHT + self.pairs)

    @property
    def threshold(self) -> float:
        """Least cosine at which two looks may be of one person."""
        if self.fixed > 0:
            return self.fixed
        mean = min(max(self.different_mean, 0.0), 0.95)
        return mean + self.share * (1.0 - mean)

    def learn(self, looks: F32, class_ids: I32) -> None:
        """Looks (n, d) of objects in one picture: those of one class are different people."""
        looks, class_ids = looks[:_MOST_PEOPLE], class_ids[:_MOST_PEOPLE]
        first, second = np.triu_indices(len(looks), 1)
        same_class = class_ids[first] == class_ids[second]
        first, second = first[same_class], second[same_class]
        if not len(first):
            return
        cosines = np.einsum("nd,nd->n", looks[first], looks[second], dtype=np.float64)
        self.pairs += len(cosines)
        self.total += float(cosines.sum())
        if self.pairs > _LONGEST:
            self.total *= _LONGEST / self.pairs
            self.pairs = _LONGEST
