"""How many 1080p cameras one GPU serves: frames published at 30 a second by a process of their own, the engine's
own batching, preparation and detector, and how old a frame is when its objects are known.

Part of `bench.gpu`, which starts this file a second time to publish. No decoding: frames are written into real pools
in shared memory, at the cost of one copy each, as a decoder does. Needs nothing that is not in the standard library,
numpy, OpenCV, CuPy and Triton; the detector's runtime comes on top.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from engine.batching.batcher import Batcher, BatchOptions
from engine.batching.camera_queue import Arrival, CameraQueue, Pick
from engine.batching.pipeline import Pipeline, Running
from engine.models.base import BatchItem, Detector
from engine.types import FrameMeta, FrameNv12, nv12_geometry
from ipc.pool import Consumer, Lease, PoolLayout, PoolMemory, Producer

SIZE_WH, FPS = (1920, 1080), 30
LEASES = 4
"""Frames of a camera in the detector at a time."""
MOST_DROPPED = 0.01
"""Share of frames beyond which a number of cameras is too many."""
MOST_AGE_MS = 100.0
"""Age of a frame at the 95th percentile beyond which it is, too."""
WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Served:
    """What became of the frames of so many cameras."""

    cameras: int
    frames_per_s: float
    dropped: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    batch: float

    @property
    def enough(self) -> bool:
        return self.dropped <= MOST_DROPPED and self.p95_ms <= MOST_AGE_MS


@dataclass
class _Camera:
    memory: PoolMemory
    consumer: Consumer
    queue: CameraQueue
    last_seq: int = 0


@dataclass
class _Tally:
    ages_ms: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)


def serve(detector: Detector, cameras: int, seconds: float) -> Served:
    """Run so many cameras for so long. Raises what the detector raises."""
    pools = [_open(index) for index in range(cameras)]
    publisher = _start_publisher(pools, seconds + WARM_UP_S + 1.0)
    try:
        return _measure(detector, pools, seconds)
    finally:
        publisher.kill()
        publisher.wait()
        for camera in pools:
            camera.consumer.close()
            camera.memory.close()


def most_cameras(detector: Detector, seconds: float, counts: Sequence[int]) -> list[Served]:
    """More and more cameras, until they are too many; the last one of the list is."""
    table: list[Served] = []
    for count in counts:
        table.append(serve(detector, count, seconds))
        if not table[-1].enough:
            break
    return table


def _open(index: int) -> _Camera:
    layout = PoolLayout(leases=(LEASES,), slot_bytes=nv12_geometry(*SIZE_WH)[2], history=2)
    memory = PoolMemory(f"bench-gpu-{index}", layout)
    consumer = Consumer(layout, memory.control_fd, memory.data_fd, 0)
    return _Camera(memory, consumer, CameraQueue(str(index), most_in_flight=LEASES))


def _start_publisher(pools: list[_Camera], seconds: float) -> subprocess.Popen[bytes]:
    fds = [fd for camera in pools for fd in (camera.memory.control_fd, camera.memory.data_fd)]
    order = json.dumps({"fds": fds, "seconds": seconds})
    return subprocess.Popen([sys.executable, str(Path(__file__).resolve()), order], pass_fds=fds)


def _measure(detector: Detector, pools: list[_Camera], seconds: float) -> Served:
    batcher = Batcher([camera.queue for camera in pools], BatchOptions(batch=detector.batch))
    by_name = {camera.queue.name: camera for camera in pools}
    pipeline = Pipeline(detector.lanes, max(1, detector.calls), live=True)
    numbers: SimpleQueue[int] = SimpleQueue()
    for number in range(max(detector.calls, detector.lanes)):
        numbers.put(number)
    ended: SimpleQueue[tuple[Running, list[tuple[Pick, Lease]], Future[Any]]] = SimpleQueue()
    tally = _Tally()
    before: tuple[int, int] = (0, 0)
    began_ns = time.monotonic_ns()
    warm_ns = began_ns + round(WARM_UP_S * 1e9)
    end_ns = warm_ns + round(seconds * 1e9)

    def work(batch: list[BatchItem]) -> None:
        number = numbers.get()
        try:
            detector.infer(batch, number)
        finally:
            numbers.put(number)
            batch.clear()

    with ThreadPoolExecutor(max(1, detector.calls)) as executor:
        while (now_ns := time.monotonic_ns()) < end_ns:
            if before == (0, 0) and now_ns >= warm_ns:
                before = _counts(pools)
                tally = _Tally()
            for camera in pools:
                _look(camera, now_ns)
            while not ended.empty():
                _finish(pipeline, *ended.get(), tally)
            starts_ns = batcher.runs_at(now_ns)
            room_ns = pipeline.begins_at(now_ns, detector.expected_s(detector.batch)[0])
            if starts_ns is None or room_ns is None or max(starts_ns, room_ns) > now_ns:
                time.sleep(0.0003)
                continue
            taken = [(pick, lease) for pick in batcher.take(now_ns) if (lease := _lease(by_name, pick))]
            if not taken:
                continue
            tally.batches.append(len(taken))
            running = pipeline.begin(now_ns, *detector.expected_s(len(taken)))
            future = executor.submit(work, [_item(lease) for _, lease in taken])
            future.add_done_callback(partial(_put_ended, ended, running, taken))
        after = _counts(pools)
    while not ended.empty():
        _finish(pipeline, *ended.get(), _Tally())
    return _served(len(pools), seconds, tally, (after[0] - before[0], after[1] - before[1]))


def _put_ended(
    ended: SimpleQueue[tuple[Running, list[tuple[Pick, Lease]], Future[Any]]],
    running: Running,
    taken: list[tuple[Pick, Lease]],
    done: Future[Any],
) -> None:
    ended.put((running, taken, done))


def _look(camera: _Camera, now_ns: int) -> None:
    """Tell the policy of a frame that has come; the metadata says when it was captured."""
    newest = camera.consumer.newest_seq()
    if newest <= camera.last_seq or (packed := camera.consumer.newest_meta()) is None:
        return
    meta = FrameMeta.unpack(packed)
    camera.last_seq = newest
    camera.queue.arrive(Arrival(newest, meta.captured_ns, meta.captured_ns, now_ns))


def _lease(by_name: dict[str, _Camera], pick: Pick) -> Lease | None:
    lease = by_name[pick.queue.name].consumer.lease(pick.arrival.seq)
    if lease is None:
        pick.queue.gone()
    return lease


def _item(lease: Lease) -> BatchItem:
    return BatchItem(FrameNv12.view(FrameMeta.unpack(lease.meta), lease.array()))


def _finish(
    pipeline: Pipeline, running: Running, taken: list[tuple[Pick, Lease]], done: Future[Any], tally: _Tally
) -> None:
    done.result()
    now_ns = time.monotonic_ns()
    pipeline.end(running)
    for pick, lease in taken:
        lease.release()
        pick.queue.done()
        tally.ages_ms.append((now_ns - pick.arrival.captured_ns) / 1e6)


def _counts(pools: list[_Camera]) -> tuple[int, int]:
    """(frames published, frames dropped) so far."""
    return sum(camera.last_seq for camera in pools), sum(camera.queue.drops.total() for camera in pools)


def _served(cameras: int, seconds: float, tally: _Tally, counts: tuple[int, int]) -> Served:
    came, dropped = counts
    ages = tally.ages_ms or [float("inf")]
    p50, p95, p99 = (float(np.percentile(ages, share)) for share in (50, 95, 99))
    batch = statistics.fmean(tally.batches) if tally.batches else 0.0
    return Served(cameras, len(tally.ages_ms) / seconds, dropped / max(1, came), p50, p95, p99, batch)


def publish(fds: Sequence[int], seconds: float) -> None:
    """Write a frame into each pool 30 times a second, the cameras evenly out of step, as free-running ones are."""
    stride, offset_uv, nbytes = nv12_geometry(*SIZE_WH)
    layout = PoolLayout(leases=(LEASES,), slot_bytes=nbytes, history=2)
    producers = [Producer(layout, *pair) for pair in zip(fds[::2], fds[1::2], strict=True)]
    picture = np.random.default_rng(0).integers(0, 256, nbytes, np.uint8)
    period_ns = round(1e9 / FPS)
    began_ns = time.monotonic_ns()
    due_ns = [began_ns + index * period_ns // len(producers) for index in range(len(producers))]
    index = 0
    while time.monotonic_ns() - began_ns < seconds * 1e9:
        index = min(range(len(producers)), key=due_ns.__getitem__)
        wait_ns = due_ns[index] - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        now_ns = time.monotonic_ns()
        with producers[index].write() as slot:
            np.copyto(slot.array(), picture)
            meta = FrameMeta(
                slot.seq, now_ns, now_ns, *SIZE_WH, stride, stride, offset_uv, published_ns=now_ns
            )
            meta.pack_into(slot.meta)
        due_ns[index] += period_ns


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    publish(told["fds"], told["seconds"])
