"""What one process sees of a pool, one behaviour at a time."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sized

import numpy as np
import pytest

from ipc.notify import Notifier
from ipc.pool import META_BYTES, Consumer, Lease, PoolError, PoolLayout, PoolStatistics
from tests.ipc.pools import OpenPoolOf, publish

LAYOUT = PoolLayout(leases=(1, 2), slot_bytes=5000, history=2)


def test_an_empty_pool_has_nothing_to_lease(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    consumer = pool.consumer(0)
    assert consumer.lease_newest(after=0) is None
    assert consumer.lease_next(after=0) is None
    assert consumer.lease(seq=0) is None
    assert consumer.newest_seq() == 0
    assert pool.producer().newest_meta() is None
    assert pool.producer().newest() is None


def test_what_was_written_is_what_is_read(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(0)
    with producer.write() as slot:
        slot.array()[:] = np.arange(LAYOUT.slot_bytes) % 251
        slot.meta[:4] = b"meta"
    lease = consumer.lease_newest(after=0)
    assert lease is not None
    with lease:
        assert lease.seq == 1
        assert lease.array().shape == (LAYOUT.slot_bytes,)
        assert np.array_equal(lease.array(), np.arange(LAYOUT.slot_bytes) % 251)
        assert bytes(lease.meta[:4]) == b"meta"
        assert len(lease.meta) == META_BYTES


def test_newest_skips_and_counts_what_it_skipped(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(0)
    for value in range(4):
        publish(producer, value)
    lease = consumer.lease_newest(after=1)
    assert lease is not None
    assert (lease.seq, lease.gap, lease.array()[0]) == (4, 2, 3)
    lease.release()
    assert consumer.lease_newest(after=4) is None


def test_next_reads_in_order_and_counts_what_was_overwritten(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(1)
    for value in range(LAYOUT.slots + 3):
        publish(producer, value)
    read, last = [], 0
    while (lease := consumer.lease_next(after=last)) is not None:
        with lease:
            read.append((lease.seq, lease.gap, int(lease.array()[-1])))
            last = lease.seq
    assert read == [(seq, 3 if seq == 4 else 0, seq - 1) for seq in range(4, LAYOUT.slots + 4)]


def test_lease_by_number_gives_that_one_or_none(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(1)
    for value in range(LAYOUT.slots + 1):
        publish(producer, value)
    lease = consumer.lease(seq=3)
    assert lease is not None
    assert (lease.seq, lease.gap, lease.array()[0]) == (3, 0, 2)
    assert consumer.lease(seq=1) is None, "overwritten"
    assert consumer.lease(seq=99) is None, "not yet published"


def test_what_is_there_can_be_looked_at_without_a_lease(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(0)
    assert consumer.metas_after(0) == []
    for value in range(LAYOUT.slots + 2):
        publish(producer, value)
    seqs = range(3, LAYOUT.slots + 3)
    assert consumer.metas_after(0) == [(seq, bytes([seq - 1]) * META_BYTES) for seq in seqs]
    assert [seq for seq, _ in consumer.metas_after(LAYOUT.slots)] == [LAYOUT.slots + 1, LAYOUT.slots + 2]
    assert consumer.metas_after(LAYOUT.slots + 2) == []
    assert consumer.statistics().leased == (0, 0)
    assert producer.begin() is not None
    assert [seq for seq, _ in consumer.metas_after(0)] == list(seqs)[1:], "what is being written is not there"


def test_a_leased_slot_stays_while_the_producer_goes_round(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(0)
    publish(producer, 7)
    lease = consumer.lease_newest(after=0)
    assert lease is not None
    for value in range(5 * LAYOUT.slots):
        publish(producer, 100 + value)
    assert (lease.array() == 7).all()
    assert bytes(lease.meta) == b"\7" * META_BYTES


def test_a_row_holds_no_more_than_its_limit(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(1)
    for value in range(3):
        publish(producer, value)
    first, second = consumer.lease(seq=1), consumer.lease(seq=2)
    assert first is not None and second is not None
    with pytest.raises(PoolError, match="row 1 may hold 2 leases"):
        consumer.lease(seq=3)
    first.release()
    assert consumer.lease(seq=3) is not None, "the refusal left the pool usable"


def test_a_slot_is_leased_once_by_a_row(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    publish(pool.producer(), 1)
    consumer = pool.consumer(1)
    assert consumer.lease(seq=1) is not None
    with pytest.raises(PoolError, match="already leased"):
        consumer.lease_newest(after=0)


def test_two_rows_hold_the_same_slot_independently(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, one, two = pool.producer(), pool.consumer(0), pool.consumer(1)
    publish(producer, 1)
    first, second = one.lease_newest(after=0), two.lease_newest(after=0)
    assert first is not None and second is not None
    first.release()
    for value in range(2 * LAYOUT.slots):
        publish(producer, value)
    assert (second.array() == 1).all()


def test_releasing_twice_does_not_free_a_lease_of_the_same_slot_made_since(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    publish(pool.producer(), 1)
    consumer = pool.consumer(0)
    old = consumer.lease(seq=1)
    assert old is not None
    old.release()
    assert consumer.lease(seq=1) is not None
    old.release()
    assert pool.memory.statistics().leased == (1, 0)


def test_consumers_cannot_write(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    publish(pool.producer(), 1)
    lease = pool.consumer(0).lease_newest(after=0)
    assert lease is not None
    assert not lease.array().flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        lease.array()[0] = 2
    with pytest.raises(ValueError, match="WRITEABLE"):
        lease.array().flags.writeable = True
    for view in (lease.data, lease.meta):
        with pytest.raises(TypeError, match="read-only"):
            view[0] = 2


def test_an_aborted_slot_is_never_seen_and_is_used_next(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(0)
    publish(producer, 1)
    with pytest.raises(RuntimeError, match="decoder"), producer.write() as slot:
        slot.array()[:10] = 99
        raise RuntimeError("decoder")
    assert consumer.newest_seq() == 1
    again = producer.begin()
    assert again is not None
    assert again.index == slot.index


def test_one_slot_is_written_at_a_time(open_pool: OpenPoolOf) -> None:
    producer = open_pool(LAYOUT).producer()
    slot = producer.begin()
    assert slot is not None
    with pytest.raises(PoolError, match="while a slot is being written"):
        producer.begin()
    producer.publish(slot)
    with pytest.raises(PoolError, match="not being written"):
        producer.publish(slot)
    with pytest.raises(PoolError, match="not being written"):
        producer.abort(slot)
    assert producer.newest_seq() == 1


def test_a_restarted_producer_goes_on_after_its_predecessor(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer = pool.producer()
    publish(producer, 5)
    half_written = producer.begin()
    assert half_written is not None
    half_written.array()[:] = 66
    producer.close()
    pool.memory.reap_producer()
    successor = pool.producer()
    assert successor.newest_meta() == b"\5" * META_BYTES
    newest = successor.newest()
    assert newest is not None
    assert newest[0] == b"\5" * META_BYTES and (newest[1] == 5).all()
    assert publish(successor, 6) == 2
    assert pool.memory.statistics().epoch == 2


def test_reaping_a_consumer_frees_what_it_held(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, dead, alive = pool.producer(), pool.consumer(1), pool.consumer(0)
    for value in range(2):
        publish(producer, value)
        assert dead.lease_newest(after=0) is not None
    assert alive.lease_newest(after=0) is not None
    assert pool.memory.statistics().leased == (1, 2)
    pool.memory.reap_consumer(1)
    assert pool.memory.statistics().leased == (1, 0)


def test_statistics_of_a_used_pool(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer, consumer = pool.producer(), pool.consumer(1)
    for value in range(9):
        publish(producer, value)
    assert consumer.lease_newest(after=0) is not None
    consumer.acknowledge(4)
    expected = PoolStatistics(newest_seq=9, published=9, leased=(0, 1), acknowledged=(0, 4), epoch=1)
    assert pool.memory.statistics() == producer.statistics() == consumer.statistics() == expected


def test_a_later_generation_goes_on_with_the_numbers(open_pool: OpenPoolOf) -> None:
    pool = open_pool(PoolLayout(leases=(1,), slot_bytes=64, first_seq=1000, generation=2))
    producer, consumer = pool.producer(), pool.consumer(0)
    assert producer.newest_seq() == consumer.newest_seq() == pool.memory.newest_seq() == 999
    assert pool.memory.statistics() == PoolStatistics(999, 0, (0,), (0,), 1)
    assert producer.newest_meta() is None
    for after in (0, 999):
        assert consumer.lease_newest(after) is None
        assert consumer.lease_next(after) is None
    assert consumer.lease(999) is None
    assert publish(producer, 1) == 1000
    lease = consumer.lease_next(after=999)
    assert lease is not None
    assert (lease.seq, lease.gap) == (1000, 0)
    lease.release()
    lease = consumer.lease_newest(after=990)
    assert lease is not None
    assert lease.gap == 9, "what the reader missed in the generation before counts"


def test_required_rows_hold_the_producer_back_until_they_acknowledge(open_pool: OpenPoolOf) -> None:
    pool = open_pool(PoolLayout(leases=(1, 1), slot_bytes=64, first_seq=11))
    pool.memory.require((1,))
    producer, consumer = pool.producer(), pool.consumer(1)
    for value in range(pool.layout.slots):
        publish(producer, value)
    assert producer.begin() is None
    with pytest.raises(PoolError, match="required rows"), producer.write():
        pass
    consumer.acknowledge(11)
    assert publish(producer, 50) == 11 + pool.layout.slots
    assert producer.begin() is None
    consumer.acknowledge(producer.newest_seq())
    assert publish(producer, 51) > 0


def test_the_last_reader_that_a_producer_waits_for_is_told(open_pool: OpenPoolOf) -> None:
    pool = open_pool(PoolLayout(leases=(1, 1), slot_bytes=64))
    pool.memory.require((0, 1))
    producer, first, second = pool.producer(), pool.consumer(0), pool.consumer(1)
    for value in range(pool.layout.slots):
        publish(producer, value)
    assert not first.acknowledge(1), "nobody waits yet"
    assert producer.begin() is None
    assert not first.acknowledge(2), "the second reader is awaited as well"
    assert second.acknowledge(3)
    assert not second.acknowledge(3) and not second.acknowledge(4), "said once"
    assert producer.begin() is not None


def test_an_acknowledgement_is_not_taken_back_and_outlives_its_process(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    consumer = pool.consumer(0)
    assert consumer.acknowledged() == 0
    consumer.acknowledge(8)
    consumer.acknowledge(3)
    consumer.close()
    pool.memory.reap_consumer(0)
    assert pool.consumer(0).acknowledged() == 8


def test_rows_that_do_not_exist_are_refused(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    with pytest.raises(PoolError, match="rows"):
        pool.memory.require((2,))
    for row in (-1, 2):
        with pytest.raises(PoolError, match="row"):
            pool.consumer(row)


ESCAPES: dict[str, Callable[[Lease], Sized]] = {
    "array": lambda lease: lease.array(),
    "part of array": lambda lease: lease.array()[10:20].reshape(2, 5),
    "memoryview": lambda lease: lease.data,
    "part of memoryview": lambda lease: lease.data[3:6],
    "array of memoryview": lambda lease: np.frombuffer(lease.data, np.uint16),
}


@pytest.mark.parametrize("kind", ESCAPES)
def test_debug_notices_a_view_that_outlives_its_lease(open_pool: OpenPoolOf, kind: str) -> None:
    pool = open_pool(LAYOUT)
    publish(pool.producer(), 1)
    consumer = pool.consumer(0, debug=True)
    lease = consumer.lease_newest(after=0)
    assert lease is not None
    escaped = ESCAPES[kind](lease)
    with pytest.raises(PoolError, match=r"sequence 1\) outlives"):
        lease.release()
    assert len(escaped) > 0
    assert pool.memory.statistics().leased == (0, 0), "released all the same"


def test_debug_is_quiet_where_nothing_escapes_or_an_exception_passes(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    publish(pool.producer(), 1)
    consumer = pool.consumer(0, debug=True)
    lease = consumer.lease_newest(after=0)
    assert lease is not None
    with lease:
        assert int(lease.array().sum()) == LAYOUT.slot_bytes
        assert bytes(lease.data[:2]) == b"\1\1"
    lease = consumer.lease_newest(after=0)
    assert lease is not None
    with pytest.raises(KeyError), lease:
        held = lease.array()
        raise KeyError(int(held[0]))


def test_a_released_lease_shows_nothing(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    publish(pool.producer(), 1)
    lease = pool.consumer(0).lease_newest(after=0)
    assert lease is not None
    lease.release()
    assert len(lease.data) == len(lease.meta) == lease.array().size == 0


def test_a_waiting_consumer_finds_a_frame_whose_wake_up_was_lost(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    wake = Notifier.create()
    producer, consumer = pool.producer(), pool.consumer(0)
    publish(producer, 3)  # and the producer dies before it notifies
    started = time.monotonic()
    assert not wake.wait(0.02)
    assert consumer.lease_newest(after=0) is not None
    assert time.monotonic() - started < 1.0
    wake.close()


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_handles_give_their_descriptors_back(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    gc.collect()
    before = descriptors()
    for _ in range(5):
        producer, consumer = pool.producer(), pool.consumer(0)
        producer.close()
        consumer.close()
        consumer.close()
        memory = pool.memory
        Consumer(pool.layout, memory.control_fd, memory.data_fd, 0, lock_path=memory.lock_path)  # dropped
    del producer, consumer
    pool._handles.clear()
    assert descriptors() == before


def test_a_closed_handle_does_nothing(open_pool: OpenPoolOf) -> None:
    pool = open_pool(LAYOUT)
    producer = pool.producer()
    producer.close()
    with pytest.raises(ValueError, match="negative"):
        producer.begin()
    pool.memory.close()
    pool.memory.close()
