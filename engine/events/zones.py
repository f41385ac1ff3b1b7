"""Zones entered, left and dwelled in, and how many objects are in each.

Edges have hysteresis: who is out must be clearly in to be in, and who is in must be clearly out to be out. Where a zone
reaches the edge of the picture it has none: whoever's feet are below the picture is still in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.config.regions import Zone, area_of
from engine.events.counters import ZoneCount
from engine.events.geometry import F64, Pieces, distances, inside
from engine.events.happenings import Happening
from engine.events.sight import Sight, among, class_mask
from engine.events.table import Column, TrackTable
from engine.types import Bools, EventKind

_INTO_PICTURE = 1e-6
"""How far inside of the picture's edge an anchor is taken to be that is beyond it, as a share of the picture."""


class _Outlines:
    """The zones in pixels of one size of the picture.

    real      bool (m,): pieces that do not run along the edge of the picture
    shallow   float64 (zones,): how deep in is deep enough for zones too narrow for an object's own margin
    middles   where to point at for the zone as a whole
    """

    def __init__(self, zones: Sequence[Zone], size_wh: tuple[int, int]) -> None:
        relative = Pieces([np.array(zone.polygon, np.float64) for zone in zones], closed=True)
        along_edge = (relative.starts == relative.ends) & np.isin(relative.starts, (0.0, 1.0))
        self.real: Bools = ~along_edge.any(axis=1)
        self.pieces = Pieces([np.array(zone.polygon, np.float64) * size_wh for zone in zones], closed=True)
        around = np.add.reduceat(self.pieces.lengths(), self.pieces.first)
        areas = np.array([abs(area_of(zone.polygon)) for zone in zones]) * size_wh[0] * size_wh[1]
        self.shallow: F64 = areas / (2.0 * around)
        means = [np.mean(zone.polygon, axis=0) * size_wh for zone in zones]
        self.middles = [(float(x), float(y)) for x, y in means]


class ZoneVisits:
    """The zones of one camera; `counts` are brought up to date by whoever counts the events."""

    def __init__(self, zones: Sequence[Zone], table: TrackTable, counts: list[ZoneCount]) -> None:
        self._zones = zones
        self._counts = counts
        self._in = table.column(np.bool_, 0, len(zones))
        self._since_s = table.column(np.float64, 0.0, len(zones))
        self._dwelled = table.column(np.bool_, 0, len(zones))
        self._dwell_s = np.array([zone.dwell_s or np.inf for zone in zones])
        self._classes: list[Bools | None] = [None] * len(zones)
        self._size_wh = (0, 0)
        self._outlines: _Outlines | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it keeps of each track."""
        return self._in, self._since_s, self._dwelled

    def go_on_from(self, before: ZoneVisits) -> None:
        """Other zones were there before; what is known of tracks and zones that are the same goes on."""
        for place, zone in enumerate(self._zones):
            if zone in before._zones:
                was = list(before._zones).index(zone)
                for column, old in zip(self.columns, before.columns, strict=True):
                    column.data[:, place] = old.data[:, was]

    def set_labels(self, labels: tuple[str, ...]) -> None:
        """The names of the classes are known."""
        self._classes = [class_mask(zone.classes, labels) for zone in self._zones]

    def advance(self, sight: Sight) -> list[Happening]:
        """Entered, left, dwelled, as seen in this frame."""
        if not self._zones or not len(sight):
            return []
        outlines = self._outlines_for(sight.size_wh)
        size = np.array(sight.size_wh)
        points = np.clip(sight.points_xy, _INTO_PICTURE * size, (1.0 - _INTO_PICTURE) * size)
        margins = sight.margins()[:, None]
        found: list[Happening] = []
        for part in outlines.pieces.parts(len(sight)):
            within = inside(points[part], outlines.pieces)
            depth = distances(points[part], outlines.pieces, outlines.real)
            enters = within & (depth >= np.minimum(margins[part], outlines.shallow))
            leaves = ~within & (depth >= margins[part])
            found += self._step(sight, part, enters, leaves)
        return found

    def _step(self, sight: Sight, part: slice, enters: Bools, leaves: Bools) -> list[Happening]:
        rows, now_s = sight.rows[part], sight.now_s
        was_in, since_s = self._in.data[rows], self._since_s.data[rows]
        enters &= ~was_in & self._wanted(sight, part)
        leaves &= was_in
        since_s = np.where(enters, now_s, since_s)
        spent_s = now_s - since_s
        is_in = (was_in | enters) & ~leaves
        dwelled = self._dwelled.data[rows] & is_in
        dwells = is_in & ~dwelled & (spent_s >= self._dwell_s)
        self._in.data[rows], self._since_s.data[rows] = is_in, since_s
        self._dwelled.data[rows] = dwelled | dwells
        return [
            sight.happening(
                kind,
                part.start + int(place),
                region=int(region),
                value=0.0 if kind == EventKind.ENTERED else float(spent_s[place, region]),
            )
            for kind, which in (
                (EventKind.ENTERED, enters),
                (EventKind.EXITED, leaves),
                (EventKind.DWELLED, dwells),
            )
            for place, region in zip(*np.nonzero(which), strict=True)
        ]

    def _wanted(self, sight: Sight, part: slice) -> Bools:
        columns = [
            sight.general[part] if classes is None else among(sight.class_ids[part], classes)
            for classes in self._classes
        ]
        return np.stack(columns, axis=1)

    def visits_of(self, row: int) -> list[tuple[int, float]]:
        """The zones that a track is in, and since when."""
        zones = np.flatnonzero(self._in.data[row]).tolist()
        return [(zone, float(self._since_s.data[row, zone])) for zone in zones]

    def changed_counts(self, size_wh: tuple[int, int]) -> list[Happening]:
        """The zones in which there are more or fewer than was told last."""
        found = []
        for region, count in enumerate(self._counts):
            if count.present != count.told:
                count.told = count.present
                point_xy = self._outlines_for(size_wh).middles[region]
                found.append(Happening(EventKind.COUNT, point_xy, region=region, value=float(count.present)))
        return found

    def _outlines_for(self, size_wh: tuple[int, int]) -> _Outlines:
        if self._outlines is None or size_wh != self._size_wh:
            self._size_wh = size_wh
            self._outlines = _Outlines(self._zones, size_wh)
        return self._outlines
