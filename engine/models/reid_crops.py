"""From boxes in frames to a re-identification network's input. One class a device. Knows no models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.gpu import gpu_work
from engine.types import F32, Bools, ColourMatrix, FrameNv12
from kernels import device
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.crops import CropBuffers, Rect, nv12_crop_to_input, pixel_rects


@dataclass(frozen=True, slots=True)
class Crops:
    """What of a frame is to be looked at.

    frame       stays valid until the call that it is handed to returns
    boxes_xyxy  float32 (k, 4): left, top, right, bottom in its pixels
    """

    frame: FrameNv12
    boxes_xyxy: F32


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in a frame, in whole pixels."""

    frame: FrameNv12
    rect_xyxy: Rect


def usable_crops(crops: Sequence[Crops]) -> tuple[list[Crop], list[Bools]]:
    """The boxes that hold pixels, in their order, and for each entry of `crops` which of its boxes these are."""
    found: list[Crop] = []
    masks: list[Bools] = []
    for one in crops:
        height, width = one.frame.y.shape
        rects, usable = pixel_rects(np.asarray(one.boxes_xyxy, np.float32).reshape(-1, 4), (width, height))
        left_top_right_bottom = rects[usable].tolist()
        found += [Crop(one.frame, (x0, y0, x1, y1)) for x0, y0, x1, y1 in left_top_right_bottom]
        masks.append(usable)
    return found, masks


class CropPreparation(ABC):
    """Fills the input of one call. Not for two threads at once."""

    @abstractmethod
    def prepare(self, crops: Sequence[Crop]) -> None:
        """Fill the input with these crops, from its first slot on; the frames are no longer needed after that.

        Raises `BackendError`.
        """


class CpuCrops(CropPreparation):
    """OpenCV into a host array."""

    def __init__(self, input_array: NDArray[Any], pixels: PixelFormat, *, channels_last: bool) -> None:
        """`input_array` float32 or float16 (batch, 3, height, width) or (batch, height, width, 3), written in place."""
        self._buffers = CropBuffers.of_batch(input_array, channels_last=channels_last)
        self._pixels = pixels

    def prepare(self, crops: Sequence[Crop]) -> None:
        for crop, buffers in zip(crops, self._buffers, strict=False):
            frame, pixels = crop.frame, self._pixels
            matrix = ycbcr_to_rgb(frame.meta.matrix is ColourMatrix.BT709, frame.meta.full_range, pixels.bgr)
            nv12_crop_to_input(frame.y, frame.uv, crop.rect_xyxy, matrix, pixels, buffers)


class CopiedCrops(CropPreparation):
    """Made on the CPU, then copied into GPU memory."""

    def __init__(self, input_array: Any, pixels: PixelFormat, *, channels_last: bool) -> None:
        """`input_array` is a device array as that of `CpuCrops`. Raises `BackendError`."""
        self._input = input_array
        with gpu_work(_WHO):
            device.require(int(input_array.device.id))
            self._host = device.pinned_empty(input_array.shape, np.dtype(str(input_array.dtype)))
            self._copies = device.Stream()
        self._crops = CpuCrops(self._host, pixels, channels_last=channels_last)

    def prepare(self, crops: Sequence[Crop]) -> None:
        self._crops.prepare(crops)
        with gpu_work(_WHO):
            device.require(int(self._input.device.id))
            device.upload_async(self._host[: len(crops)], self._input[: len(crops)], self._copies)
            self._copies.wait()


_WHO = "copying crops to the GPU"
