"""Crops of NV12 pictures on an NVIDIA GPU: those of one call in one launch, whatever frames they are of.

The same results as `kernels.crops`. Nothing waits for the GPU. Kernels are started as `kernels.cuda` starts its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels import cuda, triton_kernels
from kernels.colour import PixelFormat
from kernels.crops import Rect
from kernels.device import DeviceArray

_TILE_ROWS, _TILE_COLUMNS = 8, 128


class CropInput:
    """The input of one call on the GPU, and the table that says what goes into it. Not for two threads at once."""

    def __init__(self, target: DeviceArray, *, channels_last: bool = False) -> None:
        """`target` float32 or float16 (batch, 3, height, width), or (batch, height, width, 3) if so; packed.

        It is written in place.
        """
        batch = int(target.shape[0])
        height, width, channels = (
            int(target.shape[axis]) for axis in ((1, 2, 3) if channels_last else (2, 3, 1))
        )
        if channels != 3 or target.dtype not in (np.float32, np.float16):
            raise ValueError(
                f"target must be float32 or float16 of three channels, not {target.dtype} {target.shape}"
            )
        self.target, self.channels_last, self.size_wh = target, channels_last, (width, height)
        self._geometry, self._colours = np.zeros((batch, 16), np.int64), np.zeros((batch, 24), np.float32)
        self._on_device: tuple[DeviceArray, DeviceArray] | None = None
        self._placed: list[tuple[DeviceArray, DeviceArray]] = []

    def place(
        self,
        y: DeviceArray,
        uv: DeviceArray,
        rect_xyxy: Rect,
        ycbcr_to_rgb: NDArray[np.float32],
        pixels: PixelFormat,
    ) -> None:
        """Let the next `fill` put this crop behind those that were placed before it.

        As `kernels.crops.nv12_crop_to_input`. uv begins at an even address and its rows are an even number of bytes
        apart, as in every NV12 picture. Both planes must stay until what `fill` starts is done.
        """
        uv_address = cuda.launcher.address(uv)
        if uv_address % 2 or uv.strides[0] % 2 or uv.strides[1:] != (2, 1) or y.strides[1] != 1:
            raise ValueError(f"not NV12 planes: strides {y.strides} and {uv.strides}, uv at {uv_address:#x}")
        left, top, right, bottom = rect_xyxy
        if not (0 <= left < right <= y.shape[1] and 0 <= top < bottom <= y.shape[0]):
            raise ValueError(f"{rect_xyxy} is no part of a picture of {y.shape[1]} × {y.shape[0]}")
        row, (width, height) = len(self._placed), self.size_wh
        self._geometry[row, :9] = (
            cuda.launcher.address(y), uv_address, y.strides[0], uv.strides[0] // 2,
            left, top, right - left, bottom - top, row,
        )  # fmt: skip
        self._colours[row, :20] = (
            *ycbcr_to_rgb.reshape(-1), *pixels.mean, *pixels.scale, (right - left) / width, (bottom - top) / height,
        )  # fmt: skip
        self._placed.append((y, uv))

    def fill(self) -> None:
        """Prepare the crops that were placed since the last call, from the first slot on."""
        if not self._placed:
            return
        launcher = cuda.launcher
        if self._on_device is None:
            self._on_device = (
                launcher.empty(self._geometry.shape, np.int64), launcher.empty(self._colours.shape, np.float32),
            )  # fmt: skip
        launcher.upload(self._geometry, self._on_device[0])
        launcher.upload(self._colours, self._on_device[1])
        width, height = self.size_wh
        launcher.launch(
            triton_kernels.nv12_crops_to_input,
            (-(-width // _TILE_COLUMNS), -(-height // _TILE_ROWS), len(self._placed)),
            (*self._on_device, self.target),
            {
                "CHANNELS_LAST": int(self.channels_last), "WIDTH": width, "HEIGHT": height,
                "ROWS": _TILE_ROWS, "COLUMNS": _TILE_COLUMNS,
            },
        )  # fmt: skip
        self._placed.clear()
