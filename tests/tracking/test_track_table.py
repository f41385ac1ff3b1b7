"""Rows come, go and vote."""

from __future__ import annotations

import numpy as np

from engine.tracking.track_table import TrackTable


def table_of(classes: list[int]) -> TrackTable:
    table = TrackTable.empty()
    count = len(classes)
    table.add(np.zeros((count, 5, 4)), np.array(classes, np.int32), np.full(count, 0.6, np.float32), 1, 0.0)
    return table


def see(table: TrackTable, class_id: int, score: float) -> int:
    table.see(np.array([0]), np.array([class_id], np.int32), np.array([score], np.float32), 2, 0.1)
    return int(table.class_ids[0])


def test_columns_stay_in_step() -> None:
    table = table_of([1, 2, 3])
    table.track_ids[:] = (7, 8, 9)
    table.keep(np.array([True, False, True]))
    assert table.track_ids.tolist() == [7, 9]
    assert table.class_ids.tolist() == [1, 3]
    assert len(table.states) == len(table.votes) == len(table.seen_s) == len(table) == 2


def test_a_flickering_class_stays_with_the_majority() -> None:
    table = table_of([2])
    assert [see(table, class_id, 0.55) for class_id in (7, 2, 7, 2, 7, 2, 7)] == [2] * 7


def test_a_class_that_was_wrong_at_first_is_outvoted() -> None:
    table = table_of([7])
    assert [see(table, 2, 0.8) for _ in range(3)] == [2] * 3


def test_an_old_lead_is_limited() -> None:
    table = table_of([7])
    for _ in range(10_000):
        see(table, 7, 0.9)
    changed_after = next(k for k in range(100) if see(table, 2, 0.9) == 2)
    assert changed_after < 15


def test_the_newest_are_those_seen_last() -> None:
    table = table_of([1, 2, 3, 4])
    table.seen_frames[:] = (5, 9, 2, 8)
    table.keep(table.newest(2))
    assert table.class_ids.tolist() == [2, 4]
