"""Reading a pool across its generations: nothing lost at the seam, nothing kept behind it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.workers.feed import Feed, Writer, layout_from_json, layout_to_json
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
        producer = Producer(layout, memory.control_fd, memory.data_fd)
        self.writer = Writer(producer, [Notifier.create()], self.writer)
        self.announce(self.feed, memory)
        return self.writer

    def announce(self, feed: Feed, memory: PoolMemory) -> Notifier:
        """Give a feed one generation; returns what the producer would be woken by."""
        wake = Notifier.create()
        feed.add(Consumer(memory.layout, memory.control_fd, memory.data_fd, 0), [wake])
        return wake

    def publish(self, count: int) -> None:
        assert self.writer is not None
        for _ in range(count):
            slot = self.writer.producer.begin()
            assert slot is not None
            slot.meta[0] = self.number
            slot.array()[:] = self.number
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


def test_what_is_there_is_seen_across_the_seam(pool: Generations) -> None:
    assert pool.feed.metas_after(0) == []
    pool.grow()
    pool.publish(2)
    pool.grow()
    pool.publish(1)
    assert [(seq, meta[0]) for seq, meta in pool.feed.metas_after(0)] == [(1, 1), (2, 1), (3, 2)]
    assert [seq for seq, _ in pool.feed.metas_after(2)] == [3]


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


def test_nothing_is_missing_or_doubled_when_the_pool_grows_while_it_is_read(pool: Generations) -> None:
    """Records before, at and after each seam, with the reader behind, level and ahead."""
    pool.grow()
    after, gaps, found = 0, 0, []
    for published, read in [(3, 1), (2, 3), (0, 1), (4, 4), (1, 0), (2, 9)]:
        pool.publish(published)
        for _ in range(read):
            lease = pool.feed.lease_next(after)
            if lease is None:
                break
            with lease:
                after, gaps = lease.seq, gaps + lease.gap
                found.append((lease.seq, lease.meta[0], int(lease.array()[-1])))
            pool.feed.acknowledge(after)
        pool.grow()
    assert [seq for seq, _, _ in found] == list(range(1, 13)) and gaps == 0
    assert [number for _, number, _ in found] == [1] * 3 + [2] * 2 + [4] * 4 + [5] + [6] * 2
    assert all(payload == number for _, number, payload in found)


def test_what_is_passed_over_across_the_seam_is_counted(pool: Generations) -> None:
    pool.grow()
    pool.publish(3)
    pool.grow()
    pool.publish(2)
    newest = pool.feed.lease_newest(1)
    assert newest is not None and (newest.seq, newest.gap) == (5, 3)
    newest.release()


def test_the_newest_is_that_of_the_old_generation_until_the_new_one_has_any(pool: Generations) -> None:
    pool.grow()
    pool.publish(3)
    pool.grow()
    newest = pool.feed.lease_newest(1)
    assert newest is not None and newest.seq == 3
    assert pool.feed.newest_seq() == 3
    assert pool.feed.lease_newest(3) is None


def test_a_number_is_looked_for_in_its_own_generation(pool: Generations) -> None:
    for _ in range(3):
        pool.grow()
        pool.publish(2)
    for seq, number in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)]:
        lease = pool.feed.lease(seq)
        assert lease is not None and lease.array()[0] == number
        lease.release()
    assert pool.feed.lease(7) is None
    assert Feed().lease(1) is None


def test_what_is_overwritten_is_gone(pool: Generations) -> None:
    pool.grow()
    pool.publish(SLOTS + 3)
    assert pool.feed.lease(1) is None
    oldest = pool.feed.lease_next(0)
    assert oldest is not None and oldest.gap == oldest.seq - 1 > 0
    oldest.release()


def test_an_acknowledgement_reaches_every_generation(pool: Generations) -> None:
    pool.grow()
    pool.publish(2)
    pool.grow()
    pool.publish(2)
    feed = Feed()
    wakes = [pool.announce(feed, memory) for memory in pool.memories]
    feed.acknowledge(1)
    assert [memory.statistics().acknowledged for memory in pool.memories] == [(1,), (1,)]
    assert not any(wake.wait(0) for wake in wakes), "nobody waits"
    feed.acknowledge(3)
    assert [memory.statistics().acknowledged for memory in pool.memories] == [(3,), (3,)]


def test_a_producer_that_waits_is_woken_by_the_acknowledgement_it_waits_for(pool: Generations) -> None:
    writer = pool.grow()
    (memory,) = pool.memories
    memory.require((0,))
    feed = Feed()
    wake = pool.announce(feed, memory)
    pool.publish(SLOTS)
    assert writer.producer.begin() is None
    feed.acknowledge(1)
    assert wake.wait(0)
    feed.acknowledge(2)
    assert not wake.wait(0), "it could have gone on already"


def test_a_successor_finds_what_was_acknowledged(pool: Generations) -> None:
    pool.grow()
    pool.publish(2)
    pool.grow()
    pool.publish(2)
    pool.feed.acknowledge(3)
    successor = Feed()
    assert successor.acknowledged() == 0
    for memory in pool.memories:
        pool.announce(successor, memory)
    assert successor.acknowledged() == 3


def test_a_required_reader_is_waited_for_in_the_new_generation_as_in_the_old_one(pool: Generations) -> None:
    read: list[int] = []
    for _ in range(3):
        writer = pool.grow()
        pool.memories[-1].require((0,))
        while (slot := writer.producer.begin()) is not None:
            writer.producer.publish(slot)
            assert writer.producer.newest_seq() < 1000, "nobody is waited for"
        # All slots are full and unread: reading one makes room for one.
        for _ in range(5):
            lease = pool.feed.lease_next(read[-1] if read else 0)
            assert lease is not None and lease.gap == 0
            with lease:
                read.append(lease.seq)
            pool.feed.acknowledge(lease.seq)
    while (lease := pool.feed.lease_next(read[-1])) is not None:
        with lease:
            read.append(lease.seq)
        pool.feed.acknowledge(lease.seq)
    assert read == list(range(1, pool.memories[-1].newest_seq() + 1))


def test_a_restarted_writer_finds_the_newest_record_of_any_generation(pool: Generations) -> None:
    writer = pool.grow()
    assert writer.newest_meta() is None
    pool.publish(2)
    writer = pool.grow()
    meta = writer.newest_meta()
    assert meta is not None and meta[0] == 1
    writer = pool.grow()
    meta = writer.newest_meta()
    assert meta is not None and meta[0] == 1
    pool.publish(1)
    meta = writer.newest_meta()
    assert meta is not None and meta[0] == 3


def test_a_layout_travels_as_json() -> None:
    layout = PoolLayout((3, 1), 12345, 7, first_seq=99, generation=4)
    assert layout_from_json(json.loads(json.dumps(layout_to_json(layout)))) == layout
