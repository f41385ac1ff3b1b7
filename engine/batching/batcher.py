"""The cameras before one detector: when to run a batch, and which frames go into it.

arrive …   frames come                                   (CameraQueue)
runs_at    when the frames that wait should be run       (Collect)
take       whose frames go, in which order               (Turns)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.batching.arrivals import HORIZON_NS
from engine.batching.camera_queue import CameraQueue, Pick
from engine.batching.collect import Collect, Gathering, Greedy, Missing
from engine.batching.turns import Turns

FLOOR_NS: Final = 2_000_000
"""Shortest window: a wake-up and a look at every camera take about as long."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How batches are collected.

    batch       most frames in one
    collect     name of the policy, `infer.collect`
    cap_ns      longest window, and the window of the first batch
    max_age_ns  age at which a live frame is dropped
    live        the newest frame of a camera counts; otherwise every frame, and nothing is waited for
    """

    batch: int = 1
    collect: str = "adaptive"
    cap_ns: int = 100_000_000
    max_age_ns: int = 500_000_000
    live: bool = True


class Batcher:
    """Owns no frame: the caller leases what `take` names, and reports it `done` or `gone` to its queue."""

    def __init__(self, queues: Sequence[CameraQueue], options: BatchOptions) -> None:
        self.queues = {queue.name: queue for queue in queues}
        self._options = options
        self._collect = Collect.names[options.collect]() if options.live else Greedy()
        self._turns = Turns()
        self._begun = False

    def add(self, queue: CameraQueue) -> None:
        """A camera more. It is served as if it had been away."""
        self.queues[queue.name] = queue

    def remove(self, name: str) -> None:
        """A camera is gone, with what waited of it."""
        del self.queues[name]
        self._turns.forget(name)

    def window_ns(self, now_ns: int) -> int:
        """Period of the fastest live camera, within 2 ms and the cap; the cap while no rate is known.

        Also before the first batch, so that a run does not begin with many small ones while cameras come up.
        """
        periods = [
            period for queue in self.queues.values() if queue.is_live(now_ns) and (period := queue.period_ns())
        ]  # fmt: skip
        if not self._begun or not periods:
            return self._options.cap_ns
        return min(self._options.cap_ns, max(FLOOR_NS, min(periods)))

    def live_cameras(self, now_ns: int) -> int:
        """Cameras that gave a frame within the horizon."""
        return sum(queue.is_live(now_ns) for queue in self.queues.values())

    def queued(self) -> int:
        """Frames that wait, over all cameras."""
        return sum(queue.waiting for queue in self.queues.values())

    def runs_at(self, now_ns: int) -> int | None:
        """When to run what waits, if nothing else comes; a time that has passed: now. None: nothing waits."""
        self._expire(now_ns)
        due = [queue for queue in self.queues.values() if queue.due]
        if not due:
            return None
        since_ns = min(now_ns, *(queue.due_since_ns for queue in due))
        if (len(due) if self._options.live else self.queued()) >= self._options.batch:
            return since_ns
        missing = tuple(self._missing(queue, since_ns) for queue in self._absent(now_ns))
        return self._collect.runs_at(Gathering(since_ns, self.window_ns(now_ns), missing))

    def take(self, now_ns: int) -> list[Pick]:
        """The frames of a batch, in the order of service; empty if none may be taken."""
        self._expire(now_ns)
        picks: list[Pick] = []
        while len(picks) < self._options.batch:
            waiting = [
                (queue.name, queue.captured_ns if self._options.live else 0)
                for queue in self.queues.values()
                if queue.due
            ]
            if not waiting:
                break
            queue = self.queues[self._turns.next(waiting)]
            picks.append(queue.take())
        self._begun = self._begun or bool(picks)
        return picks

    def _absent(self, now_ns: int) -> list[CameraQueue]:
        """Cameras that could still give a frame to the batch: live ones, and at the start those not seen yet."""
        return [
            queue
            for queue in self.queues.values()
            if not queue.waiting
            and queue.in_flight < queue.most_in_flight
            and (queue.is_live(now_ns) or not (self._begun or queue.ended or queue.arrivals.last_ns))
        ]

    def _missing(self, queue: CameraQueue, since_ns: int) -> Missing:
        last_ns = queue.arrivals.last_ns
        if last_ns is None:
            end_ns = since_ns + self._options.cap_ns
            return Missing(since_ns, end_ns, end_ns)
        return Missing(*queue.next_wanted_ns(self._options.cap_ns), last_ns + HORIZON_NS)

    def _expire(self, now_ns: int) -> None:
        if self._options.live:
            for queue in self.queues.values():
                queue.expire(now_ns - self._options.max_age_ns)
