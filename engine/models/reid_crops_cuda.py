"""Crops into a network's input on the GPU: frames are uploaded once each, one kernel makes all crops of a call.

A frame that lies in this GPU's memory already is read where it lies. A frame's lease may end after `prepare`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.models.gpu import gpu_work
from engine.models.prepare_cuda import HOST_FRAMES, DevicePlanes
from engine.models.reid_crops import Crop, CropPreparation
from engine.types import ColourMatrix, FrameNv12, Surface
from kernels import device
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.crops_cuda import CropInput
from kernels.host_frames import HostFrames, Staging

_WHO = "preparing crops on the GPU"


class CudaCrops(CropPreparation):
    """Uploads on a copy stream, then `kernels.crops_cuda` into a device array."""

    def __init__(
        self, input_array: Any, pixels: PixelFormat, *, channels_last: bool, frames: HostFrames = HOST_FRAMES
    ) -> None:
        """`input_array` is a device array as that of `CpuCrops`; it is written in place. Raises `BackendError`."""
        self._number = int(input_array.device.id)
        with gpu_work(_WHO):
            device.require(self._number)
            self._input = CropInput(input_array, channels_last=channels_last)
            self._copies, self._kernels = device.Stream(), device.Stream()
            self._uploaded = device.Event()
        self._planes: list[DevicePlanes] = []
        self._staging: list[Staging] = []
        self._pixels, self._frames = pixels, frames

    def prepare(self, crops: Sequence[Crop]) -> None:
        pixels = self._pixels
        with gpu_work(_WHO):
            device.require(self._number)
            # Surfaces must stay until the kernel is done: this holds them.
            planes: dict[int, Surface] = {}
            for crop in crops:
                frame = crop.frame
                if id(frame) not in planes:
                    planes[id(frame)] = self._on_device(frame, len(planes))
                there, meta = planes[id(frame)], frame.meta
                matrix = ycbcr_to_rgb(meta.matrix is ColourMatrix.BT709, meta.full_range, pixels.bgr)
                self._input.place(there.y, there.uv, crop.rect_xyxy, matrix, pixels)
            self._kernels.wait_for(self._copies.record(self._uploaded))
            with self._kernels:
                self._input.fill()
            self._kernels.wait()

    def _on_device(self, frame: FrameNv12, index: int) -> Surface:
        """The frame's planes in this GPU's memory; their upload may be under way."""
        surface = frame.surface
        if surface is not None and int(surface.y.device.id) == self._number:
            return surface
        if index >= len(self._planes):
            missing = index + 1 - len(self._planes)
            self._planes += [DevicePlanes() for _ in range(missing)]
            self._staging += [Staging() for _ in range(missing)]
        y, uv = self._planes[index].of(frame)
        source_y, source_uv = frame.y, frame.uv
        if not (self._frames.ready(frame.y) and self._frames.ready(frame.uv)):
            source_y, source_uv = self._staging[index].put(frame.y, frame.uv)
        device.upload_async(source_y, y, self._copies)
        device.upload_async(source_uv, uv, self._copies)
        return Surface(y, uv)
