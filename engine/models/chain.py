"""Which backend runs a model now, and the next one when it fails. Knows no pictures and no files.

A backend that has failed is left by every thread before it is closed and the next one is loaded: what it held on
its device is free by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Condition
from typing import Generic, Protocol, TypeVar

from engine.errors import BackendError

_LEAVE_S = 10.0
"""How long a failed backend is waited for. A call that a lost device never answers must not stop the others."""


class Closeable(Protocol):
    """What a chain runs."""

    def close(self) -> None:
        """Give everything back."""


T = TypeVar("T", bound=Closeable)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A backend that does not run, and why."""

    name: str
    reason: str


@dataclass(slots=True)
class _Running(Generic[T]):
    member: T
    name: str
    users: int = 0
    failure: BackendError | None = None


class BackendChain(Generic[T]):
    """The first of the named backends that works; `current` moves on when it fails.

    passed_over  what does not run, in the order in which it was given up; replaced, never changed
    """

    def __init__(self, names: Sequence[str], start: Callable[[str], T]) -> None:
        """`start` loads a backend by name, raising `BackendError` where the next is to be tried.

        Raises `BackendError` where all fail, and whatever else `start` raises.
        """
        self._waiting = list(names)
        self._start = start
        self._condition = Condition()
        self.passed_over: tuple[PassedOver, ...] = ()
        self._running = self._next()

    @property
    def name(self) -> str:
        """The backend that runs, or ran last."""
        return self._running.name

    @property
    def exhausted(self) -> bool:
        """Whether the last backend has failed too."""
        return self._running.failure is not None and not self._waiting

    @contextmanager
    def current(self) -> Iterator[T]:
        """What runs now, for one call. A `BackendError` from inside gives it up; the caller repeats its call.

        Raises `BackendError` where nothing is left.
        """
        running = self._enter()
        try:
            yield running.member
        except BackendError as error:
            self._fail(running, error)
            raise
        finally:
            with self._condition:
                running.users -= 1
                self._condition.notify_all()

    @contextmanager
    def guard(self, member: T) -> Iterator[None]:
        """For the part of a call in which only so many may be: nobody comes in after one has failed in there.

        Raises the `BackendError` that another thread has met on the member, meanwhile or before.
        """
        if self._running.member is member and self._running.failure is not None:
            raise self._running.failure
        try:
            yield
        except BackendError as error:
            self._fail(self._running, error)
            raise

    def close(self) -> None:
        """Close what runs. May be called twice."""
        with self._condition:
            self._running.member.close()

    def _fail(self, running: _Running[T], error: BackendError) -> None:
        with self._condition:
            running.failure = running.failure or error

    def _enter(self) -> _Running[T]:
        with self._condition:
            while self._running.failure is not None:
                failed = self._running
                gone = self._condition.wait_for(partial(self._is_left, failed), _LEAVE_S)
                # Others that come meanwhile wait for the lock, which is what they would have to do anyway.
                if self._running is failed:
                    self._replace(failed, close=gone)
            self._running.users += 1
            return self._running

    def _is_left(self, failed: _Running[T]) -> bool:
        return failed.users == 0 or self._running is not failed

    def _replace(self, failed: _Running[T], *, close: bool) -> None:
        assert failed.failure is not None
        if not self._waiting:
            raise failed.failure
        if close:
            failed.member.close()
        self._pass_over(failed.name, failed.failure)
        self._running = self._next()

    def _next(self) -> _Running[T]:
        while True:
            name = self._waiting.pop(0)
            try:
                return _Running(self._start(name), name)
            except BackendError as error:
                self._pass_over(name, error)
                if not self._waiting:
                    reasons = "; ".join(passed.reason for passed in self.passed_over)
                    raise type(error)(reasons) from error

    def _pass_over(self, name: str, error: BackendError) -> None:
        self.passed_over = (*self.passed_over, PassedOver(name, str(error)))


class Lanes:
    """Numbers of the calls that may be computed at the same time, for one thread each."""

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[int] = SimpleQueue()
        for lane in range(count):
            self._free.put(lane)

    @contextmanager
    def take(self) -> Iterator[int]:
        """Wait for a lane; it is free again at the end."""
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)
