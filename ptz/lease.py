"""One controller per camera's head on this machine: a lock that the kernel frees, and a number that only rises.

The lock says who has the head. The number (fencing token) says who may still send: whoever takes a head over on purpose
raises it, and the old controller finds its own number too old before its next command. Knows files, not cameras. Other
machines, and other users of this one, are not kept away.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engine.errors import PtzError, PtzLeaseLost

_RECORD_BYTES = 512


def lease_folder() -> Path:
    """Where leases lie: in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification wants relative paths ignored.
    if not cache.is_absolute():
        cache = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return cache / "camring" / "ptz"


@dataclass(frozen=True, slots=True)
class _Record:
    """What the file says: the newest token, whose it is, and whether that one still waits for the lock."""

    token: int
    owner: str
    pid: int
    waits: bool

    @property
    def awaits_its_lock(self) -> bool:
        """Somebody has taken the head by force, lives, and has not got the lock of the one before yet."""
        if not self.waits or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


class Lease:
    """The right to move one head. Not for use from several threads."""

    def __init__(self, path: Path, owner: str = "") -> None:
        """`path`: the file that all who want this head agree on; `owner`: what others are told who has it."""
        self.path = path
        self.owner = owner or Path(sys.argv[0]).name or "python"
        self._token = 0
        self._fd = -1
        self._locked = False

    @classmethod
    def of_head(cls, url: str, channel: int = 1, owner: str = "", folder: Path | None = None) -> Lease:
        """The lease of a camera's head: same host, port and channel, same file. `folder`: the user's cache."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        # A simulated camera has no host; its whole address is what tells it from others.
        place = f"{parts.hostname.lower()}:{port}" if parts.hostname else url
        name = hashlib.sha256(f"{place}/{channel}".encode()).hexdigest()[:24]
        return cls((folder or lease_folder()) / f"{name}.lease", owner)

    @property
    def token(self) -> int:
        """Number of this term; 0 = not taken. Rises with every taking, over all processes."""
        return self._token

    @property
    def holder(self) -> str:
        """Who has the head by the record, in words."""
        self._open()
        record = self._read()
        return f"{record.owner} (process {record.pid})" if record.pid else "nobody"

    def take(self, by_force: bool = False) -> int:
        """Become the controller; returns the token.

        Raises `PtzLeaseLost` where somebody else is, unless `by_force`: then that one may not send any more. Raises
        `PtzError` where the file cannot be used.
        """
        self._open()
        free = self._lock()
        with self._writing():
            record = self._read()
            if not by_force and (not free or record.awaits_its_lock):
                self._unlock()
                raise PtzLeaseLost(
                    f"the head is controlled by {self.holder}; end that, or take it over (engine-ptz move --take)"
                )
            self._token = record.token + 1
            self._write(_Record(self._token, self.owner[:200], os.getpid(), not free))
        return self._token

    def check(self) -> None:
        """Before every command. Raises `PtzLeaseLost` where the head was taken over, or was never taken."""
        if not self._token:
            raise PtzLeaseLost("the head is not taken")
        record = self._read()
        if record.token != self._token:
            holder = self.holder
            self._close()
            raise PtzLeaseLost(f"the head was taken over by {holder}")
        if not self._locked and self._lock():
            # Taken by force: the one before has let go of the lock by now.
            with self._writing():
                self._write(_Record(record.token, record.owner, record.pid, False))

    def release(self) -> None:
        """Let go; may be called twice."""
        if self._token:
            with self._writing():
                if self._read().token == self._token:
                    self._write(_Record(self._token, "", 0, False))
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._token, self._locked = -1, 0, False

    def _unlock(self) -> None:
        if self._locked:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._locked = False

    def _open(self) -> None:
        if self._fd >= 0:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PtzError(
                f"{self.path}: the lease of a camera's head cannot be kept there ({error.strerror}); "
                "set XDG_CACHE_HOME to a folder that can be written"
            ) from None

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._locked = True
        return True

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time: a record lock, because the whole file's lock means owning the head.

        Held by two leases of one process it keeps neither out, but those take turns anyway.
        """
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def _read(self) -> _Record:
        """What is written; zeros where there is nothing, or nothing that makes sense."""
        try:
            words = json.loads(os.pread(self._fd, _RECORD_BYTES, 0))
            return _Record(int(words["token"]), str(words["owner"]), int(words["pid"]), bool(words["waits"]))
        except (ValueError, KeyError, TypeError):
            return _Record(0, "", 0, False)

    def _write(self, record: _Record) -> None:
        """In place and in one go: others read the same file at any moment."""
        words = {"token": record.token, "owner": record.owner, "pid": record.pid, "waits": record.waits}
        os.pwrite(self._fd, json.dumps(words).encode()[:_RECORD_BYTES].ljust(_RECORD_BYTES), 0)
