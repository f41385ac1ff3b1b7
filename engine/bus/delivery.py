"""One broker over the whole run: connecting, sending what waits, trying again with growing pauses, telling how it goes.

Knows an outbox, a bus and a clock. Nobody waits for it: `put` never blocks, and a broker that is away for an hour
costs what the outbox may hold.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypedDict

from engine.bus.base import Bus, Message
from engine.bus.outbox import Outbox
from engine.bus.topics import STATUS, Topic
from engine.clock import Clock
from engine.errors import BusError, BusUnauthorized

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
UNAUTHORIZED_PAUSE_S = 60.0
"""A broker may lock out who tries a wrong password often."""
STEADY_S = 10.0
"""A connection that has lasted so long was a good one: the next pause is short again."""
HEARTBEAT_S = 10.0
"""So long after the last message the broker is asked for a sign of life."""


class BrokerStatus(TypedDict):
    """One broker.

    state       connecting, connected, waiting (before it is tried again) or stopped; `reason` why, in a line
    sent        messages that it has confirmed, by kind
    dropped     messages that it was not sent, by reason: overflow, memory, away, unconfirmed, topics, stopped
    queue       messages that wait for it now: state, events, results
    reconnects  how often it was connected again
    """

    state: str
    reason: str
    sent: dict[str, int]
    dropped: dict[str, int]
    queue: dict[str, int]
    reconnects: int


@dataclass
class Backoff:
    """Pauses between attempts: each about twice as long as the one before, none the same for everybody."""

    chance: random.Random = field(default_factory=random.Random)
    first_s: float = FIRST_PAUSE_S
    longest_s: float = LONGEST_PAUSE_S
    _failures: int = 0

    def next_s(self) -> float:
        """The pause after one more failure: between the half and the whole of what has grown so far."""
        grown_s: float = min(self.longest_s, self.first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return grown_s * self.chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It has worked."""
        self._failures = 0


class Delivery:
    """Messages to one broker. `put` and `status` may be called by any thread, the rest belongs to the event loop.

    make_bus   a new connection, not yet connected
    greet      is awaited after each connect: what has to be told or asked before anything is sent
    sleep      how to let time pass: `asyncio.sleep`, or a test's
    """

    def __init__(
        self,
        make_bus: Callable[[], Bus],
        outbox: Outbox,
        clock: Clock,
        greet: Callable[[Bus], Awaitable[None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._make_bus = make_bus
        self._outbox = outbox
        self._clock = clock
        self._greet = greet
        self._sleep = sleep
        self._backoff = Backoff()
        self._lock = threading.Lock()
        self._work = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state, self._reason = "connecting", ""
        self._connects = 0
        self._stopping = False

    def put(self, message: Message) -> None:
        """Take a message; never waits, never raises."""
        with self._lock:
            self._outbox.put(message)
            if self._state == "waiting" and not (message.retain or message.lasting):
                self._outbox.forget_passing()
            loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._work.set)

    def status(self) -> BrokerStatus:
        """How it goes."""
        with self._lock:
            queue, dropped = self._outbox.waiting, Counter(self._outbox.dropped)
            if self._state == "stopped" and (left := queue["events"] + queue["results"]):
                dropped["stopped"] += left
            return {
                "state": self._state,
                "reason": self._reason,
                "sent": dict(self._outbox.sent),
                "dropped": dict(dropped),
                "queue": queue,
                "reconnects": max(0, self._connects - 1),
            }

    def retained(self) -> set[Topic]:
        """Topics that the broker is to keep something of."""
        with self._lock:
            return self._outbox.retained()

    async def run(self) -> None:
        """Connect, send, and begin again whenever the connection is lost; ends by `stop` or by being cancelled."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        try:
            while not self._stopping:
                began_ns = self._clock.now_ns()
                try:
                    await self._one_connection()
                except BusError as error:
                    if self._clock.now_ns() - began_ns > STEADY_S * 1e9:
                        self._backoff.reset()
                    await self._pause(error)
        finally:
            with self._lock:
                self._loop = None  # who still puts something may not wake what is closed
                self._state = "stopped"

    def stop(self) -> None:
        """End after what waits has been sent, if the broker is there. In the event loop."""
        self._stopping = True
        self._work.set()

    async def _pause(self, error: BusError) -> None:
        pause_s = self._backoff.next_s()
        if isinstance(error, BusUnauthorized):
            pause_s = max(pause_s, UNAUTHORIZED_PAUSE_S)
        self._tell("waiting", str(error))
        with self._lock:
            self._outbox.forget_passing()
        if not self._stopping:
            await self._sleep(pause_s)
            self._tell("connecting", str(error))

    async def _one_connection(self) -> None:
        """From connecting to losing the connection, which raises, or to stopping, which does not."""
        bus = self._make_bus()
        try:
            await bus.connect()
            if self._greet is not None:
                await self._greet(bus)
            with self._lock:
                self._outbox.tell_again()
            self._connects += 1
            self._tell("connected", "")
            await self._until_lost(bus)
        finally:
            await bus.close()

    async def _until_lost(self, bus: Bus) -> None:
        sending = asyncio.ensure_future(self._send(bus))
        losing = asyncio.ensure_future(bus.lost())
        try:
            done, _ = await asyncio.wait((sending, losing), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (sending, losing):
                task.cancel()
            await asyncio.gather(sending, losing, return_exceptions=True)

    async def _send(self, bus: Bus) -> None:
        """Send whatever comes; ends when told to stop and nothing waits."""
        while True:
            self._work.clear()
            batch = self._take()
            if not batch and self._stopping:
                return
            if not batch:
                await self._wait_for_work()
                continue
            try:
                await bus.publish_all(batch)
            except BaseException:
                with self._lock:
                    self._outbox.put_back(batch)
                raise
            with self._lock:
                self._outbox.confirm(batch)

    def _take(self) -> list[Message]:
        with self._lock:
            return self._outbox.take()

    async def _wait_for_work(self) -> None:
        """Until something is put, or it is time for a sign of life."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._work.wait()
        except TimeoutError:
            with self._lock:
                self._outbox.due_of_kind(STATUS)

    def _tell(self, state: str, reason: str) -> None:
        with self._lock:
            self._state, self._reason = state, reason
