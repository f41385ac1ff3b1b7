"""Every operation makes at most one store to the control words, with the lock held.

That is what lets a process be killed anywhere: before its store nothing has happened, after it all has.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from typing import cast

import pytest

from ipc.pool import Consumer, Lease, PoolLayout, PoolMemory, Producer, Slot
from ipc.segment import PAGE_BYTES, map_segment
from tests.ipc.pools import OpenPoolOf, publish


class Recorder:
    """Stands between a handle and its control words; notes every store and whether the lock was held."""

    def __init__(self, handle: Producer | Consumer | PoolMemory, lock_path: str) -> None:
        self.stores: list[tuple[int, bool]] = []
        self._words = handle._words
        self._probe = os.open(lock_path, os.O_RDWR)
        handle._words = cast("memoryview[int]", self)

    def __getitem__(self, index: int | slice) -> object:
        part = self._words[index]
        return part.toreadonly() if isinstance(part, memoryview) else part

    def __setitem__(self, index: int, value: int) -> None:
        self.stores.append((index, self._lock_is_held()))
        self._words[index] = value

    def _lock_is_held(self) -> bool:
        try:
            fcntl.flock(self._probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._probe, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        os.close(self._probe)


class Watched:
    """A pool whose every handle is recorded, and whose control page can be compared before and after."""

    def __init__(self, pools: OpenPoolOf) -> None:
        self.pool = pools(PoolLayout(leases=(2, 2), slot_bytes=64, history=0))
        memory = self.pool.memory
        path = memory.lock_path or f"/proc/self/fd/{memory.control_fd}"
        control = map_segment(memory.control_fd, self.pool.layout.control_bytes, writable=False)
        self._page = memoryview(control)[PAGE_BYTES : 2 * PAGE_BYTES].cast("Q")
        self.memory = memory
        self.producer = self.pool.producer()
        self.consumer = self.pool.consumer(0)
        handles = (self.memory, self.producer, self.consumer)
        self.recorders = [Recorder(handle, path) for handle in handles]

    def operation(self, run: str, *arguments: object) -> tuple[object, int]:
        """Run one operation; returns its result and how many stores it made, each under the lock."""
        handle_name, _, method = run.partition(".")
        for recorder in self.recorders:
            recorder.stores.clear()
        before = self._page.tolist()
        result = getattr(getattr(self, handle_name), method)(*arguments)
        stores = [store for recorder in self.recorders for store in recorder.stores]
        changed = {i for i, (old, new) in enumerate(zip(before, self._page, strict=True)) if old != new}
        assert all(held for _, held in stores), f"{run}: a store without the lock"
        assert changed <= {index for index, _ in stores}, f"{run}: a store went past the recorder"
        return result, len(stores)

    def close(self) -> None:
        for recorder in self.recorders:
            recorder.close()


@pytest.fixture
def watched(open_pool: OpenPoolOf) -> Iterator[Watched]:
    watched = Watched(open_pool)
    yield watched
    watched.close()


def test_every_operation_makes_at_most_one_store_under_the_lock(watched: Watched) -> None:
    run = watched.operation
    slot, stores = run("producer.begin")
    assert stores == 1
    assert run("producer.abort", slot)[1] == 1
    for _ in range(2 * watched.pool.layout.slots):
        slot, stores = run("producer.begin")
        assert stores == 1
        assert run("producer.publish", slot)[1] == 1
    leases = []
    newest = watched.producer.newest_seq()
    for operation, argument in [("lease_newest", 0), ("lease_next", 0)]:
        lease, stores = run(f"consumer.{operation}", argument)
        assert stores == 1
        leases.append(cast(Lease, lease))
    for lease in leases:
        lease.release()
    watched.recorders[2].stores.clear()
    lease, stores = run("consumer.lease", newest)
    assert stores == 1
    watched.recorders[2].stores.clear()
    cast(Lease, lease).release()
    assert [held for _, held in watched.recorders[2].stores] == [True]
    assert run("consumer.acknowledge", 3)[1] == 1
    assert run("memory.require", (0, 1))[1] == 1
    assert run("memory.reap_consumer", 0)[1] == 1
    watched.consumer.acknowledge(newest)
    watched.memory.require((0,))
    assert isinstance(run("producer.begin")[0], Slot)
    assert run("memory.reap_producer")[1] == 1


def test_operations_that_find_nothing_store_nothing(watched: Watched) -> None:
    run = watched.operation
    for operation in ("lease_newest", "lease_next", "lease"):
        assert run(f"consumer.{operation}", 1) == (None, 0)
    assert run("memory.reap_producer")[1] == 0
    assert run("memory.statistics")[1] == run("producer.newest_seq")[1] == run("producer.newest_meta")[1] == 0
    assert run("consumer.acknowledged") == (0, 0)
    assert run("consumer.acknowledge", 0)[1] == 0
    watched.memory.require((0,))
    for value in range(watched.pool.layout.slots):
        publish(watched.producer, value)
    assert run("producer.begin") == (None, 1), (
        "what it waits for, so that a reader can tell that it brings the news"
    )


def test_the_recorder_sees_a_store_without_the_lock(watched: Watched) -> None:
    words = watched.producer._words
    words[0] = 0
    assert watched.recorders[1].stores == [(0, False)]
