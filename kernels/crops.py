"""Parts of NV12 pictures as the input of a model that looks at one object at a time, on the CPU.

Only what lies in a rectangle is read and converted. The result is that of converting the whole picture, cutting the
rectangle out and resizing it bilinearly, which is how such models are trained (`kernels.crops_reference` says it in
numpy). Sets no thread counts: the process that owns the cores does.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels.colour import PixelFormat, level_table

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
Rect = tuple[int, int, int, int]

LEAST_PIXELS = 2
"""A crop that is narrower or lower than this holds nothing to be recognised by."""


def pixel_rects(boxes_xyxy: F32, picture_wh: tuple[int, int]) -> tuple[I32, NDArray[np.bool_]]:
    """Boxes as whole pixels of the picture, and which of them hold anything.

    boxes_xyxy  float32 (k, 4): left, top, right, bottom in pixels; may reach beyond the picture or be no numbers
    picture_wh  width and height of the picture

    Returns int32 (k, 4), edges rounded to the nearest (halves to even) and clipped, and bool (k,): False for boxes
    of which less than `LEAST_PIXELS` × `LEAST_PIXELS` lies in the picture; their rectangles are zeros.
    """
    finite: NDArray[np.bool_] = np.all(np.isfinite(boxes_xyxy), axis=1)
    limit = np.array(picture_wh * 2, np.float32)
    edges = np.where(finite[:, None], boxes_xyxy, np.float32(0.0))
    rects = np.rint(np.clip(edges, np.float32(0.0), limit)).astype(np.int32)
    usable: NDArray[np.bool_] = np.all(rects[:, 2:] - rects[:, :2] >= LEAST_PIXELS, axis=1)
    rects[~usable] = 0
    return rects, usable


class CropScratch:
    """Memory that crops of one size pass through, one after the other."""

    def __init__(self, size_wh: tuple[int, int]) -> None:
        """`size_wh` is that of the model's input."""
        self.size_wh = size_wh
        self.planes: U8 = np.empty((11, size_wh[1], size_wh[0]), np.uint8)
        self._repeated: U8 = np.empty(0, np.uint8)

    def interleaved(self, first: int, channels: int) -> U8:
        """A picture uint8 (height, width, channels) in the place of `channels` planes."""
        return self.planes[first : first + channels].reshape(self.size_wh[1], self.size_wh[0], channels)

    def repeated(self, height: int, width: int) -> U8:
        """Room uint8 (height, width, 2) for chroma samples that are repeated; grows to the largest that came."""
        if self._repeated.size < height * width * 2:
            self._repeated = np.empty(height * width * 2, np.uint8)
        return self._repeated[: height * width * 2].reshape(height, width, 2)


class CropBuffers:
    """One slot of a model's input and the scratch that fills it. Not for two threads at once."""

    def __init__(
        self, target: NDArray[Any], *, channels_last: bool = False, scratch: CropScratch | None = None
    ) -> None:
        """`target` float32 or float16 (3, height, width), or (height, width, 3) with `channels_last`.

        It is written in place. `scratch` is that of another slot of the same size, where they take turns.
        """
        channels, height, width = (target.shape[2], *target.shape[:2]) if channels_last else target.shape
        if channels != 3 or target.dtype not in (np.float32, np.float16):
            raise ValueError(
                f"target must be float32 or float16 of three channels, not {target.dtype} {target.shape}"
            )
        self.target, self.channels_last = target, channels_last
        self.size_wh = int(width), int(height)
        self.scratch = scratch or CropScratch(self.size_wh)

    @classmethod
    def of_batch(cls, targets: NDArray[Any], *, channels_last: bool = False) -> list[CropBuffers]:
        """Those of every slot of an input (batch, …), which share their scratch."""
        height, width = targets.shape[1:3] if channels_last else targets.shape[2:4]
        scratch = CropScratch((int(width), int(height)))
        return [cls(target, channels_last=channels_last, scratch=scratch) for target in targets]


def nv12_crop_to_input(
    y: U8, uv: U8, rect_xyxy: Rect, ycbcr_to_rgb: F32, pixels: PixelFormat, buffers: CropBuffers
) -> None:
    """Cut, resize, convert and normalise a rectangle of an NV12 picture into `buffers.target`.

    y             uint8 (height, width), rows may be strided
    uv            uint8 (⌈height/2⌉, ⌈width/2⌉, 2)
    rect_xyxy     left, top, right, bottom in whole pixels, within the picture and not empty (`pixel_rects`)
    ycbcr_to_rgb  float32 (3, 4) from `kernels.colour.ycbcr_to_rgb`, in the model's channel order

    The rectangle fills the target, whatever its shape. Both planes are resized bilinearly, edges of the rectangle
    repeated; a chroma sample counts for its four pixels. The small picture is converted, rounded to grey levels and
    normalised.
    """
    left, top, right, bottom = rect_xyxy
    scratch = buffers.scratch
    luma, cb, cr = planes = list(scratch.planes[:3])
    chroma, ycbcr, rgb = scratch.interleaved(3, 2), scratch.interleaved(5, 3), scratch.interleaved(8, 3)
    cv2.resize(y[top:bottom, left:right], buffers.size_wh, dst=luma, interpolation=cv2.INTER_LINEAR)
    window = uv[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
    repeated = scratch.repeated(2 * window.shape[0], 2 * window.shape[1])
    cv2.resize(window, repeated.shape[1::-1], dst=repeated, interpolation=cv2.INTER_NEAREST)
    # A rectangle may begin or end in the middle of a sample.
    part = repeated[top % 2 :, left % 2 :][: bottom - top, : right - left]
    cv2.resize(part, buffers.size_wh, dst=chroma, interpolation=cv2.INTER_LINEAR)
    cv2.split(chroma, [cb, cr])
    cv2.merge(planes, dst=ycbcr)
    cv2.transform(ycbcr, ycbcr_to_rgb, dst=rgb)
    _normalise(rgb, planes, pixels, buffers)


def _normalise(rgb: U8, planes: list[U8], pixels: PixelFormat, buffers: CropBuffers) -> None:
    """Grey levels as what the model wants."""
    table: NDArray[Any] = level_table(pixels)
    target = buffers.target
    if target.dtype == np.float16:
        # OpenCV looks halves up as the 16 bits that they are.
        table, target = table.astype(np.float16).view(np.uint16), target.view(np.uint16)
    if buffers.channels_last:
        cv2.LUT(rgb, np.ascontiguousarray(table.T)[None], dst=target)
        return
    cv2.split(rgb, planes)
    for plane, levels, channel in zip(planes, table, target, strict=True):
        cv2.LUT(plane, levels, dst=channel)
