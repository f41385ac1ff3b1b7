"""Groups: objects that have stayed close to each other for a while.

Closeness is kept pair by pair, so that who passes a group by is never in it: only pairs that have been close for
`group_for_s` count, and what hangs together by such pairs is a group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.config.identity import EventsConfig
from engine.events.geometry import F64
from engine.events.happenings import Happening
from engine.events.sight import Sight
from engine.events.table import TrackTable
from engine.types import Bools, EventKind

LOOK_EVERY_S = 0.2
APART_FACTOR = 1.25
"""Who is close stays so up to this much more distance."""
GRACE_S = 1.0
"""How long a pair that is not seen close is still taken to be."""
TALLEST_TO_SMALLEST = 2.0
"""Boxes that differ in height by more are at different distances from the camera, however close they look."""
MEMBERS_TOLD = 64
"""Members of one group that get a row of their own."""

Rows = NDArray[np.intp]


@dataclass
class _Group:
    number: int
    members: frozenset[int]
    since_s: float
    point_xy: tuple[float, float]


class Groups:
    """The groups before one camera."""

    def __init__(self, settings: EventsConfig, table: TrackTable, first_number: int = 1) -> None:
        self._settings = settings
        self._table = table
        self._next_look_s = 0.0
        # Pairs of rows of the table, the smaller one first, in one number; and since when, and when last, close.
        self._pairs: NDArray[np.int64] = np.empty(0, np.int64)
        self._since_s: F64 = np.empty(0)
        self._last_s: F64 = np.empty(0)
        self._groups: list[_Group] = []
        self.next_number = first_number

    def __len__(self) -> int:
        return len(self._groups)

    def forget(self, row: int) -> None:
        """A track is gone, and its row may be another's."""
        if len(self._pairs):
            self._keep((self._pairs >> 32 != row) & (self._pairs & 0xFFFFFFFF != row))

    def advance(self, sight: Sight, usual_s: float) -> list[Happening]:
        """Groups that have formed or come apart; looked for five times a second.

        usual_s  time from frame to frame
        """
        if self._settings.group_size < 2 or sight.now_s < self._next_look_s - 1e-9:
            return []
        self._next_look_s = sight.now_s + LOOK_EVERY_S
        self._update_pairs(sight, max(GRACE_S, 2.5 * usual_s))
        lasting = self._pairs[sight.now_s - self._since_s >= self._settings.group_for_s - 1e-9]
        found = [
            members
            for members in connected(lasting >> 32, lasting & 0xFFFFFFFF)
            if len(members) >= max(2, self._settings.group_size)
        ]
        return self._compare([frozenset(self._table.ids_of(rows)) for rows in found], sight)

    def _keep(self, kept: Bools) -> None:
        self._pairs, self._since_s, self._last_s = self._pairs[kept], self._since_s[kept], self._last_s[kept]

    def _update_pairs(self, sight: Sight, grace_s: float) -> None:
        now_s = sight.now_s
        self._keep(now_s - self._last_s <= grace_s)
        places = np.flatnonzero(sight.general)
        first, second, apart = close_pairs(
            sight.points_xy[places], sight.heights[places], APART_FACTOR * self._settings.group_heights
        )
        same = sight.class_ids[places][first] == sight.class_ids[places][second]
        rows_a, rows_b = sight.rows[places][first[same]], sight.rows[places][second[same]]
        keys = np.minimum(rows_a, rows_b).astype(np.int64) << 32 | np.maximum(rows_a, rows_b)
        near = apart[same] <= self._settings.group_heights
        known = np.isin(keys, self._pairs)
        self._last_s = np.where(np.isin(self._pairs, keys[known]), now_s, self._last_s)
        fresh = keys[near & ~known]
        order_keys = np.concatenate((self._pairs, fresh))
        order = np.argsort(order_keys, kind="stable")
        self._pairs = order_keys[order]
        self._since_s = np.concatenate((self._since_s, np.full(len(fresh), now_s)))[order]
        self._last_s = np.concatenate((self._last_s, np.full(len(fresh), now_s)))[order]

    def _compare(self, found: list[frozenset[int]], sight: Sight) -> list[Happening]:
        """Which of the groups there were before these are: those with most members in common."""
        place_of = {track_id: place for place, track_id in enumerate(sight.track_ids.tolist())}
        group_of = {track_id: group for group in self._groups for track_id in group.members}
        matches = sorted(
            (-shared, number, index)
            for index, members in enumerate(found)
            for number, shared in Counter(
                group_of[each].number for each in members if each in group_of
            ).items()
        )
        by_number = {group.number: group for group in self._groups}
        kept: dict[int, _Group] = {}
        for _, number, index in matches:
            if index not in kept and number in by_number:
                kept[index] = by_number.pop(number)
        happenings = [self._dissolved(group, sight.now_s) for group in by_number.values()]
        self._groups = []
        for index, members in enumerate(found):
            group = kept.get(index)
            if group is None:
                group = _Group(
                    self.next_number, members, sight.now_s - self._settings.group_for_s, (0.0, 0.0)
                )
                self.next_number += 1
                happenings += _formed(group, place_of, sight)
            group.members = members
            group.point_xy = _middle(members, place_of, sight) or group.point_xy
            self._groups.append(group)
        return happenings

    @staticmethod
    def _dissolved(group: _Group, now_s: float) -> Happening:
        return Happening(
            EventKind.UNGROUPED, group.point_xy, value=max(0.0, now_s - group.since_s), group=group.number
        )


def _formed(group: _Group, place_of: dict[int, int], sight: Sight) -> list[Happening]:
    seen = [place_of[each] for each in sorted(group.members) if each in place_of]
    return [
        sight.happening(EventKind.GROUPED, place, value=float(len(group.members)), group=group.number)
        for place in seen[:MEMBERS_TOLD]
    ]


def _middle(members: Iterable[int], place_of: dict[int, int], sight: Sight) -> tuple[float, float] | None:
    places = sorted(place_of[each] for each in members if each in place_of)
    if not places:
        return None
    x, y = sight.points_xy[places].mean(axis=0).tolist()
    return x, y


def close_pairs(points_xy: F64, heights: F64, most_heights: float) -> tuple[Rows, Rows, F64]:
    """Pairs of objects that are close to each other, and their distances in mean heights of their boxes.

    Costs what there is of neighbours, not the square of all objects: each is compared with those that are within its
    own reach along x, and of two the taller one reaches far enough.
    """
    order = np.argsort(points_xy[:, 0], kind="stable")
    x = points_xy[order, 0]
    reach = most_heights * heights[order]
    start, end = np.searchsorted(x, x - reach, "left"), np.searchsorted(x, x + reach, "right")
    counts = end - start
    a = np.repeat(np.arange(len(x)), counts)
    b = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(start, counts)
    tall = heights[order]
    # Each pair once: from its taller side, among equals from the earlier one.
    once = (tall[a] > tall[b]) | ((tall[a] == tall[b]) & (a < b))
    a, b = order[a[once]], order[b[once]]
    apart = np.hypot(*(points_xy[a] - points_xy[b]).T) / ((heights[a] + heights[b]) / 2.0)
    close = (apart <= most_heights) & (heights[a] <= TALLEST_TO_SMALLEST * heights[b])
    return a[close], b[close], apart[close]


def connected(first: NDArray[np.int64], second: NDArray[np.int64]) -> list[Rows]:
    """What hangs together by these pairs: the members of each part, rising, by their lowest member."""
    members, index = np.unique(np.concatenate((first, second)), return_inverse=True)
    a, b = index[: len(first)], index[len(first) :]
    label = np.arange(len(members))
    while True:
        lowest = label.copy()
        np.minimum.at(lowest, a, label[b])
        np.minimum.at(lowest, b, label[a])
        lowest = lowest[lowest]
        if (lowest == label).all():
            break
        label = lowest
    return [members[label == each].astype(np.intp) for each in np.unique(label)]
