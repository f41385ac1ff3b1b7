"""Coalescing wake-up between processes: many `notify` calls before a `wait` are one wake-up.

A wake-up is a hint. It may be lost when a process dies between publishing and notifying, so every wait has
a timeout and the waiter looks at the pools again. `eventfd` on Linux, a non-blocking pipe elsewhere.
"""

from __future__ import annotations

import os
import select
import sys

_PIPE_READ_BYTES = 4096
_ONE = (1).to_bytes(8, sys.byteorder)


class Notifier:
    """One end-point: any process holding the descriptors may `notify`, one process waits.

    `descriptors` is what another process needs to build its own `Notifier` of the same end-point.
    """

    def __init__(self, descriptors: tuple[int, ...]) -> None:
        self.descriptors = descriptors
        self._read_fd = descriptors[0]
        self._write_fd = descriptors[-1]
        self._read_bytes = 8 if len(descriptors) == 1 else _PIPE_READ_BYTES  # 8 take all of an eventfd
        self._poll = select.poll()
        self._poll.register(self._read_fd, select.POLLIN)

    @classmethod
    def create(cls) -> Notifier:
        """A new end-point of the best kind this system has."""
        if sys.platform == "linux":
            return cls((os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC),))
        else:
            return cls.create_pipe()

    @classmethod
    def create_pipe(cls) -> Notifier:
        """A new end-point made of a pipe (any POSIX system)."""
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)
        return cls((read_fd, write_fd))

    def fileno(self) -> int:
        """The descriptor to select on for reading."""
        return self._read_fd

    def notify(self) -> None:
        """Wake the waiter. Never blocks: a full pipe or counter means that it is being woken already."""
        try:  # noqa: SIM105 - suppress() is three calls more on the way of every frame, 5 µs when idle before
            os.write(self._write_fd, _ONE)
        except BlockingIOError:
            pass

    def wait(self, timeout_s: float) -> bool:
        """Sleep until notified or until `timeout_s` has passed; True if notified. Clears the notification."""
        if not self._poll.poll(timeout_s * 1000.0):
            return False
        self.clear()
        return True

    def clear(self) -> None:
        """Forget pending notifications."""
        try:  # as in `notify`
            while len(os.read(self._read_fd, self._read_bytes)) == _PIPE_READ_BYTES:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Close the descriptors. A second call does nothing."""
        descriptors, self.descriptors = self.descriptors, ()
        self._read_fd = self._write_fd = -1
        for fd in descriptors:
            os.close(fd)
