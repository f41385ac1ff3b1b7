"""The fast kernels on the CPU, made of OpenCV calls. Same results as `kernels.reference`.

Sets no thread counts: the process that owns the cores does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, level_table
from kernels.letterbox import Letterbox

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
F64 = NDArray[np.float64]


def nv12_to_input(
    y: U8, uv: U8, letterbox: Letterbox, ycbcr_to_rgb: F32, pixels: PixelFormat, buffers: LetterboxBuffers
) -> None:
    """Resize, convert and normalise one NV12 frame into `buffers.target_chw`, padding included.

    y             uint8 (height, width), rows may be strided
    uv            uint8 (⌈height/2⌉, ⌈width/2⌉, 2)
    ycbcr_to_rgb  float32 (3, 4) from `kernels.colour.ycbcr_to_rgb`, in the model's channel order

    The planes are resized first and the small picture is converted. Luma is interpolated bilinearly, as these
    models were trained. Chroma goes straight to the size of the result: the sample that a pixel lies in where
    there are at least as many samples as pixels along both axes, bilinear where there are fewer.
    """
    size_wh = (letterbox.width, letterbox.height)
    luma, cb, cr = planes = buffers.planes(0, 3, letterbox)
    chroma = buffers.interleaved(3, 2, letterbox)
    ycbcr, rgb = buffers.interleaved(5, 3, letterbox), buffers.interleaved(8, 3, letterbox)
    # INTER_NEAREST_EXACT takes the sample that the centre of a pixel lies in.
    luma_mode = cv2.INTER_NEAREST_EXACT if letterbox.meets_pixels else cv2.INTER_LINEAR
    chroma_mode = cv2.INTER_NEAREST_EXACT if letterbox.chroma_is_finer else cv2.INTER_LINEAR
    cv2.resize(y, size_wh, dst=luma, interpolation=luma_mode)
    cv2.resize(uv, size_wh, dst=chroma, interpolation=chroma_mode)
    cv2.split(chroma, [cb, cr])
    cv2.merge(planes, dst=ycbcr)
    cv2.transform(ycbcr, ycbcr_to_rgb, dst=rgb)
    cv2.split(rgb, planes)
    _pad(letterbox, pixels, buffers)
    _normalise(planes, pixels, buffers.picture_chw(letterbox))


def _normalise(planes: list[U8], pixels: PixelFormat, target_chw: NDArray[Any]) -> None:
    """Planes of grey levels as what the model wants."""
    table: NDArray[Any] = level_table(pixels)
    if target_chw.dtype == np.float16:
        # OpenCV looks halves up as the 16 bits that they are.
        table, target_chw = table.astype(np.float16).view(np.uint16), target_chw.view(np.uint16)
    for plane, levels, target in zip(planes, table, target_chw, strict=True):
        cv2.LUT(plane, levels, dst=target)


def _pad(letterbox: Letterbox, pixels: PixelFormat, buffers: LetterboxBuffers) -> None:
    """Fill the area around the picture, unless it still is what this placement needs."""
    if buffers.padding == (letterbox, pixels):
        return
    if letterbox.padded:
        for target, levels in zip(buffers.target_chw, level_table(pixels), strict=True):
            target.fill(levels[pixels.pad])
    buffers.padding = (letterbox, pixels)


def decode_anchors(rows: F32, classes: int, confidence: float) -> tuple[F32, F32, I32, NDArray[np.intp]]:
    """(boxes_xyxy, scores, class_ids, columns) of the anchors whose best class has at least `confidence`.

    rows     float32 (4 + classes + any more, anchors): centre x, centre y, width, height, then class scores
    columns  which anchors these are, in rising order

    A score that is no number wins over every other and is kept, so that the caller can count it.
    """
    class_scores = rows[4 : 4 + classes]
    # Reducing over the outer axis reads memory in order; only the few columns that pass are looked at again.
    columns = np.flatnonzero(~(class_scores.max(axis=0) < np.float32(confidence)))
    chosen = class_scores[:, columns]
    centre, half = rows[:2, columns].T, rows[2:4, columns].T * np.float32(0.5)
    boxes_xyxy = np.concatenate([centre - half, centre + half], axis=1)
    return boxes_xyxy, chosen.max(axis=0), chosen.argmax(axis=0).astype(np.int32), columns


def boxes_to_source(boxes_xyxy: F32, letterbox: Letterbox) -> F32:
    """Boxes float32 (n, 4) in input pixels as boxes in source pixels, clipped to the picture."""
    scale_x, scale_y = letterbox.scale_xy
    shift = np.array([letterbox.left, letterbox.top] * 2, np.float32)
    scale = np.array([scale_x, scale_y] * 2, np.float32)
    limit = np.array([letterbox.source_width, letterbox.source_height] * 2, np.float32)
    moved = (boxes_xyxy - shift) * scale
    return np.clip(moved, np.float32(0.0), limit, out=moved)


def nms(boxes_xyxy: F32, scores: F32, class_ids: I32, iou: float) -> NDArray[np.intp]:
    """Indices of the boxes that stay, best score first; ties in their order.

    A box goes when it overlaps a better one that stays, of the same class, by more than `iou`. Boxes with a
    score of 0 or less go too.
    """
    if len(scores) < 2:
        return np.flatnonzero(scores > 0)
    boxes_xywh = boxes_xyxy.astype(np.float64)
    boxes_xywh[:, 2:] -= boxes_xywh[:, :2]
    # OpenCV keeps classes apart by moving their boxes by the largest coordinate: none may be negative.
    boxes_xywh[:, :2] -= boxes_xywh[:, :2].min(axis=0)
    # OpenCV's stubs ask for lists of numbers; it reads arrays, and those without a loop in Python.
    arrays: tuple[Any, Any, Any] = (boxes_xywh, scores, class_ids)
    kept = cv2.dnn.NMSBoxesBatched(*arrays, 0.0, iou)
    return np.asarray(kept, np.intp).reshape(-1)


def assemble_masks(
    prototypes_chw: F32, coefficients_nc: F32, boxes_xyxy: F32, sizes_hw: I32, input_wh: tuple[int, int]
) -> U8:
    """One grid of 0 and 1 for each box, one after the other in one array uint8 (Σ rows · columns,).

    prototypes_chw   float32 (c, height, width), laid over the model's input
    coefficients_nc  float32 (n, c)
    boxes_xyxy       float32 (n, 4) finite, left ≤ right, top ≤ bottom: what each grid covers, in input pixels
    sizes_hw         int32 (n, 2): rows and columns of each grid
    input_wh         width and height of the model's input

    A cell is 1 where sigmoid(coefficients · prototypes), interpolated bilinearly at the cell's centre, exceeds
    0.5. Pixel centres are at half-integers, edges are repeated; NaN gives 0.
    """
    channels, height, width = prototypes_chw.shape
    scale = np.array([width / input_wh[0], height / input_wh[1]] * 2)
    cells = sizes_hw.astype(np.int64).prod(axis=1)
    ends = np.cumsum(cells)
    grids = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    for coefficients, box, (rows, columns), count, end in zip(
        coefficients_nc, boxes_xyxy * scale, sizes_hw.tolist(), cells, ends, strict=True
    ):
        if not count:
            continue
        left, top, right, bottom = box.tolist()
        row_taps = _taps(_centres(top, bottom, rows), height)
        column_taps = _taps(_centres(left, right, columns), width)
        window = prototypes_chw[:, row_taps.window, column_taps.window]
        logits = coefficients @ np.ascontiguousarray(window).reshape(channels, -1)
        # sigmoid(x) = (1 + tanh(x / 2)) / 2, and shares add up to 1: 0.5 becomes 0.
        signs = np.tanh(logits * np.float32(0.5)).reshape(window.shape[1:])
        grids[end - count : end] = _exceeds(signs, row_taps, column_taps, 0.0).reshape(-1)
    return grids


def blend_mask(
    y: U8,
    uv: U8,
    grid: NDArray[np.bool_],
    rect_xyxy: tuple[float, float, float, float],
    ycbcr: tuple[int, int, int],
    opacity: float,
) -> None:
    """Mix a colour into an NV12 picture where the mask is set; in place.

    y, uv      uint8 (h, w) and (⌈h/2⌉, ⌈w/2⌉, 2); rows may be strided
    grid       bool (rows, columns): the mask, laid over the rectangle
    rect_xyxy  finite, left ≤ right, top ≤ bottom, in pixels of the picture; what lies outside the picture is cut off
    ycbcr      the colour in the picture's own matrix and range
    opacity    0..1: share of the colour

    A pixel belongs to the mask where its centre lies in the rectangle and the grid, interpolated bilinearly at
    that centre (cell centres at half-integers, edges repeated), exceeds 0.5. A chroma sample stands for the
    square of two by two pixels.
    """
    if not grid.size:
        return
    luma, cb, cr = ycbcr
    for plane, scale, colour in ((y[:, :, None], 1.0, (luma,)), (uv, 0.5, (cb, cr))):
        left, top, right, bottom = (edge * scale for edge in rect_xyxy)
        rows, columns = covered(top, bottom, plane.shape[0]), covered(left, right, plane.shape[1])
        if not (len(rows) and len(columns)):
            continue
        picture = plane[rows.start : rows.stop, columns.start : columns.stop]
        row_taps = _taps(_positions(rows, top, bottom, grid.shape[0]), grid.shape[0])
        column_taps = _taps(_positions(columns, left, right, grid.shape[1]), grid.shape[1])
        part = grid[row_taps.window, column_taps.window].astype(np.float32)
        inside = _exceeds(part, row_taps, column_taps, 0.5).view(np.uint8)
        cv2.copyTo(cv2.LUT(picture, _blend_table(colour, opacity)), inside, dst=picture)


def _blend_table(colour: tuple[int, ...], opacity: float) -> U8:
    """uint8 (1, 256, channels): each level mixed with the colour."""
    levels = np.arange(256.0)[:, None]
    table: U8 = np.rint(levels + (np.array(colour) - levels) * opacity).astype(np.uint8)
    return table[None]


def _centres(start: float, stop: float, count: int) -> F64:
    """Centres of `count` cells between two edges."""
    return start + (np.arange(count, dtype=np.float64) + 0.5) * ((stop - start) / count)


def covered(start: float, stop: float, length: int) -> range:
    """The pixels whose centre lies between two edges, inside the picture."""
    return range(max(0, math.ceil(start - 0.5)), min(length, math.ceil(stop - 0.5)))


def _positions(pixels: range, start: float, stop: float, cells: int) -> F64:
    """Where in a row of cells between two edges the centres of these pixels lie."""
    return (np.arange(pixels.start, pixels.stop, dtype=np.float64) + (0.5 - start)) * (cells / (stop - start))


@dataclass(frozen=True, slots=True)
class _Taps:
    """Bilinear interpolation along one axis as a matrix.

    window  the cells that are used
    first   which of these is the first neighbour of each position
    shares  float32 (positions, cells used): the share of each cell
    """

    window: slice
    first: NDArray[np.intp]
    shares: F32


def _taps(positions: F64, length: int) -> _Taps:
    """Neighbours of rising positions on an axis of `length` cells with edges at 0 and `length`, both repeated."""
    inside = np.clip(positions - 0.5, 0, length - 1)
    first = inside.astype(np.intp)
    share = (inside - first).astype(np.float32)
    start, stop = int(first[0]), min(int(first[-1]) + 2, length)
    first -= start
    shares = np.zeros((len(first), stop - start), np.float32)
    index = np.arange(len(first))
    shares[index, first] = 1 - share
    shares[index, np.minimum(first + 1, stop - start - 1)] += share
    return _Taps(slice(start, stop), first, shares)


_BLOCK = 64
"""Positions interpolated at a time: their part of the shares is a narrow band, and the result stays in the cache."""


def _bands(taps: _Taps) -> Iterator[tuple[slice, slice]]:
    """Blocks of positions, and which of the used cells each needs."""
    for start in range(0, len(taps.first), _BLOCK):
        block = slice(start, start + _BLOCK)
        first = taps.first[block]
        yield block, slice(int(first[0]), int(first[-1]) + 2)


def _exceeds(values: F32, rows: _Taps, columns: _Taps, threshold: float) -> NDArray[np.bool_]:
    """Where values (cells, cells), interpolated at every row and column position, exceed a threshold."""
    wide = np.empty((len(values), len(columns.first)), np.float32)
    for block, band in _bands(columns):
        wide[:, block] = values[:, band] @ columns.shares[block, band].T
    above = np.empty((len(rows.first), len(columns.first)), np.bool_)
    for block, band in _bands(rows):
        np.greater(rows.shares[block, band] @ wide[band], threshold, out=above[block])
    return above
