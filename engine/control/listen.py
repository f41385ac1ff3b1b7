"""The listening socket of the HTTP side, bound before anything is started. Needs no HTTP server to do so."""

from __future__ import annotations

import errno
import socket

from engine.errors import ConfigError

BACKLOG = 512
UNREAD_TIMEOUT_MS = 30_000
"""A caller that takes nothing of what is sent to it for so long is cut off (where the system can do that: Linux)."""
"""Callers that may wait for the control process to take them up."""


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
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # what is accepted inherits it
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_MS)
        listening.bind(address)
        listening.listen(BACKLOG)
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
