"""Frames into a model's input on the GPU: uploads on a stream of their own, one kernel for the whole call.

The upload of a frame begins when it is handed over and runs beside whatever the GPU computes. A frame that lies in
this GPU's memory already is read where it lies. A frame's lease may end after `wait`: its bytes have been copied or
read then (invariant G2 of docs/ipc.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.models.gpu import gpu_work
from engine.models.prepare import Preparation
from engine.types import ColourMatrix, FrameNv12, Surface
from kernels import cuda, device
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.host_frames import HostFrames, Staging
from kernels.letterbox import Fit, Letterbox, fit_letterbox

WHO = "preparing pictures on the GPU"
HOST_FRAMES = HostFrames()
"""Registered once per process, as the driver does it; shared by all calls."""


class CudaPreparation(Preparation):
    """Uploads on a copy stream, then `kernels.cuda` into a device array."""

    def __init__(
        self, input_nchw: device.DeviceArray, pixels: PixelFormat, fit: Fit, frames: HostFrames = HOST_FRAMES
    ) -> None:
        """`input_nchw` (batch, 3, height, width) float32 or float16 on the GPU is written in place.

        Raises `BackendError`.
        """
        self._number = int(input_nchw.device.id)
        with gpu_work(WHO):
            self._use_device()
            self._input = cuda.InputBuffers(input_nchw)
            self._copies, self._kernels = device.Stream(), device.Stream()
            self._uploaded = device.Event()
        self._input_wh = int(input_nchw.shape[3]), int(input_nchw.shape[2])
        self._planes = [DevicePlanes() for _ in range(len(input_nchw))]
        self._surfaces: dict[int, Surface] = {}
        self._staging = [Staging() for _ in range(len(input_nchw))]
        self._pixels, self._fit, self._frames = pixels, fit, frames

    @property
    def degraded(self) -> str:
        reason = self._frames.refused
        return f"frames are copied once more on their way to the GPU: {reason}" if reason else ""

    def prepare(self, frame: FrameNv12, index: int) -> Letterbox:
        meta, pixels = frame.meta, self._pixels
        height, width = frame.y.shape
        letterbox = fit_letterbox((width, height), self._input_wh, self._fit)
        with gpu_work(WHO):
            self._use_device()
            surface = frame.surface
            if surface is not None and int(surface.y.device.id) == self._number:
                self._surfaces[index] = surface
                y, uv = surface.y, surface.uv
            else:
                y, uv = self._upload(frame, index)
            matrix = ycbcr_to_rgb(meta.matrix is ColourMatrix.BT709, meta.full_range, pixels.bgr)
            self._input.place(index, y, uv, letterbox, matrix, pixels)
        return letterbox

    def wait(self) -> None:
        with gpu_work(WHO):
            self._use_device()
            self._kernels.wait_for(self._copies.record(self._uploaded))
            with self._kernels:
                self._input.fill()
            self._kernels.wait()
        self._surfaces.clear()

    def _upload(self, frame: FrameNv12, index: int) -> tuple[Any, Any]:
        y, uv = self._planes[index].of(frame)
        source_y, source_uv = frame.y, frame.uv
        if not (self._frames.ready(frame.y) and self._frames.ready(frame.uv)):
            source_y, source_uv = self._staging[index].put(frame.y, frame.uv)
        device.upload_async(source_y, y, self._copies)
        device.upload_async(source_uv, uv, self._copies)
        return y, uv

    def _use_device(self) -> None:
        if self._number:
            device.require(self._number)


class DevicePlanes:
    """GPU memory for one frame; grows to the largest that came."""

    def __init__(self) -> None:
        self._memory: device.DeviceArray | None = None

    def of(self, frame: FrameNv12) -> tuple[Any, Any]:
        """Y (height, width) and UV (⌈height/2⌉, ⌈width/2⌉, 2), packed. What was in them before is gone."""
        # The kernel reads pairs of chroma at once: they begin at an even address.
        start_uv = frame.y.size + frame.y.size % 2
        nbytes = start_uv + frame.uv.size
        if self._memory is None or self._memory.size < nbytes:
            self._memory = device.empty(nbytes, np.uint8)
        y = self._memory[: frame.y.size].reshape(frame.y.shape)
        return y, self._memory[start_uv:nbytes].reshape(frame.uv.shape)
