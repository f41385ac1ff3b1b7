"""Who may change something: requests that no page of another site can make a browser send.

There is no login yet, and the address is this machine's own. What is left is a page that the user's browser has open:
it cannot send JSON to another origin without being asked first, and a name that resolves to this machine (DNS
rebinding) is not one of ours.
"""

from __future__ import annotations

import ipaddress
import socket
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.requests import HTTPConnection, Request

from engine.control.commands import CommandFailed

MOST_BODY_BYTES = 1 << 20


async def checked_body(request: Request, keys: set[str]) -> dict[str, Any]:
    """The JSON object of a request that may change something. Raises `CommandFailed`."""
    check_origin(request)
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise CommandFailed(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise CommandFailed(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {MOST_BODY_BYTES} bytes"
            )
    try:
        body = orjson.loads(b"".join(parts))
    except orjson.JSONDecodeError as error:
        raise CommandFailed(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise CommandFailed(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    unknown = sorted(set(body) - keys)
    if unknown:
        raise CommandFailed(422, f"unknown key {unknown[0]!r}; there are: {', '.join(sorted(keys))}")
    return body


def check_origin(request: HTTPConnection) -> None:
    """Refuse a request from a page of another site, or by a name that is not this machine's. Raises `CommandFailed`."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        raise CommandFailed(HTTPStatus.FORBIDDEN, f"a page of {origin} may not do this")
    name = urlsplit(f"//{host}").hostname or ""
    if not _is_ours(name):
        raise CommandFailed(
            HTTPStatus.FORBIDDEN, f"{name!r} is not this machine; use its address or localhost"
        )


def _is_ours(name: str) -> bool:
    if name in ("localhost", socket.gethostname().lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
