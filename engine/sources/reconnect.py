"""When to connect again: pure policy over a source, a clock and a random number generator.

Knows nothing of cameras or protocols, only which error of our tree came. Never sleeps: between attempts it says
until when to wait, so that its worker stays free to stop.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from engine.clock import Clock
from engine.errors import SourceDisconnected, SourceError, SourceNotFound, SourceUnauthorized
from engine.sources.base import Picture, Source
from engine.types import U8, Surface


class SourceState(Enum):
    """How a source fares."""

    CONNECTING = "connecting"
    STREAMING = "streaming"
    RECONNECTING = "reconnecting"
    UNAUTHORIZED = "unauthorized"
    """The password is wrong: tried again so rarely that no account is locked."""
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before this monotonic time; then call `grab` again."""

    until_ns: int


class Uniform(Protocol):
    """What is needed of `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the n-th attempt in a row.

    A random time between 0 and a limit that doubles up to a cap: cameras that went down together (a switch, a
    power cut) do not come back in step.

    first_s, cap_s    limit of the first wait, and of the longest
    good_after_s      a stream that lasted this long was good: the next trouble starts at `first_s` again
    unauthorized_s    waits after a refused password; the last one repeats. Cameras lock an account after
                      some five failures, for minutes at least
    """

    first_s: float = 0.25
    cap_s: float = 10.0
    good_after_s: float = 10.0
    unauthorized_s: tuple[float, ...] = (60.0, 300.0)

    def after_failure(self, attempt: int, rng: Uniform) -> float:
        """Seconds to wait after the `attempt`-th failure in a row, counted from 0."""
        limit_s = self.cap_s if attempt >= 32 else min(self.cap_s, self.first_s * 2**attempt)
        return rng.uniform(0.0, limit_s)

    def after_refusal(self, attempt: int) -> float:
        """Seconds to wait after the `attempt`-th refused password in a row, counted from 0."""
        return self.unauthorized_s[min(attempt, len(self.unauthorized_s) - 1)]


POLL_S = 0.1
"""Longest that `grab` waits for a live source before it gives its worker a turn."""


class Reconnector:
    """One source over all its connections. A file is opened once; a live source again and again.

    source_factory  makes the source, not opened
    state, reason   how it fares, and one line that says why; `since_ns` is when that began (monotonic)
    connections     how many times it was open
    """

    def __init__(
        self,
        source_factory: Callable[[], Source],
        clock: Clock,
        backoff: Backoff = Backoff(),
        rng: Uniform | None = None,
    ) -> None:
        self.state = SourceState.CONNECTING
        self.reason = ""
        self.since_ns = clock.now_ns()
        self.connections = 0
        self._source_factory = source_factory
        self._clock = clock
        self._backoff = backoff
        self._rng: Uniform = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._source: Source | None = None
        self._is_open = False
        self._live = False
        self._description = ""
        self._fps = 0.0
        self._corrupt_before = 0
        self._next_attempt_ns = 0
        self._attempts = self._refusals = 0
        self._first_picture_ns: int | None = None
        self._has_streamed = False

    @property
    def live(self) -> bool:
        """Whether the source sets its own pace; not known for sure before the first picture."""
        return self._live

    @property
    def fps(self) -> float:
        """Nominal rate of the last connection, 0 if unknown."""
        return self._fps

    @property
    def description(self) -> str:
        """What the last connection said of itself."""
        return self._description

    @property
    def corrupt_packets(self) -> int:
        """Damaged packets over all connections."""
        return self._corrupt_before + (self._source.corrupt_packets if self._source else 0)

    def grab(self) -> Picture | Wait | None:
        """The next picture, a time to come back at, or None at the end.

        Raises the `SourceError` that no further attempt can mend.
        """
        if self.state in (SourceState.ENDED, SourceState.FAILED):
            return None
        if self._source is None and self._clock.now_ns() < self._next_attempt_ns:
            return Wait(self._next_attempt_ns)
        try:
            return self._step()
        except SourceError as error:
            return self._failed(error)

    def read_into(self, y: U8, uv: U8) -> Surface | None:
        """Write the grabbed picture as NV12; see `Source.read_into`."""
        assert self._source is not None, "read_into without a picture from grab"
        return self._source.read_into(y, uv)

    def close(self) -> None:
        """Let go of the source; may be called twice."""
        if self._source is not None:
            self._corrupt_before += self._source.corrupt_packets
            self._source.close()
        self._source, self._is_open = None, False

    def _step(self) -> Picture | Wait | None:
        if self._source is None:
            self._source = self._source_factory()
            self._live = self._source.live
            self._source.start()
        if not self._source.ready(POLL_S):
            return self._soon()
        if not self._is_open:
            self._source.open()
            self._is_open = True
            self.connections += 1
            self._live, self._fps = self._source.live, self._source.fps
            self._description = self._source.description
            return self._soon() if self._live else self._step()
        picture = self._source.grab()
        if picture is None:
            self._enter(SourceState.ENDED, "")
            self.close()
            return None
        return self._streaming(picture)

    def _soon(self) -> Wait:
        return Wait(self._clock.now_ns() + 1_000_000)

    def _streaming(self, picture: Picture) -> Picture:
        if self._first_picture_ns is not None:
            return picture
        self._first_picture_ns = self._clock.now_ns()
        self._refusals = 0
        again, self._has_streamed = self._has_streamed, True
        self._enter(SourceState.STREAMING, self._description)
        return replace(picture, discontinuity=True) if again else picture

    def _failed(self, error: SourceError) -> Wait:
        live, started_ns = self._live, self._first_picture_ns
        self.close()
        self._first_picture_ns = None
        if not live or not self._may_heal(error):
            self._enter(SourceState.FAILED, str(error))
            raise error
        now_ns = self._clock.now_ns()
        if started_ns is not None and now_ns - started_ns >= self._backoff.good_after_s * 1e9:
            self._attempts = 0
        if isinstance(error, SourceUnauthorized):
            wait_s = self._backoff.after_refusal(self._refusals)
            self._refusals += 1
            state = SourceState.UNAUTHORIZED
        else:
            wait_s = self._backoff.after_failure(self._attempts, self._rng)
            self._attempts += 1
            state = SourceState.RECONNECTING
        self._next_attempt_ns = now_ns + round(wait_s * 1e9)
        self._enter(state, str(error))
        return Wait(self._next_attempt_ns)

    def _may_heal(self, error: SourceError) -> bool:
        """A camera that starts up may refuse, not know its stream yet, or be away.

        What was of no use from the beginning stays so; what has worked before will work again.
        """
        return self._has_streamed or isinstance(
            error, (SourceDisconnected, SourceNotFound, SourceUnauthorized)
        )

    def _enter(self, state: SourceState, reason: str) -> None:
        if state is not self.state:
            self.state, self.since_ns = state, self._clock.now_ns()
        self.reason = reason
