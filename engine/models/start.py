"""A backend loaded in the layout that suits model and machine: the configured, the remembered or the measured one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from engine.errors import BackendError
from engine.models.backend import Backend, BackendOptions, Call
from engine.models.base import Choice
from engine.models.layout import QUIET, Bounds, Layout, batches, choose, describe, measure, shapes
from engine.models.layout_cache import LayoutCache, layout_key

Shape = tuple[int, int]
"""Lanes and threads."""


@dataclass(frozen=True, slots=True)
class Started:
    """A backend that is ready, and how it is used. `layout.batch` may be less than the backend could take."""

    backend: Backend
    layout: Layout
    choice: Choice


def start_backend(kind: type[Backend], path: Path, bounds: Bounds, folder: Path | None = None) -> Started:
    """Load the model in its best layout. What was measured is kept in `folder`/layouts.json.

    Raises what `Backend.load` raises, and `BackendError` where the measuring runs fail.
    """
    cache = LayoutCache(folder / "layouts.json" if folder else None)
    key = layout_key(path, kind.name, kind.runtime(), bounds)
    wanted = shapes(bounds, on_cores=kind.on_cores)
    known = cache.find(key)
    if known and (best := choose(known).layout) and best[:2] in wanted:
        backend = _load(kind, path, bounds, best[:2], folder)
        return _started(backend, best, f"measured at an earlier start: {describe(known)}")
    began = time.monotonic()
    with ExitStack() as on_error:
        loaded: dict[Shape, Backend] = {}
        for shape in wanted:
            loaded[shape] = _load(kind, path, bounds, shape, folder)
            on_error.callback(loaded[shape].close)
        first = loaded[wanted[0]]
        counts = batches(bounds, first.batch if first.fixed_batch else 0, first.batch)
        layouts = [Layout(*shape, count) for shape in wanted for count in counts]
        if len(layouts) == 1:
            best, reason = layouts[0], _nothing_to_measure(bounds, kind)
        else:
            trials = Trials(loaded)
            table = measure(layouts, trials)
            best = choose(table).layout
            reason = f"measured in {time.monotonic() - began:.1f} s: {describe(table)}"
            if trials.share >= QUIET:
                cache.store(key, table)
            else:
                reason += f"; not remembered, as other work had {1 - trials.share:.0%} of the cores meanwhile"
        on_error.pop_all()
    chosen = loaded.pop(best[:2])
    for other in loaded.values():
        other.close()
    if chosen.on_cores and best.batch < max(counts):
        # A runtime keeps the memory of the largest batch that it has run, which was a trial only.
        chosen.close()
        chosen = _load(kind, path, bounds, best[:2], folder)
    return _started(chosen, best, reason)


class Trials:
    """Times layouts on backends that are loaded: all lanes at once, a thread each, on empty pictures.

    share  of the time that lanes of one thread had a core for themselves, 0..1; 1 where there are no such lanes
    """

    def __init__(self, backends: Mapping[Shape, Backend]) -> None:
        self._backends = backends
        self._calls: dict[Shape, list[Call]] = {}
        self._wanted_s = self._had_s = 0.0

    @property
    def share(self) -> float:
        return min(1.0, self._had_s / self._wanted_s) if self._wanted_s else 1.0

    def __call__(self, layout: Layout, calls: int) -> float:
        """Seconds until every lane has made so many calls. Raises `BackendError`."""
        backend, shape = self._backends[layout[:2]], layout[:2]
        if shape not in self._calls:
            self._calls[shape] = [backend.new_call() for _ in range(layout.lanes)]
        failures: list[BackendError] = []
        lanes_s: list[float] = []

        def work(lane: int, call: Call) -> None:
            lane_began = time.perf_counter()
            try:
                for _ in range(calls):
                    backend.run(call, layout.batch, lane)
            except BackendError as error:
                failures.append(error)
            lanes_s.append(time.perf_counter() - lane_began)

        threads = [Thread(target=work, args=lane) for lane in enumerate(self._calls[shape])]
        began, began_cpu_s = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took_s = time.perf_counter() - began
        if failures:
            raise failures[0]
        if backend.on_cores and layout.threads == 1:
            self._wanted_s += sum(lanes_s)
            self._had_s += time.process_time() - began_cpu_s
        return took_s


def _load(kind: type[Backend], path: Path, bounds: Bounds, shape: Shape, folder: Path | None) -> Backend:
    # The largest batch in question, also where a smaller one is known to win: a GPU's engine is built for it.
    most = max(batches(bounds))
    return kind.load(path, BackendOptions(*shape, batch=most, cache=folder))


def _started(backend: Backend, layout: Layout, reason: str) -> Started:
    if backend.on_cores and not backend.fixed_batch:
        backend.batch = layout.batch
    return Started(backend, layout, Choice("layout", str(layout), reason))


def _nothing_to_measure(bounds: Bounds, kind: type[Backend]) -> str:
    given = [name for name in ("lanes", "threads", "batch") if getattr(bounds, name)]
    facts = [f"{', '.join(given)} as configured"] if given else []
    facts += [f"{bounds.cores} core(s)"] if kind.on_cores else ["a GPU computes one call at a time"]
    return "; ".join([*facts, "nothing to choose from"])
