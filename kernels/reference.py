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
I32 = NDArray[np.int32]
F64 = NDArray[np.float64]


def nv12_to_input(
    y: U8, uv: U8, letterbox: Letterbox, ycbcr_to_rgb: F32, pixels: PixelFormat, buffers: LetterboxBuffers
) -> None:
    """See `kernels.cpu.nv12_to_input`."""
    size_wh = (letterbox.width, letterbox.height)
    luma = _resize_bilinear(y, size_wh)
    resize = _resize_nearest if letterbox.chroma_is_finer else _resize_bilinear
    cb, cr = (resize(uv[:, :, index], size_wh) for index in (0, 1))
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


def decode_anchors(rows: F32, classes: int, confidence: float) -> tuple[F32, F32, I32, NDArray[np.intp]]:
    """See `kernels.cpu.decode_anchors`."""
    class_ids = rows[4 : 4 + classes].argmax(axis=0)  # the first NaN, if there is one
    scores = np.take_along_axis(rows[4 : 4 + classes], class_ids[None], axis=0)[0]
    columns = np.array([i for i, score in enumerate(scores) if not score < np.float32(confidence)], np.intp)
    x, y, width, height = rows[:4, columns].astype(np.float64)
    corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    return corners.astype(np.float32), scores[columns], class_ids[columns].astype(np.int32), columns


def boxes_to_source(boxes_xyxy: F32, letterbox: Letterbox) -> F32:
    """See `kernels.cpu.boxes_to_source`."""
    moved = boxes_xyxy.astype(np.float64)
    for axis, shift, inner, outer in (
        (0, letterbox.left, letterbox.width, letterbox.source_width),
        (1, letterbox.top, letterbox.height, letterbox.source_height),
    ):
        moved[:, axis::2] = np.clip((moved[:, axis::2] - shift) * outer / inner, 0, outer)
    return moved.astype(np.float32)


def nms(boxes_xyxy: F32, scores: F32, class_ids: I32, iou: float) -> NDArray[np.intp]:
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


def assemble_masks(
    prototypes_chw: F32, coefficients_nc: F32, boxes_xyxy: F32, sizes_hw: I32, input_wh: tuple[int, int]
) -> U8:
    """See `kernels.cpu.assemble_masks`."""
    height, width = prototypes_chw.shape[1:]
    grids = [np.empty(0, np.uint8)]
    for coefficients, box, (rows, columns) in zip(coefficients_nc, boxes_xyxy, sizes_hw, strict=True):
        logits = np.tensordot(coefficients.astype(np.float64), prototypes_chw.astype(np.float64), 1)
        probabilities = 0.5 + 0.5 * np.tanh(logits / 2)
        x = (box[0] + (np.arange(columns) + 0.5) * (box[2] - box[0]) / columns) * width / input_wh[0]
        y = (box[1] + (np.arange(rows) + 0.5) * (box[3] - box[1]) / rows) * height / input_wh[1]
        grids.append((sample_bilinear(probabilities, x, y) > 0.5).astype(np.uint8).reshape(-1))
    return np.concatenate(grids)


def blend_mask(
    y: U8,
    uv: U8,
    grid: NDArray[np.bool_],
    rect_xyxy: tuple[float, float, float, float],
    ycbcr: tuple[int, int, int],
    opacity: float,
) -> None:
    """See `kernels.cpu.blend_mask`."""
    for plane, size, colour in ((y, 1, ycbcr[0]), (uv[:, :, 0], 2, ycbcr[1]), (uv[:, :, 1], 2, ycbcr[2])):
        inside = mask_on_plane(grid, rect_xyxy, plane.shape, size)
        mixed = plane + (colour - plane.astype(np.float64)) * opacity
        plane[inside] = _to_u8(mixed)[inside]


def mask_on_plane(
    grid: NDArray[np.bool_], rect_xyxy: tuple[float, float, float, float], shape: tuple[int, ...], size: int
) -> NDArray[np.bool_]:
    """Which samples of a plane belong to the mask; each stands for a square of `size` by `size` pixels."""
    left, top, right, bottom = rect_xyxy
    x, y = (np.arange(shape[1]) + 0.5) * size, (np.arange(shape[0]) + 0.5) * size
    inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    if not (grid.size and inside.any()):
        return np.zeros_like(inside)
    columns = (x - left) * grid.shape[1] / (right - left)
    rows = (y - top) * grid.shape[0] / (bottom - top)
    return inside & (sample_bilinear(grid.astype(np.float64), columns, rows) > 0.5)


def sample_bilinear(plane: F64, x: F64, y: F64) -> F64:
    """Values (len(y), len(x)) of a plane at these places; pixel centres at half-integers, edges repeated."""
    rows, row_share = _neighbours(y, plane.shape[0])
    columns, column_share = _neighbours(x, plane.shape[1])
    mixed = plane[rows[0]] * (1 - row_share)[:, None] + plane[rows[1]] * row_share[:, None]
    values: F64 = mixed[:, columns[0]] * (1 - column_share) + mixed[:, columns[1]] * column_share
    return values


def _neighbours(position: F64, length: int) -> tuple[NDArray[np.intp], F64]:
    """The two neighbours (2, n) of each position and the share of the second one."""
    first = np.floor(position - 0.5)
    return np.clip(np.stack([first, first + 1]), 0, length - 1).astype(np.intp), position - 0.5 - first


def _resize_bilinear(plane: U8, size_wh: tuple[int, int]) -> U8:
    width, height = size_wh
    x = (np.arange(width) + 0.5) * plane.shape[1] / width
    y = (np.arange(height) + 0.5) * plane.shape[0] / height
    return _to_u8(sample_bilinear(plane.astype(np.float64), x, y))


def _resize_nearest(plane: U8, size_wh: tuple[int, int]) -> U8:
    """The sample in which the centre of each pixel lies; between two the second, where others may differ."""
    columns, rows = (
        (2 * np.arange(wanted) + 1) * length // (2 * wanted)
        for wanted, length in zip(size_wh, plane.shape[::-1], strict=True)
    )
    resized: U8 = plane[rows][:, columns]
    return resized


def _to_u8(values: F64) -> U8:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
