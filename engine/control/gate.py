"""The gate: every request and WebSocket passes it before any route does, and every answer on its way out.

Host and origin, who asks and how often; security headers; other sites' pages (CORS) only where they are allowed.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from engine.control.access import Access
from engine.control.answers import SECURITY_HEADERS, problem_answer
from engine.control.commands import CommandFailed
from engine.control.guard import check_host, check_origin

_READS = ("GET", "HEAD", "OPTIONS")
_EXPOSED = "ETag, Link, Location, Retry-After, X-Frame, X-Time"


class Gate:
    """ASGI middleware over an application."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        dressed = self._dressed(connection, send)
        if self._is_preflight(connection):
            await self._preflight(connection)(scope, receive, dressed)
            return
        try:
            self._admit(connection)
        except CommandFailed as error:
            await refuse(error, scope, receive, dressed)
            return
        await self._app(scope, receive, dressed)

    def _admit(self, connection: HTTPConnection) -> None:
        security, scope = self._access.security, connection.scope
        changes = scope["type"] == "websocket" or scope["method"] not in _READS
        # Where nobody has to log in, a page of a name that resolves to us could also read everything.
        if changes or not security.login_required:
            check_host(connection, security.allowed_hosts)
        if changes:
            check_origin(connection, security.allowed_origins)
        scope.setdefault("state", {})["client"] = self._access.identify(connection)

    def _is_preflight(self, connection: HTTPConnection) -> bool:
        return (
            connection.scope.get("method") == "OPTIONS"
            and "access-control-request-method" in connection.headers
            and self._allowed_origin(connection) is not None
        )

    def _preflight(self, connection: HTTPConnection) -> Response:
        headers = {
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
        }
        return Response(status_code=204, headers=headers)

    def _allowed_origin(self, connection: HTTPConnection) -> str | None:
        origin = connection.headers.get("origin", "")
        return origin if origin.lower() in self._access.security.allowed_origins else None

    def _dressed(self, connection: HTTPConnection, send: Send) -> Send:
        """`send` with the headers that every answer has, unless it brings its own."""
        origin = self._allowed_origin(connection)

        async def dressed(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if origin is not None:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = _EXPOSED
                    headers.add_vary_header("Origin")
            await send(message)

        return dressed


async def refuse(error: CommandFailed, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or the wish for a WebSocket, with a problem."""
    answer = problem_answer(error.status, error.detail, error.headers, error.errors)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await answer(scope, receive, send)
