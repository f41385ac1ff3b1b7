"""Speed over the last second, and who moves fast.

Speed is the way over the last second as the crow flies, not the length of a trembling box's path: velocities, which are
relative to the scene, are added up as vectors, and set against the mean height of the box over the same second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.config.identity import EventsConfig
from engine.events.geometry import F64
from engine.events.happenings import Happening
from engine.events.sight import Sight
from engine.events.table import TrackTable
from engine.types import Bools, EventKind

WINDOW_S = 1.0
_SAMPLES = 17
_SPACING_S = WINDOW_S / (_SAMPLES - 1)
SLOWER = 0.8
"""Share of `fast_heights_s` below which a fast mover is none any more."""


class Speeds:
    """The speeds of one camera's tracks."""

    def __init__(self, settings: EventsConfig, table: TrackTable) -> None:
        self._settings = settings
        # The way of the track and the sum of its heights so far; and what they were at some moments of the last second.
        self._way = table.column(np.float64, 0.0, 3)
        self._times_s = table.column(np.float64, -np.inf, _SAMPLES)
        self._ways = table.column(np.float64, 0.0, _SAMPLES, 3)
        self._newest = table.column(np.intp, 0)
        self._fast_since_s = table.column(np.float64, np.inf)
        self._fast = table.column(np.bool_, 0)
        self._next_s = table.column(np.float64, np.inf)

    @property
    def wanted(self) -> bool:
        """Whether anything is to be reported."""
        return self._settings.fast_heights_s > 0.0 or self._settings.speed_every_s > 0.0

    def advance(self, sight: Sight) -> list[Happening]:
        """Speeds that are due, and those who have been fast for long enough."""
        if not self.wanted or not len(sight):
            return []
        speeds = self._measure(sight)
        found = []
        for place in np.flatnonzero(self._due(sight) & sight.general).tolist():
            found.append(sight.happening(EventKind.SPEED, place, value=float(speeds[place])))
        for place in np.flatnonzero(self._fast_now(sight, speeds) & sight.general).tolist():
            found.append(sight.happening(EventKind.FAST, place, value=float(speeds[place])))
        return found

    def _measure(self, sight: Sight) -> F64:
        """float64 (n,): heights a second, over the last second or what of it the track has been seen."""
        rows, now_s = sight.rows, sight.now_s
        self._times_s.data[rows[~sight.joined]] = -np.inf
        rates = np.concatenate((sight.velocities, sight.heights[:, None]), axis=1)
        self._way.data[rows] += np.where(sight.joined, sight.gap_s, 0.0)[:, None] * rates
        newest = self._newest.data[rows]
        due = now_s - self._times_s.data[rows, newest] >= _SPACING_S - 1e-9
        sampled, slots = rows[due], (newest[due] + 1) % _SAMPLES
        self._newest.data[sampled] = slots
        self._times_s.data[sampled, slots] = now_s
        self._ways.data[sampled, slots] = self._way.data[sampled]
        means = self._means(rows, now_s, rates)
        speeds: F64 = np.hypot(means[:, 0], means[:, 1]) / np.maximum(means[:, 2], 1.0)
        return speeds

    def _means(self, rows: NDArray[np.intp], now_s: float, rates: F64) -> F64:
        """float64 (n, 3): velocity and height, over the last second; those of this frame where there is none."""
        times_s = self._times_s.data[rows]
        since = np.argmin(np.where(times_s >= now_s - WINDOW_S - 1e-6, times_s, np.inf), axis=1)
        span_s = (now_s - times_s[np.arange(len(rows)), since])[:, None]
        enough = (span_s > 1e-6) & (span_s <= WINDOW_S + 1e-6)
        way = self._way.data[rows] - self._ways.data[rows, since]
        means: F64 = np.where(enough, way / np.where(enough, span_s, 1.0), rates)
        return means

    def _due(self, sight: Sight) -> Bools:
        every_s, rows = self._settings.speed_every_s, sight.rows
        if every_s <= 0.0:
            return np.zeros(len(rows), np.bool_)
        begun = np.isinf(self._next_s.data[rows])
        self._next_s.data[rows[begun]] = sight.now_s + every_s
        due: Bools = sight.now_s >= self._next_s.data[rows] - 1e-9
        self._next_s.data[rows[due]] = sight.now_s + every_s
        return due

    def _fast_now(self, sight: Sight, speeds: F64) -> Bools:
        """Who has just been fast for long enough; each once until it has been slow again."""
        least, rows = self._settings.fast_heights_s, sight.rows
        if least <= 0.0:
            return np.zeros(len(rows), np.bool_)
        over, under = speeds >= least, (speeds < SLOWER * least) | ~sight.joined
        since_s = np.where(under & ~over, np.inf, self._fast_since_s.data[rows])
        since_s = np.where(over & (np.isinf(since_s) | ~sight.joined), sight.now_s, since_s)
        was_fast = self._fast.data[rows] & ~under
        found: Bools = over & ~was_fast & (sight.now_s - since_s >= self._settings.fast_for_s - 1e-9)
        self._fast_since_s.data[rows] = since_s
        self._fast.data[rows] = was_fast | found
        return found
