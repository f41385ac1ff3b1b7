"""From frames to a model's input: resize, convert, normalise, pad. One class a device.

Knows pixels and placements; does not know models or what comes out of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from engine.types import ColourMatrix, FrameNv12
from kernels import cpu as kernels
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.letterbox import Fit, Letterbox, fit_letterbox


class Preparation(ABC):
    """Fills the input of one call in flight, a frame at a time. Not for two threads at once."""

    @property
    def degraded(self) -> str:
        """What runs worse than it could, in words; empty where nothing does."""
        return ""

    @abstractmethod
    def prepare(self, frame: FrameNv12, index: int) -> Letterbox:
        """Begin to put the frame at `index` of the call's input; returns where the picture lies in it.

        On a GPU the work may still be under way when this returns: the frame must stay until `wait`.
        """

    @abstractmethod
    def wait(self) -> None:
        """Return once the frames are no longer needed and the input is complete. Raises `BackendError`."""


class CpuPreparation(Preparation):
    """OpenCV into a host array."""

    def __init__(
        self, input_nchw: NDArray[np.float32] | NDArray[np.float16], pixels: PixelFormat, fit: Fit
    ) -> None:
        """`input_nchw` (batch, 3, height, width) is written in place."""
        self._half = input_nchw if input_nchw.dtype == np.float16 else None
        self._pictures = np.zeros(input_nchw.shape, np.float32) if self._half is not None else input_nchw
        self._buffers = [LetterboxBuffers(picture) for picture in self._pictures]
        self._pixels, self._fit = pixels, fit

    def prepare(self, frame: FrameNv12, index: int) -> Letterbox:
        buffers, meta = self._buffers[index], frame.meta
        source_height, source_width = frame.y.shape
        height, width = buffers.target_chw.shape[1:]
        letterbox = fit_letterbox((source_width, source_height), (width, height), self._fit)
        matrix = ycbcr_to_rgb(meta.matrix is ColourMatrix.BT709, meta.full_range, self._pixels.bgr)
        kernels.nv12_to_input(frame.y, frame.uv, letterbox, matrix, self._pixels, buffers)
        if self._half is not None:
            self._half[index] = buffers.target_chw
        return letterbox

    def wait(self) -> None:
        """Nothing is under way."""
