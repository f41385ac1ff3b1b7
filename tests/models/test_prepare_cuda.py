"""Frames on their way to the GPU: what can be seen without one, and, with one, that it prepares as the CPU does."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from engine.models.prepare import CpuPreparation
from engine.types import F32, ColourMatrix, FrameMeta, FrameNv12, Surface, nv12_geometry
from ipc.pool import Consumer, PoolLayout, PoolMemory, Producer
from kernels import device
from kernels.colour import PixelFormat
from kernels.host_frames import HostFrames, memory_of
from kernels.letterbox import Fit

RGB_0_TO_1 = PixelFormat(scale=(1 / 255, 1 / 255, 1 / 255))
SIZE = (322, 182)


class Camera:
    """A pool with frames of noise in it, and one consumer."""

    def __init__(self, size: tuple[int, int] = SIZE, debug: bool = False) -> None:
        stride, offset_uv, nbytes = nv12_geometry(*size)
        layout = PoolLayout(leases=(3,), slot_bytes=nbytes, history=2)
        self.memory = PoolMemory("test", layout)
        handles = layout, self.memory.control_fd, self.memory.data_fd
        self.producer = Producer(*handles)
        self.consumer: Consumer | None = Consumer(*handles, 0, debug=debug)
        self.meta = FrameMeta(0, 0, 0, *size, stride, stride, offset_uv, matrix=ColourMatrix.BT709)
        self._rng = np.random.default_rng(5)

    def publish(self) -> None:
        with self.producer.write() as slot:
            slot.array()[:] = self._rng.integers(0, 256, self.meta_bytes, np.uint8)

    @property
    def meta_bytes(self) -> int:
        return nv12_geometry(self.meta.width, self.meta.height)[2]

    def close(self) -> None:
        self.producer.close()
        self.memory.close()


@pytest.fixture
def camera() -> Iterator[Camera]:
    made = Camera()
    yield made
    made.close()


@pytest.fixture
def gpu_here() -> None:
    """A GPU; skips with the reason where there is none."""
    try:
        device.require()
    except device.GpuUnavailable as error:
        pytest.skip(str(error))


def test_a_plane_belongs_to_its_slot_whichever_lease_shows_it(camera: Camera) -> None:
    slots = set()
    for _ in range(2 * camera.memory.layout.slots):
        camera.publish()
        assert camera.consumer is not None
        with camera.consumer.lease_newest(0) or pytest.fail("nothing published") as lease:
            frame = FrameNv12.view(camera.meta, lease.array())
            slot = memory_of(frame.y)
            assert slot is memory_of(frame.uv) is memory_of(lease.array())
            assert slot.nbytes == camera.memory.layout.slot_bytes and slot.ctypes.data % 4096 == 0
            slots.add(id(slot))
            del frame, slot
    assert len(slots) <= camera.memory.layout.slots


def test_a_slot_is_forgotten_when_its_pool_goes(camera: Camera) -> None:
    frames = HostFrames()
    for _ in range(3):
        camera.publish()
        assert camera.consumer is not None
        lease = camera.consumer.lease_newest(0)
        assert lease is not None
        frames.ready(lease.array()[:10])
        lease.release()
    assert 1 <= frames.known <= 3
    lease = None
    camera.consumer = None
    gc.collect()
    assert frames.known == 0


def test_without_a_gpu_memory_is_refused_once_and_the_reason_kept(camera: Camera) -> None:
    try:
        device.require()
    except device.GpuUnavailable:
        frames = HostFrames()
        first, second = np.zeros(8192, np.uint8), np.zeros(8192, np.uint8)
        assert not frames.ready(first)
        reason = frames.refused
        assert reason and "\n" not in reason
        assert not frames.ready(second) and frames.refused == reason and frames.known == 2
    else:
        pytest.skip("there is a GPU")


def prepared_on_cpu(frame: FrameNv12, input_wh: tuple[int, int], fit: Fit) -> F32:
    tensor = np.zeros((1, 3, input_wh[1], input_wh[0]), np.float32)
    preparation = CpuPreparation(tensor, RGB_0_TO_1, fit)
    preparation.prepare(frame, 0)
    picture: F32 = tensor[0]
    return picture


@pytest.mark.gpu
@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("registered", [True, False])
def test_the_gpu_prepares_as_the_cpu_does(
    gpu_here: None, camera: Camera, fit: Fit, dtype: type, registered: bool
) -> None:
    from engine.models.prepare_cuda import CudaPreparation

    frames = HostFrames()
    if not registered:
        frames.refused = "not in this test"
    target = device.empty((3, 3, 160, 192), dtype)
    preparation = CudaPreparation(target, RGB_0_TO_1, fit, frames)
    for _ in range(3):
        leases, wanted = [], []
        for index in range(3):
            camera.publish()
            assert camera.consumer is not None
            lease = camera.consumer.lease_newest(0)
            assert lease is not None
            leases.append(lease)
            frame = FrameNv12.view(camera.meta, lease.array())
            preparation.prepare(frame, index)
            wanted.append(prepared_on_cpu(frame, (192, 160), fit))
            del frame
        preparation.wait()
        for lease in leases:
            lease.release()
        found = device.to_host(target).astype(np.float32)
        for mine, reference in zip(found, wanted, strict=True):
            assert np.abs(mine - reference).max() <= 3 / 255 and np.abs(mine - reference).mean() <= 0.5 / 255
    assert bool(preparation.degraded) is bool(frames.refused)


@pytest.mark.gpu
def test_a_lease_may_end_after_wait(gpu_here: None, camera: Camera) -> None:
    from engine.models.prepare_cuda import CudaPreparation

    target = device.empty((1, 3, 160, 192), np.float32)
    preparation = CudaPreparation(target, RGB_0_TO_1, Fit.CENTRED, HostFrames())
    for _ in range(50):
        camera.publish()
        assert camera.consumer is not None
        lease = camera.consumer.lease_newest(0)
        assert lease is not None
        frame = FrameNv12.view(camera.meta, lease.array())
        wanted = prepared_on_cpu(frame, (192, 160), Fit.CENTRED)
        preparation.prepare(frame, 0)
        preparation.wait()
        del frame
        lease.release()
        for _ in range(camera.memory.layout.slots):
            camera.publish()
        assert np.abs(device.to_host(target)[0] - wanted).max() <= 3 / 255


@pytest.mark.gpu
def test_frames_of_many_sizes_take_turns(gpu_here: None) -> None:
    from engine.models.prepare_cuda import CudaPreparation

    target = device.empty((1, 3, 160, 192), np.float32)
    preparation = CudaPreparation(target, RGB_0_TO_1, Fit.CENTRED, HostFrames())
    rng = np.random.default_rng(9)
    for width, height in itertools.islice(
        itertools.cycle([(64, 48), (33, 35), (1920, 1080), (321, 241)]), 12
    ):
        stride, offset_uv, nbytes = nv12_geometry(width, height)
        meta = FrameMeta(0, 0, 0, width, height, stride, stride, offset_uv)
        frame = FrameNv12.view(meta, rng.integers(0, 256, nbytes, np.uint8))
        preparation.prepare(frame, 0)
        preparation.wait()
        wanted = prepared_on_cpu(frame, (192, 160), Fit.CENTRED)
        assert np.abs(device.to_host(target)[0] - wanted).max() <= 3 / 255


@pytest.mark.gpu
def test_a_frame_that_lies_on_the_gpu_is_read_there(gpu_here: None, camera: Camera) -> None:
    """Slots and surfaces differ here, so that it shows which of the two was read."""
    from engine.models.prepare_cuda import CudaPreparation

    frames, rng = HostFrames(), np.random.default_rng(11)
    target = device.empty((2, 3, 160, 192), np.float32)
    preparation = CudaPreparation(target, RGB_0_TO_1, Fit.CENTRED, frames)
    for _ in range(20):
        camera.publish()
        assert camera.consumer is not None
        lease = camera.consumer.lease_newest(0)
        assert lease is not None
        frame = FrameNv12.view(camera.meta, lease.array())
        other = FrameNv12.view(camera.meta, rng.integers(0, 256, camera.meta_bytes, np.uint8))
        y, uv = device.empty_nv12(other.y.shape, other.uv.shape)
        y[:], uv[:] = device.to_device(other.y), device.to_device(other.uv)
        device.to_host(y)  # waits: a surface is complete when it is handed over
        wanted = [
            prepared_on_cpu(other, (192, 160), Fit.CENTRED),
            prepared_on_cpu(frame, (192, 160), Fit.CENTRED),
        ]
        preparation.prepare(replace(frame, surface=Surface(y, uv)), 0)
        del y, uv  # the call holds its own
        preparation.prepare(frame, 1)
        preparation.wait()
        del frame
        lease.release()
        for mine, reference in zip(device.to_host(target), wanted, strict=True):
            assert np.abs(mine - reference).max() <= 3 / 255
