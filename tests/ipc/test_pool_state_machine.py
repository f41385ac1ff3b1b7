"""Random sequences of operations, deaths and restarts on the real classes, against a plain description.

A process that dies is a handle that is dropped in the middle of what it did. Every operation is one store
(`test_one_store.py`), so dying inside of one is dying before or after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ipc.layout import ROW_LEASES
from ipc.pool import FREE, PUBLISHED, WRITING, Lease, PoolLayout, PoolMemory, Slot
from tests.ipc.pools import OpenPool

LEASES = (1, 2, 1)
ROWS = st.integers(0, len(LEASES) - 1)
SLOT_BYTES = 48


@dataclass
class Reader:
    """What the description knows of one consumer process."""

    last: int = 0
    held: dict[int, Lease] = field(default_factory=dict)


class PoolMachine(RuleBasedStateMachine):
    """One producer, three consumers (rows with 1, 2 and 1 leases), a supervisor."""

    @initialize(
        history=st.integers(0, 2),
        first_seq=st.sampled_from([1, 2, 1000]),
        required=st.sampled_from([(), (1,), (0, 2)]),
    )
    def create(self, history: int, first_seq: int, required: tuple[int, ...]) -> None:
        layout = PoolLayout(LEASES, SLOT_BYTES, history, first_seq)
        self.pool = OpenPool(PoolMemory("machine", layout))
        self.pool.memory.require(required)
        self.required = required
        self.first_seq = first_seq
        self.newest = first_seq - 1
        self.acknowledged = [0] * len(LEASES)
        self.slot: Slot | None = None
        self.written = 0
        self.producers = 1
        self.producer = self.pool.producer()
        self.readers = [Reader() for _ in LEASES]
        self.consumers = [self.pool.consumer(row, debug=True) for row in range(len(LEASES))]

    # Producer

    @precondition(lambda self: self.slot is None)
    @rule()
    def begin(self) -> None:
        words = self.slot_words()
        self.slot = self.producer.begin()
        self.written = 0
        if self.slot is None:
            assert any(self.acknowledged[row] < self.newest for row in self.required), "I4"
        else:
            overwritten = words[self.slot.index] >> 2
            assert overwritten == 0 or overwritten != self.newest
            assert all(self.acknowledged[row] >= overwritten for row in self.required), "I11"

    @precondition(lambda self: self.slot is not None and self.written < SLOT_BYTES)
    @rule(nbytes=st.sampled_from([SLOT_BYTES // 2, SLOT_BYTES]))
    def write(self, nbytes: int) -> None:
        assert self.slot is not None
        end = min(SLOT_BYTES, self.written + nbytes)
        content = content_of(self.newest + 1)
        self.slot.data[self.written : end] = content[self.written : end]
        self.slot.meta[:8] = (self.newest + 1).to_bytes(8, "little")
        self.written = end

    @precondition(lambda self: self.slot is not None and self.written == SLOT_BYTES)
    @rule()
    def publish(self) -> None:
        assert self.slot is not None
        assert self.producer.publish(self.slot) == self.newest + 1
        self.newest += 1
        self.slot = None

    @rule(frames=st.integers(1, 9))
    def publish_many(self, frames: int) -> None:
        for _ in range(frames):
            if self.slot is None:
                self.begin()
            if self.slot is None:
                return
            self.write(SLOT_BYTES)
            self.publish()

    @precondition(lambda self: self.slot is not None)
    @rule()
    def abort(self) -> None:
        assert self.slot is not None
        self.producer.abort(self.slot)
        self.slot = None

    @rule()
    def kill_producer(self) -> None:
        self.producer.close()
        self.pool.memory.reap_producer()
        self.producer = self.pool.producer()
        self.producers += 1
        self.slot = None
        meta = self.producer.newest_meta()
        if self.newest >= self.first_seq:
            assert meta is not None
            assert int.from_bytes(meta[:8], "little") == self.newest
        else:
            assert meta is None

    # Consumers

    @rule(row=ROWS)
    def lease_newest(self, row: int) -> None:
        reader = self.readers[row]
        if self.is_full(row) or self.newest in reader.held:
            return
        lease = self.consumers[row].lease_newest(reader.last)
        if self.newest > max(reader.last, self.first_seq - 1):
            assert lease is not None
            assert lease.seq == self.newest, "I9"
            self.took(row, lease)
        else:
            assert lease is None

    @rule(row=ROWS)
    def lease_next(self, row: int) -> None:
        reader = self.readers[row]
        following = min((seq for seq in self.visible() if seq > reader.last), default=None)
        if self.is_full(row) or following in reader.held:
            return
        lease = self.consumers[row].lease_next(reader.last)
        if following is None:
            assert lease is None
        else:
            assert lease is not None
            assert lease.seq == following, "I9"
            if row in self.required:
                assert following == max(reader.last, self.first_seq - 1) + 1, "I11"
            self.took(row, lease)

    @rule(row=ROWS, back=st.integers(-1, 8))
    def lease_by_number(self, row: int, back: int) -> None:
        seq = self.newest - back
        if self.is_full(row) or seq in self.readers[row].held or seq < 1:
            return
        visible = seq in self.visible()
        lease = self.consumers[row].lease(seq)
        assert (lease is not None) == visible
        if lease is not None:
            assert (lease.seq, lease.gap) == (seq, 0), "I9"
            self.readers[row].held[seq] = lease

    @precondition(lambda self: any(reader.held for reader in self.readers))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        choices = [(row, seq) for row, reader in enumerate(self.readers) for seq in reader.held]
        row, seq = data.draw(st.sampled_from(choices))
        lease = self.readers[row].held.pop(seq)
        lease.release()
        lease.release()

    @rule(row=ROWS)
    def acknowledge(self, row: int) -> None:
        reader = self.readers[row]
        seq = min((reader.last, *(held - 1 for held in reader.held)))
        self.consumers[row].acknowledge(seq)
        self.acknowledged[row] = max(seq, self.acknowledged[row])

    @rule(row=ROWS, frames=st.integers(1, 9))
    def read_many(self, row: int, frames: int) -> None:
        for _ in range(frames):
            self.lease_next(row)
            for lease in self.readers[row].held.values():
                lease.release()
            self.readers[row].held.clear()
        self.acknowledge(row)

    @rule(row=ROWS)
    def kill_consumer(self, row: int) -> None:
        self.consumers[row].close()
        self.pool.memory.reap_consumer(row)
        self.consumers[row] = self.pool.consumer(row, debug=True)
        assert self.consumers[row].acknowledged() == self.acknowledged[row]
        self.readers[row] = Reader(last=self.acknowledged[row])

    # What holds after every step

    @invariant()
    def leased_slots_keep_their_bytes(self) -> None:
        for reader in self.readers:
            for seq, lease in reader.held.items():
                assert bytes(lease.data) == content_of(seq), "I1"
                assert int.from_bytes(lease.meta[:8], "little") == seq, "I1"

    @invariant()
    def control_words_are_legal(self) -> None:
        words, masks = self.slot_words(), self.row_masks()
        leased = masks[0] | masks[1] | masks[2]
        assert all(
            word in (FREE, WRITING) or (word & 3 == PUBLISHED and self.first_seq <= word >> 2 <= self.newest)
            for word in words
        ), "I8, I10"
        for index, word in enumerate(words):
            assert word & 3 == PUBLISHED or not leased >> index & 1, "I2"
        assert words.count(WRITING) == (self.slot is not None), "I3"
        assert max((word >> 2 for word in words), default=0) == (
            self.newest if self.newest >= self.first_seq else 0
        ), "I5"

    @invariant()
    def rows_say_who_holds_what(self) -> None:
        words = self.slot_words()
        for reader, mask in zip(self.readers, self.row_masks(), strict=True):
            held = {word >> 2 for index, word in enumerate(words) if mask >> index & 1}
            assert held == set(reader.held), "I6"

    @invariant()
    def statistics_agree(self) -> None:
        statistics = self.pool.memory.statistics()
        assert statistics.newest_seq == self.newest
        assert statistics.published == self.newest - self.first_seq + 1
        assert statistics.leased == tuple(len(reader.held) for reader in self.readers)
        assert statistics.acknowledged == tuple(self.acknowledged)
        assert statistics.epoch == self.producers

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.pool.close()

    def slot_words(self) -> list[int]:
        return self.pool.memory._words[: self.pool.layout.slots].tolist()

    def row_masks(self) -> list[int]:
        return self.pool.memory._words[ROW_LEASES : ROW_LEASES + len(LEASES)].tolist()

    def visible(self) -> set[int]:
        return {word >> 2 for word in self.slot_words() if word & 3 == PUBLISHED}

    def is_full(self, row: int) -> bool:
        return len(self.readers[row].held) == LEASES[row]

    def took(self, row: int, lease: Lease) -> None:
        reader = self.readers[row]
        assert lease.gap == lease.seq - reader.last - 1
        reader.held[lease.seq] = lease
        reader.last = lease.seq


def content_of(seq: int) -> bytes:
    """The payload that belongs to a sequence number."""
    return bytes((seq * 31 + offset) & 255 for offset in range(SLOT_BYTES))


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
