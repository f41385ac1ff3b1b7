"""Who asks: a client by its token or its login, and how often it may. Holds no routes.

A token comes in `Authorization: Bearer`, or, from a browser's WebSocket, which can set no header, among the
subprotocols as `bearer.TOKEN`. A browser that has logged in has a cookie.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import HTTPConnection

from engine.control.commands import CommandFailed
from engine.control.limits import RateLimiter, address_group
from engine.control.roles import Role
from engine.control.security import Security
from engine.control.sessions import COOKIE, Sessions
from engine.control.tokens import MOST_TOKEN_CHARACTERS, Token, digest_of

FAILURES_AT_ONCE = 5
FAILURES_PER_S = 1 / 30
"""Wrong tokens that one address may show: five, and one more each half minute."""
SUBPROTOCOL = "camring"
"""What is chosen where a WebSocket offers it beside `bearer.TOKEN`; a browser wants one of its offers chosen."""
_BEARER = "bearer."
_MOST_REMEMBERED = 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks.

    name     of its token, "" for nobody
    problem  why it is nobody although it has shown something, "" otherwise
    """

    role: Role
    name: str
    problem: str = ""


class Access:
    """Tokens, logins and limits. Belongs to the serving thread; `now_s` is a monotonic clock."""

    def __init__(self, security: Security, now_s: Callable[[], float]) -> None:
        self.security = security
        self._sessions = Sessions(now_s)
        self._requests = RateLimiter(security.requests_per_s, 2 * security.requests_per_s, now_s)
        self._failures = RateLimiter(FAILURES_PER_S, FAILURES_AT_ONCE, now_s)
        self._known: OrderedDict[tuple[str, bytes], Token] = OrderedDict()

    def identify(self, connection: HTTPConnection) -> Client:
        """Who asks. Raises `CommandFailed` (429) for an address that guesses, or a client that asks too often."""
        client = self._client(connection)
        address = address_of(connection)
        wait_s = self._requests.take(f"{client.name}@{address}")
        if wait_s > 0.0:
            raise too_many("too many requests", wait_s)
        return client

    def _client(self, connection: HTTPConnection) -> Client:
        if not self.security.login_required:
            return Client(Role.ADMIN, "local")
        secret = secret_of(connection)
        if secret is not None:
            token = self._check(secret, address_of(connection))
            problem = "" if token else "this token is not known; check it, or ask who gave it to you"
        else:
            cookie = connection.cookies.get(COOKIE)
            token = self._sessions.find(cookie) if cookie else None
            problem = "this login is over; log in again" if cookie and not token else ""
        return Client(token.role, token.name) if token else Client(Role.ANYONE, "", problem)

    def _check(self, secret: str, address: str) -> Token | None:
        """Whose token it is. One that has been right before is not held up by those who guess from the same address."""
        key = address, digest_of(secret)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        wait_s = self._failures.wait_s(address)
        if wait_s > 0.0:
            raise too_many("too many wrong tokens from this address", wait_s)
        token = self.security.tokens.find(secret) if len(secret) <= MOST_TOKEN_CHARACTERS else None
        if token is None:
            self._failures.take(address)
            logger.warning("login from %s refused: a token that is not known", address)
            return None
        self._known[key] = token
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return token

    def log_in(self, connection: HTTPConnection, secret: str) -> tuple[Client, str]:
        """A login with a token; returns who it is and what the cookie holds. Raises `CommandFailed`."""
        token = self._check(secret, address_of(connection))
        if token is None:
            raise login_needed("this token is not known; check it, or ask who gave it to you")
        logger.info("%s (%s) has logged in from %s", token.name, token.role.word, address_of(connection))
        return Client(token.role, token.name), self._sessions.begin(token)

    def log_out(self, connection: HTTPConnection) -> None:
        """End the login of the cookie that comes with this request, if there is one."""
        cookie = connection.cookies.get(COOKIE)
        if cookie is not None:
            self._sessions.end(cookie)


def client_of(connection: HTTPConnection) -> Client:
    """Who asks, as the gate has found."""
    client: Client = connection.scope["state"]["client"]
    return client


def check_role(connection: HTTPConnection, least: Role) -> None:
    """Raise `CommandFailed` (401 for nobody, 403 for too little) where the client may not do this."""
    client = client_of(connection)
    if client.role >= least:
        return
    if client.role is Role.ANYONE:
        raise login_needed(client.problem or "log in, or send `Authorization: Bearer TOKEN`")
    raise CommandFailed(
        HTTPStatus.FORBIDDEN, f"this needs the role {least.word}; {client.name} has {client.role.word}"
    )


def login_needed(detail: str) -> CommandFailed:
    """Nobody knows who asks."""
    return CommandFailed(
        HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="camring"'}
    )


def too_many(what: str, wait_s: float) -> CommandFailed:
    """Somebody asks too often."""
    seconds = max(1, math.ceil(wait_s))
    return CommandFailed(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"{what}; try again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )


def address_of(connection: HTTPConnection) -> str:
    """Whom a request counts for: an address, or the network of an IPv6 one."""
    return address_group(connection.client.host) if connection.client else "unknown"


def secret_of(connection: HTTPConnection) -> str | None:
    """The token that comes with a request, None where there is none."""
    header = connection.headers.get("authorization")
    if header is not None:
        scheme, _, secret = header.partition(" ")
        return secret.strip() if scheme.lower() == "bearer" else ""
    for offered in connection.scope.get("subprotocols", ()):
        if offered.startswith(_BEARER):
            return str(offered[len(_BEARER) :])
    return None
