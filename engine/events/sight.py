"""The tracks that are seen in one frame, in pixels of that frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.events.geometry import F64
from engine.events.happenings import Happening
from engine.types import I32, I64, Bools, EventKind, Tracks, TrackState

HYSTERESIS_HEIGHTS = 0.1
"""Share of its box's height that an object must be beyond a line or an edge: boxes tremble with their size."""


@dataclass(frozen=True, slots=True)
class Sight:
    """n tracks, each once.

    rows        where the track is in the table
    points_xy   float64 (n, 2): its anchor, the middle of the lower edge of the box: where the feet are
    before_xy   the same when it was seen last, in pixels of this frame
    heights     float64 (n,): of the box
    velocities  float64 (n, 2): pixels a second, relative to the scene
    gap_s       float64 (n,): since it was seen last
    joined      whether the straight way from `before_xy` to `points_xy` is the way that it took
    general     whether it is of a class that events are about (`events.classes`)
    """

    rows: NDArray[np.intp]
    track_ids: I64
    gids: I64
    class_ids: I32
    points_xy: F64
    before_xy: F64
    heights: F64
    velocities: F64
    gap_s: F64
    joined: Bools
    general: Bools
    now_s: float
    size_wh: tuple[int, int]

    def __len__(self) -> int:
        return len(self.rows)

    def margins(self) -> F64:
        """Pixels by which each must be beyond a line or an edge."""
        margins: F64 = np.maximum(HYSTERESIS_HEIGHTS * self.heights, 1.0)
        return margins

    def happening(
        self, kind: EventKind, place: int, *, region: int = -1, value: float = 0.0, group: int = 0
    ) -> Happening:
        """An event of the object at this place of the arrays."""
        x, y = self.points_xy[place].tolist()
        return Happening(
            kind, (x, y), int(self.track_ids[place]), int(self.gids[place]), int(self.class_ids[place]),
            region, value, group,
        )  # fmt: skip


def worth_a_look(tracks: Tracks, classes: Bools | None) -> NDArray[np.intp]:
    """Which objects of a frame events may be about: confirmed, seen, with numbers that make sense; each ID once.

    classes  which class numbers are wanted, None: all
    """
    boxes = tracks.boxes_xyxy
    good = (tracks.states == TrackState.CONFIRMED) & (tracks.track_ids > 0)
    good &= np.isfinite(boxes).all(axis=1) & np.isfinite(tracks.velocities_xy).all(axis=1)
    good &= (boxes[:, 3] > boxes[:, 1]) & (boxes[:, 2] > boxes[:, 0])
    if classes is not None:
        good &= among(tracks.class_ids, classes)
    places = np.flatnonzero(good)
    _, first = np.unique(tracks.track_ids[places], return_index=True)
    return places[np.sort(first)]


def among(class_ids: I32, classes: Bools | None) -> Bools:
    """Whether each class is wanted; none that the model did not name is."""
    if classes is None:
        return np.ones(len(class_ids), np.bool_)
    named = (class_ids >= 0) & (class_ids < len(classes))
    wanted: Bools = named & classes[np.where(named, class_ids, 0)] if len(classes) else named
    return wanted


def class_mask(names: tuple[str, ...], labels: tuple[str, ...]) -> Bools | None:
    """bool (labels,): which labels are named; None where no name is, which means all."""
    return np.array([label in names for label in labels], np.bool_) if names else None
