"""An event loop whose time jumps to the next timer when nothing is ready: minutes of coroutines in seconds.

For simulations and tests in one process without sockets or threads. `loop.time()` is the virtual clock; coroutines wait
with asyncio's own means. The same program gives the same run.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

Result = TypeVar("Result")


class NothingToWaitFor(RuntimeError):
    """Every coroutine waits for something that never comes: no timer is set and nothing is ready."""


class TimeLimit(RuntimeError):
    """The virtual clock went past the limit that `run_virtual` was given."""


class _JumpingSelector(selectors.BaseSelector):
    """A selector that does not wait: it lets `loop.time()` jump by the time that it would have waited."""

    def __init__(self, start_s: float, limit_s: float) -> None:
        self._real = selectors.DefaultSelector()
        self._limit_s = limit_s
        self.now_s = start_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise NothingToWaitFor(
                f"at {self.now_s:.3f} s of virtual time every coroutine waits and no timer is set"
            )
        if self.now_s + max(timeout, 0.0) > self._limit_s:
            raise TimeLimit(f"virtual time went past its limit of {self._limit_s:g} s")
        self.now_s += max(timeout, 0.0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def lift_limit(self) -> None:
        """No limit any more: what is still running is to end in order."""
        self._limit_s = float("inf")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock that begins at `start_s` and must not go past `limit_s`."""

    def __init__(self, start_s: float = 0.0, limit_s: float = float("inf")) -> None:
        self._jumping = _JumpingSelector(start_s, limit_s)
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Seconds of virtual time."""
        return self._jumping.now_s

    def lift_limit(self) -> None:
        """No limit any more."""
        self._jumping.lift_limit()


def run_virtual(
    coroutine: Coroutine[Any, Any, Result], *, start_s: float = 0.0, limit_s: float = float("inf")
) -> Result:
    """Run to the end in virtual time and return the result, as `asyncio.run` does in real time.

    Raises `NothingToWaitFor` when all wait for what never comes, `TimeLimit` when the clock passes `limit_s`; all tasks
    are cancelled then.
    """
    loop = VirtualLoop(start_s, limit_s)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            return runner.run(coroutine)
        finally:
            loop.lift_limit()
