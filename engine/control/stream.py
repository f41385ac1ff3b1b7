"""Results and events pushed to whoever listens, over WebSocket.

Moves bytes: what is in a message is made elsewhere and handed over by another thread. Nobody waits for a client. One
that does not read fast enough gets the newest results and, in-band, the number of those it has missed; events are
queued for it, and when the queue is full it is told how many are missing and where.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.control.commands import CommandFailed
from engine.control.guard import check_origin

SCHEMA = "camring.stream/1"
"""Name and major version of the messages that speak of the stream itself."""
KINDS = (
    "appeared", "left", "crossed", "entered", "exited", "dwelled", "count", "speed", "fast", "grouped", "ungrouped",
)  # fmt: skip
"""Kinds of events that a client may ask for."""
STREAMS = ("events", "results")


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What clients may cost.

    clients        at the same time
    queue_messages, queue_bytes   events that wait for one client
    queue_records  records of a camera that wait for one client, the newest ones: a hitch costs none
    send_timeout_s  a client that takes nothing for so long is let go
    handovers      records that wait for the serving thread; whoever hands more over waits
    """

    clients: int = 16
    queue_messages: int = 4096
    queue_bytes: int = 1 << 20
    queue_records: int = 4
    send_timeout_s: float = 10.0
    handovers: int = 64


class _Client(ABC):
    """One connection: which cameras it listens to, and what waits for it."""

    def __init__(self, cameras: frozenset[str] | None) -> None:
        self._cameras = cameras
        self.wake = asyncio.Event()

    def listens_to(self, camera: str) -> bool:
        return self._cameras is None or camera in self._cameras

    @abstractmethod
    def offer(self, camera: str, record: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        """A record; returns how many messages it costs that were waiting, or itself."""

    @abstractmethod
    def missed(self, camera: str, records: int) -> None:
        """Nobody could read so many records of this camera."""

    @abstractmethod
    def take(self) -> bytes | None:
        """The next message, None while there is none."""


class _EventsClient(_Client):
    """Every event in order, as long as the queue holds them."""

    def __init__(
        self, cameras: frozenset[str] | None, kinds: frozenset[str] | None, limits: StreamLimits
    ) -> None:
        super().__init__(cameras)
        self._kinds = kinds
        self._limits = limits
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._lost: Counter[str] = Counter()

    def offer(self, camera: str, record: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        lost = 0
        for kind, message in events:
            if self._kinds is None or kind in self._kinds:
                lost += not self._append(camera, message)
        self.wake.set()
        return lost

    def _append(self, camera: str, message: bytes) -> bool:
        full = len(self._queue) >= self._limits.queue_messages
        if full or self._bytes + len(message) > self._limits.queue_bytes:
            self._lost[camera] += 1
            return False
        for each in list(self._lost):
            self._push(self._notice(each))
        self._push(message)
        return True

    def _push(self, message: bytes) -> None:
        self._queue.append(message)
        self._bytes += len(message)

    def _notice(self, camera: str) -> bytes:
        return _lost(camera, "slow", events=self._lost.pop(camera))

    def missed(self, camera: str, records: int) -> None:
        self._push(_lost(camera, "overrun", results=records))
        self.wake.set()

    def take(self) -> bytes | None:
        if self._queue:
            message = self._queue.popleft()
            self._bytes -= len(message)
            return message
        return self._notice(next(iter(self._lost))) if self._lost else None


@dataclass(slots=True)
class _Waiting:
    """The newest records of one camera that a client has not got, and what it has missed before them.

    records  each with the number of its events, oldest first
    """

    records: deque[tuple[bytes, int]] = field(default_factory=deque)
    lost_results: int = 0
    lost_events: int = 0
    unread: int = 0


class _ResultsClient(_Client):
    """The newest records of each camera."""

    def __init__(self, cameras: frozenset[str] | None, limits: StreamLimits) -> None:
        super().__init__(cameras)
        self._limits = limits
        self._waiting: dict[str, _Waiting] = {}

    def offer(self, camera: str, record: bytes, events: Sequence[tuple[str, bytes]]) -> int:
        waiting = self._waiting.setdefault(camera, _Waiting())
        full = len(waiting.records) >= self._limits.queue_records
        if full:
            waiting.lost_results += 1
            waiting.lost_events += waiting.records.popleft()[1]
        waiting.records.append((record, len(events)))
        self.wake.set()
        return int(full)

    def missed(self, camera: str, records: int) -> None:
        self._waiting.setdefault(camera, _Waiting()).unread += records
        self.wake.set()

    def take(self) -> bytes | None:
        for camera, waiting in self._waiting.items():
            if waiting.unread:
                records, waiting.unread = waiting.unread, 0
                return _lost(camera, "overrun", results=records)
            if waiting.lost_results:
                message = _lost(camera, "slow", events=waiting.lost_events, results=waiting.lost_results)
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


def _lost(camera: str, reason: str, *, events: int | None = None, results: int = 0) -> bytes:
    """`slow`: the client was. `overrun`: this process was; how many events that costs nobody knows."""
    body = {"schema": SCHEMA, "type": "lost", "camera": camera, "reason": reason}
    return orjson.dumps({**body, "results": results, "events": events})


class Streams:
    """All clients. `publish`, `missed` and `listening` may be called by any one thread, the rest by the serving one."""

    def __init__(self, limits: StreamLimits | None = None) -> None:
        self._limits = limits or StreamLimits()
        self._clients: set[_Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handovers = threading.BoundedSemaphore(self._limits.handovers)
        self._refused: Counter[str] = Counter()
        self.somebody_listens = threading.Event()
        self.sent: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def listening(self, stream: str) -> bool:
        """Whether anybody listens to `events` or `results`."""
        return self.clients(stream) > 0

    def clients(self, stream: str) -> int:
        """How many listen."""
        kind = _EventsClient if stream == "events" else _ResultsClient
        return sum(isinstance(client, kind) for client in tuple(self._clients))

    def statistics(self) -> dict[str, dict[str, int]]:
        """Clients now, messages sent and messages that slow clients did not get, by stream."""
        return {
            stream: {
                "clients": self.clients(stream),
                "sent": self.sent[stream],
                "lost": self.lost[stream],
            }
            for stream in STREAMS
        }

    def publish(self, camera: str, record: bytes, events: Sequence[tuple[str, bytes]]) -> None:
        """Hand a record (b"" where nobody listens to results) and its events, each with its kind, to whom they concern.

        Waits while the serving thread has not taken up what was handed over before.
        """
        if self._refused[camera]:
            self.missed(camera, 0)
        if not self._hand_over(self._deliver, camera, record, events):
            self._refused[camera] += 1

    def missed(self, camera: str, records: int) -> None:
        """So many records were overwritten before they could be read."""
        records += self._refused.pop(camera, 0)
        if not self._hand_over(self._deliver_gap, camera, records):
            self._refused[camera] += records

    def _hand_over(self, deliver: Callable[..., None], *arguments: object) -> bool:
        """False where the serving thread takes nothing up."""
        loop = self._loop
        if loop is None or not self._handovers.acquire(timeout=1.0):
            return False
        try:
            loop.call_soon_threadsafe(self._taken_up, deliver, *arguments)
        except RuntimeError:  # the loop has been closed: nobody listens any more
            self._handovers.release()
            return False
        return True

    def _taken_up(self, deliver: Callable[..., None], *arguments: object) -> None:
        self._handovers.release()
        deliver(*arguments)

    def _deliver(self, camera: str, record: bytes, events: Sequence[tuple[str, bytes]]) -> None:
        for client in self._clients:
            if client.listens_to(camera):
                stream = "events" if isinstance(client, _EventsClient) else "results"
                if stream == "events" or record:
                    self.lost[stream] += client.offer(camera, record, events)

    def _deliver_gap(self, camera: str, records: int) -> None:
        for client in self._clients:
            if client.listens_to(camera):
                client.missed(camera, records)

    async def serve(self, websocket: WebSocket, stream: str, known_cameras: list[str]) -> None:
        """One connection from its request to its end. Raises `CommandFailed` where it is refused."""
        check_origin(websocket)
        _check_keys(websocket, ("camera", "kind") if stream == "events" else ("camera",))
        cameras = _chosen(websocket, "camera", known_cameras)
        if len(self._clients) >= self._limits.clients:
            raise CommandFailed(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{self._limits.clients} clients are listening already"
            )
        client: _Client
        begin: dict[str, Any] = {"schema": SCHEMA, "type": "begin", "stream": stream}
        begin["cameras"] = sorted(cameras) if cameras else known_cameras
        if stream == "events":
            kinds = _chosen(websocket, "kind", KINDS)
            client = _EventsClient(cameras, kinds, self._limits)
            begin["kinds"] = sorted(kinds) if kinds else list(KINDS)
        else:
            client = _ResultsClient(cameras, self._limits)
        self._loop = asyncio.get_running_loop()
        await websocket.accept()
        self._clients.add(client)
        self.somebody_listens.set()
        try:
            await self._converse(websocket, client, stream, orjson.dumps(begin))
        finally:
            self._clients.discard(client)
            if not self._clients:
                self.somebody_listens.clear()

    async def _converse(self, websocket: WebSocket, client: _Client, stream: str, begin: bytes) -> None:
        """Send until the client goes, says something (which is not foreseen) or does not read any more."""
        sending = asyncio.create_task(self._send_all(websocket, client, stream, begin))
        receiving = asyncio.create_task(_receive(websocket))
        both = {sending, receiving}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            outcomes = await asyncio.gather(*both, return_exceptions=True)
        said_something = receiving.done() and not receiving.cancelled() and receiving.result()
        code, reason = (1003, "this stream takes no messages") if said_something else (1013, "too slow")
        # Where it has gone already, or does not read, the server cuts the connection.
        with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            await asyncio.wait_for(websocket.close(code, reason), 0.5)
        for outcome in outcomes:
            expected = asyncio.CancelledError, TimeoutError, WebSocketDisconnect
            if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
                raise outcome

    async def _send_all(self, websocket: WebSocket, client: _Client, stream: str, begin: bytes) -> None:
        message: bytes | None = begin
        while True:
            if message is None:
                client.wake.clear()
                await client.wake.wait()
            else:
                await asyncio.wait_for(
                    websocket.send({"type": "websocket.send", "text": message.decode()}),
                    self._limits.send_timeout_s,
                )
                self.sent[stream] += 1
            message = client.take()


async def _receive(websocket: WebSocket) -> bool:
    """Whether the client said something; False when it has gone."""
    message = await websocket.receive()
    return bool(message["type"] == "websocket.receive")


def _check_keys(websocket: WebSocket, known: tuple[str, ...]) -> None:
    unknown = sorted(set(websocket.query_params) - set(known))
    if unknown:
        raise CommandFailed(422, f"unknown parameter {unknown[0]!r}; there are: {', '.join(known)}")


def _chosen(websocket: WebSocket, key: str, known: Iterable[str]) -> frozenset[str] | None:
    """The values of a parameter that may be repeated, None without one. Raises `CommandFailed` for unknown ones."""
    chosen = websocket.query_params.getlist(key)
    for value in chosen:
        if value not in known:
            status = HTTPStatus.NOT_FOUND if key == "camera" else HTTPStatus.UNPROCESSABLE_ENTITY
            raise CommandFailed(status, f"no {key} {value!r}; there are: {', '.join(known)}")
    return frozenset(chosen) or None


Refuse = Callable[[int, str], Response]


def stream_routes(streams: Streams, cameras: Callable[[], list[str]], refuse: Refuse) -> list[BaseRoute]:
    """The routes. `cameras` names those of the run, `refuse` makes the answer to a request that is refused."""

    def of(stream: str) -> Callable[[WebSocket], Any]:
        async def endpoint(websocket: WebSocket) -> None:
            try:
                await streams.serve(websocket, stream, cameras())
            except CommandFailed as error:
                await websocket.send_denial_response(refuse(error.status, error.detail))

        return endpoint

    async def not_http(request: Request) -> Response:
        path = request.url.path
        answer = refuse(
            HTTPStatus.UPGRADE_REQUIRED, f"{path} is a WebSocket: connect to it as ws://HOST:PORT{path}"
        )
        answer.headers["Upgrade"] = "websocket"
        return answer

    return [
        route
        for stream in STREAMS
        for route in (WebSocketRoute(f"/{stream}", of(stream)), Route(f"/{stream}", not_http))
    ]
