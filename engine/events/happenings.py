"""Events of one frame before they are arrays, and their order: what is missed least goes last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.types import EventKind, Events

IMPORTANCE = (
    EventKind.CROSSED, EventKind.ENTERED, EventKind.EXITED, EventKind.DWELLED, EventKind.FAST, EventKind.GROUPED,
    EventKind.UNGROUPED, EventKind.COUNT, EventKind.APPEARED, EventKind.LEFT, EventKind.SPEED,
)  # fmt: skip
"""The order in which events of a frame stand in its record; where that is full, the last ones are left out."""
_RANK = {kind: rank for rank, kind in enumerate(IMPORTANCE)}


class Happening(NamedTuple):
    """One event; see `engine.types.Events` for the meaning of its parts."""

    kind: EventKind
    point_xy: tuple[float, float]
    track_id: int = 0
    gid: int = 0
    class_id: int = -1
    region: int = -1
    value: float = 0.0
    group: int = 0


def as_events(happenings: Sequence[Happening]) -> Events:
    """The same as arrays, the most important first; the order is the same however they were found."""
    if not happenings:
        return Events.empty()
    ordered = sorted(happenings, key=lambda one: (_RANK[one.kind], one.group, one.region, one.track_id))
    return Events(
        track_ids=np.array([one.track_id for one in ordered], np.int64),
        gids=np.array([one.gid for one in ordered], np.int64),
        groups=np.array([one.group for one in ordered], np.int64),
        kinds=np.array([one.kind for one in ordered], np.int32),
        regions=np.array([one.region for one in ordered], np.int32),
        class_ids=np.array([one.class_id for one in ordered], np.int32),
        values=np.array([one.value for one in ordered], np.float32),
        points_xy=np.array([one.point_xy for one in ordered], np.float32).reshape(len(ordered), 2),
    )
