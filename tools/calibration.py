"""Ranges for eight-bit numbers: what values occur, and which range of them loses least.

A range is chosen by the mean square error that rounding to 256 steps and clipping leave, seen through the function
that follows: what SiLU flattens needs no steps. Knows histograms; neither graphs nor pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.types import F32

F64 = NDArray[np.float64]
Function = Callable[[F64], F64]

_BINS = 8192
_STEPS = 255
_SHRINK = np.geomspace(1.0, 0.02, 80)
"""Shares of the full range that are tried as its bounds."""


def identity(values: F64) -> F64:
    """Nothing follows that changes what matters."""
    return values


def silu(values: F64) -> F64:
    """x / (1 + e^-x)."""
    flattened: F64 = values / (1 + np.exp(-np.clip(values, -60, 60)))
    return flattened


def relu(values: F64) -> F64:
    """Negative values become 0."""
    return np.maximum(values, 0)


@dataclass(slots=True)
class Histogram:
    """How often values occur in [-limit, limit]; the limit doubles as larger ones come."""

    limit: float = 1.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    lowest: float = 0.0
    highest: float = 0.0

    def add(self, values: F32) -> None:
        """Count values; those that are no numbers are left out."""
        finite = values[np.isfinite(values)]
        if not finite.size:
            return
        self.lowest = min(self.lowest, float(finite.min()))
        self.highest = max(self.highest, float(finite.max()))
        while max(-self.lowest, self.highest) > self.limit:
            self._double()
        scaled = (finite + np.float32(self.limit)) * np.float32(_BINS / (2 * self.limit))
        bins = np.minimum(scaled.astype(np.int32), _BINS - 1)
        self.counts += np.bincount(bins, minlength=_BINS)

    def _double(self) -> None:
        """Every two bins become one in the middle half."""
        quarter = _BINS // 4
        merged = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.zeros(_BINS, np.int64)
        self.counts[quarter : quarter + len(merged)] = merged
        self.limit *= 2

    def best_range(self, through: Function = identity) -> tuple[float, float]:
        """(lowest, highest) for 256 steps, 0 among them, with the least square error after `through`."""
        occupied = np.flatnonzero(self.counts)
        centres = np.asarray(((occupied + 0.5) * (2 / _BINS) - 1) * self.limit, np.float64)
        weights, wanted = self.counts[occupied].astype(np.float64), through(centres)

        def loss(low: float, high: float) -> float:
            step = (high - low) / _STEPS
            if step <= 0:
                return float("inf")
            zero = np.round(-low / step)
            levels = np.clip(np.round(centres / step) + zero, 0, _STEPS)
            error = through((levels - zero) * step) - wanted
            return float((weights * error * error).sum())

        low, high = self.lowest, self.highest
        # One bound after the other; the second round sees the other bound where it will be.
        for _ in range(2):
            low = min((loss(self.lowest * share, high), self.lowest * share) for share in _SHRINK)[1]
            high = min((loss(low, self.highest * share), self.highest * share) for share in _SHRINK)[1]
        return low, high


def channel_scales(weight: F32, levels: int, least: F32 | None = None) -> F32:
    """Scale of each output channel (the first axis) for symmetric integers in ±levels, by least square error.

    Coarser scales than the plain one are tried as well as finer ones: weights that lie on a grid already, as those
    of a model that was quantised before, are met exactly. `least` bounds each scale from below.
    """
    channels = weight.reshape(len(weight), -1).astype(np.float64)
    largest = np.maximum(np.abs(channels).max(axis=1), 1e-12)
    shares = np.concatenate([1 / np.arange(levels, levels // 2, -1), np.linspace(0.99, 0.6, 14) / levels])
    scales, least = largest / levels, np.full(len(channels), np.inf)
    for share in shares:
        tried = (largest * share)[:, None]
        error = ((np.clip(np.round(channels / tried), -levels, levels) * tried - channels) ** 2).sum(axis=1)
        better = error < least
        least[better], scales[better] = error[better], tried[better, 0]
    found: F32 = scales.astype(np.float32)
    return found if least is None else np.maximum(found, least)
