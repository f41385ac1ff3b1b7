"""Crops of NV12 pictures in plain numpy: slow, short, and what the fast ways are tested against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.colour import PixelFormat
from kernels.crops import CropBuffers, Rect
from kernels.reference import convert, sample_bilinear

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


def nv12_crop_to_input(
    y: U8, uv: U8, rect_xyxy: Rect, ycbcr_to_rgb: F32, pixels: PixelFormat, buffers: CropBuffers
) -> None:
    """See `kernels.crops.nv12_crop_to_input`."""
    left, top, right, bottom = rect_xyxy
    width, height = buffers.size_wh
    columns, rows = np.arange(left, right), np.arange(top, bottom)
    chroma = uv[rows[:, None] // 2, columns[None] // 2]
    x = (np.arange(width) + 0.5) * len(columns) / width
    y_places = (np.arange(height) + 0.5) * len(rows) / height
    planes = [y[top:bottom, left:right], chroma[:, :, 0], chroma[:, :, 1]]
    ycbcr = np.stack([sample_bilinear(plane.astype(np.float64), x, y_places) for plane in planes], axis=-1)
    rgb = convert(np.clip(np.rint(ycbcr), 0, 255).astype(np.uint8), ycbcr_to_rgb)
    values = (rgb - np.array(pixels.mean)) * np.array(pixels.scale)
    buffers.target[:] = values if buffers.channels_last else values.transpose(2, 0, 1)
