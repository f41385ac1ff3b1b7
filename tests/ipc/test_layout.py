from __future__ import annotations

from dataclasses import replace

import pytest

from ipc.pool import Consumer, PoolError, PoolLayout
from ipc.segment import PAGE_BYTES
from tests.ipc.pools import OpenPoolOf

LAYOUT = PoolLayout(leases=(2, 1), slot_bytes=100)


def test_a_pool_has_a_slot_for_every_lease_one_to_write_one_newest_and_the_history() -> None:
    assert PoolLayout(leases=(2, 1), slot_bytes=1, history=3).slots == 3 + 2 + 3


def test_slots_start_on_page_boundaries() -> None:
    assert LAYOUT.slot_stride == PAGE_BYTES
    assert PoolLayout((1,), slot_bytes=PAGE_BYTES + 1).slot_stride == 2 * PAGE_BYTES
    assert LAYOUT.data_bytes == LAYOUT.slots * PAGE_BYTES


@pytest.mark.parametrize(
    ("leases", "changes", "message"),
    [
        ((61,), {}, "at most 64 slots"),
        ((1,) * 17, {}, "at most 16 rows"),
        ((0,), {}, "start at 1"),
        ((1,), {"slot_bytes": 0}, "start at 1"),
        ((1,), {"first_seq": 0}, "start at 1"),
        ((1,), {"history": -1}, "history at 0"),
    ],
)
def test_impossible_layouts_are_refused(
    leases: tuple[int, ...], changes: dict[str, int], message: str
) -> None:
    with pytest.raises(PoolError, match=message):
        PoolLayout(**{"leases": leases, "slot_bytes": 8, **changes})  # type: ignore[arg-type] # a table


@pytest.mark.parametrize(
    "changes",
    [{"slot_bytes": 101}, {"leases": (1, 2, 1)}, {"leases": (3,)}, {"first_seq": 2}, {"generation": 2}],
    ids=str,
)
def test_attaching_with_another_layout_is_an_error(open_pool: OpenPoolOf, changes: dict[str, int]) -> None:
    memory = open_pool(LAYOUT).memory
    with pytest.raises(PoolError, match="not a pool of the layout"):
        Consumer(
            replace(LAYOUT, **changes),  # type: ignore[arg-type] # a table
            memory.control_fd,
            memory.data_fd,
            row=0,
            lock_path=memory.lock_path,
        )
