"""A directory for lock files, on systems whose shared memory cannot be locked itself (macOS).

Linux does not need one: there a pool's control segment is its own lock, and a run leaves no name anywhere.
The directory's owner holds a lock on it for life; a directory whose lock can be taken is a dead run's, and the
next run removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ConfigError

_OWNER = "owner.lock"


class RunDirectory:
    """A private directory that lives as long as this run."""

    def __init__(self, base: Path) -> None:
        """Create the directory below `base`, after removing those of dead runs.

        Raises `ConfigError` if `base` is another user's: whoever owns it could swap what lies in it.
        """
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if base.is_symlink() or base.stat().st_uid != os.getuid():
            raise ConfigError(f"{base}: belongs to another user; set TMPDIR to a folder of your own")
        with _locked(base):
            remove_stale(base)
            self.path = Path(tempfile.mkdtemp(prefix="run-", dir=base))
            self._owner_fd = os.open(self.path / _OWNER, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._owner_fd, fcntl.LOCK_EX)
        self._files = 0

    @classmethod
    def default_base(cls) -> Path:
        """Where run directories go: one folder per user in the system's temporary directory."""
        return Path(tempfile.gettempdir()) / f"camring-{os.getuid()}"

    def new_lock_file(self, label: str) -> str:
        """Create an empty file to lock; returns its path. `label` may hold any characters."""
        self._files += 1
        path = self.path / f"{self._files}-{label.replace(':', '-').replace('/', '-')}.lock"
        path.touch(mode=0o600)
        return str(path)

    def remove(self) -> None:
        """Remove the directory; the run is over."""
        shutil.rmtree(self.path)
        os.close(self._owner_fd)


def remove_stale(base: Path) -> list[Path]:
    """Remove the directories below `base` whose owner is dead; returns them. Only with `base` locked."""
    stale = [directory for directory in base.glob("run-*") if not _has_owner(directory)]
    for directory in stale:
        # Its owner may be removing it at this moment.
        shutil.rmtree(directory, ignore_errors=True)
    return stale


@contextlib.contextmanager
def _locked(base: Path) -> Iterator[None]:
    """One run at a time: between making a directory and locking it, its owner looks dead."""
    fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _has_owner(directory: Path) -> bool:
    try:
        fd = os.open(directory / _OWNER, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
