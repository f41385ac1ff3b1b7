"""From frames of cameras to the square pictures that a segmenter encodes.

The whole picture is stretched to S × S, without a border, as SAM 2 was trained. Knows pixels; not models.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from engine.types import F32, U8, ColourMatrix, FrameNv12
from kernels import cpu as kernels
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.letterbox import Fit, fit_letterbox


class Pictures:
    """Memory for the pictures of one call; grows to the most frames that a call has had. Not for two threads."""

    def __init__(self, image_size: int, mean: F32, std: F32) -> None:
        """mean, std: float32 (3,) of red, green, blue in 0..1."""
        self._size = image_size
        grey = [float(value) for value in 255.0 * mean]
        scale = [float(value) for value in 1.0 / (255.0 * std)]
        self._pixels = PixelFormat(mean=(grey[0], grey[1], grey[2]), scale=(scale[0], scale[1], scale[2]))
        self._pictures = np.zeros((0, 3, image_size, image_size), np.float32)
        self._buffers: list[LetterboxBuffers] = []

    def fill(self, frames: Sequence[FrameNv12]) -> F32:
        """The frames as float32 (F, 3, S, S) RGB; memory that the next call writes over."""
        if len(frames) > len(self._pictures):
            self._pictures = np.zeros((len(frames), 3, self._size, self._size), np.float32)
            self._buffers = [LetterboxBuffers(picture) for picture in self._pictures]
        for frame, buffers in zip(frames, self._buffers, strict=False):
            self._put(frame, buffers)
        return self._pictures[: len(frames)]

    def _put(self, frame: FrameNv12, buffers: LetterboxBuffers) -> None:
        luma, chroma = shrunk(frame.y, self._size), shrunk(frame.uv, self._size)
        height, width = luma.shape
        letterbox = fit_letterbox((width, height), (self._size, self._size), Fit.STRETCH)
        matrix = ycbcr_to_rgb(frame.meta.matrix is ColourMatrix.BT709, frame.meta.full_range)
        kernels.nv12_to_input(luma, chroma, letterbox, matrix, self._pixels, buffers)


def shrunk(plane: U8, size: int) -> U8:
    """A plane, averaged over whole pixels to less than twice the size where it is larger.

    A bilinear resize looks at two pixels of each row: of a large picture it would leave most out.
    """
    height, width = plane.shape[:2]
    across, down = max(1, width // size), max(1, height // size)
    if across == down == 1:
        return plane
    target_wh = -(-width // across), -(-height // down)
    averaged: U8 = cv2.resize(plane, target_wh, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return averaged
