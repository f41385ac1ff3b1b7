"""Lines crossed: the way of an object's anchor from sighting to sighting against each line's own pieces.

An object counts when it has been seen clearly off the line, and then is seen clearly off it again after its way has led
through: trembling on the line, touching it and turning back make nothing, and what walks round its end has not crossed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.config.regions import Line
from engine.events.geometry import Pieces, crossings, distances
from engine.events.happenings import Happening
from engine.events.sight import Sight, among, class_mask
from engine.events.table import Column, TrackTable
from engine.types import I64, Bools, EventKind

_OFF_ANY_GRID = (3.1e-5, 2.7e-5)
"""Pixels that anchors are moved by, so that none lies exactly on a line that was drawn to whole numbers."""


class LineCrossings:
    """The lines of one camera."""

    def __init__(self, lines: Sequence[Line], table: TrackTable) -> None:
        self._lines = lines
        # Seen clearly off the line; since then: ways through it, left to right less right to left.
        self._armed = table.column(np.bool_, 0, len(lines))
        self._net = table.column(np.int8, 0, len(lines))
        self._classes: list[Bools | None] = [None] * len(lines)
        self._size_wh = (0, 0)
        self._pieces: Pieces | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it keeps of each track."""
        return self._armed, self._net

    def go_on_from(self, before: LineCrossings) -> None:
        """Other lines were there before; what is known of tracks and lines that are the same goes on."""
        for place, line in enumerate(self._lines):
            if line in before._lines:
                was = list(before._lines).index(line)
                for column, old in zip(self.columns, before.columns, strict=True):
                    column.data[:, place] = old.data[:, was]

    def set_labels(self, labels: tuple[str, ...]) -> None:
        """The names of the classes are known."""
        self._classes = [class_mask(line.classes, labels) for line in self._lines]

    def advance(self, sight: Sight) -> list[Happening]:
        """Lines crossed up to this frame."""
        if not self._lines or not len(sight):
            return []
        pieces = self._pieces_for(sight.size_wh)
        found = []
        margins = sight.margins()
        points = sight.points_xy + _OFF_ANY_GRID
        before = sight.before_xy + _OFF_ANY_GRID
        for part in pieces.parts(len(sight)):
            net = crossings(before[part], points[part], pieces)
            clear = distances(points[part], pieces) >= margins[part, None]
            signs = self._step(sight, part, net, clear)
            for place, region in zip(*np.nonzero(signs), strict=True):
                found.append(
                    sight.happening(
                        EventKind.CROSSED,
                        part.start + int(place),
                        region=int(region),
                        value=float(signs[place, region]),
                    )
                )
        return found

    def _step(self, sight: Sight, part: slice, net: I64, clear: Bools) -> I64:
        """(n, lines): +1 or -1 where somebody has crossed."""
        rows, joined = sight.rows[part], sight.joined[part, None]
        armed = self._armed.data[rows] & joined
        total = np.where(armed, self._net.data[rows] + net, 0)
        wanted = np.stack(
            [
                sight.general[part] if classes is None else among(sight.class_ids[part], classes)
                for classes in self._classes
            ],
            axis=1,
        )
        signs: I64 = np.where(clear & wanted, np.sign(total), 0)
        self._armed.data[rows] = armed | clear
        self._net.data[rows] = np.where(clear, 0, np.clip(total, -100, 100))
        return signs

    def _pieces_for(self, size_wh: tuple[int, int]) -> Pieces:
        if self._pieces is None or size_wh != self._size_wh:
            self._size_wh = size_wh
            self._pieces = Pieces(
                [np.array(line.points, np.float64) * size_wh for line in self._lines], closed=False
            )
        return self._pieces
