"""The HTTP server on a socket that was bound before anything started. The only file that imports uvicorn.

Serves any ASGI application. Takes no signals: whoever runs it decides when it ends.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from engine.errors import ConfigError

_BACKLOG = 64


def bind_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes any free one.

    Listening begins here, so that a port that is taken is known before a process is started, and callers
    wait rather than fail while the control process is started (again). Raises `ConfigError`.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(f"--host {host}: no such address ({error}); use 127.0.0.1 or 0.0.0.0") from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(_bind_problem(host, port, error)) from None
    return listening


def _bind_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program; use --port"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} needs more rights than this user has; use --port with 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this machine; use 127.0.0.1 or 0.0.0.0"
    return f"port {port} on {host} cannot be used: {error.strerror}"


class ControlServer:
    """Serves an application on a bound socket until told to stop."""

    def __init__(self, app: ASGIApp, listening: socket.socket, stop_timeout_s: int = 1) -> None:
        self._listening = listening
        self._server = _TickingServer(
            uvicorn.Config(
                app,
                loop="auto",  # uvloop where it is installed
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=64,
                backlog=_BACKLOG,
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
