"""The implementations that the tests of crops run over, all with one signature (see `tests.kernels.twins`)."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import crops, crops_reference
from kernels.colour import PixelFormat
from kernels.crops import CropBuffers, Rect
from tests.kernels import twins
from tests.kernels.twins import INTERPRETED, DeviceTwin

U8 = NDArray[np.uint8]


class CropTwin(Protocol):
    """A crop into a host array (3, height, width) or (height, width, 3)."""

    def __call__(
        self, y: U8, uv: U8, rect: Rect, matrix: NDArray[np.float32], pixels: PixelFormat, target: NDArray[Any],
        channels_last: bool,
    ) -> None: ...  # fmt: skip


def on_host(module: ModuleType) -> CropTwin:
    def crop(
        y: U8, uv: U8, rect: Rect, matrix: NDArray[np.float32], pixels: PixelFormat, target: NDArray[Any],
        channels_last: bool,
    ) -> None:  # fmt: skip
        buffers = CropBuffers(target, channels_last=channels_last)
        module.nv12_crop_to_input(y, uv, rect, matrix, pixels, buffers)

    return crop


def on_device(twin: DeviceTwin) -> CropTwin:
    from kernels.crops_cuda import CropInput

    def crop(
        y: U8, uv: U8, rect: Rect, matrix: NDArray[np.float32], pixels: PixelFormat, target: NDArray[Any],
        channels_last: bool,
    ) -> None:  # fmt: skip
        # In the second slot, behind another crop, which must not be touched by it.
        both = twin.on_device(np.stack([target, target]))
        device_input = CropInput(both, channels_last=channels_last)
        planes = twin.on_device_in_rows(y), twin.on_device_in_rows(uv)
        for part in ((0, 0, *y.shape[::-1]), rect):
            device_input.place(*planes, part, matrix, pixels)
        device_input.fill()
        target[...] = twin.launcher.download(both)[1]

    return crop


reference_crop = on_host(crops_reference)
FAST: dict[str, CropTwin] = {} if INTERPRETED else {"cpu": on_host(crops)}
FAST |= {name: on_device(twin) for name, twin in twins.FAST.items() if isinstance(twin, DeviceTwin)}
EVERY: dict[str, CropTwin] = FAST if INTERPRETED else {"reference": reference_crop, **FAST}
every_crop_twin = pytest.mark.parametrize("twin", EVERY.values(), ids=EVERY.keys())
fast_crop_twin = pytest.mark.parametrize("twin", FAST.values(), ids=FAST.keys())
