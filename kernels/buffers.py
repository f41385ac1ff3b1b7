"""Memory that a kernel works in, owned by the caller: nothing is allocated per frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.colour import PixelFormat
from kernels.letterbox import Letterbox


class LetterboxBuffers:
    """The input slice of one frame and the scratch that fills it. Not for two threads at once.

    Every placement fits the same scratch, so cameras of different sizes may take turns.
    """

    def __init__(self, target_chw: NDArray[np.float32] | NDArray[np.float16]) -> None:
        """`target_chw` float32 or float16 (3, height, width): a slice of the model's input, written in place."""
        channels, height, width = target_chw.shape
        if channels != 3 or target_chw.dtype not in (np.float32, np.float16):
            raise ValueError(
                f"target must be float32 or float16 (3, h, w), not {target_chw.dtype} {target_chw.shape}"
            )
        self.target_chw = target_chw
        self.padding: tuple[Letterbox, PixelFormat] | None = None
        """What the area around the picture was filled for."""
        # The odd 16 bytes keep the planes from being equally aligned: for planes that are, cv2.split bypasses
        # the cache, and the step that reads them next takes longer (0.08 ms at 640 × 640).
        self._bytes = np.empty((11, height * width + 1040), np.uint8)

    def planes(self, first: int, count: int, letterbox: Letterbox) -> list[NDArray[np.uint8]]:
        """Scratch planes uint8 (height, width) of the resized picture."""
        size = letterbox.width * letterbox.height
        return [
            self._bytes[index, :size].reshape(letterbox.height, letterbox.width)
            for index in range(first, first + count)
        ]

    def interleaved(self, first: int, channels: int, letterbox: Letterbox) -> NDArray[np.uint8]:
        """A scratch picture uint8 (height, width, channels) in the place of `channels` planes."""
        size = letterbox.width * letterbox.height * channels
        flat = self._bytes[first : first + channels].reshape(-1)[:size]
        return flat.reshape(letterbox.height, letterbox.width, channels)

    def picture_chw(self, letterbox: Letterbox) -> NDArray[np.float32] | NDArray[np.float16]:
        """The part of the target that the picture covers."""
        rows = slice(letterbox.top, letterbox.top + letterbox.height)
        columns = slice(letterbox.left, letterbox.left + letterbox.width)
        return self.target_chw[:, rows, columns]
