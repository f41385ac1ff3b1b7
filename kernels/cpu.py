"""The fast kernels on the CPU, made of OpenCV calls. Same results as `kernels.reference`.

Sets no thread counts: the process that owns the cores does.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, level_table
from kernels.letterbox import Letterbox

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


def nv12_to_input(
    y: U8, uv: U8, letterbox: Letterbox, ycbcr_to_rgb: F32, pixels: PixelFormat, buffers: LetterboxBuffers
) -> None:
    """Resize, convert and normalise one NV12 frame into `buffers.target_chw`, padding included.

    y             uint8 (height, width), rows may be strided
    uv            uint8 (⌈height/2⌉, ⌈width/2⌉, 2)
    ycbcr_to_rgb  float32 (3, 4) from `kernels.colour.ycbcr_to_rgb`, in the model's channel order

    The planes are resized first, bilinear as these models were trained, and the small picture is converted;
    chroma goes straight to the size of the result.
    """
    size_wh = (letterbox.width, letterbox.height)
    luma, cb, cr = planes = buffers.planes(0, 3, letterbox)
    chroma = buffers.interleaved(3, 2, letterbox)
    ycbcr, rgb = buffers.interleaved(5, 3, letterbox), buffers.interleaved(8, 3, letterbox)
    cv2.resize(y, size_wh, dst=luma, interpolation=cv2.INTER_LINEAR)
    cv2.resize(uv, size_wh, dst=chroma, interpolation=cv2.INTER_LINEAR)
    cv2.split(chroma, [cb, cr])
    cv2.merge(planes, dst=ycbcr)
    cv2.transform(ycbcr, ycbcr_to_rgb, dst=rgb)
    cv2.split(rgb, planes)
    table = level_table(pixels)
    _pad(letterbox, pixels, buffers)
    for plane, levels, target in zip(planes, table, buffers.picture_chw(letterbox), strict=True):
        cv2.LUT(plane, levels, dst=target)


def _pad(letterbox: Letterbox, pixels: PixelFormat, buffers: LetterboxBuffers) -> None:
    """Fill the area around the picture, unless it still is what this placement needs."""
    if buffers.padding == (letterbox, pixels):
        return
    if letterbox.padded:
        for target, levels in zip(buffers.target_chw, level_table(pixels), strict=True):
            target.fill(levels[pixels.pad])
    buffers.padding = (letterbox, pixels)


def boxes_to_source(boxes_xyxy: F32, letterbox: Letterbox) -> F32:
    """Boxes float32 (n, 4) in input pixels as boxes in source pixels, clipped to the picture."""
    scale_x, scale_y = letterbox.scale_xy
    shift = np.array([letterbox.left, letterbox.top] * 2, np.float32)
    scale = np.array([scale_x, scale_y] * 2, np.float32)
    limit = np.array([letterbox.source_width, letterbox.source_height] * 2, np.float32)
    moved = (boxes_xyxy - shift) * scale
    return np.clip(moved, np.float32(0.0), limit, out=moved)


def nms(boxes_xyxy: F32, scores: F32, class_ids: NDArray[np.int32], iou: float) -> NDArray[np.intp]:
    """Indices of the boxes that stay, best score first; ties in their order.

    A box goes when it overlaps a better one that stays, of the same class, by more than `iou`. Boxes with a
    score of 0 or less go too.
    """
    if len(scores) < 2:
        return np.flatnonzero(scores > 0)
    boxes_xywh = boxes_xyxy.astype(np.float64)
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    # OpenCV's stubs ask for lists of numbers; it reads arrays, and those without a loop in Python.
    arrays: tuple[Any, Any, Any] = (boxes_xywh, scores, class_ids)
    kept = cv2.dnn.NMSBoxesBatched(*arrays, 0.0, iou)
    return np.asarray(kept, np.intp).reshape(-1)
