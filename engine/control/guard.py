"""Where a request may come from: no page of another site can make a browser send one, or read what it gets.

A browser says in `Origin` whose page asks. A name that an attacker lets resolve to this machine (DNS rebinding) is not
one of ours.
"""

from __future__ import annotations

import ipaddress
import socket
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from engine.control.commands import CommandFailed

NOBODY: frozenset[str] = frozenset()


def check_origin(connection: HTTPConnection, allowed_origins: frozenset[str] = NOBODY) -> None:
    """Refuse a request from a page of another site. Raises `CommandFailed`."""
    origin = connection.headers.get("origin")
    if origin is None or origin.lower() in allowed_origins:
        return
    if _netloc(origin) != connection.headers.get("host", ""):
        raise CommandFailed(HTTPStatus.FORBIDDEN, f"a page of {origin[:100]!r} may not do this")


def check_host(connection: HTTPConnection, allowed_hosts: frozenset[str] = NOBODY) -> None:
    """Refuse a request by a name that is not this machine's. Raises `CommandFailed`."""
    name = _hostname(connection.headers.get("host", ""))
    if not (name in allowed_hosts or _is_ours(name)):
        raise CommandFailed(
            HTTPStatus.FORBIDDEN,
            f"{name[:100]!r} is not this machine; use its address or localhost, or name it in control.allowed_hosts",
        )


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_ours(name: str) -> bool:
    if name in ("localhost", socket.gethostname().lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
