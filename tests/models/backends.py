"""Backends for tests: ONNX Runtime on the CPU, which fails or waits when it is told to."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import ClassVar

from engine.errors import BackendMissing, DeviceOutOfMemory
from engine.models.backend import BackendOptions, Call
from engine.models.ort import OrtCpu
from engine.types import F32


class Bound(OrtCpu, name="test-bound"):
    """Runs through bindings, as GPUs do, with host memory."""

    def compute(self, call: Call, frames: int, lane: int) -> list[F32]:
        return self.bound(call, frames, lane, ("cpu", 0)).run()


class Failing(OrtCpu, name="test-failing"):
    """The n-th run of each instance finds no memory; later ones are counted as misuse.

    fails_at    the n of the next instances, in order; the last one stays
    """

    on_cores = False  # as a GPU: no layouts to measure but batches
    fails_at: ClassVar[deque[int]] = deque([1])
    loaded: ClassVar[list[Failing]] = []

    def __init__(self, path: Path, options: BackendOptions) -> None:
        super().__init__(path, options)
        self.runs = 0
        self.runs_after_failure = 0
        self.closed = 0
        self._counting = threading.Lock()
        self._fails_at = self.fails_at.popleft() if len(self.fails_at) > 1 else self.fails_at[0]
        self.loaded.append(self)

    def run(self, call: Call, count: int, lane: int) -> list[F32]:
        with self._counting:
            self.runs += 1
            number = self.runs
        if number == self._fails_at:
            raise DeviceOutOfMemory("test-failing: out of memory, as arranged")
        if number > self._fails_at:
            self.runs_after_failure += 1
        return super().run(call, count, lane)

    def close(self) -> None:
        self.closed += 1
        super().close()


class FailingToo(Failing, name="test-failing-too"):
    """Another one, for chains of two."""


class GatedFailing(Failing, name="test-gated-failing"):
    """Fails, but not before the gate is open. `entered` counts the runs that have begun."""

    gate: ClassVar[threading.Event] = threading.Event()
    entered: ClassVar[threading.Semaphore] = threading.Semaphore(0)

    def run(self, call: Call, count: int, lane: int) -> list[F32]:
        self.entered.release()
        assert self.gate.wait(60)
        return super().run(call, count, lane)


class Gated(OrtCpu, name="test-gated"):
    """Waits in every run until the gate is open. `made` are the calls, in order."""

    gate: ClassVar[threading.Event] = threading.Event()
    running: ClassVar[threading.Semaphore] = threading.Semaphore(0)
    made: ClassVar[list[Call]] = []

    def new_call(self) -> Call:
        call = super().new_call()
        self.made.append(call)
        return call

    def run(self, call: Call, count: int, lane: int) -> list[F32]:
        self.running.release()
        assert self.gate.wait(60)
        return super().run(call, count, lane)


class Absent(OrtCpu, name="test-absent"):
    """Cannot be had on this machine."""

    on_cores = False
    REASON: ClassVar[str] = "test-absent: is not installed; pip install it"

    def __init__(self, path: Path, options: BackendOptions) -> None:
        raise BackendMissing(self.REASON)
