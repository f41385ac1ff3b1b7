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
from datetime import UTC, datetime
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a login, and whose it was."""

    login: Login
    user: User | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How an address stands: what userCheck tells."""

    locked: bool
    unlock_s: float
    tries_left: int


@dataclass(frozen=True, slots=True)
class Token:
    """A WS-UsernameToken as it was sent; `nonce` base64, `created` as text."""

    user: str
    password: str = field(repr=False)
    is_digest: bool = True
    nonce: str = ""
    created: str = ""


@dataclass(frozen=True, slots=True)
class Strictness:
    """What faults change about a login for the moment.

    storm    everything is refused, and no try is counted
    locked   every address is locked
    stale    this login's nonce is stale
    life_s, uses  instead of those of the settings
    digest   instead of that of the settings, in new challenges
    """

    storm: bool = False
    locked: bool = False
    stale: bool = False
    life_s: float | None = None
    uses: int | None = None
    digest: str | None = None


USUAL = Strictness()


@dataclass(slots=True)
class _Nonce:
    issued_s: float
    algorithm: str
    qop: bool
    uses: int = 0
    count: int = 0


@dataclass(slots=True)
class _Tries:
    failed: int = 0
    most: int = 0
    locked_until_s: float = -1.0


_PARAMETER = re.compile(r'([A-Za-z-]{1,32})\s*=\s*(?:"([^"]{0,512})"|([^\s,"]{1,512}))')
HASHES = {"MD5": "md5", "SHA-256": "sha256"}


ANYBODY = User("anybody", "")


class Accounts:
    """Users and everything that happens at the door. Without users there is no door: anybody may do everything.

    `attempts` holds the last requests that carried credentials, over all protocols; `credentialed` counts them all.
    """

    def __init__(self, users: Iterable[User], settings: LoginSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or LoginSettings()
        self.users = {user.name: user for user in users}
        self.attempts: deque[Attempt] = deque(maxlen=REMEMBERED)
        self.credentialed = 0
        self._random = random.Random(seed)  # noqa: S311 - a simulation that must repeat itself
        self._nonces: dict[str, _Nonce] = {}
        self._tokens: deque[str] = deque(maxlen=REMEMBERED)
        self._tries: dict[str, _Tries] = {}

    def refused_since(self, time_s: float) -> int:
        """Logins that were refused, or tried while locked, since then."""
        bad = (Login.REFUSED, Login.LOCKED)
        return sum(attempt.time_s >= time_s and attempt.login in bad for attempt in self.attempts)

    def credentialed_since(self, time_s: float) -> int:
        """Requests that carried credentials since then, over all protocols."""
        return sum(attempt.time_s >= time_s for attempt in self.attempts)

    def forget_nonces(self) -> None:
        """As after a reboot: every nonce is stale."""
        self._nonces.clear()

    def standing(self, host: str, now_s: float) -> Standing:
        """How many tries this address has left, or how long it is locked."""
        tries = self._tries.get(host, _Tries())
        left_s = tries.locked_until_s - now_s
        most = tries.most or self.settings.admin_tries
        return Standing(left_s > 0, max(left_s, 0.0), 0 if left_s > 0 else max(most - tries.failed, 0))

    def challenges(self, now_s: float, *, stale: bool = False, digest: str | None = None) -> list[str]:
        """Values for WWW-Authenticate headers, with new nonces. `digest` as in `LoginSettings`."""
        mode = digest or self.settings.digest
        algorithms = ("MD5", "SHA-256") if mode == "dual" else ("MD5",)
        return [self._challenge(algorithm, mode, now_s, stale) for algorithm in algorithms]

    def _challenge(self, algorithm: str, mode: str, now_s: float, stale: bool) -> str:
        nonce = self._random.randbytes(16).hex()
        if len(self._nonces) >= REMEMBERED:
            del self._nonces[next(iter(self._nonces))]
        self._nonces[nonce] = _Nonce(now_s, algorithm, mode != "noqop")
        qop = "" if mode == "noqop" else 'qop="auth", '
        named = f", algorithm={algorithm}" if mode == "dual" else ""
        realm, told = self.settings.realm, "TRUE" if stale else "FALSE"
        return f'Digest {qop}realm="{realm}", nonce="{nonce}"{named}, stale="{told}"'

    def digest(
        self, request: Request, now_s: float, host: str, protocol: str, strict: Strictness = USUAL
    ) -> Outcome:
        """The login in a request's Authorization header. `protocol` is "isapi" or "onvif"."""
        if not self.users:
            return Outcome(Login.OK, ANYBODY)
        header = request.header("Authorization")
        if header is None:
            return Outcome(Login.NONE)
        scheme, _, rest = header.strip().partition(" ")
        told = {m[1].lower(): m[2] if m[2] is not None else m[3] for m in _PARAMETER.finditer(rest[:4096])}
        name = told.get("username", "")
        if scheme.lower() != "digest":
            return self._settle(Login.REFUSED, name, now_s, host, protocol, strict)
        return self._settle(self._digest_login(told, request, now_s, protocol, strict), name, now_s, host,
                            protocol, strict)  # fmt: skip

    def _digest_login(
        self, told: dict[str, str], request: Request, now_s: float, protocol: str, strict: Strictness
    ) -> Login:
        user = self.users.get(told.get("username", ""))
        algorithm = told.get("algorithm", "MD5").upper()
        nonce = self._nonces.get(told.get("nonce", ""))
        if user is None or not self._may(user, protocol) or algorithm not in HASHES:
            return Login.REFUSED
        if nonce is not None and (nonce.algorithm != algorithm or ("qop" in told and not nonce.qop)):
            return Login.REFUSED
        if told.get("uri") != request.path or told.get("qop", "auth") != "auth":
            return Login.REFUSED
        if told.get("response", "").lower() != expected_response(
            told, user, self.settings.realm, request.method
        ):
            return Login.REFUSED
        if strict.stale or nonce is None or self._used_up(nonce, told, now_s, strict):
            self._nonces.pop(told.get("nonce", ""), None)
            return Login.STALE
        return Login.OK

    def _used_up(self, nonce: _Nonce, told: dict[str, str], now_s: float, strict: Strictness) -> bool:
        life_s = self.settings.nonce_life_s if strict.life_s is None else strict.life_s
        most = self.settings.nonce_uses if strict.uses is None else strict.uses
        if now_s - nonce.issued_s > life_s or (most and nonce.uses >= most):
            return True
        if "qop" in told:
            count = int(told["nc"], 16) if re.fullmatch("[0-9a-fA-F]{8}", told.get("nc", "")) else 0
            if self.settings.check_count and count <= nonce.count:
                return True
            nonce.count = count
        nonce.uses += 1
        return False

    def token(
        self, token: Token, now_s: float, clock_s: float, host: str, strict: Strictness = USUAL
    ) -> Outcome:
        """The login of a WS-UsernameToken. `clock_s` is the camera's clock in seconds since 1970."""
        return self._settle(self._token_login(token, clock_s), token.user, now_s, host, "onvif", strict)

    def _token_login(self, token: Token, clock_s: float) -> Login:
        user = self.users.get(token.user)
        if user is None or not user.onvif:
            return Login.REFUSED
        if not token.is_digest:
            return Login.OK if token.password == user.password else Login.REFUSED
        try:
            nonce = base64.b64decode(token.nonce, validate=True)
            created = datetime.fromisoformat(token.created)
        except ValueError:
            return Login.REFUSED
        digest = hashlib.sha1(nonce + token.created.encode() + user.password.encode(), usedforsecurity=False)
        if base64.b64encode(digest.digest()).decode() != token.password:
            return Login.REFUSED
        created_s = (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()
        if abs(created_s - clock_s) > self.settings.token_skew_s or token.nonce in self._tokens:
            return Login.STALE
        self._tokens.append(token.nonce)
        return Login.OK

    @staticmethod
    def _may(user: User, protocol: str) -> bool:
        return user.onvif if protocol == "onvif" else user.isapi

    def _settle(
        self, login: Login, name: str, now_s: float, host: str, protocol: str, strict: Strictness
    ) -> Outcome:
        """Count what came, and lock the door where it was too often."""
        tries = self._tries_of(host)
        if strict.storm:
            login = Login.REFUSED
        elif strict.locked or now_s < tries.locked_until_s:
            login = Login.LOCKED
            if self.settings.lock_restarts and now_s < tries.locked_until_s:
                tries.locked_until_s = now_s + self.settings.lock_s
        elif login is Login.OK:
            tries.failed = 0
        elif login is Login.REFUSED:
            self._count_failure(tries, name, now_s)
        self.credentialed += 1
        self.attempts.append(Attempt(now_s, protocol, name[:64], host, login))
        return Outcome(login, self.users.get(name) if login is Login.OK else None)

    def _tries_of(self, host: str) -> _Tries:
        if host not in self._tries and len(self._tries) >= REMEMBERED:
            del self._tries[next(iter(self._tries))]
        return self._tries.setdefault(host, _Tries())

    def _count_failure(self, tries: _Tries, name: str, now_s: float) -> None:
        if tries.locked_until_s >= 0:  # a lock that is over begins a new count
            tries.failed, tries.locked_until_s = 0, -1.0
        user = self.users.get(name)
        is_admin = user is not None and user.role == "admin"
        tries.most = self.settings.admin_tries if is_admin else self.settings.other_tries
        tries.failed += 1
        if tries.failed >= tries.most:
            tries.locked_until_s = now_s + self.settings.lock_s


def expected_response(told: dict[str, str], user: User, realm: str, method: str) -> str:
    """The digest that the other side must have sent (RFC 2069, 2617, 7616), in lower-case hex.

    told  parameters of its Authorization header by lower-case names: uri, nonce, and algorithm, qop, nc, cnonce if any
    """
    algorithm = HASHES[told.get("algorithm", "MD5").upper()]

    def hashed(*words: str) -> str:
        return hashlib.new(algorithm, ":".join(words).encode(), usedforsecurity=False).hexdigest()

    secret = hashed(user.name, realm, user.password)
    asked = hashed(method, told.get("uri", ""))
    if "qop" in told:
        middle = (told.get("nonce", ""), told.get("nc", ""), told.get("cnonce", ""), told["qop"])
        return hashed(secret, *middle, asked)
    return hashed(secret, told.get("nonce", ""), asked)
