"""Where refused logins are counted: one file per account that all processes of a user share, or memory.

Names of files are hashed, their mode is 0600, and a password is in them only as a short salted hash, enough to see that
it was changed and too little to find it by trying. Decides nothing; that is `engine.lockout`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import PtzBusy

_log = logging.getLogger(__name__)

TAG_BYTES = 2
"""Of the hash of a password. Short on purpose: one in 65536 changed passwords is taken for the old one, and thousands
of a dictionary have this hash."""
ROUNDS = 20_000
KEPT_S = 86400.0
"""What was tried last so long ago is forgotten."""
PATIENCE_S = 0.5
"""Longest wait for the lock of a file; whoever holds it needs a thousandth of that."""


@dataclass(slots=True)
class Secret:
    """What became of one password.

    refused_s     times of its refusals, oldest first
    in_a_row      refusals since it was last accepted
    accepted_s    when it was last noted as accepted
    blocked_at_s  since when it is not tried
    pending       permits given out and not handed back: time, requests
    """

    refused_s: list[float] = field(default_factory=list)
    in_a_row: int = 0
    accepted_s: float | None = None
    blocked_at_s: float | None = None
    pending: dict[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def requests_pending(self) -> int:
        """Requests that may be under way."""
        return sum(requests for _, requests in self.pending.values())

    def forget_pending_before(self, time_s: float) -> None:
        """Drop permits that were given out earlier and never came back."""
        self.pending = {key: value for key, value in self.pending.items() if value[0] > time_s}

    def times_s(self) -> list[float]:
        """Every time in it."""
        known = [time_s for time_s in (self.accepted_s, self.blocked_at_s) if time_s is not None]
        return [*known, *self.refused_s, *(time_s for time_s, _ in self.pending.values())]

    def not_after(self, now_s: float) -> None:
        """Times that are still to come are from before a restart of the machine: they are taken for now."""
        self.refused_s = [min(now_s, time_s) for time_s in self.refused_s]
        self.pending = {key: (min(now_s, value[0]), value[1]) for key, value in self.pending.items()}
        self.accepted_s = None if self.accepted_s is None else min(now_s, self.accepted_s)
        self.blocked_at_s = None if self.blocked_at_s is None else min(now_s, self.blocked_at_s)


@dataclass(slots=True)
class Account:
    """One account of a camera.

    salt          of its passwords' hashes
    secrets       by hash
    locked_at_s   when the camera said that it is locked, None if it is not; `locked_for_s` is for how long
    """

    salt: str = field(default_factory=lambda: secrets.token_hex(16))
    secrets: dict[str, Secret] = field(default_factory=dict)
    locked_at_s: float | None = None
    locked_for_s: float = 0.0

    def secret(self, tag: str) -> Secret:
        """The password with this hash."""
        return self.secrets.setdefault(tag, Secret())

    @property
    def refused_s(self) -> list[float]:
        """Times of refusals of all passwords, oldest first."""
        return sorted(time_s for secret in self.secrets.values() for time_s in secret.refused_s)

    def forget_refused_before(self, time_s: float) -> None:
        """Drop older refusals."""
        for secret in self.secrets.values():
            secret.refused_s = [refused_s for refused_s in secret.refused_s if refused_s > time_s]

    def tidy(self, now_s: float) -> None:
        """Make sense of times after a restart of the machine, and forget passwords that are long out of use."""
        for secret in self.secrets.values():
            secret.not_after(now_s)
        if self.locked_at_s is not None:
            self.locked_at_s = min(now_s, self.locked_at_s)
        self.secrets = {
            tag: secret
            for tag, secret in self.secrets.items()
            if max(secret.times_s(), default=-KEPT_S) > now_s - KEPT_S
        }


class Ledger:
    """Where the counts are kept: a folder, one file per account, or memory where `folder` is None.

    A folder that cannot be used is replaced by memory; `notes` then says so, once.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._memory: dict[str, Account] = {}
        self._mutex = threading.Lock()

    def tag(self, salt: str, password: str) -> str:
        """The short hash of a password."""
        # In memory there is nobody to hide it from, and no reason to spend time on it.
        rounds = 1 if self.folder is None else ROUNDS
        return hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(salt), rounds, TAG_BYTES).hex()

    @contextlib.contextmanager
    def account(self, name: str, now_s: float) -> Iterator[Account]:
        """The account, for nobody else meanwhile; changes are kept when the block ends, also by an error.

        Raises `PtzBusy` where another process holds it for long.
        """
        with self._mutex, self._opened(name) as file:
            account = self._memory.setdefault(name, Account()) if file is None else _read(file)
            before = "" if file is None else _text(account)
            account.tidy(now_s)
            try:
                yield account
            finally:
                if file is not None and (after := _text(account)) != before:
                    self._write(file, after, name, account)

    def forget(self, name: str) -> None:
        """Nothing is known of this account any more."""
        with self._mutex:
            self._memory.pop(name, None)
            with self._opened(name) as file:
                if file is not None:
                    self._write(file, _text(Account()), name, Account())

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int | None]:
        """The descriptor of the locked file, None where memory is to be used."""
        file = self._open(name)
        try:
            if file is not None:
                _lock(file)
            yield file
        finally:
            if file is not None:
                os.close(file)

    def _open(self, name: str) -> int | None:
        if self.folder is None or name in self._memory:
            return None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            return os.open(self.folder / f"{name}.json", flags, 0o600)
        except OSError as error:
            self._note(error)
            return None

    def _write(self, file: int, text: str, name: str, account: Account) -> None:
        data = text.encode()
        try:
            os.pwrite(file, data, 0)
            os.ftruncate(file, len(data))
        except OSError as error:
            self._memory[name] = account
            self._note(error)

    def _note(self, error: OSError) -> None:
        if not self.notes:
            self.notes.append(
                f"refused logins cannot be noted in {self.folder} ({error.strerror}): each process counts its own"
            )
            _log.warning("%s", self.notes[0])


def _lock(file: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise PtzBusy("another process holds the count of refused logins; is it stopped?") from None
            time.sleep(0.001)


def _text(account: Account) -> str:
    return json.dumps(asdict(account), separators=(",", ":"))


def _read(file: int) -> Account:
    """What the file holds; one that was damaged counts as empty."""
    try:
        content: dict[str, Any] = json.loads(os.pread(file, 1 << 20, 0))
        kept = {
            str(tag): Secret(
                refused_s=[float(time_s) for time_s in secret["refused_s"]],
                in_a_row=int(secret["in_a_row"]),
                accepted_s=_time(secret["accepted_s"]),
                blocked_at_s=_time(secret["blocked_at_s"]),
                pending={str(key): (float(at), int(count)) for key, (at, count) in secret["pending"].items()},
            )
            for tag, secret in content["secrets"].items()
        }
        salt = bytes.fromhex(content["salt"]).hex()
        return Account(salt, kept, _time(content["locked_at_s"]), float(content["locked_for_s"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Account()


def _time(value: Any) -> float | None:
    return None if value is None else float(value)
