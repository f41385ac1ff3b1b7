"""The HTTP server on a socket that was bound beforehand. The only file that imports uvicorn.

Serves any ASGI application. Takes no signals: whoever runs it decides when it ends. Whoever does not say what he wants,
or does not read what he has asked for, is cut off after a time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from engine.control.listen import BACKLOG, bind_socket

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

__all__ = ["ControlServer", "bind_socket"]

MOST_CLIENT_MESSAGE_BYTES = 4096
"""Clients of a WebSocket have little to say; who says more than this is cut off before it is read."""
MOST_CONNECTIONS = 1024
REQUEST_TIMEOUT_S = 10.0
"""A connection on which no whole head of a request has come for so long is closed."""
CLOSE_TIMEOUT_S = 10.0
"""A WebSocket that has been told that it is closed is cut after this, whatever it has not read."""
SEND_BUFFER_BYTES = 256 << 10
"""What the system keeps of a WebSocket for a client that does not read; by itself it would keep megabytes."""


class ControlServer:
    """Serves an application on a bound socket until told to stop.

    certificate  paths of a certificate and its key: https
    """

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        stop_timeout_s: int = 1,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self._listening = listening
        certificate_path, key_path = certificate or (None, None)
        self._server = _TickingServer(
            uvicorn.Config(
                app,
                loop="auto",  # uvloop where it is installed
                http=_PromptHttp,
                ws=_PromptWebSocket,
                ws_max_size=MOST_CLIENT_MESSAGE_BYTES,
                ws_ping_interval=20.0,
                ws_ping_timeout=20.0,
                ws_per_message_deflate=False,  # time and memory for each client, on a machine's own network
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                backlog=BACKLOG,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=stop_timeout_s,
                h11_max_incomplete_event_size=16 * 1024,
                ssl_certfile=certificate_path,
                ssl_keyfile=key_path,
            )
        )

    def run(self, tick: Callable[[], bool]) -> None:
        """Serve. `tick` is called on the serving thread about ten times a second; False begins the stop.

        Requests under way get `stop_timeout_s` to finish. The socket is closed at the end.
        """
        self._server.tick = tick
        self._server.run(sockets=[self._listening])


class _TickingServer(uvicorn.Server):
    """uvicorn's server with the stop condition handed in and its signal handling left out."""

    tick: Callable[[], bool]

    async def on_tick(self, counter: int) -> bool:
        self.should_exit = self.should_exit or not self.tick()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _PromptHttp(H11Protocol):
    """HTTP/1.1 for those who say soon what they want.

    uvicorn waits for ever for the head of a connection's first request, and of one that has been begun.
    """

    _awaited_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before or self.transport.get_protocol() is not self:
            self._stop_waiting()
        elif self._awaited_head is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def _await_head(self) -> None:
        self._awaited_head = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._awaited_head is not None:
            self._awaited_head.cancel()
            self._awaited_head = None


class _PromptWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that feels back pressure, but can be told why it is closed also by one who does not read."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        connected: socket.socket | None = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def shutdown(self) -> None:
        """End. uvicorn would say goodbye once more where the client has just said it, and fail over that."""
        try:
            super().shutdown()
        except InvalidState:
            self.transport.abort()

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "websocket.close" and not self.writable.is_set():
            # It is written behind what waits already, and read if the client ever reads again.
            self.writable.set()
            self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)
        await super().send(message)
