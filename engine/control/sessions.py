"""Logins of browsers: a random cookie for each, known here by its hash alone. They end with this process."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from engine.control.tokens import Token, digest_of

IDLE_S = 12 * 3600.0
"""A login that nobody has used for so long is over."""
LONGEST_S = 7 * 24 * 3600.0
"""Any login is over after this."""
MOST_SESSIONS = 1000
COOKIE = "camring_session"


@dataclass(slots=True)
class _Session:
    token: Token
    begun_s: float
    used_s: float


class Sessions:
    """Who is logged in. `now_s` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, token: Token) -> str:
        """Log in; returns what the cookie holds. The one unused for longest goes where there are too many."""
        cookie, now_s = secrets.token_urlsafe(32), self._now_s()
        self._sessions[digest_of(cookie)] = _Session(token, now_s, now_s)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str) -> Token | None:
        """Who it is that shows this cookie, None for one that is unknown or over."""
        key, now_s = digest_of(cookie), self._now_s()
        session = self._sessions.get(key)
        if session is None:
            return None
        if now_s - session.used_s > IDLE_S or now_s - session.begun_s > LONGEST_S:
            del self._sessions[key]
            return None
        session.used_s = now_s
        self._sessions.move_to_end(key)
        return session.token

    def end(self, cookie: str) -> bool:
        """Log out; whether there was such a login."""
        return self._sessions.pop(digest_of(cookie), None) is not None
