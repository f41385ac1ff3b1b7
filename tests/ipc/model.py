"""An explicit-state model of the slot pool: every interleaving, with a kill possible between any two steps.

The pool's operations are cut at every point where another process could notice: taking the lock, the one
store, letting go of the lock, and each half of writing or reading a slot's bytes. `explore` walks every state
that can be reached and checks the invariants in each; afterwards it checks that from each of them the run can
still end well. Words are encoded as in `ipc.layout`. `Rules` are what the pool does; breaking one of them
on purpose must be noticed, which is how the tests know that the checker can see.

It does not model weak memory (the kernel's lock orders everything), generations, or lost wake-ups.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

FREE, WRITING, PUBLISHED = 0, 1, 2


class Violation(Exception):
    """An invariant does not hold; `args` are its name and the steps that lead there."""


@dataclass(frozen=True)
class Rules:
    """What makes the pool safe. All true in the product; each one false is a broken pool."""

    look_at_leases: bool = True
    spare_newest: bool = True
    honour_required: bool = True
    reap_dead_rows: bool = True
    never_expire_leases: bool = True
    lock_dies_with_holder: bool = True
    write_before_publish: bool = True
    acknowledge: bool = True


@dataclass(frozen=True)
class Setup:
    """One configuration: how many slots, which readers, how far to run, how many kills.

    readers  one of `newest`, `next`, `required` for each row
    leases   how many slots each reader may hold at once
    """

    slots: int
    readers: tuple[str, ...]
    leases: int
    last_seq: int
    kills: int
    rules: Rules = field(default_factory=Rules)


class Held(NamedTuple):
    """A lease: slot, the sequence it was leased for, halves read so far."""

    slot: int
    seq: int
    halves_read: int


class Writer(NamedTuple):
    """The producer: what it does next, and the slot and sequence it works on."""

    step: str
    slot: int
    seq: int


class Reader(NamedTuple):
    """A consumer: what it does next, what it holds, what it saw last, what the current step is about."""

    step: str
    held: tuple[Held, ...]
    last: int
    subject: int


class State(NamedTuple):
    """Everything that exists. `holder` of the lock: -1 nobody, 0 the producer, 1 + row a consumer."""

    holder: int
    words: tuple[int, ...]
    halves: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]
    acknowledged: tuple[int, ...]
    writer: Writer
    readers: tuple[Reader, ...]
    kills: int
    published: int


@dataclass(frozen=True)
class Exploration:
    """The result of `explore`: how many different states there are."""

    states: int


NOBODY, PRODUCER = -1, 0
NEW_WRITER = Writer("idle", -1, 0)
WRITER_LOCKS = {"idle": "claim", "ready": "publish"}
WRITER_UNLOCKS = {"claimed": "first", "published": "idle", "done": "idle"}
HASTY_WRITER_UNLOCKS = {"claimed": "ready", "published": "first", "done": "idle"}
READER_UNLOCKS = {"dropped": "owes", "done": "idle"}
Step = tuple[str, State]
T = TypeVar("T")


def changed(values: tuple[T, ...], index: int, value: T) -> tuple[T, ...]:
    """`values` with one of them replaced."""
    return (*values[:index], value, *values[index + 1 :])


def newest(words: tuple[int, ...]) -> int:
    """Sequence of the newest published slot, 0 if there is none."""
    return max(words) >> 2


def explore(setup: Setup) -> Exploration:
    """Walk every reachable state. Raises `Violation` at the first one that breaks an invariant."""
    start = State(
        holder=NOBODY,
        words=(FREE,) * setup.slots,
        halves=((0, 0),) * setup.slots,
        rows=(0,) * len(setup.readers),
        acknowledged=(0,) * len(setup.readers),
        writer=NEW_WRITER,
        readers=(Reader("idle", (), 0, -1),) * len(setup.readers),
        kills=setup.kills,
        published=0,
    )
    reached_by: dict[State, tuple[str, State] | None] = {start: None}
    predecessors: dict[State, list[State]] = {}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        try:
            check_state(setup, state)
            for label, following in steps(setup, state):
                predecessors.setdefault(following, []).append(state)
                if following not in reached_by:
                    reached_by[following] = (label, state)
                    waiting.append(following)
        except Violation as violation:
            raise Violation(violation.args[0], trace(reached_by, state)) from None
    check_can_end(setup, reached_by, predecessors)
    return Exploration(len(reached_by))


def trace(reached_by: dict[State, tuple[str, State] | None], state: State) -> str:
    """The shortest way to `state`, as labels of steps."""
    labels = []
    while (origin := reached_by[state]) is not None:
        labels.append(origin[0])
        state = origin[1]
    return " ".join(reversed(labels))


def check_state(setup: Setup, state: State) -> None:
    """The invariants that can be seen in one state."""
    leased = 0
    for row in state.rows:
        leased |= row
    writing = [index for index, word in enumerate(state.words) if word == WRITING]
    # Where leases are broken on purpose, what counts is whether a reader sees it (I1).
    leases_count = setup.rules.look_at_leases and setup.rules.never_expire_leases
    if leases_count and any(leased >> index & 1 for index in writing):
        raise Violation("I2 a slot is being written and leased")
    if len(writing) > 1:
        raise Violation("I3 two slots are being written")
    if newest(state.words) < state.published:
        raise Violation("I5 the newest sequence went back")
    steps_alive = (state.writer.step, *(reader.step for reader in state.readers))
    if state.holder != NOBODY and steps_alive[state.holder] == "dead":
        raise Violation("I7 a dead process holds the lock")


def check_can_end(
    setup: Setup,
    reached_by: dict[State, tuple[str, State] | None],
    predecessors: dict[State, list[State]],
) -> None:
    """L1: from every state the last frame can still be published, and reach every required reader."""
    good = {state for state in reached_by if is_end(setup, state)}
    waiting = list(good)
    while waiting:
        for before in predecessors.get(waiting.pop(), ()):
            if before not in good:
                good.add(before)
                waiting.append(before)
    for state in reached_by:
        if state not in good:
            raise Violation("L1 the run is stuck", trace(reached_by, state))


def is_end(setup: Setup, state: State) -> bool:
    """True if all is published and every required reader has had everything."""
    return newest(state.words) == setup.last_seq and all(
        acknowledged == setup.last_seq
        for kind, acknowledged in zip(setup.readers, state.acknowledged, strict=True)
        if kind == "required"
    )


def steps(setup: Setup, state: State) -> Iterator[Step]:
    """Every step that some process can take now."""
    if state.writer.step == "dead":
        if state.holder == NOBODY:
            words = tuple(FREE if word == WRITING else word for word in state.words)
            yield "reap-producer", state._replace(words=words, writer=NEW_WRITER)
    else:
        yield from writer_steps(setup, state)
        if state.kills:
            dead = state._replace(writer=state.writer._replace(step="dead"), kills=state.kills - 1)
            yield "kill-producer", released_by_kernel(setup, dead, PRODUCER)
    for row, reader in enumerate(state.readers):
        if reader.step == "dead":
            if state.holder == NOBODY:
                yield f"reap-{row}", reaped(setup, state, row)
            continue
        yield from reader_steps(setup, state, row)
        if state.kills:
            corpse = changed(state.readers, row, Reader("dead", (), reader.last, -1))
            dead = state._replace(readers=corpse, kills=state.kills - 1)
            yield f"kill-{row}", released_by_kernel(setup, dead, 1 + row)


def released_by_kernel(setup: Setup, state: State, dead: int) -> State:
    """What the death of a process does to the lock."""
    if state.holder == dead and setup.rules.lock_dies_with_holder:
        return state._replace(holder=NOBODY)
    return state


def reaped(setup: Setup, state: State, row: int) -> State:
    """Clear a dead consumer's row and start another, which goes on after what has been acknowledged."""
    last = state.acknowledged[row]
    rows = changed(state.rows, row, 0) if setup.rules.reap_dead_rows else state.rows
    return state._replace(rows=rows, readers=changed(state.readers, row, Reader("idle", (), last, -1)))


def writer_steps(setup: Setup, state: State) -> Iterator[Step]:
    """What the living producer can do next."""
    step, slot, seq = state.writer
    unlock = WRITER_UNLOCKS if setup.rules.write_before_publish else HASTY_WRITER_UNLOCKS
    if step in WRITER_LOCKS:
        if state.holder == NOBODY and (step != "idle" or newest(state.words) < setup.last_seq):
            yield "P.lock", writer_goes(state, WRITER_LOCKS[step], holder=PRODUCER)
    elif step == "claim":
        yield claim(setup, state)
    elif step in unlock:
        yield "P.unlock", writer_goes(state, unlock[step], holder=NOBODY)
    elif step == "publish":
        words = changed(state.words, slot, seq << 2 | PUBLISHED)
        yield "P.publish", writer_goes(state, "published", words=words, published=max(state.published, seq))
    elif step == "abort":
        yield "P.abort", writer_goes(state, "done", words=changed(state.words, slot, FREE))
    else:
        yield from filling_steps(setup, state)


def filling_steps(setup: Setup, state: State) -> Iterator[Step]:
    """The producer writes the slot's bytes in two halves, or gives up after the first."""
    step, slot, seq = state.writer
    first, second = state.halves[slot]
    if step == "first":
        yield "P.write1", writer_goes(state, "second", halves=changed(state.halves, slot, (seq, second)))
    else:
        following = "ready" if setup.rules.write_before_publish else "idle"
        yield "P.write2", writer_goes(state, following, halves=changed(state.halves, slot, (first, seq)))
        if state.holder == NOBODY and setup.rules.write_before_publish:
            yield "P.lock", writer_goes(state, "abort", holder=PRODUCER)


def writer_goes(state: State, step: str, **changes: Any) -> State:
    """The state in which the producer's next step is `step`."""
    writer = NEW_WRITER if step == "idle" else state.writer._replace(step=step)
    return state._replace(writer=writer, **changes)


def claim(setup: Setup, state: State) -> Step:
    """`Producer.begin` under the lock: pick a victim, or go away to wait for required readers."""
    rules, top = setup.rules, newest(state.words)
    leased = 0
    for row in state.rows if rules.look_at_leases else ():
        leased |= row
    needed_from = min(
        (
            acknowledged
            for kind, acknowledged in zip(setup.readers, state.acknowledged, strict=True)
            if kind == "required" and rules.honour_required
        ),
        default=setup.last_seq,
    )
    usable = [
        (word, index)
        for index, word in enumerate(state.words)
        if word != WRITING
        and not leased >> index & 1
        and (word == FREE or not rules.spare_newest or word >> 2 != top)
        and word >> 2 <= needed_from
    ]
    if not usable:
        if "required" in setup.readers:
            return "P.wait", state._replace(writer=state.writer._replace(step="done"))
        raise Violation("I4 the producer found no slot")
    # A pool that does not spare the newest picks it, to be caught.
    index = (min if rules.spare_newest else max)(usable)[1]
    claimed = Writer("claimed", index, top + 1)
    return "P.claim", state._replace(words=changed(state.words, index, WRITING), writer=claimed)


def reader_steps(setup: Setup, state: State, row: int) -> Iterator[Step]:
    """What one living consumer can do next."""
    reader, name = state.readers[row], f"C{row}."
    step, held, _, subject = reader
    if step == "idle":
        yield from idle_reader_steps(setup, state, row)
    elif step == "owes":
        if state.holder == NOBODY:
            yield name + "lock", reader_goes(state, row, reader._replace(step="acknowledge"), holder=1 + row)
    elif step in READER_UNLOCKS:
        following = reader._replace(step=READER_UNLOCKS[step])
        yield name + "unlock", reader_goes(state, row, following, holder=NOBODY)
    elif step == "take":
        yield take(setup, state, row)
    elif step == "drop":
        slot, seq, _ = held[subject]
        owes = setup.readers[row] == "required" and setup.rules.acknowledge
        rest = held[:subject] + held[subject + 1 :]
        following = reader._replace(
            step="dropped" if owes else "done", held=rest, subject=seq if owes else -1
        )
        rows = changed(state.rows, row, state.rows[row] & ~(1 << slot))
        yield name + "release", reader_goes(state, row, following, rows=rows)
    else:
        acknowledged = changed(state.acknowledged, row, max(subject, state.acknowledged[row]))
        following = reader._replace(step="done", subject=-1)
        yield name + "acknowledge", reader_goes(state, row, following, acknowledged=acknowledged)


def idle_reader_steps(setup: Setup, state: State, row: int) -> Iterator[Step]:
    """A consumer between operations may lease, read half of what it holds, or let go of what it has read."""
    reader, name, free = state.readers[row], f"C{row}.", state.holder == NOBODY
    if free and len(reader.held) < setup.leases and newest(state.words) > reader.last:
        yield name + "lock", reader_goes(state, row, reader._replace(step="take"), holder=1 + row)
    for position, lease in enumerate(reader.held):
        if lease.halves_read < 2:
            if state.halves[lease.slot][lease.halves_read] != lease.seq:
                raise Violation("I1 a reader saw bytes of another sequence")
            read = changed(reader.held, position, lease._replace(halves_read=lease.halves_read + 1))
            yield name + "read", reader_goes(state, row, reader._replace(held=read))
        elif free and (position == 0 or setup.readers[row] != "required"):
            drop = reader._replace(step="drop", subject=position)
            yield name + "lock", reader_goes(state, row, drop, holder=1 + row)
    if free and state.rows[row] and not setup.rules.never_expire_leases:
        yield name + "expire", state._replace(rows=changed(state.rows, row, 0))


def take(setup: Setup, state: State, row: int) -> Step:
    """`lease_newest` or `lease_next` under the lock."""
    reader = state.readers[row]
    if setup.readers[row] == "newest":
        word = max(state.words)
    else:
        word = min(word for word in state.words if word >> 2 > reader.last)
    slot, seq = state.words.index(word), word >> 2
    if seq <= reader.last:
        raise Violation("I9 a reader was given an old sequence")
    if setup.readers[row] == "required" and seq != reader.last + 1:
        raise Violation("I11 a required reader lost a sequence")
    rows = changed(state.rows, row, state.rows[row] | 1 << slot)
    following = reader._replace(step="done", held=(*reader.held, Held(slot, seq, 0)), last=seq)
    return f"C{row}.lease", reader_goes(state, row, following, rows=rows)


def reader_goes(state: State, row: int, reader: Reader, **changes: Any) -> State:
    """The state in which one consumer has become `reader`."""
    return state._replace(readers=changed(state.readers, row, reader), **changes)
