"""NV12 planes as a JPEG: snapshots, and viewers that take nothing else.

OpenCV does it: it is there anyway, and its libjpeg-turbo with the conversion to BGR takes 2.3 ms for 1280×720 on one
core. simplejpeg would save the conversion, 0.4 ms, for one more package; FFmpeg's encoder takes as long as both.
Knows planes; does not know where they come from.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.errors import OutputError
from engine.types import U8, ColourMatrix
from kernels.colour import ycbcr_to_rgb

MOST_JPEG_PX = 65_500
"""The longest side that libjpeg writes."""


def bgr_of(y: U8, uv: U8, matrix: ColourMatrix, full_range: bool) -> U8:
    """uint8 (height, width, 3): the picture in BGR, its chroma interpolated.

    y   uint8 (height, width)
    uv  uint8 (⌈height/2⌉, ⌈width/2⌉, 2): Cb, Cr
    """
    large = cv2.resize(uv, (2 * uv.shape[1], 2 * uv.shape[0]), interpolation=cv2.INTER_LINEAR)
    y_cb_cr = np.dstack((y, large[: y.shape[0], : y.shape[1]]))
    table = ycbcr_to_rgb(matrix is ColourMatrix.BT709, full_range, bgr=True)
    return np.asarray(cv2.transform(y_cb_cr, table), np.uint8)


def encode_jpeg(y: U8, uv: U8, matrix: ColourMatrix, full_range: bool, quality: int) -> bytes:
    """The picture as a whole JPEG (planes as in `bgr_of`; quality 1..100).

    Raises `OutputError` for a picture that is too large.
    """
    height, width = y.shape
    if max(height, width) > MOST_JPEG_PX:
        raise OutputError(f"a JPEG has at most {MOST_JPEG_PX} pixels a side, not {width}x{height}")
    usual = matrix is ColourMatrix.BT601 and not full_range and height % 2 == 0 and width % 2 == 0
    # OpenCV's own conversion knows this one kind of YCbCr only, and is six times as fast.
    bgr = cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12) if usual else bgr_of(y, uv, matrix, full_range)
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OutputError(f"a JPEG of {width}x{height} pixels could not be made")
    return encoded.tobytes()
