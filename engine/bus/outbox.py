"""What waits for one broker, in bounded memory: what replaces itself, what lasts, and what is worth little when old.

Pure: no clock, no broker. What is put in is sent, waits, or is counted as dropped with its reason.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.bus.base import MOST_BATCH, Message
from engine.bus.topics import Topic

MOST_RETAINED = 20_000
"""Topics of which the newest message is kept: the state of a thousand cameras with their entities."""
MOST_BYTES = 64 * 2**20
"""Payloads that wait in all, whatever their number."""


@dataclass
class Outbox:
    """Messages for one broker. The oldest go first: retained ones before lasting ones before the rest.

    Of a retained message the newest is kept under its topic for good, so that a broker that has forgotten everything
    is told again (`tell_again`).

    most_lasting, most_passing  how many of them may wait; the oldest is dropped for a new one
    """

    most_lasting: int
    most_passing: int
    most_bytes: int = MOST_BYTES
    dropped: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    _retained: OrderedDict[Topic, Message] = field(default_factory=OrderedDict)
    _due: OrderedDict[Topic, None] = field(default_factory=OrderedDict)
    _lasting: deque[Message] = field(default_factory=deque)
    _passing: deque[Message] = field(default_factory=deque)
    _bytes: int = 0

    def put(self, message: Message) -> None:
        """Take a message; never waits."""
        if message.retain:
            self._retain(message)
            return
        waiting, most = (
            (self._lasting, self.most_lasting) if message.lasting else (self._passing, self.most_passing)
        )
        waiting.append(message)
        self._bytes += len(message.payload)
        while len(waiting) > most:
            self._drop(waiting, "overflow")
        while self._bytes > self.most_bytes:
            self._drop(self._passing or self._lasting, "memory")

    def take(self) -> list[Message]:
        """The next messages to hand over, `MOST_BATCH` at most; empty where nothing waits.

        Each batch goes back by `confirm` or `put_back` before the next is taken.
        """
        batch: list[Message] = []
        while self._due and len(batch) < MOST_BATCH:
            batch.append(self._retained[self._due.popitem(last=False)[0]])
        for waiting in (self._lasting, self._passing):
            while waiting and len(batch) < MOST_BATCH:
                batch.append(waiting.popleft())
                self._bytes -= len(batch[-1].payload)
        return batch

    def confirm(self, batch: Sequence[Message]) -> None:
        """The broker has these."""
        for message in batch:
            self.sent[message.topic.kind] += 1
            if message.retain and not message.payload and self._retained.get(message.topic) is message:
                del self._retained[message.topic]  # the broker keeps nothing there any more
                self._due.pop(message.topic, None)

    def put_back(self, batch: Sequence[Message]) -> None:
        """The broker may not have these: what lasts is kept for the next time, the rest is dropped and counted."""
        for message in reversed(batch):
            if message.retain:
                self._due[message.topic] = None  # the newest under this topic is sent
                self._due.move_to_end(message.topic, last=False)
            elif not message.lasting:
                self.dropped["unconfirmed"] += 1
            elif len(self._lasting) >= self.most_lasting:
                self.dropped["overflow"] += 1
            elif self._bytes + len(message.payload) > self.most_bytes:
                self.dropped["memory"] += 1
            else:
                self._lasting.appendleft(message)
                self._bytes += len(message.payload)

    def tell_again(self) -> None:
        """All that is retained is due: a new connection."""
        self._due = OrderedDict.fromkeys(self._retained)

    def due_of_kind(self, kind: str) -> None:
        """What is retained of this kind is due again: as a sign of life."""
        self._due.update(dict.fromkeys(topic for topic in self._retained if topic.kind == kind))

    def forget_passing(self) -> None:
        """What is worth little when old is dropped and counted: the broker is away."""
        while self._passing:
            self._drop(self._passing, "away")

    def retained(self) -> set[Topic]:
        """Topics with something to keep."""
        return {topic for topic, message in self._retained.items() if message.payload}

    @property
    def waiting(self) -> dict[str, int]:
        """How many wait: `state` (retained), `events` (lasting), `results` (the rest)."""
        return {"state": len(self._due), "events": len(self._lasting), "results": len(self._passing)}

    @property
    def nbytes(self) -> int:
        """Payloads of lasting and passing messages that wait."""
        return self._bytes

    def _retain(self, message: Message) -> None:
        if message.topic not in self._retained and len(self._retained) >= MOST_RETAINED:
            self.dropped["topics"] += 1
            return
        self._retained[message.topic] = message
        self._due[message.topic] = None

    def _drop(self, waiting: deque[Message], reason: str) -> None:
        self._bytes -= len(waiting.popleft().payload)
        self.dropped[reason] += 1
