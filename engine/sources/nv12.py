"""Decoded planes into NV12 slots, with no picture in between.

Knows memory layouts only: nothing of codecs, containers or cameras.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from engine.types import U8


class Plane(Protocol):
    """What is needed of `av.video.plane.VideoPlane`: a buffer of rows that are `line_size` bytes apart."""

    @property
    def line_size(self) -> int: ...

    def __buffer__(self, flags: int, /) -> memoryview: ...


def plane_view(plane: Plane, rows: int, row_bytes: int) -> U8:
    """The used part of a decoder's plane, uint8 (rows, row_bytes). No copy; `line_size` must be positive."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:rows, :row_bytes]


def copy_yuv420p(planes: tuple[Plane, ...], y: U8, uv: U8) -> None:
    """Write three planes Y, Cb, Cr into `y` (height, width) and `uv` (⌈height/2⌉, ⌈width/2⌉, 2)."""
    chroma_height, chroma_width = uv.shape[:2]
    np.copyto(y, plane_view(planes[0], *y.shape))
    cb, cr = (plane_view(plane, chroma_height, chroma_width) for plane in planes[1:3])
    cv2.merge([cb, cr], dst=uv)


def copy_nv12(planes: tuple[Plane, ...], y: U8, uv: U8) -> None:
    """Write two planes Y and interleaved Cb, Cr into `y` and `uv`."""
    chroma_height, chroma_width = uv.shape[:2]
    np.copyto(y, plane_view(planes[0], *y.shape))
    np.copyto(uv, plane_view(planes[1], chroma_height, 2 * chroma_width).reshape(uv.shape))


def bgr_to_nv12(picture_bgr: U8, y: U8, uv: U8) -> None:
    """Write a BGR picture (height, width, 3) as full-range BT.601 (JPEG) NV12.

    Chroma is the mean of each 2 × 2 block; the last row and column of odd sizes are repeated first.
    """
    height, width = picture_bgr.shape[:2]
    y_cr_cb = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2YCrCb)
    np.copyto(y, y_cr_cb[..., 0])
    if height % 2 or width % 2:
        y_cr_cb = cv2.copyMakeBorder(y_cr_cb, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    halved = cv2.resize(y_cr_cb, (uv.shape[1], uv.shape[0]), interpolation=cv2.INTER_AREA)
    np.copyto(uv, halved[..., 2:0:-1])
