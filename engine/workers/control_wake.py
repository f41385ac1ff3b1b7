"""One wake-up of a worker for several of its threads: a notifier wakes only one of those who wait for it."""

from __future__ import annotations

import threading

from ipc.notify import Notifier

PATIENCE_S = 0.25


class WakeEnd:
    """What one thread waits on, as it would on the notifier."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def notify(self) -> None:
        """Wake the thread."""
        self._event.set()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until notified or until `timeout_s` has passed; True if notified. Clears the notification."""
        woken = self._event.wait(timeout_s)
        self._event.clear()
        return woken


class SharedWake:
    """Waits on a notifier in a thread of its own and wakes every `end` that was made before `start`."""

    def __init__(self, wake: Notifier) -> None:
        self._wake = wake
        self._ends: list[WakeEnd] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wake", daemon=True)

    def end(self) -> WakeEnd:
        """One more thread's end."""
        end = WakeEnd()
        self._ends.append(end)
        return end

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def stop(self) -> None:
        """End; every end is woken a last time."""
        self._stopping.set()
        self._wake.notify()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if self._wake.wait(PATIENCE_S):
                for end in self._ends:
                    end.notify()
