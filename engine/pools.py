"""The pools of a run, owned by the supervisor: created, announced to their users, reaped after deaths.

Who owns memory must outlive who uses it. Keeps the last two generations of each pool, so that a worker that
restarts while a camera changes its resolution still finds the frames that were not read yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from engine.run_directory import RunDirectory
from engine.topology import PoolSpec
from engine.workers.feed import layout_to_json
from ipc.channel import Message
from ipc.notify import Notifier
from ipc.pool import PoolMemory

_GENERATIONS_KEPT = 2


@dataclass(frozen=True)
class LivePool:
    """One generation of a pool: its place in the graph and its memory."""

    spec: PoolSpec
    memory: PoolMemory


class Pools:
    """All pools of a run by name. `wakes` gives each worker's notifier; workers may come and go in it."""

    def __init__(self, wakes: dict[str, Notifier], run_directory: RunDirectory | None) -> None:
        self.wakes = wakes
        self._run_directory = run_directory
        self._generations: dict[str, list[LivePool]] = {}

    def create(self, spec: PoolSpec) -> LivePool:
        """Allocate a pool, or the next generation of one. Raises `ipc.segment.SegmentError`."""
        lock_path = self._run_directory.new_lock_file(spec.name) if self._run_directory else None
        memory = PoolMemory(spec.name, spec.layout, lock_path)
        memory.require(spec.required)
        live = LivePool(spec, memory)
        generations = self._generations.setdefault(spec.name, [])
        generations.append(live)
        while len(generations) > _GENERATIONS_KEPT:
            generations.pop(0).memory.close()
        return live

    def newest(self, name: str) -> LivePool | None:
        """The newest generation of a pool, None if there is none yet."""
        generations = self._generations.get(name)
        return generations[-1] if generations else None

    def of_worker(self, worker: str) -> Iterator[LivePool]:
        """Every living generation that a worker reads or writes, oldest first."""
        for generations in self._generations.values():
            for live in generations:
                if worker == live.spec.producer or worker in live.spec.consumers:
                    yield live

    def of_camera(self, camera: str) -> list[LivePool]:
        """The newest generation of each of a camera's pools."""
        return [live[-1] for live in self._generations.values() if live[-1].spec.camera == camera]

    def rewire(self, spec: PoolSpec) -> None:
        """A pool that is there has other readers from now on; its memory stays."""
        generations = self._generations[spec.name]
        generations[:] = [
            LivePool(replace(spec, layout=live.spec.layout), live.memory) for live in generations
        ]

    def drop(self, name: str) -> None:
        """Give a pool back. What its users still hold lives on until they let go of it."""
        for live in self._generations.pop(name, ()):
            live.memory.close()

    def wakes_after(self, name: str) -> list[int]:
        """Descriptors of those who are woken when a pool is written."""
        spec = self._generations[name][-1].spec
        return list(
            chain.from_iterable(self.wakes[each].descriptors for each in spec.woken if each in self.wakes)
        )

    def reap(self, worker: str) -> None:
        """Free what a worker held. Only after it is confirmed dead."""
        for live in self.of_worker(worker):
            if live.spec.producer == worker:
                live.memory.reap_producer()
            if worker in live.spec.consumers:
                live.memory.reap_consumer(live.spec.consumers[worker])

    def announcement(self, live: LivePool, worker: str) -> tuple[Message, list[int]]:
        """The message, and the descriptors, by which a worker gets to use a pool."""
        spec, memory = live.spec, live.memory
        writes = worker == spec.producer
        partners = spec.woken if writes else (spec.producer,)
        message: Message = {
            "type": "pool",
            "name": spec.name,
            "role": "producer" if writes else "consumer",
            "row": -1 if writes else spec.consumers[worker],
            "layout": layout_to_json(spec.layout),
            "lock_path": memory.lock_path,
        }
        descriptors = [memory.control_fd, memory.data_fd]
        for partner in partners:
            if partner in self.wakes:
                descriptors += self.wakes[partner].descriptors
        return message, descriptors

    def close(self) -> None:
        """Give all memory back."""
        for generations in self._generations.values():
            for live in generations:
                live.memory.close()
        self._generations.clear()
