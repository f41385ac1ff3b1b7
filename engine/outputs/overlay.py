"""Drawing on NV12 planes in place: masks, boxes, labels, a status line.

Everything is a function of its arguments; there is no state. Brightness is drawn on the Y plane at full size,
colour on the UV plane at half size, so nothing is converted to RGB and back. Works for any frame size: line
width and letters follow the height, what reaches over the border is cut off. Does not know where planes come
from or where they go.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from engine.config.overlay import DEFAULT_OVERLAY_STYLE
from engine.outputs.base import FrameResult
from engine.types import F32, U8, ColourMatrix, Tracks, TrackState
from kernels import cpu as kernels

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GOLDEN_RATIO = 0.618033988749895
_DARK_INK_FROM_Y = 115
_FRESH_OPACITY, _MOVED_OPACITY, _OLD_OPACITY = 0.4, 0.28, 0.14
_OLD_FROM_MS = 1000.0
_LUMA_WEIGHTS = {ColourMatrix.BT601: (0.299, 0.114), ColourMatrix.BT709: (0.2126, 0.0722)}


class YCbCr(NamedTuple):
    """One colour in the frame's own matrix and range, 0..255 each."""

    y: int
    cb: int
    cr: int


@dataclass(frozen=True, slots=True)
class OverlayStyle:
    """Sizes and fixed colours that fit one frame geometry. Pixels of the Y plane.

    line_px    width of a confirmed object's box; even, so that it covers whole chroma samples
    thin_px    width of an unconfirmed object's box
    text_scale, text_px  size and stroke width of the letters
    pad_px     space around a text
    """

    name: str
    line_px: int
    thin_px: int
    text_scale: float
    text_px: int
    pad_px: int
    matrix: ColourMatrix
    full_range: bool
    ink: YCbCr
    paper: YCbCr
    grey: YCbCr


@lru_cache(maxsize=64)
def style_for(
    height: int, matrix: ColourMatrix, full_range: bool, name: str = DEFAULT_OVERLAY_STYLE
) -> OverlayStyle:
    """The style of this name (`engine.config.overlay.OVERLAY_STYLES`) for frames of this height, matrix and range."""
    half_line_px = max(1, round(height / 540))
    return OverlayStyle(
        name=name, line_px=2 * half_line_px, thin_px=half_line_px,
        text_scale=max(0.4, height / 1500), text_px=max(1, round(height / 1080)),
        pad_px=max(1, round(height / 360)), matrix=matrix, full_range=full_range,
        ink=ycbcr((0.0, 0.0, 0.0), matrix, full_range), paper=ycbcr((1.0, 1.0, 1.0), matrix, full_range),
        grey=ycbcr((0.6, 0.6, 0.6), matrix, full_range),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def colour_of(track_id: int, matrix: ColourMatrix, full_range: bool) -> YCbCr:
    """The colour of one identity, the same in every frame.

    Ids walk round the hue circle by the golden ratio, which keeps any few successive ones apart.
    """
    hue = track_id * _GOLDEN_RATIO % 1.0
    return ycbcr(colorsys.hsv_to_rgb(hue, 0.75, 1.0), matrix, full_range)


def ycbcr(rgb: tuple[float, float, float], matrix: ColourMatrix, full_range: bool) -> YCbCr:
    """RGB 0..1 to 8 bit YCbCr: ITU-R BT.601-7 section 2.5, BT.709-6 section 3."""
    weight_r, weight_b = _LUMA_WEIGHTS[matrix]
    r, g, b = rgb
    luma = weight_r * r + (1.0 - weight_r - weight_b) * g + weight_b * b
    cb, cr = (b - luma) / (2.0 - 2.0 * weight_b), (r - luma) / (2.0 - 2.0 * weight_r)
    if full_range:
        return YCbCr(round(255 * luma), round(min(255.0, 128 + 255 * cb)), round(min(255.0, 128 + 255 * cr)))
    return YCbCr(round(16 + 219 * luma), round(128 + 224 * cb), round(128 + 224 * cr))


class OverlayMemory:
    """What the overlay knows of one camera from the frames before: trails, counts at zones and lines.

    known  whether a zone that nothing was said of is empty; not so where somebody goes on with another's video
    """

    def __init__(self, known: bool = True) -> None:
        self.known = known

    def take(self, result: FrameResult) -> None:
        """Remember a result, in order; `draw_result` does so by itself. Call it for results that are not drawn."""


def draw_result(
    y: U8, uv: U8, result: FrameResult, style: OverlayStyle, memory: OverlayMemory | None = None
) -> None:
    """Draw a result on its frame, in place: what the style asks for, in the order in which it has to lie.

    memory  the camera's, owned by the caller; None for a single picture, which has no past

    y   uint8 (height, width)
    uv  uint8 (⌈height/2⌉, ⌈width/2⌉, 2): Cb, Cr
    """
    tracks = result.tracks
    draw_masks(y, uv, tracks, style)
    boxes_xyxy = tracks.boxes_xyxy.round().astype(int).tolist()
    track_ids = tracks.track_ids.tolist()
    coasting = (tracks.states == TrackState.COASTING).tolist()
    for box, track_id, unseen in zip(boxes_xyxy, track_ids, coasting, strict=True):
        colour = colour_of(track_id, style.matrix, style.full_range) if track_id else style.grey
        if unseen:
            draw_dashed_box(y, uv, box, colour, style)
        else:
            draw_box(y, uv, box, colour, style.line_px if track_id else style.thin_px)
    # Labels come after all boxes, so that no box runs through a label.
    for box, track_id, class_id, score in zip(
        boxes_xyxy, track_ids, tracks.class_ids.tolist(), tracks.scores.tolist(), strict=True
    ):
        if track_id:
            text = f"{result.label_of(class_id)} {track_id} {score:.2f}"
            draw_label(y, uv, box, text, colour_of(track_id, style.matrix, style.full_range), style)
    draw_status(y, uv, status_text(result), style)


def draw_masks(y: U8, uv: U8, tracks: Tracks, style: OverlayStyle) -> None:
    """Tint what each object covers in the colour of its box; small objects over large ones.

    A mask that was computed on this frame shows most; one that was moved here is lighter, and pales with its age.
    """
    masks = tracks.masks
    if masks is None:
        return
    opacities = mask_opacities(masks.ages_ms)
    sides = masks.rects_xyxy[:, 2:] - masks.rects_xyxy[:, :2]
    present = masks.present()
    for index in np.argsort(-sides.prod(axis=1), kind="stable").tolist():
        if present[index]:
            track_id = int(tracks.track_ids[index])
            colour = colour_of(track_id, style.matrix, style.full_range) if track_id else style.grey
            left, top, right, bottom = masks.rects_xyxy[index].tolist()
            rect_xyxy = (left, top, right, bottom)
            kernels.blend_mask(y, uv, masks.grid(index), rect_xyxy, colour, opacities[index])


def mask_opacities(ages_ms: F32) -> list[float]:
    """How much of its colour a mask of each age shows, 0..1: a clear step down from age 0, then less and less."""
    paled = np.minimum(ages_ms.astype(np.float64) / _OLD_FROM_MS, 1.0)
    moved = _MOVED_OPACITY + paled * (_OLD_OPACITY - _MOVED_OPACITY)
    opacities: list[float] = np.where(ages_ms > 0, moved, _FRESH_OPACITY).tolist()
    return opacities


def status_text(result: FrameResult) -> str:
    """The status line of a frame: camera, frame number, time since it was captured."""
    total_ms = result.latency_ms()["total"]
    latency = "" if total_ms is None else f"  {total_ms:.0f} ms"
    return f"{result.camera}  frame {result.meta.index}{latency}"


def draw_box(y: U8, uv: U8, box_xyxy: list[int], colour: YCbCr, line_px: int) -> None:
    """Draw the outline of a box, the line inside of it. What lies outside of the frame is cut off."""
    left, top, right, bottom = box_xyxy
    if right <= left or bottom <= top:
        return
    inner_left, inner_right = min(left + line_px, right), max(right - line_px, left)
    inner_top, inner_bottom = min(top + line_px, bottom), max(bottom - line_px, top)
    for strip in (
        (left, top, right, inner_top),
        (left, inner_bottom, right, bottom),
        (left, top, inner_left, bottom),
        (inner_right, top, right, bottom),
    ):
        _fill(y, uv, strip, colour)


def draw_dashed_box(y: U8, uv: U8, box_xyxy: list[int], colour: YCbCr, style: OverlayStyle) -> None:
    """Draw the outline of a box in dashes: of an object that is expected there and not seen."""
    left, top, right, bottom = box_xyxy
    if right <= left or bottom <= top:
        return
    line_px, dash_px = style.line_px, 4 * style.line_px
    # What lies outside of the frame costs nothing, however far a box reaches.
    for start in range(max(left, -dash_px) // (2 * dash_px), min(right, y.shape[1]) // (2 * dash_px) + 1):
        begin, end = max(left, 2 * dash_px * start), min(right, 2 * dash_px * start + dash_px)
        _fill(y, uv, (begin, top, end, top + line_px), colour)
        _fill(y, uv, (begin, bottom - line_px, end, bottom), colour)
    for start in range(max(top, -dash_px) // (2 * dash_px), min(bottom, y.shape[0]) // (2 * dash_px) + 1):
        begin, end = max(top, 2 * dash_px * start), min(bottom, 2 * dash_px * start + dash_px)
        _fill(y, uv, (left, begin, left + line_px, end), colour)
        _fill(y, uv, (right - line_px, begin, right, end), colour)


def draw_label(y: U8, uv: U8, box_xyxy: list[int], text: str, colour: YCbCr, style: OverlayStyle) -> None:
    """Write a text on a strip of `colour` on top of a box; inside the box where there is no room above."""
    left, top, right, bottom = box_xyxy
    if right <= 0 or bottom <= 0 or left >= y.shape[1] or top >= y.shape[0]:
        return
    width, height = strip_size(text, style)
    strip_left = max(0, min(left, y.shape[1] - width))
    strip_top = top - height if top >= height else max(0, top)
    ink = style.ink if colour.y >= _DARK_INK_FROM_Y else style.paper
    write_text(y, uv, (strip_left, strip_top), text, (ink, colour), style)


def draw_status(y: U8, uv: U8, text: str, style: OverlayStyle) -> None:
    """Write light text on a dark strip in the lower left corner."""
    _, height = strip_size(text, style)
    write_text(y, uv, (0, max(0, y.shape[0] - height)), text, (style.paper, style.ink), style)


@lru_cache(maxsize=4096)
def _text_size(text: str, style: OverlayStyle) -> tuple[int, int, int]:
    (width, ascent), descent = cv2.getTextSize(text, _FONT, style.text_scale, style.text_px)
    return width, ascent, descent


def strip_size(text: str, style: OverlayStyle) -> tuple[int, int]:
    """Width and height of the strip that a text is written on."""
    width, ascent, descent = _text_size(text, style)
    return width + 2 * style.pad_px, ascent + descent + 2 * style.pad_px


def write_text(
    y: U8,
    uv: U8,
    left_top: tuple[int, int],
    text: str,
    ink_and_paper: tuple[YCbCr, YCbCr],
    style: OverlayStyle,
) -> None:
    """Write a text on a strip whose upper left corner is given."""
    left, top = left_top
    ink, paper = ink_and_paper
    width, height = strip_size(text, style)
    _fill(y, uv, (left, top, left + width, top + height), paper)
    baseline = top + style.pad_px + _text_size(text, style)[1]
    cv2.putText(
        y, text, (left + style.pad_px, baseline), _FONT, style.text_scale, ink.y, style.text_px, cv2.LINE_AA
    )


def _fill(y: U8, uv: U8, rect_xyxy: tuple[int, int, int, int], colour: YCbCr) -> None:
    """Fill a rectangle; every chroma sample that it touches takes the colour."""
    height, width = y.shape
    left, top = max(0, rect_xyxy[0]), max(0, rect_xyxy[1])
    right, bottom = min(width, rect_xyxy[2]), min(height, rect_xyxy[3])
    if right <= left or bottom <= top:
        return
    y[top:bottom, left:right] = colour.y
    uv[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2] = (colour.cb, colour.cr)
