"""A client of one camera's HTTP: logs in by digest, keeps its nonce, asks the governor before it sends credentials.

Knows neither ISAPI nor ONVIF. One request is in flight at a time; whoever comes meanwhile waits.
"""

from __future__ import annotations

import asyncio
import base64
import math
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from engine.errors import PtzBusy, PtzLocked, PtzProtocolError, PtzRefused, PtzUnauthorized, PtzUnreachable
from engine.lockout import MOST_REFUSED, Governor, Permit
from engine.lockout_ledger import Ledger
from engine.secrets import mask_url
from ptz.digest import Challenge, Credentials, authorization, best, challenges, next_nonce, offers
from ptz.drivers.base import DriverOptions
from ptz.http import NotSent, Request, Response, Transport
from ptz.http_refusal import accepts, is_stale, lock_time, tries_left, unlock_time
from ptz.http_socket import SocketTransport

Refuses = Callable[[Response], bool]
"""Whether an answer refuses the credentials that the request carried in its body."""

ASK_AGAIN_S = 0.05
"""How soon the governor is asked again while others log in."""
NONCE_MARGIN = 0.8
"""A camera that calls no nonce stale gets a new one after this part of the life that one had."""
SHORTEST_NONCE_LIFE_S = 10.0


@dataclass(slots=True)
class _Session:
    """A challenge that was answered, or will be. `accepted`: at least once with success; None means Basic over TLS."""

    challenge: Challenge | None
    since_s: float
    count: int = 0
    accepted: bool = False

    @property
    def algorithm(self) -> str:
        return self.challenge.algorithm if self.challenge else "Basic"


class HttpClient:
    """Requests to one camera.

    transport       carries them; closed with the client
    options         user, password, time-out; `url` for messages
    governor        asked before each login. None makes one for the account: shared with all processes where the
                    transport is a socket, in memory where it is not
    now             seconds of the event loop
    challenge_path  a path that is read (GET) to get a challenge before anything is changed; "" sends the request itself
                    without credentials first, with its whole body
    lock_path       a path that tells, without a login, for how long an account is locked; "" = there is none
    """

    def __init__(
        self,
        transport: Transport,
        options: DriverOptions,
        governor: Governor | None,
        now: Callable[[], float],
        challenge_path: str = "",
        lock_path: str = "",
    ) -> None:
        self.label = mask_url(options.url).rstrip("/")
        self.now = now
        self._transport = transport
        self._timeout_s = options.timeout_s
        self._secure = options.url.lower().startswith("https:")
        if re.search(r"[\x00-\x1f:]", options.user):
            raise PtzRefused(f"{self.label}: a user name cannot hold colons or control characters")
        self._login = Credentials(options.user, options.password) if options.user else None
        self.governor = governor or _governor(options, now, isinstance(transport, SocketTransport))
        self._challenge_path = challenge_path
        self._lock_path = lock_path
        self._session: _Session | None = None
        self.unknown_login = False
        """The camera refused a request without login and asked for none that is known: it may want another kind."""
        self._is_open = False
        self._unfit: set[str] = set()
        self._nonce_life_s = self._suspected_life_s = math.inf
        self._turn = asyncio.Lock()

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "",
        *,
        refuses: Refuses | None = None,
        timeout_s: float | None = None,
    ) -> Response:
        """Send and return the answer, whatever its HTTP status but 401.

        refuses    for requests that carry a login of their own in `body` (WS-UsernameToken): the governor is asked
                   before, and told what this says of the answer; no digest is sent, and a 401 comes back as any answer
        timeout_s  for all that it takes together, instead of `options.timeout_s`

        Raises `PtzUnauthorized` (refused, or a login is wanted and none is set), `PtzLocked` (account locked, or the
        governor allows none), `PtzBusy` (others are logging in), `PtzUnreachable`, `PtzProtocolError`.
        """
        headers = [("Accept", "*/*")]
        if body:
            headers.append(("Content-Type", content_type or "application/xml; charset=UTF-8"))
        if body or method in ("PUT", "POST"):
            # Also for an empty body: some cameras wait for one otherwise.
            headers.append(("Content-Length", str(len(body))))
        request = Request(method, path, tuple(headers), body)
        async with self._turn:
            deadline_s = self.now() + (self._timeout_s if timeout_s is None else timeout_s)
            if self._login is not None and self._session is None:
                # Where there is a session its permit looks as well.
                self.governor.check()
            if refuses is not None:
                return await self._with_own_login(request, refuses, deadline_s)
            return await self._answered(request, deadline_s)

    async def close(self) -> None:
        """Let go of the connection; may be called twice."""
        await self._transport.close()

    async def _answered(self, request: Request, deadline_s: float) -> Response:
        session = self._session
        if session is None or self.now() - session.since_s > self._nonce_life_s:
            response = await self._unauthenticated(request, deadline_s)
            if response is not None:
                return response
        refusal: PtzUnauthorized | None = None
        stale = False
        while True:
            try:
                response, permit = await self._authenticated(request, deadline_s)
            except PtzLocked:
                if refusal is None:
                    raise
                raise refusal from None
            if response.status != 401:
                return response
            again = self._may_try_again(response, permit, stale)
            refusal = refusal or PtzUnauthorized(f"{self.label}: {_refusal(response)}")
            if not again:
                raise refusal
            stale = stale or is_stale(response)

    def _may_try_again(self, response: Response, permit: Permit, was_stale: bool) -> bool:
        """Tell the governor of a 401 to our login, and choose the next challenge where there is reason for one."""
        session, self._session = self._session, None
        assert session is not None
        found = challenges(response.all_headers("WWW-Authenticate"))
        if is_stale(response) and not was_stale:
            self.governor.returned(permit)
            return self._begin(found)
        left = tries_left(response)
        self.governor.refused(permit, MOST_REFUSED if left is not None and left <= MOST_REFUSED else 1)
        if session.accepted:
            # It was right a moment ago: some cameras forget nonces without calling them stale.
            self._suspected_life_s = max(SHORTEST_NONCE_LIFE_S, NONCE_MARGIN * (self.now() - session.since_s))
            return self._begin(found)
        if session.algorithm.startswith("SHA-256") and not self._unfit:
            # Offered is not always implemented. The other way is tried once.
            self._unfit = {session.algorithm}
            if best(found, self._unfit) is not None:
                return self._begin(found)
        self._unfit = set()
        return False

    def _begin(self, found: Sequence[Challenge]) -> bool:
        challenge = best(found, self._unfit)
        self._session = _Session(challenge, self.now()) if challenge else None
        return self._session is not None

    async def _unauthenticated(self, request: Request, deadline_s: float) -> Response | None:
        """An answer that needs no login; or None, and there is a challenge to answer."""
        if self._challenge_path and self._login and request.method != "GET" and not self._is_open:
            # An empty PUT without a login is answered 400 by some before they ask for one.
            probe = await self._exchange(
                Request("GET", self._challenge_path, (("Accept", "*/*"),)), deadline_s
            )
            if probe.status == 401:
                self._challenged(probe)
                return None
            if probe.status >= 500:
                return probe
        response = await self._exchange(request, deadline_s)
        if response.status == 401:
            self._challenged(response)
            self._is_open = False
            return None
        self._is_open = response.status < 400
        return response

    def _challenged(self, response: Response) -> None:
        """Begin a session with the challenge of a 401 to a request without login."""
        headers = response.all_headers("WWW-Authenticate")
        if self._login is None:
            raise PtzUnauthorized(f"{self.label}: the camera wants a login; set its user and password")
        if b"notActivated" in response.body:
            raise PtzUnauthorized(f"{self.label}: the camera is not activated; set a password on it first")
        if self._begin(challenges(headers)):
            return
        ways = offers(headers)
        self.unknown_login = True
        if not ways:
            raise PtzProtocolError(f"{self.label}: the camera refuses without saying how to log in")
        if "basic" in ways and self._secure:
            self._session = _Session(None, self.now())
            self.unknown_login = False
            return
        raise PtzUnauthorized(
            f"{self.label}: the camera offers no digest login that is known ({', '.join(sorted(ways))}), and the "
            "password is not sent in the clear; enable digest on it, or use https"
        )

    async def _authenticated(self, request: Request, deadline_s: float) -> tuple[Response, Permit]:
        """The answer to the request with our login; anything but a 401 has been told to the governor."""
        session, login = self._session, self._login
        assert session is not None and login is not None
        permit = await self._permit(deadline_s)
        session.count += 1
        value = _authorization(session, login, request)
        try:
            response = await self._exchange(
                replace(request, headers=(*request.headers, ("Authorization", value))), deadline_s
            )
        except (PtzLocked, NotSent):
            self.governor.returned(permit)
            raise
        except (PtzUnreachable, PtzProtocolError):
            if permit.number:
                # It may have been a refusal. The next one finds out first whether anybody is there.
                self._session = None
            raise
        if response.status != 401:
            self._tell(permit, response)
            if accepts(response) and not session.accepted:
                session.accepted = True
                self._nonce_life_s = min(self._nonce_life_s, self._suspected_life_s)
            self._suspected_life_s = math.inf
            self._continue(session, response)
        return response, permit

    def _continue(self, session: _Session, response: Response) -> None:
        nonce = next_nonce(response.header("Authentication-Info") or "")
        if nonce and session.challenge:
            session.challenge, session.count = replace(session.challenge, nonce=nonce), 0

    async def _with_own_login(self, request: Request, refuses: Refuses, deadline_s: float) -> Response:
        permit = await self._permit(deadline_s)
        try:
            response = await self._exchange(request, deadline_s)
        except (PtzLocked, NotSent):
            self.governor.returned(permit)
            raise
        if response.status == 401 or refuses(response):
            self.governor.refused(permit)
        else:
            self._tell(permit, response)
        return response

    def _tell(self, permit: Permit, response: Response) -> None:
        """Tell the governor of an answer that is no refusal: whether it shows that the login was right."""
        if accepts(response):
            self.governor.accepted(permit)
        else:
            self.governor.returned(permit)

    async def _permit(self, deadline_s: float) -> Permit:
        while True:
            try:
                return self.governor.reserve()
            except PtzBusy:
                if self.now() >= deadline_s:
                    raise
                await asyncio.sleep(ASK_AGAIN_S)

    async def _exchange(self, request: Request, deadline_s: float) -> Response:
        response = await self._transport.exchange(request, max(0.01, deadline_s - self.now()))
        seconds = lock_time(response)
        if seconds is not None and self._login is not None:
            self._session = None
            self.governor.locked(seconds or await self._told_lock_time(deadline_s) or None)
            self.governor.check()
        return response

    async def _told_lock_time(self, deadline_s: float) -> int | None:
        """What the camera says to somebody without a login of how long it stays locked."""
        if not self._lock_path:
            return None
        request = Request("GET", self._lock_path, (("Accept", "*/*"),))
        try:
            answer = await self._transport.exchange(request, max(0.01, deadline_s - self.now()))
        except (PtzUnreachable, PtzProtocolError):
            return None
        return unlock_time(answer)


def _governor(options: DriverOptions, now: Callable[[], float], shared: bool) -> Governor:
    host = urlsplit(options.url).hostname or options.url
    return Governor(host, options.user, options.password, ledger=None if shared else Ledger(None), now=now)


def _authorization(session: _Session, login: Credentials, request: Request) -> str:
    if session.challenge is None:
        return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    cnonce = secrets.token_hex(8)
    return authorization(session.challenge, login, request.method, request.path, session.count, cnonce)


def _refusal(response: Response) -> str:
    left = tries_left(response)
    tries = "" if left is None else f" ({left} tries left)"
    return f"the camera refused the user name or password{tries}; correct them"
