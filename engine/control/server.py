"""The HTTP server on a socket that was bound beforehand. The only file that imports uvicorn.

Serves any ASGI application. Takes no signals: whoever runs it decides when it ends.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from engine.control.listen import BACKLOG, bind_socket

__all__ = ["ControlServer", "bind_socket"]

MOST_CLIENT_MESSAGE_BYTES = 4096
"""Clients of a WebSocket have nothing to say; who says more than this is cut off before it is read."""


class ControlServer:
    """Serves an application on a bound socket until told to stop."""

    def __init__(self, app: ASGIApp, listening: socket.socket, stop_timeout_s: int = 1) -> None:
        self._listening = listening
        self._server = _TickingServer(
            uvicorn.Config(
                app,
                loop="auto",  # uvloop where it is installed
                http="h11",
                ws="websockets-sansio",  # feels back pressure, and knows no deprecated part of websockets
                ws_max_size=MOST_CLIENT_MESSAGE_BYTES,
                ws_ping_interval=20.0,
                ws_ping_timeout=20.0,
                ws_per_message_deflate=False,  # time and memory for each client, on a machine's own network
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=64,
                backlog=BACKLOG,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=stop_timeout_s,
                h11_max_incomplete_event_size=16 * 1024,
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
