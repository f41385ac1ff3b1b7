"""A detector in a file: pictures prepared, a backend that runs them, a head that reads the answer.

Backends are tried in the order of `infer.backends`, at the start and whenever the running one fails. Pictures are
prepared outside the lane, so that one call computes while the next is made ready. What outputs mean is the head's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from engine.errors import BackendError
from engine.models.backend import Backend, Call, backend_named
from engine.models.base import BatchItem, Choice, Detector, DetectorOptions
from engine.models.chain import BackendChain, Lanes
from engine.models.heads.base import Head, recognise
from engine.models.layout import Bounds, Layout
from engine.models.prepare import CpuPreparation, Preparation
from engine.models.registry import cache_dir
from engine.models.selection import Selection, labels_of
from engine.models.start import start_backend
from engine.models.timings import CallTimes
from engine.types import Detections, FrameNv12


@dataclass(slots=True)
class _Place:
    """What one call in flight works with."""

    call: Call
    preparation: Preparation
    selection: Selection


class _Running:
    """A model loaded on a backend, ready for `calls` calls in flight; 0 = as many as suit the layout."""

    def __init__(self, backend_name: str, path: Path, options: DetectorOptions, calls: int) -> None:
        kind = backend_named(backend_name)
        bounds = _bounds(kind, options, calls)
        started = start_backend(kind, path, bounds, cache_dir().parent)
        self.backend, self.layout = started.backend, started.layout
        try:
            self.head = recognise(self.backend.graph, str(path))
            self.labels = labels_of(self.head, options, path)
            extra, reason = extra_calls(self.backend, self.layout, options.most_lanes)
            self.lanes = Lanes(self.layout.lanes)
            useful = self.layout.lanes + extra
            count = calls or min(useful, bounds.calls or useful)
            self.places = [self._place(options) for _ in range(count)]
            self._warm_up()
        except BaseException:
            self.backend.close()
            raise
        self.choices = (
            started.choice, Choice("calls in flight", str(len(self.places)), reason), *self.backend.choices,
            *self._about_the_file(options),
        )  # fmt: skip

    @property
    def discarded(self) -> int:
        return sum(place.selection.discarded for place in self.places)

    def close(self) -> None:
        self.backend.close()

    def _place(self, options: DetectorOptions) -> _Place:
        call = self.backend.new_call()
        selection = Selection(self.head, self.labels, options)
        return _Place(call, _preparation(self.backend, call, self.head), selection)

    def _warm_up(self) -> None:
        """Run every lane at the size it will be used with, as the first run at a size allocates."""
        for lane in range(self.layout.lanes):
            self.backend.run(self.places[lane].call, self.layout.batch, lane)

    def _about_the_file(self, options: DetectorOptions) -> list[Choice]:
        graph = self.backend.graph
        facts = [
            Choice("head", self.head.layout, "; ".join(filter(None, (graph.describe(), self.head.note))))
        ]
        if self.backend.fixed_batch:
            reason = f"the file is exported for batches of {self.backend.batch}"
            wanted = options.batch or options.most_batch
            if wanted > self.backend.batch:
                reason += f"; where {wanted} frames are due, they run one call after another"
            facts.append(Choice("batch", str(self.backend.batch), reason))
        return facts


class OnnxDetector(Detector):
    """Objects from a model file, by the first of the wanted backends that runs it."""

    def __init__(self, path: Path, options: DetectorOptions) -> None:
        """Load the file, find its layout, and run every lane once.

        Raises `ModelNotFound`, `ModelCorrupt`, `ModelUnsupported`, `BackendError` where no backend can run it, or
        `ConfigError` for labels or backends that do not fit.
        """
        self._path, self._options = path, options
        self._times = CallTimes()
        self._discarded = 0
        self._adopting = Lock()
        self.calls = 0
        self._chain = BackendChain(options.backends, self._start)
        with self._chain.current() as running:
            self._running = running
            self.labels, self.calls, self.batch = running.labels, len(running.places), running.layout.batch
            self._show(running)

    @property
    def discarded(self) -> int:
        return self._discarded + self._running.discarded

    @property
    def degraded(self) -> tuple[str, ...]:
        passed = self._chain.passed_over
        found = [place.preparation.degraded for place in self._running.places]
        if passed:
            reasons = "; ".join(dict.fromkeys(one.reason for one in passed))
            found.append(f"{self._chain.name} runs {self._path.name} instead of {passed[0].name}: {reasons}")
        return tuple(dict.fromkeys(filter(None, found)))

    def expected_s(self, frames: int) -> tuple[float, float]:
        return self._times.expected_s(frames)

    def infer(self, batch: Sequence[BatchItem], call: int = 0) -> list[Detections]:
        """See `Detector.infer`.

        Where the backend fails, the same frames run on the next one. Raises `BackendError` where none is left.
        """
        frames = [item.frame for item in batch]
        while True:
            try:
                with self._chain.current() as running:
                    self._adopt(running)
                    return self._infer_on(running, frames, call)
            except BackendError:
                if self._chain.exhausted:
                    raise

    def close(self) -> None:
        self._chain.close()

    def _start(self, backend_name: str) -> _Running:
        return _Running(backend_name, self._path, self._options, self.calls)

    def _infer_on(self, running: _Running, frames: list[FrameNv12], call: int) -> list[Detections]:
        found: list[Detections] = []
        at_once = running.layout.batch
        compute_s = 0.0
        for first in range(0, len(frames), at_once):
            chunk, chunk_s = self._infer_chunk(running, frames[first : first + at_once], running.places[call])
            found += chunk
            compute_s += chunk_s
        if found:
            self._times.computed(len(found), compute_s)
        return found

    def _infer_chunk(
        self, running: _Running, frames: list[FrameNv12], place: _Place
    ) -> tuple[list[Detections], float]:
        """The detections, and the seconds in the lane and after it."""
        began = time.perf_counter()
        placed = [place.preparation.prepare(frame, index) for index, frame in enumerate(frames)]
        place.preparation.wait()
        self._times.prepared(len(frames), time.perf_counter() - began)
        # A call that fails says so before its lane is free, so that the next one does not run on a failed backend.
        with running.lanes.take() as lane, self._chain.guard(running):
            began = time.perf_counter()
            outputs = running.backend.run(place.call, len(frames), lane)
        found = [
            place.selection.detections(outputs, index, letterbox) for index, letterbox in enumerate(placed)
        ]
        return found, time.perf_counter() - began

    def _adopt(self, running: _Running) -> None:
        """Take over the news where another backend runs than before."""
        if running is self._running:
            return
        with self._adopting:
            if running is self._running:
                return
            self._discarded += self._running.discarded
            self._times.forget()
            self._running = running
            self._show(running)

    def _show(self, running: _Running) -> None:
        layout, images = running.layout, running.backend.graph.inputs[0]
        self.lanes = layout.lanes
        width, height = running.backend.graph.input_wh
        self.description = (
            f"{self._path.name}: {running.head.layout}, {len(running.labels)} classes, input {width} × {height} "
            f"{images.dtype}, {running.backend.description}, lanes {layout.lanes} of {layout.threads} thread(s), "
            f"batch {layout.batch}"
        )
        wanted = ", ".join(self._options.backends)
        reasons = [f"wanted: {wanted}", *(one.reason for one in self._chain.passed_over)]
        self.choices = (Choice("backend", self._chain.name, "; ".join(reasons)), *running.choices)


def extra_calls(backend: Backend, layout: Layout, cores: int) -> tuple[int, str]:
    """How many calls prepare their pictures while all lanes compute, and why."""
    if not backend.on_cores:
        return 1, "one prepares its pictures on the CPU while the device computes another"
    if layout.lanes * layout.threads >= cores:
        return 0, "every core computes: preparing ahead takes time from it, and frames grow old"
    return 1, "one prepares its pictures on a core that does not compute"


def _bounds(kind: type[Backend], options: DetectorOptions, calls: int) -> Bounds:
    cores, frames = max(1, options.most_lanes), max(1, options.most_batch)
    if kind.on_cores and options.backends[0] != kind.name:
        # Configured numbers are meant for the device that was asked for first: one lane of one thread suits a GPU.
        # But as many calls as that device would have had is what memory for frames was laid out for.
        return Bounds(cores=cores, frames=frames, calls=calls or (options.lanes + 1 if options.lanes else 0))
    return Bounds(options.lanes, options.threads, options.batch, cores, frames, calls)


def _preparation(backend: Backend, call: Call, head: Head) -> Preparation:
    if not backend.on_gpu:
        return CpuPreparation(call.input_nchw, head.pixels, head.fit)
    from engine.models.prepare_cuda import CudaPreparation

    return CudaPreparation(call.input_nchw, head.pixels, head.fit)
