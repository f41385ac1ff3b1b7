"""A delivery over a bus whose broker comes and goes, with time that is moved by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from engine.bus.base import Bus, BusOptions, Message
from engine.bus.delivery import LONGEST_PAUSE_S, UNAUTHORIZED_PAUSE_S, Backoff, Delivery
from engine.bus.outbox import Outbox
from engine.bus.topics import EVENTS, RESULTS, STATE, Topic
from engine.clock import ManualClock
from engine.config.bus import bus_address
from engine.errors import BusUnauthorized, BusUnreachable
from tests.bus.listeners import run, until

ADDRESS = bus_address("mqtt://broker.example")


class Broker:
    """A broker in memory: `away` refuses connections, `deaf` ends them with the next message."""

    def __init__(self) -> None:
        self.away = self.deaf = self.locked = False
        self.got: list[Message] = []
        self.attempts = self.open = 0


class MemoryBus(Bus):
    """A connection to it."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(ADDRESS, BusOptions("test"))
        self._broker = broker

    @classmethod
    def check_installed(cls) -> None:
        pass

    async def connect(self) -> None:
        self._broker.attempts += 1
        if self._broker.locked:
            raise BusUnauthorized("refused")
        if self._broker.away:
            raise BusUnreachable("no answer")
        self._broker.open += 1

    async def publish(self, topic: Topic, payload: bytes, retain: bool = False) -> None:
        raise NotImplementedError

    async def publish_all(self, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        if self._broker.away or self._broker.deaf:
            raise BusUnreachable("connection reset")
        self._broker.got += messages

    async def close(self) -> None:
        self._broker.open = 0


class World:
    """A delivery, its broker and a clock that a pause moves."""

    def __init__(self, most_lasting: int = 100, most_passing: int = 10) -> None:
        self.broker, self.clock = Broker(), ManualClock()
        self.outbox = Outbox(most_lasting, most_passing)
        self.pauses: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.delivery = Delivery(lambda: MemoryBus(self.broker), self.outbox, self.clock, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.pauses.append(seconds)
        self.meanwhile()
        await asyncio.sleep(0)

    def put(self, kind: str, number: int) -> None:
        self.delivery.put(
            Message(Topic(("c",), kind, "gate"), b"%d" % number, retain=kind == STATE, lasting=kind == EVENTS)
        )

    def got(self, kind: str) -> list[int]:
        return [int(message.payload) for message in self.broker.got if message.topic.kind == kind]


async def running(world: World, while_it_runs: Callable[[], None], done: Callable[[], bool]) -> None:
    task = asyncio.create_task(world.delivery.run())
    await asyncio.sleep(0)
    while_it_runs()
    await until(done, f"done; {world.delivery.status()}")
    world.delivery.stop()
    await asyncio.wait_for(task, 5)


def test_pauses_grow_to_a_bound_and_differ() -> None:
    backoff = Backoff(random.Random(1))
    pauses = [backoff.next_s() for _ in range(200)]
    assert all(0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses[:6]))
    assert all(LONGEST_PAUSE_S / 2 <= pause <= LONGEST_PAUSE_S for pause in pauses[7:])
    assert len(set(pauses)) == 200
    backoff.reset()
    assert backoff.next_s() <= 0.5


def test_what_was_put_before_and_while_connected_arrives() -> None:
    world = World()
    world.put(STATE, 1)
    world.put(EVENTS, 1)

    def more() -> None:
        world.put(RESULTS, 1)
        world.put(EVENTS, 2)

    run(running(world, more, lambda: len(world.broker.got) == 4))
    assert world.got(EVENTS) == [1, 2] and world.got(RESULTS) == [1] and world.got(STATE) == [1]
    assert world.delivery.status() == {
        "state": "stopped", "reason": "", "sent": {"state": 1, "events": 2, "results": 1}, "dropped": {},
        "queue": {"state": 0, "events": 0, "results": 0}, "reconnects": 0,
    }  # fmt: skip


def test_an_hour_without_a_broker() -> None:
    """Bounded memory, few attempts, the newest events and the newest state when it is back; all else is counted."""
    world = World(most_lasting=50)
    world.broker.away = True
    world.put(STATE, 0)
    put = 0

    def tick() -> None:
        """Ten events and thirty records for each pause; after an hour the broker is back."""
        nonlocal put
        for _ in range(30):
            put += 1
            world.put(RESULTS, put)
            if put % 3 == 0:
                world.put(EVENTS, put // 3)
        world.put(STATE, put)
        assert world.outbox.nbytes < 1000 and len(world.outbox._retained) == 1
        if sum(world.pauses) > 3600:
            world.broker.away = False

    world.meanwhile = tick
    run(running(world, lambda: None, lambda: len(world.got(EVENTS)) >= 50))
    events = put // 3
    assert world.got(EVENTS) == list(range(events - 49, events + 1))
    assert world.got(STATE) == [put] and world.got(RESULTS) == []
    told = world.delivery.status()
    assert told["dropped"] == {"overflow": events - 50, "away": put}
    assert 120 <= world.broker.attempts <= 260


def test_what_was_on_its_way_is_sent_again() -> None:
    world = World()
    world.broker.deaf = True

    def back() -> None:
        world.broker.deaf = False

    world.meanwhile = back

    def put() -> None:
        for number in range(5):
            world.put(EVENTS, number)
        world.put(RESULTS, 1)

    run(running(world, put, lambda: len(world.broker.got) == 5))
    told = world.delivery.status()
    assert world.got(EVENTS) == list(range(5)) and told["reconnects"] == 1
    assert told["dropped"] == {"unconfirmed": 1}


def test_a_refused_login_is_not_tried_often() -> None:
    world = World()
    world.broker.locked = True

    def let_in() -> None:
        world.broker.locked = len(world.pauses) < 3

    world.meanwhile = let_in
    world.put(EVENTS, 1)
    run(running(world, lambda: None, lambda: bool(world.broker.got)))
    assert len(world.pauses) == 3 and min(world.pauses) >= UNAUTHORIZED_PAUSE_S


def test_putting_never_waits_after_the_end() -> None:
    world = World()
    run(running(world, lambda: world.put(EVENTS, 1), lambda: len(world.broker.got) == 1))
    world.put(EVENTS, 2)
    assert world.delivery.status()["dropped"] == {"stopped": 1}


def test_the_connection_is_closed_when_it_is_cancelled() -> None:
    world = World()

    async def body() -> None:
        task = asyncio.create_task(world.delivery.run())
        await until(lambda: world.broker.open == 1, "connected")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert world.broker.open == 0 and world.delivery.status()["state"] == "stopped"

    run(body())
