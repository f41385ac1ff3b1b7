"""Masks drawn on NV12 planes in place: tinted, as outlines, and as the opposite of what is darkened or pixelated.

A mask travels as a small grid of bits. To be looked at it is laid over whole pixels, at most half a sample beside
its exact place, which is what makes it cheap; where exactness counts, `kernels.cpu.blend_mask` is the measure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

from engine.outputs.overlay_style import OverlayStyle, YCbCr
from engine.types import F32, U8, Masks, Tracks
from kernels import cpu as kernels

_FRESH_OPACITY, _MOVED_OPACITY, _OLD_OPACITY = 0.4, 0.28, 0.14
_OLD_FROM_MS = 1000.0
_DIMMED = 0.35
"""What is left of the brightness of that which is no object."""
_DIMMED_COLOUR = 0.5
_SMALL_PX = 48
"""Below so many pixels a side half a sample is something to be seen, and exactness costs nothing."""
_CELLS_ACROSS = 6
"""Squares across the shorter side of a box that is pixelated: a head is one or two of them."""
_HIDDEN_MARGIN = 0.08
"""What is hidden besides the box, as a share of its sides: a detector's box may cut a head off."""


class Covered(NamedTuple):
    """A part of one plane and which of its samples a mask covers.

    rows, columns  the part
    inside         uint8 (rows, columns), not 0 where covered
    """

    rows: slice
    columns: slice
    inside: U8


def covered(
    grid: U8, rect_xyxy: tuple[float, ...], shape_hw: tuple[int, int], scale: float
) -> Covered | None:
    """Where a mask lies on a plane; None where it covers nothing of it.

    grid      uint8 (rows, columns) of 0 and 255, over the rectangle
    shape_hw  rows and columns of the plane
    scale     samples a pixel: 1 for luma, 0.5 for chroma
    """
    left, top, right, bottom = (edge * scale for edge in rect_xyxy)
    first_x, first_y = math.floor(left + 0.5), math.floor(top + 0.5)
    width, height = math.floor(right + 0.5) - first_x, math.floor(bottom + 0.5) - first_y
    whole = (
        first_x >= 0 and first_y >= 0 and first_x + width <= shape_hw[1] and first_y + height <= shape_hw[0]
    )
    if not whole or min(width, height) < _SMALL_PX * scale:
        return _exactly_covered(grid, (left, top, right, bottom), shape_hw)
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    inside = cv2.threshold(smooth, 127, 255, cv2.THRESH_BINARY, dst=smooth)[1]
    return Covered(
        slice(first_y, first_y + height), slice(first_x, first_x + width), np.asarray(inside, np.uint8)
    )


def _exactly_covered(
    grid: U8, rect_xyxy: tuple[float, float, float, float], shape_hw: tuple[int, int]
) -> Covered | None:
    left, top, right, bottom = rect_xyxy
    rows = kernels.covered(top, bottom, shape_hw[0])
    columns = kernels.covered(left, right, shape_hw[1])
    if not (len(rows) and len(columns)):
        return None
    inside = np.zeros((len(rows), len(columns)), np.uint8)
    moved = (left - columns.start, top - rows.start, right - columns.start, bottom - rows.start)
    kernels.blend_mask(inside, _NO_CHROMA, grid > 0, moved, (255, 0, 0), 1.0)
    return Covered(slice(rows.start, rows.stop), slice(columns.start, columns.stop), inside)


_NO_CHROMA: U8 = np.zeros((0, 0, 2), np.uint8)


def grids_of(masks: Masks) -> Iterator[tuple[int, U8, tuple[float, ...]]]:
    """Place among the objects, grid of 0 and 255 and rectangle of every mask that is there, large ones first."""
    sides = masks.rects_xyxy[:, 2:] - masks.rects_xyxy[:, :2]
    present, rects = masks.present().tolist(), masks.rects_xyxy.tolist()
    starts = (np.cumsum(masks.grid_bytes()) - masks.grid_bytes()).tolist()
    sizes = masks.sizes_hw.tolist()
    for index in np.argsort(-sides.prod(axis=1), kind="stable").tolist():
        if present[index]:
            rows, columns = sizes[index]
            cells, start = rows * columns, starts[index]
            bits = np.unpackbits(masks.bits[start : start + (cells + 7) // 8], count=cells)
            yield index, np.negative(bits).reshape(rows, columns), tuple(rects[index])


def draw_masks(y: U8, uv: U8, tracks: Tracks, style: OverlayStyle) -> None:
    """Tint what each object covers in the colour of its box; small objects over large ones.

    A mask that was computed on this frame shows most; one that was moved here is lighter, and pales with its age.
    """
    masks = tracks.masks
    if masks is None:
        return
    opacities, track_ids = mask_opacities(masks.ages_ms), tracks.track_ids.tolist()
    for index, grid, rect in grids_of(masks):
        colour, opacity = style.colour_of(track_ids[index]), opacities[index]
        if (part := covered(grid, rect, y.shape, 1.0)) is not None:
            tint_luma(y[part.rows, part.columns], part.inside, colour, opacity)
        if (part := covered(grid, rect, uv.shape[:2], 0.5)) is not None:
            tint_chroma(uv[part.rows, part.columns], part.inside, colour, opacity)


def tint_luma(picture: U8, inside: U8, colour: YCbCr, opacity: float) -> None:
    """Mix a colour into a part of the Y plane where `inside` is not 0."""
    mixed = cv2.convertScaleAbs(picture, alpha=1.0 - opacity, beta=colour.y * opacity)
    cv2.copyTo(mixed, inside, dst=picture)


def tint_chroma(picture: U8, inside: U8, colour: YCbCr, opacity: float) -> None:
    """Mix a colour into a part of the UV plane where `inside` is not 0."""
    levels = np.arange(256, dtype=np.float32)[:, None]
    target = np.array(colour[1:], np.float32)
    table = np.rint(levels + (target - levels) * np.float32(opacity)).astype(np.uint8)
    cv2.copyTo(cv2.LUT(picture, table[None]), inside, dst=picture)


def mask_opacities(ages_ms: F32) -> list[float]:
    """How much of its colour a mask of each age shows, 0..1: a clear step down from age 0, then less and less."""
    paled = np.minimum(ages_ms.astype(np.float64) / _OLD_FROM_MS, 1.0)
    moved = _MOVED_OPACITY + paled * (_OLD_OPACITY - _MOVED_OPACITY)
    opacities: list[float] = np.where(ages_ms > 0, moved, _FRESH_OPACITY).tolist()
    return opacities


def draw_outlines(y: U8, uv: U8, tracks: Tracks, style: OverlayStyle) -> set[int]:
    """Draw the outline of each mask; returns the places of the objects that had one."""
    drawn: set[int] = set()
    if tracks.masks is None:
        return drawn
    track_ids = tracks.track_ids.tolist()
    for index, grid, rect in grids_of(tracks.masks):
        part = covered(grid, rect, y.shape, 1.0)
        if part is None:
            continue
        colour, offset = style.colour_of(track_ids[index]), (part.columns.start, part.rows.start)
        line_px = style.line_px if track_ids[index] else style.thin_px
        outlines, _ = cv2.findContours(part.inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=offset)
        cv2.polylines(y, outlines, True, colour.y, line_px)
        halved = [outline // 2 for outline in outlines]
        cv2.polylines(uv, halved, True, (colour.cb, colour.cr), max(1, line_px // 2))
        drawn.add(index)
    return drawn


def dim_surroundings(y: U8, uv: U8, tracks: Tracks) -> None:
    """Darken what is no object: neither inside of a mask, nor in the box of an object that has none."""
    for plane, scale in ((y, 1.0), (uv, 0.5)):
        inside = np.zeros(plane.shape[:2], np.uint8)
        masked: set[int] = set()
        for index, grid, rect in grids_of(tracks.masks) if tracks.masks is not None else ():
            masked.add(index)
            if (part := covered(grid, rect, plane.shape[:2], scale)) is not None:
                target = inside[part.rows, part.columns]
                cv2.bitwise_or(target, part.inside, dst=target)
        for index, box in enumerate((tracks.boxes_xyxy * scale).round().astype(int).clip(0).tolist()):
            if index not in masked:
                inside[box[1] : box[3], box[0] : box[2]] = 255
        dark = (
            cv2.convertScaleAbs(plane, alpha=_DIMMED)
            if scale == 1.0
            else cv2.convertScaleAbs(plane, alpha=_DIMMED_COLOUR, beta=128 * (1 - _DIMMED_COLOUR))
        )
        cv2.copyTo(dark, cv2.bitwise_not(inside), dst=plane)


def pixelate(y: U8, uv: U8, boxes_xyxy: Iterable[list[float]]) -> None:
    """Replace what lies in these boxes, and a little more, by a few squares."""
    for left, top, right, bottom in boxes_xyxy:
        margin_x, margin_y = _HIDDEN_MARGIN * (right - left), _HIDDEN_MARGIN * (bottom - top)
        edges = (left - margin_x, top - margin_y, right + margin_x, bottom + margin_y)
        cell_px = max(4.0, min(right - left, bottom - top) / _CELLS_ACROSS)
        for plane, scale in ((y, 1.0), (uv, 0.5)):
            first_x, first_y = (max(0, math.floor(edge * scale)) for edge in edges[:2])
            last_x = min(plane.shape[1], math.ceil(edges[2] * scale))
            last_y = min(plane.shape[0], math.ceil(edges[3] * scale))
            if last_x <= first_x or last_y <= first_y:
                continue
            part = plane[first_y:last_y, first_x:last_x]
            size_wh = (last_x - first_x, last_y - first_y)
            cells_wh = (math.ceil(size_wh[0] / (cell_px * scale)), math.ceil(size_wh[1] / (cell_px * scale)))
            coarse = cv2.resize(part, cells_wh, interpolation=cv2.INTER_AREA)
            part[:] = cv2.resize(coarse, size_wh, interpolation=cv2.INTER_NEAREST).reshape(part.shape)
