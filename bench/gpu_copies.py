"""Whether uploads run beside computing: each alone, then both at once, from memory of every kind.

Part of `bench.gpu`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.gpu_kernels import INPUT_WH, MATRIX, PIXELS, SOURCE_WH, RepeatingLauncher, noise_frame
from engine.types import FrameMeta, FrameNv12, nv12_geometry
from ipc.pool import Consumer, PoolLayout, PoolMemory, Producer
from kernels import cuda, device
from kernels.host_frames import HostFrames
from kernels.letterbox import Fit, fit_letterbox

FRAMES = 8
"""Frames uploaded in a row: a batch."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Wall times of uploading, computing, and both at once."""

    memory: str
    upload_ms: float
    compute_ms: float
    both_ms: float
    gib_per_s: float

    @property
    def hidden(self) -> float:
        """Share of the shorter of the two that took no time of its own."""
        saved = self.upload_ms + self.compute_ms - self.both_ms
        return max(0.0, saved / min(self.upload_ms, self.compute_ms))


class PooledFrames:
    """A real pool of 1080p frames, published and leased, as the inference worker has them."""

    def __init__(self, count: int = FRAMES) -> None:
        width, height = SOURCE_WH
        stride, offset_uv, nbytes = nv12_geometry(width, height)
        layout = PoolLayout(leases=(count,), slot_bytes=nbytes, history=1)
        self._memory = PoolMemory("bench-gpu", layout)
        handles = layout, self._memory.control_fd, self._memory.data_fd
        producer = Producer(*handles)
        consumer = Consumer(*handles, 0)
        meta = FrameMeta(0, 0, 0, width, height, stride, stride, offset_uv)
        y, uv = noise_frame(SOURCE_WH)
        self.frames: list[FrameNv12] = []
        self._kept: list[Any] = [producer, consumer]
        for seq in range(count):
            with producer.write() as slot:
                frame = FrameNv12.view(meta, slot.array())
                frame.y[:], frame.uv[:] = y, uv
            lease = consumer.lease_next(seq)
            assert lease is not None
            self._kept.append(lease)
            self.frames.append(FrameNv12.view(meta, lease.array()))


def overlaps(repeat: int) -> Iterator[Overlap | str]:
    """From registered pool slots, from pinned memory, and from the pool as it is; a reason where one cannot be."""
    pooled = PooledFrames()
    targets = [(device.empty(f.y.shape, np.uint8), device.empty(f.uv.shape, np.uint8)) for f in pooled.frames]
    plain = [(frame.y, frame.uv) for frame in pooled.frames]
    pinned = [_pinned(frame) for frame in pooled.frames]
    yield _measure("pool, not registered", plain, targets, repeat)
    yield _measure("pinned", pinned, targets, repeat)
    registered = HostFrames()
    if all(registered.ready(frame.y) for frame in pooled.frames):
        yield _measure("pool, registered", plain, targets, repeat)
    else:
        yield f"pool, registered: {registered.refused}"


def _pinned(frame: FrameNv12) -> tuple[Any, Any]:
    planes = tuple(device.pinned_empty(plane.shape, np.uint8) for plane in (frame.y, frame.uv))
    planes[0][...], planes[1][...] = frame.y, frame.uv
    return planes[0], planes[1]


def _measure(
    memory: str, sources: list[tuple[Any, Any]], targets: list[tuple[Any, Any]], repeat: int
) -> Overlap:
    copies, kernels = device.Stream(), device.Stream()

    def upload() -> None:
        for source, target in zip(sources, targets, strict=True):
            for host, on_gpu in zip(source, target, strict=True):
                device.upload_async(host, on_gpu, copies)

    work = _long_work(kernels)
    alone_upload_ms = _wall_ms((upload,), (copies,), repeat)
    once_ms = _wall_ms((work,), (kernels,), repeat)
    # As much computing as uploading: then hiding one in the other is all or nothing.
    rounds = max(1, round(alone_upload_ms / once_ms))

    def compute() -> None:
        for _ in range(rounds):
            work()

    compute_ms = _wall_ms((compute,), (kernels,), repeat)
    both_ms = _wall_ms((compute, upload), (kernels, copies), repeat)
    nbytes = sum(plane.nbytes for source in sources for plane in source)
    return Overlap(memory, alone_upload_ms, compute_ms, both_ms, nbytes / 2**30 / (alone_upload_ms / 1e3))


def _long_work(stream: device.Stream) -> Callable[[], None]:
    """Our own input kernel on 32 frames, again and again."""
    launcher = RepeatingLauncher()
    before, cuda.launcher = cuda.launcher, launcher
    try:
        with stream:
            buffers = cuda.InputBuffers(device.empty((32, 3, INPUT_WH[1], INPUT_WH[0]), np.float32))
            y, uv = (device.to_device(plane) for plane in noise_frame(SOURCE_WH))
            letterbox = fit_letterbox(SOURCE_WH, INPUT_WH, Fit.CENTRED)
            for index in range(32):
                buffers.place(index, y, uv, letterbox, MATRIX, PIXELS)
            buffers.fill()
            stream.wait()
    finally:
        cuda.launcher = before

    def work() -> None:
        with stream:
            for _ in range(4):
                launcher.again()

    # The arrays must live as long as the work.
    work.kept = (buffers, y, uv)  # type: ignore[attr-defined]  # a function takes attributes
    return work


def _wall_ms(works: tuple[Callable[[], None], ...], streams: tuple[device.Stream, ...], repeat: int) -> float:
    """Median wall time from the first call to the end of all streams."""
    times = []
    for _ in range(repeat + 2):
        began = time.perf_counter()
        for work in works:
            work()
        for stream in streams:
            stream.wait()
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times[2:]))
