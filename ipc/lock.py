"""Mutual exclusion between processes that the kernel ends when the holder dies.

`flock(2)` belongs to an open file description, so every process opens the lock for itself: an inherited or
passed descriptor would share the lock instead of competing for it. For the same reason a handle must not be
carried through `fork`. A holder that is stopped (SIGSTOP, debugger) keeps everybody waiting until it is
killed.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class KernelLock:
    """A `flock` on `path`, as a context manager. Not reentrant; one thread per instance.

    A signal handler that raises can leave the lock held; the next use by the same instance frees it.
    """

    _fd = -1

    def __init__(self, path: str | Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    @classmethod
    def on_descriptor(cls, fd: int) -> KernelLock:
        """A lock on the file behind `fd`, through a file description of its own (Linux).

        This lets an anonymous segment be its own lock: no lock file, nothing to clean up.
        """
        return cls(f"/proc/self/fd/{fd}")

    def acquire(self) -> None:
        """Wait for the lock and take it."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def release(self) -> None:
        """Let the next one have it."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def close(self) -> None:
        """Give the descriptor back, the lock is freed with it; done at the latest with the last reference."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close
