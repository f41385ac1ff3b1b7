"""SIGTERM, SIGINT and SIGHUP as an event in the supervisor's loop."""

from __future__ import annotations

import selectors
import signal
import socket
import threading
from types import FrameType, TracebackType
from typing import Any

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While active, stop signals make `selector` return an event whose data is None, instead of raising.

    In any other thread, as in a program that runs the engine beside its own work, signals stay the program's.
    Whoever runs us under `nohup` has SIGHUP ignored, and so it stays.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._reader, self._writer = socket.socketpair()
        self._previous: list[tuple[int, Any]] = []
        self._ours = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> StopSignals:
        self._selector.register(self._reader, selectors.EVENT_READ, None)
        if not self._ours:
            return self
        self._writer.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in _STOPPING:
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._previous.append((number, signal.signal(number, _keep_running)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            signal.set_wakeup_fd(self._previous_fd)
        while self._previous:
            signal.signal(*self._previous.pop())
        if self._selector.get_map() is not None:  # None once the selector is closed
            self._selector.unregister(self._reader)
        self._reader.close()
        self._writer.close()

    def received(self) -> str:
        """Name of the signal that came. Call it once an event; it waits where there is none."""
        return signal.Signals(self._reader.recv(1)[0]).name


def _keep_running(number: int, frame: FrameType | None) -> None:
    """The wake-up descriptor carries the news; the handler only keeps Python from raising."""
