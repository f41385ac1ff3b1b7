"""What waits for one client of a stream. A slow one gets the newest results, and is told how many it has missed.

Events are queued for it; when the queue is full it is told how many are missing and where. Holds text, knows no socket.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

SCHEMA = "camring.stream/1"
"""Name and major version of the messages that speak of the stream itself."""
MOST_NOTICES = 16
"""Answers that wait for a client; who says more without reading them is cut off."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What clients may cost.

    clients        at the same time
    queue_messages, queue_bytes   events that wait for one client
    queue_records  records of a camera that wait for one client, the newest ones: a hitch costs none
    send_timeout_s  a client that takes nothing for so long is let go
    handovers      records that wait for the serving thread; whoever hands more over waits
    """

    clients: int = 256
    queue_messages: int = 4096
    queue_bytes: int = 1 << 20
    queue_records: int = 4
    send_timeout_s: float = 10.0
    handovers: int = 64


class EventQueue:
    """Every event in order, as long as the queue holds them. `kinds` None: all kinds."""

    def __init__(self, kinds: frozenset[str] | None, limits: StreamLimits) -> None:
        self._kinds = kinds
        self._limits = limits
        self._queue: deque[str] = deque()
        self._characters = 0
        self._lost: Counter[str] = Counter()

    def offer(self, camera: str, events: Sequence[tuple[str, str]]) -> int:
        """Events of a camera, each with its kind; returns how many found no room."""
        lost = 0
        for kind, message in events:
            if self._kinds is None or kind in self._kinds:
                lost += not self._append(camera, message)
        return lost

    def _append(self, camera: str, message: str) -> bool:
        full = len(self._queue) >= self._limits.queue_messages
        if full or self._characters + len(message) > self._limits.queue_bytes:
            self._lost[camera] += 1
            return False
        for each in list(self._lost):
            self._push(self._notice(each))
        self._push(message)
        return True

    def _push(self, message: str) -> None:
        self._queue.append(message)
        self._characters += len(message)

    def _notice(self, camera: str) -> str:
        return lost_message(camera, "slow", events=self._lost.pop(camera))

    def missed(self, camera: str, records: int) -> None:
        """Nobody could read so many records of this camera."""
        self._push(lost_message(camera, "overrun", results=records))

    def take(self) -> str | None:
        """The next message, None while there is none."""
        if self._queue:
            message = self._queue.popleft()
            self._characters -= len(message)
            return message
        return self._notice(next(iter(self._lost))) if self._lost else None


@dataclass(slots=True)
class _Waiting:
    """The newest records of one camera that a client has not got, and what it has missed before them.

    records  each with the number of its events, oldest first
    """

    records: deque[tuple[str, int]] = field(default_factory=deque)
    lost_results: int = 0
    lost_events: int = 0
    unread: int = 0


class ResultQueue:
    """The newest records of each camera."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._waiting: dict[str, _Waiting] = {}

    def offer(self, camera: str, record: str, events: int) -> int:
        """A record with so many events in it; returns how many records that costs which were waiting."""
        waiting = self._waiting.setdefault(camera, _Waiting())
        full = len(waiting.records) >= self._limits.queue_records
        if full:
            waiting.lost_results += 1
            waiting.lost_events += waiting.records.popleft()[1]
        waiting.records.append((record, events))
        return int(full)

    def missed(self, camera: str, records: int) -> None:
        """Nobody could read so many records of this camera."""
        self._waiting.setdefault(camera, _Waiting()).unread += records

    def take(self) -> str | None:
        """The next message, None while there is none."""
        for camera, waiting in self._waiting.items():
            if waiting.unread:
                records, waiting.unread = waiting.unread, 0
                return lost_message(camera, "overrun", results=records)
            if waiting.lost_results:
                message = lost_message(
                    camera, "slow", events=waiting.lost_events, results=waiting.lost_results
                )
                waiting.lost_events = waiting.lost_results = 0
                return message
            # The next camera's turn comes before this one's again.
            del self._waiting[camera]
            record = waiting.records.popleft()[0] if waiting.records else None
            if waiting.records:
                self._waiting[camera] = waiting
            if record is not None:
                return record
            return self.take()
        return None


class Client:
    """One connection: what it listens to, and what waits for it. Belongs to the serving thread.

    stream   the path that it has come by, without the slash
    cameras  None: all that there are and will be
    events, results, wants_health   what it has asked for
    stuck_since   when the message was begun that it has not taken yet, in the loop's time; None while there is none
    """

    def __init__(self, stream: str, cameras: frozenset[str] | None = None) -> None:
        self.stream = stream
        self.cameras = cameras
        self.events: EventQueue | None = None
        self.results: ResultQueue | None = None
        self.wants_health = False
        self.stuck_since: float | None = None
        self.wake = asyncio.Event()
        self._notices: deque[str] = deque()
        self._health: str | None = None

    def listens_to(self, camera: str) -> bool:
        """Whether records of this camera concern it."""
        return self.cameras is None or camera in self.cameras

    def offer(self, camera: str, record: str, events: Sequence[tuple[str, str]]) -> int:
        """A record ("" where there is none) and its events; returns how many messages are lost by that."""
        lost = 0
        if self.events is not None and events:
            lost += self.events.offer(camera, events)
        if self.results is not None and record:
            lost += self.results.offer(camera, record, len(events))
        self.wake.set()
        return lost

    def missed(self, camera: str, records: int) -> None:
        """Nobody could read so many records of this camera: told once, whatever it listens to."""
        queue = self.results if self.results is not None else self.events
        if queue is not None:
            queue.missed(camera, records)
            self.wake.set()

    def tell(self, message: str) -> bool:
        """Something of the stream itself; False where too much of it waits already."""
        if len(self._notices) >= MOST_NOTICES:
            return False
        self._notices.append(message)
        self.wake.set()
        return True

    def tell_health(self, message: str) -> None:
        """The newest health; an older one that it has not taken is of no use any more."""
        self._health = message
        self.wake.set()

    def take(self) -> str | None:
        """The next message, None while there is none."""
        if self._notices:
            return self._notices.popleft()
        for queue in (self.events, self.results):
            message = queue.take() if queue is not None else None
            if message is not None:
                return message
        message, self._health = self._health, None
        return message


def lost_message(camera: str, reason: str, *, events: int | None = None, results: int = 0) -> str:
    """`slow`: the client was. `overrun`: this process was; how many events that costs nobody knows."""
    body = {"schema": SCHEMA, "type": "lost", "camera": camera, "reason": reason}
    return orjson.dumps({**body, "results": results, "events": events}).decode()
