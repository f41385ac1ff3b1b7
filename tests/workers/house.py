"""A run without processes: real pools, channels and contexts, put together as the supervisor does it."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from engine import topology
from engine.clock import ManualClock
from engine.config import RunConfig
from engine.pools import LivePool, Pools
from engine.topology import STATUS_SLOT_BYTES
from engine.types import (
    U8,
    Detections,
    FrameFlag,
    FrameMeta,
    FrameNv12,
    Masks,
    PtzPose,
    ResultMeta,
    Trace,
    Tracks,
    nv12_geometry,
)
from engine.workers.feed import layout_to_json
from engine.workers.runtime import Context
from ipc.channel import Channel, Message
from ipc.notify import Notifier
from ipc.pool import Consumer, PoolLayout, PoolMemory, Producer

Objects = TypeVar("Objects", Detections, Tracks)


@dataclass
class Worker:
    """One incarnation of a worker: its context, and the supervisor's end of its channel."""

    context: Context
    ours: Channel
    theirs: Channel
    status: PoolMemory
    said: list[Message] = field(default_factory=list)

    def send(self, message: Message, descriptors: list[int] | None = None) -> None:
        """Send as the supervisor does; the context handles it when it tends its messages next."""
        self.ours.send(message, descriptors or ())
        self.context.deliver(*self.theirs.receive())

    def heard(self, kind: str) -> list[Message]:
        """What the worker has said of this kind so far."""
        while select.select([self.ours], [], [], 0)[0]:
            self.said.append(self.ours.receive()[0])
        return [message for message in self.said if message["type"] == kind]

    def close(self) -> None:
        """What the kernel does when a worker dies, except for its leases."""
        self.ours.close()
        self.theirs.close()
        self.status.close()
        context = self.context
        for end in (*context.feeds.values(), *context.writers.values(), context._status_writer, context.wake):
            if end is not None:
                end.close()


class House:
    """Owns the pools of a run and brings workers up one by one."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.clock = ManualClock()
        self.wakes = {spec.name: Notifier.create() for spec in topology.workers(config)}
        self.pools = Pools(self.wakes, None)
        self.workers: dict[str, Worker] = {}
        self._incarnations: dict[str, int] = {}
        self.revision = 0
        for camera in config.cameras:
            for spec in topology.result_pools(config, camera.name):
                self.pools.create(spec)

    def start(self, name: str, before: dict[str, Any] | None = None) -> Worker:
        """Start a worker, or the next incarnation of a killed one."""
        spec = next(spec for spec in topology.workers(self.config) if spec.name == name)
        incarnation = self._incarnations.get(name, -1) + 1
        self._incarnations[name] = incarnation
        ours, theirs = Channel.pair()
        message: Message = {
            "type": "start",
            "name": name,
            "camera": spec.camera,
            "incarnation": incarnation,
            "config": self.config.to_json(),
            "params": {"model": "motion"},
            "before": before or {},
        }
        ours.send(message, self.wakes[name].descriptors)
        start, wake_fds = theirs.receive()
        context = Context(theirs, start, Notifier(tuple(wake_fds)), self.clock)
        memory = PoolMemory(f"status:{name}", PoolLayout((1,), STATUS_SLOT_BYTES, 1))
        worker = self.workers[name] = Worker(context, ours, theirs, memory)
        for live in self.pools.of_worker(name):
            worker.send(*self.pools.announcement(live, name))
        status: Message = {
            "type": "pool", "name": "status", "role": "producer", "row": -1,
            "layout": layout_to_json(memory.layout), "lock_path": None,
        }  # fmt: skip
        worker.send(status, [memory.control_fd, memory.data_fd])
        context.wait_for_start()
        return worker

    def kill(self, name: str) -> None:
        """A worker has died: what it held is free again."""
        self.workers[name].close()
        del self.workers[name]
        self.pools.reap(name)

    def create_frame_pool(self, camera: str, width: int, height: int) -> LivePool:
        """The next generation of a camera's frame pool, announced to everybody concerned."""
        before = self.pools.newest(f"frames:{camera}")
        generation = before.spec.layout.generation + 1 if before else 1
        first_seq = before.memory.newest_seq() + 1 if before else 1
        live = self.pools.create(
            topology.frame_pool(self.config, camera, width, height, generation, first_seq)
        )
        for worker in (live.spec.producer, *live.spec.consumers):
            if worker in self.workers:
                self.workers[worker].send(*self.pools.announcement(live, worker))
        return live

    def change(
        self, after: RunConfig, past: dict[str, Any] | None = None, regions: dict[str, int] | None = None
    ) -> None:
        """Another configuration, as the supervisor brings it: pools of new cameras first, then the configuration, then
        pools of others are dropped. Workers take it over when they tend their messages next.
        """
        before, self.config = self.config, after
        there = {camera.name for camera in before.cameras}
        for spec in topology.workers(after):
            if spec.name not in self.wakes:
                self.wakes[spec.name] = Notifier.create()
        for camera in after.cameras:
            for pool in topology.result_pools(after, camera.name) if camera.name not in there else ():
                live = self.pools.create(pool)
                for name in {pool.producer, *pool.consumers} & set(self.workers):
                    self.workers[name].send(*self.pools.announcement(live, name))
        self.revision += 1
        message = {"config": after.to_json(), "past": past or {}, "regions": regions or {}}
        for worker in self.workers.values():
            worker.send({"type": "config", "revision": self.revision, **message})
        for name in there - {camera.name for camera in after.cameras}:
            for live in self.pools.of_camera(name):
                self.pools.drop(live.spec.name)

    def producer(self, pool: str) -> Producer:
        """A writing end of the newest generation of a pool."""
        memory = self.memory(pool)
        return Producer(memory.layout, memory.control_fd, memory.data_fd)

    def reader(self, pool: str) -> Consumer:
        """A reading end in the last row of a pool: of nobody, or of the tracker in a pool of frames."""
        memory = self.memory(pool)
        return Consumer(memory.layout, memory.control_fd, memory.data_fd, len(memory.layout.leases) - 1)

    def memory(self, pool: str) -> PoolMemory:
        live = self.pools.newest(pool)
        assert live is not None, f"there is no {pool}"
        return live.memory

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
        self.pools.close()
        for wake in self.wakes.values():
            wake.close()


def publish_frame(
    producer: Producer,
    index: int,
    value: int | U8 = 0,
    *,
    size: tuple[int, int] = (64, 48),
    flags: FrameFlag = FrameFlag.NONE,
    pose: PtzPose | None = None,
) -> int:
    """Publish a frame of this luma; returns its sequence number. One that is the end has no picture."""
    width, height = (0, 0) if flags & FrameFlag.END_OF_STREAM else size
    stride, offset_uv, _ = nv12_geometry(width, height)
    slot = producer.begin()
    assert slot is not None, "the readers have not caught up"
    captured_ns = 1_000_000_000 + index * 40_000_000
    meta = FrameMeta(
        index, captured_ns, captured_ns + 10**18, width, height, stride, stride, offset_uv,
        pts_ns=index * 40_000_000, published_ns=captured_ns + 1_000_000, flags=flags, pose=pose,
    )  # fmt: skip
    if width:
        frame = FrameNv12.view(meta, slot.array())
        frame.y[:], frame.uv[:] = value, 128
    meta.pack_into(slot.meta)
    return producer.publish(slot)


def publish_result(
    producer: Producer,
    frame_seq: int,
    objects: Detections | Tracks,
    *,
    index: int | None = None,
    flags: FrameFlag = FrameFlag.NONE,
    next_track_id: int = 1,
    size: tuple[int, int] = (64, 48),
    captured_ns: int | None = None,
) -> int:
    """Publish detections or tracks that speak of a frame; returns the record's sequence number."""
    slot = producer.begin()
    assert slot is not None, "the readers have not caught up"
    number = frame_seq - 1 if index is None else index
    captured_ns = 1_000_000_000 + number * 40_000_000 if captured_ns is None else captured_ns
    trace = Trace(captured_ns, captured_ns + 1_000_000, captured_ns + 2_000_000, captured_ns + 3_000_000)
    meta = ResultMeta(
        frame_seq, number, captured_ns + 10**18, *size, number * 40_000_000,
        **asdict(objects.write_into(slot.array())), next_track_id=next_track_id, flags=flags, trace=trace,
    )  # fmt: skip
    meta.pack_into(slot.meta)
    return producer.publish(slot)


def detections_of(*boxes_xyxy: tuple[float, float, float, float], score: float = 0.9) -> Detections:
    """Detections of class 0."""
    boxes = np.array(boxes_xyxy, np.float32).reshape(len(boxes_xyxy), 4)
    return Detections(boxes, np.full(len(boxes), score, np.float32), np.zeros(len(boxes), np.int32))


def with_masks(objects: Objects, side: int) -> Objects:
    """The same objects, each with a mask of so many rows and columns that fills its box."""
    solid = [np.ones((side, side), np.bool_)] * len(objects)
    return replace(objects, masks=Masks.of_grids(objects.boxes_xyxy, solid))


def metas_in(pool: Consumer) -> list[ResultMeta]:
    """The headers of every result that is still in a pool, oldest first."""
    metas, after = [], 0
    while (lease := pool.lease_next(after)) is not None:
        with lease:
            metas.append(ResultMeta.unpack(lease.meta))
            after = lease.seq
    return metas


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/dev/fd"))


def until(condition: Callable[[], bool], what: str, giving_up: Worker | None = None) -> None:
    """Ask again and again until it is so; after ten seconds tell this worker to stop, and fail."""
    deadline_s = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline_s:
            if giving_up is not None:
                giving_up.send({"type": "stop"})
            raise AssertionError(f"not within 10 s: {what}")
        time.sleep(0.001)
