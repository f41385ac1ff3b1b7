"""The kernels in plain numpy: slow, short, and what the fast ones are tested against.

Computes in float64 and rounds where the fast kernels hold 8-bit values, so a difference of a grey level or
two is rounding and more is an error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat
from kernels.letterbox import Letterbox

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def nv12_to_input(
    y: U8, uv: U8, letterbox: Letterbox, ycbcr_to_rgb: F32, pixels: PixelFormat, buffers: LetterboxBuffers
) -> None:
    """See `kernels.cpu.nv12_to_input`."""
    size_wh = (letterbox.width, letterbox.height)
    luma = _resize_bilinear(y, size_wh)
    cb, cr = (_resize_bilinear(uv[:, :, index], size_wh) for index in (0, 1))
    rgb = convert(np.stack([luma, cb, cr], axis=-1), ycbcr_to_rgb)
    values = np.full((letterbox.input_height, letterbox.input_width, 3), float(pixels.pad))
    rows = slice(letterbox.top, letterbox.top + letterbox.height)
    columns = slice(letterbox.left, letterbox.left + letterbox.width)
    values[rows, columns] = rgb
    buffers.target_chw[:] = ((values - np.array(pixels.mean)) * np.array(pixels.scale)).transpose(2, 0, 1)
    buffers.padding = None


def convert(ycbcr: U8, ycbcr_to_rgb: F32) -> U8:
    """uint8 (..., 3) Y, Cb, Cr as R, G, B (or B, G, R), by a matrix from `kernels.colour.ycbcr_to_rgb`."""
    matrix = ycbcr_to_rgb.astype(np.float64)
    return _to_u8(ycbcr.astype(np.float64) @ matrix[:, :3].T + matrix[:, 3])


def boxes_to_source(boxes_xyxy: F32, letterbox: Letterbox) -> F32:
    """See `kernels.cpu.boxes_to_source`."""
    moved = boxes_xyxy.astype(np.float64)
    for axis, shift, inner, outer in (
        (0, letterbox.left, letterbox.width, letterbox.source_width),
        (1, letterbox.top, letterbox.height, letterbox.source_height),
    ):
        moved[:, axis::2] = np.clip((moved[:, axis::2] - shift) * outer / inner, 0, outer)
    return moved.astype(np.float32)


def nms(boxes_xyxy: F32, scores: F32, class_ids: NDArray[np.int32], iou: float) -> NDArray[np.intp]:
    """See `kernels.cpu.nms`."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        rivals = [k for k in kept if class_ids[k] == class_ids[index]]
        if scores[index] > 0 and all(overlap(boxes_xyxy[index], boxes_xyxy[k]) <= iou for k in rivals):
            kept.append(int(index))
    return np.array(kept, np.intp)


def overlap(a_xyxy: F32, b_xyxy: F32) -> float:
    """Intersection over union of two boxes (4,); 0 where they share nothing."""
    a, b = a_xyxy.astype(np.float64), b_xyxy.astype(np.float64)
    width_height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if width_height.min() <= 0:
        return 0.0
    shared = float(width_height.prod())
    return shared / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


def _resize_bilinear(plane: U8, size_wh: tuple[int, int]) -> U8:
    """Pixel centres at half-integers, edges repeated."""
    rows, row_share = _taps(plane.shape[0], size_wh[1])
    columns, column_share = _taps(plane.shape[1], size_wh[0])
    wide = plane.astype(np.float64)
    mixed = wide[rows[0]] * (1 - row_share)[:, None] + wide[rows[1]] * row_share[:, None]
    return _to_u8(mixed[:, columns[0]] * (1 - column_share) + mixed[:, columns[1]] * column_share)


def _taps(length: int, wanted: int) -> tuple[NDArray[np.intp], F64]:
    """The two neighbours (2, wanted) of each output pixel and the share of the second one."""
    position = (np.arange(wanted) + 0.5) * length / wanted - 0.5
    first = np.floor(position).astype(np.intp)
    share = position - first
    return np.clip(np.stack([first, first + 1]), 0, length - 1), share


def _to_u8(values: F64) -> U8:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
