"""Boxes, corners, dots and texts drawn on NV12 planes in place. What reaches over the border is cut off."""

from __future__ import annotations

from functools import lru_cache

import cv2

from engine.outputs.overlay_style import OverlayStyle, YCbCr
from engine.types import U8

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_DARK_INK_FROM_Y = 115
_CORNER_SHARE = 0.25
"""Length of a corner, as a share of the shorter side of its box."""


def draw_box(y: U8, uv: U8, box_xyxy: list[int], colour: YCbCr, line_px: int) -> None:
    """Draw the outline of a box, the line inside of it."""
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
        fill(y, uv, strip, colour)


def draw_corners(y: U8, uv: U8, box_xyxy: list[int], colour: YCbCr, line_px: int) -> None:
    """Draw the corners of a box, the lines inside of it."""
    left, top, right, bottom = box_xyxy
    if right <= left or bottom <= top:
        return
    length = max(line_px, round(_CORNER_SHARE * min(right - left, bottom - top)))
    for start, end in ((left, min(left + length, right)), (max(right - length, left), right)):
        fill(y, uv, (start, top, end, min(top + line_px, bottom)), colour)
        fill(y, uv, (start, max(bottom - line_px, top), end, bottom), colour)
    for start, end in ((top, min(top + length, bottom)), (max(bottom - length, top), bottom)):
        fill(y, uv, (left, start, min(left + line_px, right), end), colour)
        fill(y, uv, (max(right - line_px, left), start, right, end), colour)


def draw_dashed_box(y: U8, uv: U8, box_xyxy: list[int], colour: YCbCr, style: OverlayStyle) -> None:
    """Draw the outline of a box in dashes: of an object that is expected there and not seen."""
    left, top, right, bottom = box_xyxy
    if right <= left or bottom <= top:
        return
    line_px, dash_px = style.line_px, 4 * style.line_px
    # What lies outside of the frame costs nothing, however far a box reaches.
    for start in range(max(left, -dash_px) // (2 * dash_px), min(right, y.shape[1]) // (2 * dash_px) + 1):
        begin, end = max(left, 2 * dash_px * start), min(right, 2 * dash_px * start + dash_px)
        fill(y, uv, (begin, top, end, top + line_px), colour)
        fill(y, uv, (begin, bottom - line_px, end, bottom), colour)
    for start in range(max(top, -dash_px) // (2 * dash_px), min(bottom, y.shape[0]) // (2 * dash_px) + 1):
        begin, end = max(top, 2 * dash_px * start), min(bottom, 2 * dash_px * start + dash_px)
        fill(y, uv, (left, begin, left + line_px, end), colour)
        fill(y, uv, (right - line_px, begin, right, end), colour)


def draw_dot(y: U8, uv: U8, point_xy: tuple[int, int], colour: YCbCr, radius_px: int) -> None:
    """Draw a filled circle."""
    x, row = point_xy
    reach = 2 * radius_px
    if not (-reach < x < y.shape[1] + reach and -reach < row < y.shape[0] + reach):
        return  # OpenCV's coordinates have 16 bits
    cv2.circle(y, (x, row), radius_px, colour.y, cv2.FILLED)
    cv2.circle(uv, (x // 2, row // 2), max(1, radius_px // 2), (colour.cb, colour.cr), cv2.FILLED)


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
    fill(y, uv, (left, top, left + width, top + height), paper)
    baseline = top + style.pad_px + _text_size(text, style)[1]
    cv2.putText(
        y, text, (left + style.pad_px, baseline), _FONT, style.text_scale, ink.y, style.text_px, cv2.LINE_AA
    )


def fill(y: U8, uv: U8, rect_xyxy: tuple[int, int, int, int], colour: YCbCr) -> None:
    """Fill a rectangle; every chroma sample that it touches takes the colour."""
    height, width = y.shape
    left, top = max(0, rect_xyxy[0]), max(0, rect_xyxy[1])
    right, bottom = min(width, rect_xyxy[2]), min(height, rect_xyxy[3])
    if right <= left or bottom <= top:
        return
    y[top:bottom, left:right] = colour.y
    uv[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2] = (colour.cb, colour.cr)
