"""A directory for lock files, on systems whose shared memory cannot be locked itself (macOS).

Linux does not need one: there a pool's control segment is its own lock, and a run leaves no name anywhere.
The directory's owner holds a lock on it for life; a directory whose lock can be taken is a dead run's, and the
next run removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path


class RunDirectory:
    """A private directory that lives as long as this run."""

    def __init__(self, base: Path) -> None:
        """Create the directory below `base`, after removing those of dead runs."""
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_stale(base)
        self.path = Path(tempfile.mkdtemp(prefix="run-", dir=base))
        self._owner_fd = os.open(self.path / "owner.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner_fd, fcntl.LOCK_EX)
        self._files = 0

    @classmethod
    def default_base(cls) -> Path:
        """Where run directories go: one folder per user in the system's temporary directory."""
        return Path(tempfile.gettempdir()) / f"camring-{os.getuid()}"

    def new_lock_file(self, label: str) -> str:
        """Create an empty file to lock; returns its path."""
        self._files += 1
        path = self.path / f"{self._files}-{label.replace(':', '-')}.lock"
        path.touch(mode=0o600)
        return str(path)

    def remove(self) -> None:
        """Remove the directory; the run is over."""
        shutil.rmtree(self.path)
        os.close(self._owner_fd)


def remove_stale(base: Path) -> list[Path]:
    """Remove the directories below `base` whose owner is dead; returns them."""
    removed = []
    for directory in base.glob("run-*"):
        try:
            fd = os.open(directory / "owner.lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another run is creating or removing it at this moment
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(directory, ignore_errors=True)
            removed.append(directory)
        finally:
            os.close(fd)
    return removed
