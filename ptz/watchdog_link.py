"""The controlling process's side of the watchdog: starts it, tells it which heads turn, notices its death."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ptz.drivers.base import PtzDriver


class Guard(Protocol):
    """What a head tells its watchdog. Never waits and never raises."""

    def watch(self, driver: PtzDriver) -> None:
        """This is how the head is reached; called when the driver is open, again when that changed."""

    def turning(self, stop_way: str) -> None:
        """It turns, or is about to; called at least every 0.1 s while it does."""

    def resting(self) -> None:
        """It stands."""

    def told(self) -> dict[str, Any]:
        """For /health."""


class WatchdogLink:
    """One watchdog process for all heads of this process."""

    def __init__(self, now: Callable[[], float], silence_s: float = 0.4) -> None:
        """Nothing is started before the first head is watched. `silence_s`: how long a head may turn unheard of."""
        raise NotImplementedError

    def guard(self, name: str) -> Guard:
        """The watchdog of one head, to be given to `Head`. `name`: unique in this process."""
        raise NotImplementedError

    def told(self) -> dict[str, Any]:
        """pid, state (`off`, `starting`, `watching`, `restarting`), restarts, stops sent, last words."""
        raise NotImplementedError

    def close(self) -> None:
        """Hang up: the watchdog ends by itself. Heads must rest by then."""
        raise NotImplementedError
