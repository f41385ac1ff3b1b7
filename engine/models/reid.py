"""Re-identification: what objects look like, as vectors whose cosine says how alike two of them are.

Boxes in frames go in, float16 vectors of unit length come out. Backends are those of detectors, tried in order, at the
start and whenever the running one fails; how many calls run side by side, and how many crops are in one, is measured
as for detectors. Knows no tracks and no budget: who is looked at is decided elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engine.errors import BackendError
from engine.models.backend import Backend, Call, backend_named
from engine.models.base import Choice
from engine.models.chain import BackendChain, Lanes
from engine.models.layout import Bounds
from engine.models.registry import cache_dir, registered_file
from engine.models.reid_crops import CopiedCrops, CpuCrops, Crop, CropPreparation, Crops, usable_crops
from engine.models.reid_heads import recognise_reid
from engine.models.start import start_backend
from engine.models.timings import CallTimes
from engine.types import F16, Bools
from kernels.device import GpuUnavailable

if TYPE_CHECKING:
    from engine.models.reid_crops_cuda import CudaCrops


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    """How a network is run.

    backends    what may run it, best first (`reid.backends`)
    threads     threads inside one call; 0 = measured
    cores       CPU cores that it may use
    batch       most crops in one call; 0 = measured
    most_crops  bound on a measured batch: crops that are due at once
    """

    backends: tuple[str, ...] = ("ort-cpu",)
    threads: int = 0
    cores: int = 1
    batch: int = 0
    most_crops: int = 16


class _Place(NamedTuple):
    """What a call in flight works with."""

    call: Call
    preparation: CropPreparation


class _Found(NamedTuple):
    """float16 (n, dims), which rows are sound, and the seconds that preparing and computing took."""

    vectors: F16
    sound: Bools
    prepare_s: float
    compute_s: float


class _Running:
    """A network loaded on a backend, one thread a lane."""

    def __init__(self, backend_name: str, path: Path, options: EmbedderOptions, registered: str) -> None:
        kind = backend_named(backend_name)
        started = start_backend(kind, path, _bounds(kind, options), cache_dir().parent)
        self.backend, self.layout = started.backend, started.layout
        try:
            self.head = recognise_reid(self.backend.graph, str(path), registered)
            self._lanes = Lanes(self.layout.lanes)
            self._places = [self._place() for _ in range(self.layout.lanes)]
            for lane, place in enumerate(self._places):
                # The first run at a size allocates.
                self.backend.run(place.call, self.layout.batch, lane)
        except BaseException:
            self.backend.close()
            raise
        self._threads = ThreadPoolExecutor(self.layout.lanes, "reid") if self.layout.lanes > 1 else None
        self.choices = (
            started.choice,
            Choice("network", self.head.layout, f"{self.head.reason}; {self.backend.graph.describe()}"),
            *self.backend.choices,
        )

    def embed(self, crops: Sequence[Crop]) -> _Found:
        """Vectors of at least one crop, all lanes at work. Raises `BackendError`."""
        # As many calls as there are lanes, rather than a few that are as large as they may be.
        size = min(self.layout.batch, -(-len(crops) // self.layout.lanes))
        chunks = [crops[first : first + size] for first in range(0, len(crops), size)]
        if self._threads is None or len(chunks) == 1:
            found = [self._embed(chunk) for chunk in chunks]
        else:
            found = list(self._threads.map(self._embed, chunks))
        return _Found(
            np.concatenate([one.vectors for one in found]),
            np.concatenate([one.sound for one in found]),
            sum(one.prepare_s for one in found),
            sum(one.compute_s for one in found),
        )

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()
        self.backend.close()

    def _embed(self, crops: Sequence[Crop]) -> _Found:
        with self._lanes.take() as lane:
            call, preparation = self._places[lane]
            began = time.perf_counter()
            preparation.prepare(crops)
            prepared = time.perf_counter()
            outputs = self.backend.run(call, len(crops), lane)
            vectors, sound = self.head.vectors(outputs, len(crops))
            return _Found(vectors, sound, prepared - began, time.perf_counter() - prepared)

    def _place(self) -> _Place:
        call, backend = self.backend.new_call(), self.backend
        kind = _crops_on_gpu() if backend.on_gpu else CpuCrops
        preparation = kind(call.input_nchw, self.head.pixels, channels_last=backend.graph.channels_last)
        return _Place(call, preparation)


class Embedder:
    """A re-identification network, on the first of the wanted backends that runs it. For one thread at a time.

    dims         numbers in a vector
    description  file, family, runtime and layout: one line for the log
    choices      what was decided by itself, and why
    unusable     boxes so far that held less than 2 × 2 pixels of their picture, or were no numbers
    discarded    crops so far for which the network gave no vector: numbers that are not finite, or only zeros
    """

    def __init__(self, path: Path, options: EmbedderOptions) -> None:
        """See `load`."""
        if path.suffix == ".engine":
            # Made for one GPU and one TensorRT: nothing else can read it.
            options = replace(options, backends=("tensorrt",))
        self._path, self._options = path, options
        entry = registered_file(path)
        self._registered = entry.pixels if entry else ""
        self._times = CallTimes()
        self.unusable = self.discarded = 0
        self._chain = BackendChain(options.backends, self._start)
        with self._chain.current() as running:
            self._show(running)

    @classmethod
    def load(cls, path: Path, options: EmbedderOptions) -> Embedder:
        """Load the file, find out how it is to be fed, and run it once.

        Raises `ModelNotFound`, `ModelCorrupt`, `ModelUnsupported` where it is no re-identification network or not
        known how its pixels are scaled, `BackendError` where no backend can run it.
        """
        return cls(path, options)

    @property
    def degraded(self) -> tuple[str, ...]:
        """What runs worse than it was asked for, in words; may change while it runs."""
        passed = self._chain.passed_over
        if not passed:
            return ()
        reasons = "; ".join(dict.fromkeys(one.reason for one in passed))
        return (f"{self._chain.name} runs {self._path.name} instead of {passed[0].name}: {reasons}",)

    def expected_s(self, crops: int) -> float:
        """Seconds that `embed` would take for so many crops, from recent calls; 0 where nothing is known."""
        return sum(self._times.expected_s(crops)) if crops else 0.0

    def embed(self, crops: Sequence[Crops]) -> list[F16]:
        """float16 (k, dims) for each entry, a vector of length 1 for each of its boxes, in order.

        The row of a box that holds nothing (`unusable`), or for which the network gave nothing (`discarded`), is
        zeros. The crops of all frames go through the network together. Where the backend fails, all of them run on the
        next one; raises `BackendError` where none is left.
        """
        wanted, masks = usable_crops(crops)
        found = np.zeros((len(wanted), self.dims), np.float16)
        if wanted:
            began = time.perf_counter()
            vectors, sound, prepare_s, compute_s = self._embed(wanted)
            found, took_s = vectors, time.perf_counter() - began
            self.discarded += len(sound) - int(np.count_nonzero(sound))
            # Lanes work side by side: the time on the clock, shared out as the work was.
            share = prepare_s / max(prepare_s + compute_s, 1e-9)
            self._times.prepared(len(wanted), took_s * share)
            self._times.computed(len(wanted), took_s * (1 - share))
        return self._spread(found, masks)

    def close(self) -> None:
        """Give back what is held on the device. May be called twice."""
        self._chain.close()

    def _embed(self, wanted: list[Crop]) -> _Found:
        while True:
            try:
                with self._chain.current() as running:
                    if running is not self._running:
                        self._times.forget()
                        self._show(running)
                    return running.embed(wanted)
            except BackendError:
                if self._chain.exhausted:
                    raise

    def _spread(self, found: F16, masks: list[Bools]) -> list[F16]:
        rows: list[F16] = []
        taken = 0
        for usable in masks:
            mine = np.zeros((len(usable), self.dims), np.float16)
            count = int(np.count_nonzero(usable))
            mine[usable] = found[taken : taken + count]
            taken += count
            self.unusable += len(usable) - count
            rows.append(mine)
        return rows

    def _start(self, backend_name: str) -> _Running:
        return _Running(backend_name, self._path, self._options, self._registered)

    def _show(self, running: _Running) -> None:
        self._running = running
        layout, (width, height) = running.layout, running.backend.graph.input_wh
        self.dims = running.head.dims
        self.description = (
            f"{self._path.name}: {running.head.layout}, {self.dims} numbers, input {width} × {height} "
            f"{running.backend.graph.inputs[0].dtype}, {running.backend.description}, lanes {layout.lanes} of "
            f"{layout.threads} thread(s), batch {layout.batch}"
        )
        reasons = [f"wanted: {', '.join(self._options.backends)}"]
        reasons += [one.reason for one in self._chain.passed_over]
        self.choices = (Choice("backend", self._chain.name, "; ".join(reasons)), *running.choices)


def _crops_on_gpu() -> type[CopiedCrops | CudaCrops]:
    """Made there where there is Triton, else made on the CPU and copied."""
    try:
        from engine.models.reid_crops_cuda import CudaCrops
    except GpuUnavailable:
        return CopiedCrops
    return CudaCrops


def _bounds(kind: type[Backend], options: EmbedderOptions) -> Bounds:
    cores, crops = max(1, options.cores), max(1, options.most_crops)
    if kind.on_cores and options.backends[0] != kind.name:
        # Configured numbers are meant for the device that was asked for first.
        return Bounds(cores=cores, frames=crops)
    return Bounds(threads=options.threads, batch=options.batch, cores=cores, frames=crops)


__all__ = ["Crops", "Embedder", "EmbedderOptions"]
