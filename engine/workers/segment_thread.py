"""The lane: one thread that loads the segmenter and computes keyframes, at the lowest priority there is.

The worker's main thread hands it one task at a time and goes on; it is woken when the answer is there. Knows
priorities and threads; what a task does it does not know.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from engine.clock import Clock

T = TypeVar("T")

LOWEST_NICE = 19


@dataclass(slots=True)
class _Task:
    what: str
    began_ns: int
    ended_ns: int = 0


class Lane:
    """One thread, one task at a time. Belongs to the main thread.

    priority  what was done about the thread's priority, in words
    """

    def __init__(self, wake: Callable[[], None], clock: Clock) -> None:
        self._wake = wake
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, "segment-lane")
        self._task: _Task | None = None
        self.priority: str = self._executor.submit(lower_priority).result()

    @property
    def busy(self) -> bool:
        """Whether a task is under way, or done and not yet taken note of by `end`."""
        return self._task is not None

    def begin(self, what: str, run: Callable[[], T]) -> Future[T]:
        """Hand over a task, which `what` says in words. Only where the lane is not busy; see `end`."""
        assert self._task is None, f"the lane is busy with {self._task}"
        task = self._task = _Task(what, self._clock.now_ns())
        answer = self._executor.submit(run)

        def ended(_: Future[T]) -> None:
            task.ended_ns = self._clock.now_ns()
            self._wake()

        answer.add_done_callback(ended)
        return answer

    def end(self) -> None:
        """The task that was under way is done: the next one may begin."""
        assert self._task is not None, "nothing was under way"
        self._task = None

    def under_way(self) -> tuple[str, float]:
        """What the lane is at, in words, and for how many seconds; ("", 0) while it is at nothing."""
        if self._task is None or self._task.ended_ns:
            return "", 0.0
        return self._task.what, (self._clock.now_ns() - self._task.began_ns) / 1e9

    def close(self) -> None:
        """Let the thread end when it has nothing left to do. One that hangs in a library ends with the process."""
        self._executor.shutdown(wait=False)


def lower_priority() -> str:
    """Give this thread, and those that it starts from now on, the lowest priority; says what was done.

    On Linux a thread has a scheduling class of its own, and libraries' threads inherit it from the one that starts
    them. A thread of the idle class gives way the moment another one wakes up; one that is only nice
    runs its slice of a few milliseconds to the end, by which detections came later (bench.segment_live). Elsewhere
    niceness is the process's: then the worker's main loop yields to detection and tracking as well. (macOS knows
    classes of service for threads, which Python cannot set.)
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
        return "idle class for the segmenter's threads"
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST_NICE)
    return f"nice {LOWEST_NICE} for the whole worker: this system has no priority of single threads"
