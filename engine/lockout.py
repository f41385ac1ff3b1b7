"""Refused logins of a camera's accounts, counted over all protocols and processes, so that no account is locked.

Cameras lock an account after five to seven refused logins, for half an hour and for every protocol. Whoever sends a
password asks here first and tells the outcome: the drivers of heads (ISAPI, ONVIF) and the sources (RTSP, HTTP). The
count of an account lies in one small file of the user's cache, behind a lock (`engine.lockout_ledger`). Knows no
protocol.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import PtzBusy, PtzLocked
from engine.lockout_ledger import Account, Ledger, Secret

MOST_REFUSED = 2
"""Refused requests in a row that a password may cost; also in any `WINDOW_S`."""
MOST_REFUSED_BY_ALL = 4
"""Refused requests in `BLOCK_S` of all passwords that were tried for an account: who tries many locks it too."""
WINDOW_S = 60.0
BLOCK_S = 1800.0
"""How long nothing is tried after that; also how long a camera is taken to be locked that does not say."""
ACCEPTED_S = 86400.0
"""A password that was accepted so lately is likelier to be refused by mistake (a camera that starts, or is overloaded)
than to be wrong: it is tried again after `WINDOW_S`, as long as `MOST_REFUSED_BY_ALL` allows."""
PROVEN_S = 600.0
"""A password that was accepted so lately is sent without waiting for the outcome of others."""
LOGINS_VARIABLE = "ENGINE_LOGINS"
"""The environment variable that names another folder for the files."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send credentials once. Hand it back with `accepted`, `refused` or `returned`.

    number    "" where it need not be counted
    requests  how many refused requests it may turn out to be at most
    """

    number: str
    requests: int = 1


class Governor:
    """The guard of one account. May be asked from any thread and process.

    host      name or address of the camera, without port: an account is the camera's. The same camera must always have
              the same name here
    user      name of the account
    password  a changed one may be tried at once
    ledger    this user's folder where None
    now       seconds of a monotonic clock that all processes share
    """

    def __init__(
        self,
        host: str,
        user: str,
        password: str,
        *,
        ledger: Ledger | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host.strip().strip("[]").rstrip(".").lower()
        self.ledger = default_ledger(logins_folder()) if ledger is None else ledger
        self._now = now
        self._password = password
        self._noted_s = -math.inf
        self._name = hashlib.sha256(f"{self.host}\0{user}".encode()).hexdigest()[:32]
        self._tag = functools.lru_cache(2)(lambda salt: self.ledger.tag(salt, self._password))

    def check(self) -> None:
        """Raises `PtzLocked` while nothing may be sent, with or without credentials."""
        now_s = self._now()
        with self.ledger.account(self._name, now_s) as account:
            self._check(account, account.secret(self._tag(account.salt)), now_s)

    def reserve(self, requests: int = 1) -> Permit:
        """Leave to send credentials now.

        Raises `PtzLocked` while nothing may be tried (too many refused, or the camera said that it is locked), and
        `PtzBusy` while others try: ask again in a moment.
        """
        now_s = self._now()
        with self.ledger.account(self._name, now_s) as account:
            secret = account.secret(self._tag(account.salt))
            self._check(account, secret, now_s)
            if _is_proven(secret, now_s):
                return Permit("", requests)
            secret.forget_pending_before(now_s - WINDOW_S)
            if _free(secret, now_s) - secret.requests_pending < requests:
                raise PtzBusy(
                    f"{self.host}: others are logging in to this account; the outcome is waited for"
                )
            permit = Permit(secrets.token_hex(8), requests)
            secret.pending[permit.number] = (now_s, requests)
        return permit

    def accepted(self, permit: Permit) -> None:
        """The camera accepted the credentials: refusals in a row are forgotten."""
        now_s = self._now()
        if not permit.number and 0.0 <= now_s - self._noted_s < PROVEN_S / 10:
            return
        with self.ledger.account(self._name, now_s) as account:
            secret = account.secret(self._tag(account.salt))
            secret.pending.pop(permit.number, None)
            secret.in_a_row, secret.blocked_at_s = 0, None
            account.locked_at_s = None
            secret.accepted_s = self._noted_s = now_s

    def refused(self, permit: Permit, requests: int = 1) -> None:
        """The camera refused the credentials, so many requests of them."""
        now_s = self._now()
        with self.ledger.account(self._name, now_s) as account:
            secret = account.secret(self._tag(account.salt))
            secret.pending.pop(permit.number, None)
            secret.refused_s += [now_s] * requests
            secret.in_a_row += requests
            if secret.in_a_row >= MOST_REFUSED:
                secret.blocked_at_s = now_s

    def returned(self, permit: Permit) -> None:
        """Nothing was decided: not sent, or a nonce too old.

        Without an answer to credentials that were sent call nothing: the permit then counts for `WINDOW_S` as if
        refused.
        """
        if permit.number:
            with self.ledger.account(self._name, self._now()) as account:
                account.secret(self._tag(account.salt)).pending.pop(permit.number, None)

    def locked(self, seconds: float | None = None) -> None:
        """The camera says that the account is locked for so long: nothing is sent until then, whatever the password."""
        now_s = self._now()
        with self.ledger.account(self._name, now_s) as account:
            account.locked_at_s, account.locked_for_s = (
                now_s,
                max(0.0, BLOCK_S if seconds is None else seconds),
            )

    def allow_again(self) -> None:
        """A person has acted: everything known of this account is forgotten."""
        self.ledger.forget(self._name)

    @property
    def blocked_s(self) -> float:
        """Seconds until credentials may be sent again, 0 = now."""
        now_s = self._now()
        with self.ledger.account(self._name, now_s) as account:
            return self._blocked(account, account.secret(self._tag(account.salt)), now_s)[0]

    def _check(self, account: Account, secret: Secret, now_s: float) -> None:
        seconds, why = self._blocked(account, secret, now_s)
        if seconds > 0:
            raise PtzLocked(f"{self.host}: {why}; nothing is sent for {_duration(seconds)}")

    def _blocked(self, account: Account, secret: Secret, now_s: float) -> tuple[float, str]:
        """For how long, and why. Ends a block whose time is over: then one more refusal begins it again."""
        if account.locked_at_s is not None:
            left_s = account.locked_at_s + account.locked_for_s - now_s
            if left_s > 0:
                return left_s, "the camera has locked the account"
            account.locked_at_s = None
        if secret.blocked_at_s is not None:
            was_right = secret.accepted_s is not None and now_s - secret.accepted_s < ACCEPTED_S
            left_s = secret.blocked_at_s + (WINDOW_S if was_right else BLOCK_S) - now_s
            if left_s > 0:
                return left_s, "the password was refused; correct it, more refusals would lock the account"
            secret.blocked_at_s, secret.in_a_row = None, MOST_REFUSED - 1
        account.forget_refused_before(now_s - BLOCK_S)
        if len(account.refused_s) >= MOST_REFUSED_BY_ALL:
            left_s = account.refused_s[-MOST_REFUSED_BY_ALL] + BLOCK_S - now_s
            return left_s, "several passwords were refused; more refusals would lock the account"
        if _free(secret, now_s) <= 0:
            oldest_s = min(secret.refused_s[-MOST_REFUSED:], default=now_s)
            return oldest_s + WINDOW_S - now_s, "the password was refused now and then"
        return 0.0, ""


def _is_proven(secret: Secret, now_s: float) -> bool:
    """It was accepted lately, and not refused since."""
    lately = secret.accepted_s is not None and now_s - secret.accepted_s < PROVEN_S
    return lately and not secret.in_a_row


def _free(secret: Secret, now_s: float) -> int:
    """Requests that may still be refused, the pending ones included."""
    lately = sum(time_s > now_s - WINDOW_S for time_s in secret.refused_s)
    return MOST_REFUSED - max(secret.in_a_row, lately)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@functools.lru_cache(8)
def default_ledger(folder: Path) -> Ledger:
    """The ledger in this folder, one for the whole process: what cannot be written is shared at least here."""
    return Ledger(folder)


def logins_folder(environ: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Where the files are kept: $ENGINE_LOGINS, else `camring/logins` in the user's cache."""
    variables = os.environ if environ is None else environ
    if named := variables.get(LOGINS_VARIABLE):
        return Path(named)
    home = Path(variables.get("HOME") or Path.home())
    cache = Path(variables.get("XDG_CACHE_HOME", ""))
    # The XDG specification wants relative paths ignored.
    if not cache.is_absolute():
        cache = home / "Library" / "Caches" if platform == "darwin" else home / ".cache"
    return cache / "camring" / "logins"
