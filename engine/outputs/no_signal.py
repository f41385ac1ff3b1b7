"""What viewers are shown while a camera gives no pictures: the last one, darkened, with words that say so.

Draws on NV12 planes in place. Knows no clock and no cameras.
"""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import numpy as np

from engine.outputs.overlay_shapes import strip_size, write_text
from engine.outputs.overlay_style import OverlayStyle, style_for
from engine.types import U8, FrameMeta, FrameNv12, nv12_geometry

SLATE_SIZE = (640, 360)
"""Width and height of the picture of a camera that has never given one."""
_LIGHT = 0.35
_LINE_SPACING = 1.6
_LETTERS = (2.5, 1.75, 1.0, 0.5)
"""Of the size of the overlay's own letters."""


def slate(width: int, height: int, captured_ns: int, wall_ns: int) -> FrameNv12:
    """A plain dark picture: BT.601, limited range."""
    stride, offset_uv, slot_bytes = nv12_geometry(width, height)
    meta = FrameMeta(-1, captured_ns, wall_ns, width, height, stride, stride, offset_uv)
    frame = FrameNv12.view(meta, np.zeros(slot_bytes, np.uint8))
    frame.y[:], frame.uv[:] = 32, 128
    return frame


def draw_no_signal(y: U8, uv: U8, meta: FrameMeta, lines: list[str]) -> None:
    """Darken the picture and write the lines in its middle.

    y     uint8 (height, width)
    uv    uint8 (⌈height/2⌉, ⌈width/2⌉, 2): Cb, Cr
    meta  its matrix and range
    """
    black = 0.0 if meta.full_range else 16.0
    cv2.convertScaleAbs(y, dst=y, alpha=_LIGHT, beta=black * (1 - _LIGHT))
    cv2.convertScaleAbs(uv, dst=uv, alpha=_LIGHT, beta=128.0 * (1 - _LIGHT))
    style = _style_that_fits(meta, lines)
    sizes = [strip_size(line, style) for line in lines]
    step = round(_LINE_SPACING * max((height for _, height in sizes), default=0))
    top = (meta.height - step * len(lines)) // 2
    for row, (line, (width, _)) in enumerate(zip(lines, sizes, strict=True)):
        corner = max(0, (meta.width - width) // 2), max(0, top + row * step)
        write_text(y, uv, corner, line, (style.paper, style.ink), style)


def _style_that_fits(meta: FrameMeta, lines: list[str]) -> OverlayStyle:
    """Large letters, and smaller ones where the picture is too narrow for them."""
    for share in _LETTERS:
        style = style_for(round(share * max(meta.height, 240)), meta.matrix, meta.full_range)
        if max((strip_size(line, style)[0] for line in lines), default=0) < 0.95 * meta.width:
            break
    return style


def words_of(camera: str, since_wall_ns: int, *, frames_come: bool) -> list[str]:
    """What is written: that there is no signal, of which camera, and since when (UTC).

    frames_come  the camera gives pictures, and nothing says what is on them
    """
    what = "NO SIGNAL: no results" if frames_come else "NO SIGNAL"
    since = datetime.fromtimestamp(since_wall_ns // 1_000_000_000, UTC).strftime(
        "since %Y-%m-%d %H:%M:%S UTC"
    )
    return [what, camera, *([since] if since_wall_ns else [])]
