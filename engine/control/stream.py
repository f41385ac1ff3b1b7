"""Results and events pushed to whoever listens, over WebSocket.

Moves text: what is in a message is made elsewhere, once for all clients, and handed over by another thread. Nobody
waits for a client: what becomes of those that do not read fast enough is in `stream_clients`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import orjson
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.control.access import SUBPROTOCOL, check_role
from engine.control.commands import CommandFailed
from engine.control.event_log import EventLog
from engine.control.gate import refuse
from engine.control.health import Newest
from engine.control.roles import Role
from engine.control.stream_clients import SCHEMA, Client, EventQueue, ResultQueue, StreamLimits
from engine.control.stream_messages import HEALTH_INTERVAL_S, cameras_message, health_message, subscribe

__all__ = ["KINDS", "SCHEMA", "STREAMS", "StreamLimits", "Streams", "stream_routes"]

KINDS = (
    "appeared", "left", "crossed", "entered", "exited", "dwelled", "count", "speed", "fast", "grouped", "ungrouped",
)  # fmt: skip
"""Kinds of events that a client may ask for."""
STREAMS = ("events", "results", "ws")
TOO_SLOW = (1013, "too slow: nothing was read for too long")


class Streams:
    """All clients. `publish`, `missed` and `listening` may be called by any one thread, the rest by the serving one.

    log  the newest events
    """

    def __init__(self, limits: StreamLimits | None = None, first_event: int = 1) -> None:
        self._limits = limits or StreamLimits()
        self._clients: set[Client] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handovers = threading.BoundedSemaphore(self._limits.handovers)
        self._refused: Counter[str] = Counter()
        self._pulse: asyncio.Task[None] | None = None
        self.log = EventLog(first_event)
        self.somebody_listens = threading.Event()
        self.sent: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def listening(self, what: str) -> bool:
        """Whether anybody listens to `events` or `results`."""
        clients = tuple(self._clients)
        if what == "events":
            return any(client.events is not None for client in clients)
        return any(client.results is not None for client in clients)

    def clients(self, stream: str) -> int:
        """How many are connected to it."""
        return sum(client.stream == stream for client in tuple(self._clients))

    def statistics(self) -> dict[str, dict[str, int]]:
        """By stream: clients now, messages sent, messages that slow clients did not get, clients that were cut off."""
        return {
            stream: {
                "clients": self.clients(stream),
                "sent": self.sent[stream],
                "lost": self.lost[stream],
                "dropped": self.dropped[stream],
            }
            for stream in STREAMS
        }

    def publish(self, camera: str, record: bytes, events: Sequence[tuple[str, bytes]]) -> None:
        """Hand a record (b"" where nobody listens to results) and its events, each with its kind, to whom they concern.

        Waits while the serving thread has not taken up what was handed over before.
        """
        if events:
            self.log.add(camera, events)
        if not self.somebody_listens.is_set():
            return
        if self._refused[camera]:
            self.missed(camera, 0)
        messages = [(kind, message.decode()) for kind, message in events]
        if not self._hand_over(self._deliver, camera, record.decode(), messages):
            self._refused[camera] += 1

    def overlooked(self) -> None:
        """Records were overwritten before they could be read: events may have been in them."""
        self.log.note_gap()

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

    def _deliver(self, camera: str, record: str, events: Sequence[tuple[str, str]]) -> None:
        for client in self._clients:
            if client.listens_to(camera):
                self.lost[client.stream] += client.offer(camera, record, events)

    def _deliver_gap(self, camera: str, records: int) -> None:
        for client in self._clients:
            if client.listens_to(camera):
                client.missed(camera, records)

    async def serve(self, websocket: WebSocket, stream: str, newest: Newest) -> None:
        """One connection from its request to its end. Raises `CommandFailed` where it is refused."""
        check_role(websocket, Role.VIEWER)
        known_cameras = list(newest.status()["cameras"])
        client, begin = self._client_of(websocket, stream, known_cameras)
        if len(self._clients) >= self._limits.clients:
            raise CommandFailed(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{self._limits.clients} clients are listening already"
            )
        self._loop = asyncio.get_running_loop()
        offered = websocket.scope.get("subprotocols", ())
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        if begin:
            client.tell(begin)
        self._clients.add(client)
        self.somebody_listens.set()
        if stream == "ws" and (self._pulse is None or self._pulse.done()):
            self._pulse = asyncio.create_task(self._beat(newest))
        try:
            await self._converse(websocket, client, newest)
        finally:
            self._clients.discard(client)
            if not self._clients:
                self.somebody_listens.clear()

    def _client_of(self, websocket: WebSocket, stream: str, known_cameras: list[str]) -> tuple[Client, str]:
        """A client as its path and query ask for, and how it is greeted. Raises `CommandFailed`."""
        keys = {"events": ("camera", "kind"), "results": ("camera",), "ws": ()}[stream]
        _check_keys(websocket, keys)
        if stream == "ws":
            return Client(stream), ""
        cameras = _chosen(websocket, "camera", known_cameras)
        client = Client(stream, cameras)
        begin: dict[str, Any] = {"schema": SCHEMA, "type": "begin", "stream": stream}
        begin["cameras"] = sorted(cameras) if cameras else known_cameras
        if stream == "events":
            kinds = _chosen(websocket, "kind", KINDS)
            client.events = EventQueue(kinds, self._limits)
            begin["kinds"] = sorted(kinds) if kinds else list(KINDS)
        else:
            client.results = ResultQueue(self._limits)
        return client, orjson.dumps(begin).decode()

    async def _converse(self, websocket: WebSocket, client: Client, newest: Newest) -> None:
        """Send until the client goes, says something that is not foreseen, or does not read any more."""
        sending = asyncio.create_task(self._send_all(websocket, client))
        receiving = asyncio.create_task(self._receive_all(websocket, client, newest))
        both = {sending, receiving}
        ends: tuple[int, str] | None = None
        try:
            done: set[asyncio.Task[Any]] = set()
            while not done and ends is None:
                done, _ = await asyncio.wait(
                    both, timeout=self._limits.send_timeout_s / 4, return_when=asyncio.FIRST_COMPLETED
                )
                ends = None if done else self._judge(client)
        finally:
            for task in both:
                task.cancel()
            outcomes = await asyncio.gather(*both, return_exceptions=True)
        if ends is None and receiving in done and not receiving.cancelled() and not receiving.exception():
            ends = receiving.result()
        if ends is not None:
            self.dropped[client.stream] += ends is TOO_SLOW
            with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):  # it has gone already
                await asyncio.wait_for(websocket.close(*ends), 0.5)
        for outcome in outcomes:
            expected = asyncio.CancelledError, WebSocketDisconnect
            if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
                raise outcome

    def _judge(self, client: Client) -> tuple[int, str] | None:
        """How a client is let go that has taken nothing for too long; None for others."""
        since, now = client.stuck_since, asyncio.get_running_loop().time()
        return TOO_SLOW if since is not None and now - since > self._limits.send_timeout_s else None

    async def _send_all(self, websocket: WebSocket, client: Client) -> None:
        now = asyncio.get_running_loop().time
        while True:
            message = client.take()
            if message is None:
                client.wake.clear()
                await client.wake.wait()
                continue
            client.stuck_since = now()
            await websocket.send({"type": "websocket.send", "text": message})
            client.stuck_since = None
            self.sent[client.stream] += 1

    async def _receive_all(
        self, websocket: WebSocket, client: Client, newest: Newest
    ) -> tuple[int, str] | None:
        """Take what a client says; returns how to end it, None where it has gone by itself."""
        while True:
            message = await websocket.receive()
            if message["type"] != "websocket.receive":
                return None
            if client.stream != "ws":
                return 1003, "this stream takes no messages"
            text = message.get("text")
            if text is None:
                return 1003, "messages must be text"
            if not client.tell(subscribe(client, text, list(newest.status()["cameras"]), self._limits)):
                return 1008, "too many messages, none of their answers read"

    async def _beat(self, newest: Newest) -> None:
        """Once a second, while anybody is at /ws: the health, and the cameras when they are others."""
        cameras = list(newest.status()["cameras"])
        while clients := [client for client in self._clients if client.stream == "ws"]:
            status = newest.status()
            if list(status["cameras"]) != cameras:
                cameras = list(status["cameras"])
                for client in clients:
                    client.tell(cameras_message(cameras))
            listeners = [client for client in clients if client.wants_health]
            message = health_message(newest.health()) if listeners else ""
            for client in listeners:
                client.tell_health(message)
            await asyncio.sleep(HEALTH_INTERVAL_S)


def _check_keys(websocket: WebSocket, known: tuple[str, ...]) -> None:
    unknown = sorted(set(websocket.query_params) - set(known))
    if unknown:
        shown = ", ".join(known) or "none"
        raise CommandFailed(422, f"unknown parameter {unknown[0][:60]!r}; there are: {shown}")


def _chosen(websocket: WebSocket, key: str, known: Iterable[str]) -> frozenset[str] | None:
    """The values of a parameter that may be repeated, None without one. Raises `CommandFailed` for unknown ones."""
    chosen = websocket.query_params.getlist(key)
    for value in chosen:
        if value not in known:
            status = HTTPStatus.NOT_FOUND if key == "camera" else HTTPStatus.UNPROCESSABLE_ENTITY
            raise CommandFailed(status, f"no {key} {value!r}; there are: {', '.join(known)}")
    return frozenset(chosen) or None


def stream_routes(streams: Streams, newest: Newest) -> list[BaseRoute]:
    """The WebSockets. What the same paths answer over plain HTTP is in the table of operations."""

    def of(stream: str) -> Callable[[WebSocket], Any]:
        async def endpoint(websocket: WebSocket) -> None:
            try:
                await streams.serve(websocket, stream, newest)
            except CommandFailed as error:
                await refuse(error, websocket.scope, websocket.receive, websocket.send)

        return endpoint

    return [WebSocketRoute(f"/{stream}", of(stream)) for stream in STREAMS]
