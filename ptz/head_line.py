"""The way to one camera: one request at a time, no more than allowed in a second, slower after failures.

Knows neither what is asked nor what it means.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from engine.errors import PtzUnreachable

CANCEL_S = 0.2
CLOCK_JUMP_S = 2.0
SLICE_S = 0.05
"""How often a wait is interrupted to see whether something more urgent has come."""


class Line:
    """One request in flight."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        """`on_wait` is called every `SLICE_S` while an answer is awaited."""
        self._on_wait = on_wait

    async def call(
        self,
        request: Coroutine[Any, Any, None],
        timeout_s: float,
        urgent: Callable[[], bool] | None = None,
        grace_s: float = 0.0,
    ) -> bool:
        """Await a request; False where something urgent came and its answer took longer than `grace_s`: given up.

        Raises what the request raises, and `PtzUnreachable` after `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        task = asyncio.ensure_future(request)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=SLICE_S)
                if done:
                    task.result()
                    return True
                self._on_wait()
                waited_s = loop.time() - begun_s
                if urgent is not None and urgent() and waited_s >= grace_s:
                    return False
                if waited_s >= timeout_s:
                    raise PtzUnreachable(f"no answer within {timeout_s:g} s")
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CANCEL_S)


class Window:
    """At most so many requests in any second, evenly: who uses them all up at once has none left to react with.

    Repetitions count, but nothing new has to keep its distance from them.
    """

    def __init__(self, most: int) -> None:
        self._gap_s = 1.0 / most
        self._times_s: deque[float] = deque(maxlen=most)
        self._new_s = float("-inf")

    def free_s(self) -> float:
        """When the next one may be sent; long ago where it may be now."""
        full = len(self._times_s) == self._times_s.maxlen
        return max(self._new_s + self._gap_s, self._times_s[0] + 1.0 if full else float("-inf"))

    def take(self, now_s: float, again: bool = False) -> None:
        """One was sent; `again`: only a repetition."""
        self._times_s.append(now_s)
        if not again:
            self._new_s = now_s

    def forget(self) -> None:
        """The clock has jumped."""
        self._times_s.clear()
        self._new_s = float("-inf")


class Backoff:
    """Failures in a row, and when to try again."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s, self._most_s = first_s, most_s
        self.failures = 0
        self.since_s = 0.0
        self.until_s = float("-inf")

    def failed(self, now_s: float) -> None:
        """One more."""
        if not self.failures:
            self.since_s = now_s
        self.until_s = now_s + min(self._first_s * 2.0 ** min(self.failures, 20), self._most_s)
        self.failures += 1

    def worked(self) -> None:
        """None any more."""
        self.failures, self.until_s = 0, float("-inf")


class ClockWatch:
    """Notices a clock that jumps. `longest_s`: no step between two looks is longer than this by itself."""

    def __init__(self, now_s: float, longest_s: float) -> None:
        self._last_s, self._longest_s = now_s, longest_s

    def jump_s(self, now_s: float) -> float | None:
        """By how much it has jumped since the last look; None where it has not."""
        step_s, self._last_s = now_s - self._last_s, now_s
        return None if -0.001 <= step_s <= CLOCK_JUMP_S + self._longest_s else step_s
