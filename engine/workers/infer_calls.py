"""Calls of the detector in threads: how many may begin, when the next one should, and who has finished.

The main thread owns everything here; the threads only compute, and wake it when they are done.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from engine import topology
from engine.batching.pipeline import Pipeline, Running
from engine.models.base import BatchItem, Detector
from engine.types import Detections
from engine.workers.runtime import Context

Answer = Future[list[Detections]]


class Calls:
    """The calls in flight of one detector.

    A detector that prepares pictures while it computes takes one call more than it has lanes. Offline one that does
    not is handed one more as well, so that its lane goes on at once instead of waiting for the main thread; live
    that one would only grow old.
    """

    def __init__(self, context: Context, detector: Detector) -> None:
        self.detector = detector
        self._context = context
        offline = context.config.offline
        room = min(max(detector.calls, detector.lanes + offline), topology.most_calls(detector.lanes))
        self._pipeline = Pipeline(detector.lanes, room, live=not offline)
        self._numbers = SimpleQueue[int]()
        for number in range(max(detector.calls, detector.lanes)):
            self._numbers.put(number)
        self._executor = ThreadPoolExecutor(room, "call")
        self._ended = SimpleQueue[Running]()

    @property
    def lanes_busy(self) -> bool:
        """Whether a call that begins now has to wait for a lane."""
        return self._pipeline.in_flight >= self._pipeline.lanes

    def begins_at(self, now_ns: int, frames: int) -> int | None:
        """When a call with so many frames should begin, now or earlier: at once. None: when another has ended."""
        while not self._ended.empty():
            self._pipeline.end(self._ended.get())
        self._pipeline.lanes = self.detector.lanes  # another backend may have taken over
        return self._pipeline.begins_at(now_ns, self.detector.expected_s(frames)[0])

    def begin(self, batch: list[BatchItem], now_ns: int) -> Answer:
        """Run a batch on the next free call; the main thread is woken when the answer is there."""
        running = self._pipeline.begin(now_ns, *self.detector.expected_s(len(batch)))
        answer = self._executor.submit(self._infer, batch)

        def ended(_: Answer) -> None:
            self._ended.put(running)
            self._context.wake.notify()

        answer.add_done_callback(ended)
        return answer

    def close(self) -> None:
        """End the threads once they have finished what they took."""
        self._executor.shutdown()

    def _infer(self, batch: list[BatchItem]) -> list[Detections]:
        number = self._numbers.get()
        try:
            return self.detector.infer(batch, number)
        finally:
            self._numbers.put(number)
            batch.clear()  # or the thread would keep views of frames that are given back
