"""The implementations that the kernel tests run over, all taking and giving numpy arrays.

Triton decides when it is imported whether it compiles or interprets, so a process has one or the other:
TRITON_INTERPRET=1 adds the Triton kernels in the interpreter, a GPU adds the compiled ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import DTypeLike, NDArray

from kernels import cpu, device, reference
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat
from kernels.launch import Launcher
from kernels.letterbox import Letterbox

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
Target = NDArray[np.float32] | NDArray[np.float16]
Rect = tuple[float, float, float, float]

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

if INTERPRETED:
    # The interpreter takes a hundred times as long, and none of the examples is too slow for it.
    settings.register_profile("interpreted", max_examples=15, deadline=None)
    settings.load_profile("interpreted")


class Twin(Protocol):
    """What every implementation can do; `kernels.cpu` says what each function means."""

    def nv12_to_input(
        self, y: U8, uv: U8, letterbox: Letterbox, ycbcr_to_rgb: F32, pixels: PixelFormat, target_chw: Target
    ) -> None: ...

    def decode_anchors(
        self, rows: F32, classes: int, confidence: float
    ) -> tuple[F32, F32, I32, NDArray[np.intp]]: ...

    def nms(self, boxes_xyxy: F32, scores: F32, class_ids: I32, iou: float) -> NDArray[np.intp]: ...

    def assemble_masks(
        self,
        prototypes_chw: F32,
        coefficients_nc: F32,
        boxes_xyxy: F32,
        sizes_hw: I32,
        input_wh: tuple[int, int],
    ) -> U8: ...

    def blend_mask(
        self,
        y: U8,
        uv: U8,
        grid: NDArray[np.bool_],
        rect_xyxy: Rect,
        ycbcr: tuple[int, int, int],
        opacity: float,
    ) -> None: ...


class HostTwin:
    """`kernels.cpu` or `kernels.reference`."""

    def __init__(self, kernels: ModuleType) -> None:
        self._kernels = kernels
        self.decode_anchors = kernels.decode_anchors
        self.nms = kernels.nms
        self.assemble_masks = kernels.assemble_masks
        self.blend_mask = kernels.blend_mask

    def nv12_to_input(
        self, y: U8, uv: U8, letterbox: Letterbox, ycbcr_to_rgb: F32, pixels: PixelFormat, target_chw: Target
    ) -> None:
        self._kernels.nv12_to_input(y, uv, letterbox, ycbcr_to_rgb, pixels, LetterboxBuffers(target_chw))


class InterpretingLauncher(Launcher):
    """Runs kernels in Triton's interpreter; a device array is a numpy array."""

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        # Content that would not go unnoticed where a kernel leaves it.
        return np.full(shape, 113, dtype)

    def upload(self, host: NDArray[Any], target: NDArray[Any]) -> None:
        target[...] = host

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.copy()

    def address(self, array: NDArray[Any]) -> int:
        return array.ctypes.data

    def launch(
        self,
        kernel: Any,
        grid: tuple[int, ...],
        arguments: Sequence[Any],
        constants: Mapping[str, int],
        warps: int = 4,
    ) -> None:
        import torch

        values = [a.item() if isinstance(a, np.generic) else torch.from_numpy(a) for a in arguments]
        kernel[grid](*values, **constants)


class DeviceTwin:
    """`kernels.cuda`, with the copies to the device and back."""

    def __init__(self, launcher: Launcher) -> None:
        from kernels import cuda

        cuda.launcher = launcher
        self.cuda, self.launcher = cuda, launcher

    def on_device(self, host: NDArray[Any]) -> Any:
        array = self.launcher.empty(host.shape, host.dtype)
        self.launcher.upload(np.ascontiguousarray(host), array)
        return array

    def on_device_in_rows(self, plane: U8) -> Any:
        """A copy whose rows are a multiple of 64 bytes apart, as a decoder's are."""
        width = plane.shape[1]
        padded_width = -(-width // 64) * 64
        wide = np.full((plane.shape[0], padded_width, *plane.shape[2:]), 77, np.uint8)
        wide[:, :width] = plane
        return self.on_device(wide)[:, :width]

    def nv12_to_input(
        self, y: U8, uv: U8, letterbox: Letterbox, ycbcr_to_rgb: F32, pixels: PixelFormat, target_chw: Target
    ) -> None:
        buffers = self.cuda.InputBuffers(self.on_device(target_chw[None]))
        y_rows, uv_rows = self.on_device_in_rows(y), self.on_device_in_rows(uv)
        self.cuda.nv12_to_input(y_rows, uv_rows, letterbox, ycbcr_to_rgb, pixels, buffers)
        target_chw[...] = self.launcher.download(buffers.target_nchw)[0]

    def decode_anchors(
        self, rows: F32, classes: int, confidence: float
    ) -> tuple[F32, F32, I32, NDArray[np.intp]]:
        found = self.cuda.decode_anchors(self.on_device(rows), classes, confidence)
        boxes, scores, class_ids, columns = map(self.launcher.download, found)
        return boxes, scores, class_ids, columns

    def nms(self, boxes_xyxy: F32, scores: F32, class_ids: I32, iou: float) -> NDArray[np.intp]:
        boxes, box_scores, classes = map(self.on_device, (boxes_xyxy, scores, class_ids))
        return self.launcher.download(self.cuda.nms(boxes, box_scores, classes, iou))

    def assemble_masks(
        self,
        prototypes_chw: F32,
        coefficients_nc: F32,
        boxes_xyxy: F32,
        sizes_hw: I32,
        input_wh: tuple[int, int],
    ) -> U8:
        prototypes, coefficients, boxes = map(self.on_device, (prototypes_chw, coefficients_nc, boxes_xyxy))
        grids = self.cuda.assemble_masks(prototypes, coefficients, boxes, sizes_hw, input_wh)
        return self.launcher.download(grids)

    def blend_mask(
        self,
        y: U8,
        uv: U8,
        grid: NDArray[np.bool_],
        rect_xyxy: Rect,
        ycbcr: tuple[int, int, int],
        opacity: float,
    ) -> None:
        y_rows, uv_rows = self.on_device_in_rows(y), self.on_device_in_rows(uv)
        self.cuda.blend_mask(y_rows, uv_rows, self.on_device(grid), rect_xyxy, ycbcr, opacity)
        y[...], uv[...] = self.launcher.download(y_rows), self.launcher.download(uv_rows)


def _gpu_is_there() -> bool:
    try:
        device.require()
    except device.GpuUnavailable:
        return False
    return True


def fast_twins() -> dict[str, Twin]:
    """Everything that can run here and is not the reference itself, by name."""
    if INTERPRETED:
        return {"interpreted": DeviceTwin(InterpretingLauncher())}
    twins: dict[str, Twin] = {"cpu": HostTwin(cpu)}
    if _gpu_is_there():
        from kernels.launch import GpuLauncher

        twins["gpu"] = DeviceTwin(GpuLauncher())
    return twins


REFERENCE: Twin = HostTwin(reference)
FAST = fast_twins()
EVERY: dict[str, Twin] = FAST if INTERPRETED else {"reference": REFERENCE, **FAST}

every_twin = pytest.mark.parametrize("twin", EVERY.values(), ids=EVERY.keys())
fast_twin = pytest.mark.parametrize("twin", FAST.values(), ids=FAST.keys())
