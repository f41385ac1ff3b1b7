"""Crops prepared on a GPU, where there is one: as the CPU prepares them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.models.reid_crops import CopiedCrops, CpuCrops, Crop
from engine.types import FrameNv12
from kernels import device
from kernels.colour import PixelFormat
from tests.models.samples import frame_of

pytestmark = pytest.mark.gpu
PIXELS = PixelFormat(bgr=True)


@pytest.fixture(autouse=True)
def gpu_here() -> None:
    """A GPU; skips with the reason where there is none."""
    try:
        device.require()
    except device.GpuUnavailable as error:
        pytest.skip(str(error))


def crops() -> list[Crop]:
    rng = np.random.default_rng(2)
    first, second = (frame_of(rng.integers(0, 256, (180, 320, 3), dtype=np.uint8)) for _ in range(2))
    return [Crop(first, (11, 21, 60, 140)), Crop(second, (0, 0, 320, 180)), Crop(first, (200, 3, 231, 90))]


def on_cpu(shape: tuple[int, ...], wanted: list[Crop], *, channels_last: bool) -> NDArray[np.float32]:
    target = np.zeros(shape, np.float32)
    CpuCrops(target, PIXELS, channels_last=channels_last).prepare(wanted)
    return target


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", ["copied", "made there"])
def test_crops_on_a_gpu_are_those_of_the_cpu(channels_last: bool, kind: str) -> None:
    shape = (4, 64, 32, 3) if channels_last else (4, 3, 64, 32)
    target = device.to_device(np.zeros(shape, np.float32))
    wanted = crops()
    if kind == "copied":
        CopiedCrops(target, PIXELS, channels_last=channels_last).prepare(wanted)
    else:
        from engine.models.reid_crops_cuda import CudaCrops

        preparation = CudaCrops(target, PIXELS, channels_last=channels_last)
        preparation.prepare(wanted[::-1])
        preparation.prepare(wanted)
    levels = np.abs(device.to_host(target) - on_cpu(shape, wanted, channels_last=channels_last))
    assert levels.max() <= 6.0 and levels.mean() < 0.6


def test_frames_on_the_gpu_are_read_there() -> None:
    from dataclasses import replace

    from engine.models.reid_crops_cuda import CudaCrops
    from engine.types import Surface

    target = device.to_device(np.zeros((1, 3, 64, 32), np.float32))
    frame = crops()[0].frame
    surface = Surface(
        device.to_device(np.ascontiguousarray(frame.y)), device.to_device(np.ascontiguousarray(frame.uv))
    )
    blank: FrameNv12 = replace(frame, y=np.zeros_like(frame.y), uv=np.zeros_like(frame.uv), surface=surface)
    rect = (11, 21, 60, 140)
    CudaCrops(target, PIXELS, channels_last=False).prepare([Crop(blank, rect)])
    wanted = on_cpu((1, 3, 64, 32), [Crop(frame, rect)], channels_last=False)
    assert np.abs(device.to_host(target) - wanted).max() <= 6.0
