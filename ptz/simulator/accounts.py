"""The accounts of a simulated camera: digest and token logins, nonces that go stale, lockout after too many tries.

One set of counters for all protocols, as in the cameras. Digests are computed here and not by `ptz.digest`, so that the
client is checked by somebody else. Time and the name of the other side come as arguments.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ptz.http import Request

REMEMBERED = 10_000
"""So many logins and nonces are remembered at most."""


@dataclass(frozen=True, slots=True)
class User:
    """One account.

    role          "admin", or anything else: fewer tries until it is locked
    isapi, onvif  which faces it may use
    """

    name: str
    password: str = field(repr=False)
    role: str = "admin"
    isapi: bool = True
    onvif: bool = True


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """How a camera wants logins.

    digest                    "noqop" (RFC 2069), "qop" or "dual" (MD5 and SHA-256, a header and a nonce each)
    nonce_life_s, nonce_uses  after that a nonce is stale; 0 uses = any number
    check_count               a repeated or falling nc makes the nonce stale
    admin_tries, other_tries  refused logins until the address is locked
    lock_s                    how long
    lock_restarts             whether a try while locked begins the time anew
    token_skew_s              greatest difference of a token's time to the camera's clock
    """

    digest: str = "qop"
    realm: str = "IP Camera(51253)"
    nonce_life_s: float = 300.0
    nonce_uses: int = 0
    check_count: bool = True
    admin_tries: int = 7
    other_tries: int = 5
    lock_s: float = 1800.0
    lock_restarts: bool = False
    token_skew_s: float = 300.0


class Login(StrEnum):
    """What became of a login.

    OK       accepted
    NONE     there were no credentials
    STALE    right, but with a nonce that is used up: try again with the new one; no failed login
    REFUSED  wrong: one try less
    LOCKED   this address is locked, whatever the password
    """

    OK = "ok"
    NONE = "none"
    STALE = "stale"
    REFUSED = "refused"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that carried credentials."""

    time_s: float
    protocol: str
    user: str
    host: str
    login: Login


@dataclass(slots=True)
class _Nonce:
    issued_s: float
    algorithm: str
    uses: int = 0
    count: int = 0


@dataclass(slots=True)
class _Tries:
    failed: int = 0
    locked_until_s: float = 0.0


class Accounts:
    """Users and everything that happens at the door.

    `attempts` holds the last requests that carried credentials, over all protocols.
    """

    def __init__(
        self, users: Iterable[User], settings: LoginSettings | None = None, seed: int = 0
    ) -> None:
        self.settings = settings or LoginSettings()
        self.users = {user.name: user for user in users}
        self.attempts: deque[Attempt] = deque(maxlen=REMEMBERED)
        self.credentialed = 0
        self._random = random.Random(seed)  # noqa: S311 - a simulation that must repeat itself
        self._nonces: dict[str, _Nonce] = {}
        self._tries: dict[str, _Tries] = {}

    def refused_since(self, time_s: float) -> int:
        """Logins that were refused, or tried while locked, since then."""
        bad = (Login.REFUSED, Login.LOCKED)
        return sum(attempt.time_s >= time_s and attempt.login in bad for attempt in self.attempts)

    def credentialed_since(self, time_s: float) -> int:
        """Requests that carried credentials since then, over all protocols."""
        return sum(attempt.time_s >= time_s for attempt in self.attempts)
