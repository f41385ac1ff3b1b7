"""Reading a pool across its generations: nothing lost at the seam, nothing kept behind it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.workers.feed import Feed, Writer
from ipc.notify import Notifier
from ipc.pool import Consumer, PoolLayout, PoolMemory, Producer

SLOTS = 8


@dataclass
class Generations:
    """A pool that grows: `grow` makes the next generation, with slots twice the size."""

    feed: Feed = field(default_factory=Feed)
    memories: list[PoolMemory] = field(default_factory=list)
    writer: Writer | None = None
    number: int = 0

    def grow(self) -> Writer:
        first_seq = self.memories[-1].newest_seq() + 1 if self.memories else 1
        self.number += 1
        layout = PoolLayout((2,), 4096 << self.number, SLOTS - 4, first_seq, self.number)
        memory = PoolMemory(f"feed-{self.number}", layout)
        self.memories.append(memory)
        if self.writer is not None:
            self.writer.close()
        producer = Producer(layout, memory.control_fd, memory.data_fd)
        self.writer = Writer(producer, [Notifier.create()])
        self.feed.add(Consumer(layout, memory.control_fd, memory.data_fd, 0), [Notifier.create()])
        return self.writer

    def publish(self, count: int) -> None:
        assert self.writer is not None
        for _ in range(count):
            slot = self.writer.producer.begin()
            assert slot is not None
            self.writer.producer.publish(slot)


@pytest.fixture
def pool() -> Iterator[Generations]:
    generations = Generations()
    yield generations
    for memory in generations.memories:
        memory.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def mapped() -> set[str]:
    """Names of the data segments that this process maps."""
    return set(re.findall(r"/memfd:(feed-\d+) ", Path("/proc/self/maps").read_text()))


def test_everything_comes_in_order_across_the_seam(pool: Generations) -> None:
    pool.grow()
    pool.publish(3)
    pool.grow()
    pool.publish(2)
    seqs: list[int] = []
    while (lease := pool.feed.lease_next(seqs[-1] if seqs else 0)) is not None:
        with lease:
            seqs.append(lease.seq)
        pool.feed.acknowledge(lease.seq)
    assert seqs == [1, 2, 3, 4, 5]


def test_the_old_generation_stays_while_it_is_leased_or_unread(pool: Generations) -> None:
    pool.grow()
    pool.publish(3)
    first = pool.feed.lease_next(0)
    pool.grow()
    pool.publish(1)
    newest = pool.feed.lease_newest(0)
    assert first is not None and newest is not None and newest.seq == 4
    pool.feed.acknowledge(0)
    first.release()
    pool.feed.acknowledge(1)
    second = pool.feed.lease(2)
    assert second is not None
    second.release()
    newest.release()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts in /proc")
def test_a_generation_that_is_done_with_is_given_back(pool: Generations) -> None:
    pool.grow()
    pool.publish(1)
    open_files = set()
    for _ in range(5):
        pool.grow()
        pool.publish(2)
        lease = pool.feed.lease_newest(0)
        assert lease is not None
        lease.release()
        pool.feed.acknowledge(lease.seq)
        pool.memories.pop(-2).close()
        assert mapped() == {f"feed-{pool.number}"}
        open_files.add(descriptors())
    assert len(open_files) == 1
    assert pool.feed.lease(1) is None


def test_a_record_in_a_generation_that_was_not_announced_yet(pool: Generations) -> None:
    assert not pool.feed.has_come_to(1)
    pool.grow()
    pool.publish(2)
    assert pool.feed.has_come_to(2) and not pool.feed.has_come_to(3)
