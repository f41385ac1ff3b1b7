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
        token, owner, pid = self._read()
        return f"{owner} (process {pid})" if token else "nobody"

    def take(self, by_force: bool = False) -> int:
        """Become the controller; returns the token.

        Raises `PtzLeaseLost` where somebody else is, unless `by_force`: then that one may not send any more. Raises
        `PtzError` where the file cannot be used.
        """
        self._open()
        if not self._lock() and not by_force:
            raise PtzLeaseLost(
                f"the head is controlled by {self.holder}; end that, or take it over (engine-ptz move --take)"
            )
        with self._writing():
            self._token = self._read()[0] + 1
            self._write(self._token)
        return self._token

    def check(self) -> None:
        """Before every command. Raises `PtzLeaseLost` where the head was taken over, or was never taken."""
        if not self._token:
            raise PtzLeaseLost("the head is not taken")
        if self._read()[0] != self._token:
            holder = self.holder
            self.release()
            raise PtzLeaseLost(f"the head was taken over by {holder}")
        if not self._locked:
            # Taken by force: the one before lets go of the lock as soon as it notices.
            self._lock()

    def release(self) -> None:
        """Let go; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._token, self._locked = -1, 0, False

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

    def _read(self) -> tuple[int, str, int]:
        """Token, owner and process of the record; zeros where there is none or it is damaged."""
        text = os.pread(self._fd, _RECORD_BYTES, 0)
        try:
            record = json.loads(text)
            return int(record["token"]), str(record["owner"]), int(record["pid"])
        except (ValueError, KeyError, TypeError):
            return 0, "", 0

    def _write(self, token: int) -> None:
        """In place and in one go: others read the same file at any moment."""
        record = json.dumps({"token": token, "owner": self.owner[:200], "pid": os.getpid()})
        os.pwrite(self._fd, record.encode().ljust(_RECORD_BYTES), 0)
