"""CLEAR MOT and identity measures by `motmetrics`. The only file that imports it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.types import I64

F64 = NDArray[np.float64]

_METRICS = ("num_objects", "num_misses", "num_false_positives", "num_switches", "idtp", "idfp", "idfn")
LEAST_OVERLAP = 0.5


@dataclass(frozen=True, slots=True)
class Clear:
    """Counts from which MOTA (Bernardin and Stiefelhagen, 2008) and IDF1 (Ristani et al., 2016) follow.

    Counts of several sequences add up.
    """

    objects: int
    misses: int
    false_positives: int
    switches: int
    id_true_positives: int
    id_false_positives: int
    id_misses: int

    @property
    def mota(self) -> float:
        """1 - (misses + false positives + switches) / objects."""
        return 1 - (self.misses + self.false_positives + self.switches) / self.objects

    @property
    def idf1(self) -> float:
        """Boxes under the right identity, over the mean number of true and given boxes."""
        both = 2 * self.id_true_positives
        return both / (both + self.id_false_positives + self.id_misses)

    def __add__(self, other: Clear) -> Clear:
        both = zip(astuple(self), astuple(other), strict=True)
        return Clear(*(one + another for one, another in both))


def clear_of(frames: Iterable[tuple[I64, I64, F64]]) -> Clear:
    """Counts over frames of (true IDs (n,), given IDs (m,), overlaps (n, m)). There has to be a true box.

    Raises `ConfigError` where `motmetrics` is not installed.
    """
    try:
        import motmetrics
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is missing: pip install 'camring[eval]'") from error
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for truth_ids, ids, overlaps in frames:
        distances = np.where(overlaps < LEAST_OVERLAP, np.nan, 1 - overlaps)
        accumulator.update(truth_ids.tolist(), ids.tolist(), distances)
    summary = motmetrics.metrics.create().compute(accumulator, metrics=list(_METRICS), name="it").iloc[0]
    return Clear(*(int(summary[name]) for name in _METRICS))
