"""Masks as other programs want them: pixels of the whole picture, polygons with holes, COCO run lengths.

A mask is a coarse grid over a rectangle. What lies between cell centres is interpolated bilinearly, and more
than one half is inside; beyond the outer centres the outer cells go on up to the edge of the rectangle. The
overlay paints the same pixels. Does not know which objects the masks belong to.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.types import I64, U8, Bools, Masks, MaskSource
from kernels import cpu as kernels

F64 = NDArray[np.float64]
Ring = list[list[float]]
"""[[x, y], …] in source pixels; the last point is the first one again."""

LARGEST_DEVIATION_CELLS = 0.4
"""How far a simplified outline may be from the exact one: the grid itself says no more than which side of a
cell's centre the object ends at. Half a cell would turn the sides of a square towards its cut-off corners."""

_NO_AREA_PX = 0.004
"""Less than the smallest triangle with corners at tenths of a pixel: a sum that is zero but for rounding."""

_NO_CHROMA = np.empty((0, 0, 2), np.uint8)


def full_size(masks: Masks, index: int, width: int, height: int) -> Bools:
    """bool (height, width): the pixels of a picture of this size whose centres lie inside of the object."""
    picture = np.zeros((height, width), np.bool_)
    left, top, crop = _crop(masks, index, width, height)
    picture[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return picture


def multi_polygon(masks: Masks, index: int, width: int, height: int) -> list[list[Ring]]:
    """The separate parts of an object, each its outer ring and then those of its holes, in source pixels to 0.1.

    These are the `coordinates` of a GeoJSON MultiPolygon (RFC 7946, section 3.1.7): rings are closed; outer ones
    have a positive area by the shoelace formula, holes a negative one. Even-odd and non-zero filling give the same.
    The line where the interpolated grid is one half crosses each edge between a set and an empty cell in the middle
    between their centres; these crossings are joined and then thinned out (Douglas and Peucker) to what the grid
    is worth.
    """
    grid = masks.grid(index)
    left_top, right_bottom = masks.rects_xyxy[index].astype(np.float64).reshape(2, 2)
    if not grid.any() or not (right_bottom > left_top).all():
        return []
    cell_wh = (right_bottom - left_top) / (grid.shape[1], grid.shape[0])
    border_cells = (-left_top / cell_wh, ((width, height) - left_top) / cell_wh)

    def ring(outline: F64) -> F64:
        # Cut off before points are left out: between two far ones an edge would miss the picture's corner.
        cut = np.clip(outline, *border_cells)
        points_cells = _thinned(cut, _meets_border(cut, *border_cells))
        points_xy: F64 = (points_cells * cell_wh + left_top).clip(0.0, (width, height)).round(1)
        return points_xy

    parts = []
    for outer, holes in _outlines(grid):
        outer_xy = ring(outer)
        if _area(outer_xy) > _NO_AREA_PX:
            holes_xy = [hole_xy for hole in holes if _area(hole_xy := ring(hole)) < -_NO_AREA_PX]
            parts.append([_closed(points_xy) for points_xy in (outer_xy, *holes_xy)])
    return parts


def coco_rle(masks: Masks, index: int, width: int, height: int) -> dict[str, Any]:
    """`{"size": [height, width], "counts": text}`: the pixels of `full_size` as COCO's compressed run lengths."""
    # Only for those who ask for it: nobody else waits for the import.
    from pycocotools import mask as coco

    left, top, crop = _crop(masks, index, width, height)
    counts = _run_lengths(crop, left, top, width, height)
    packed = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def from_coco_rle(rle: Mapping[str, Any], width: int, height: int) -> Bools:
    """bool (height, width): the picture that COCO's compressed run lengths stand for.

    For text from anywhere. Raises `ValueError` where it is damaged or of a picture of another size.
    """
    if list(rle["size"]) != [height, width]:
        raise ValueError(
            f"run lengths are of a picture of {rle['size']} (height, width), not {[height, width]}"
        )
    lengths: list[int] = []
    for difference in _numbers(rle["counts"]):
        # From the fourth on, COCO writes by how much a run differs from the one before the last.
        lengths.append(difference + (lengths[-2] if len(lengths) > 2 else 0))
        if not 0 <= lengths[-1] <= width * height:
            raise ValueError("run lengths are damaged: one is negative or longer than the picture")
    if sum(lengths) != width * height:
        raise ValueError(f"run lengths are damaged: {sum(lengths)} pixels of {width * height}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, lengths).reshape(width, height).T)


MASK_FORMATS: dict[str, tuple[str, Callable[[Masks, int, int, int], object]]] = {
    "polygon": ("polygon", multi_polygon),
    "rle": ("mask", coco_rle),
}
"""What `output.masks` may name, besides `none`: the key in a record, and what makes its value for JSON of
(masks, index, width, height)."""


def mask_fields(
    masks: Masks, object_ids: Sequence[int], size_wh: tuple[int, int], mask_format: str
) -> list[dict[str, Any]]:
    """What a record says of the mask of each object: its shape in the named format, identity, age, source, confidence.

    All null for an object without a mask; `mask_id` also for one that has none yet (id 0).
    """
    key, converted = MASK_FORMATS[mask_format]
    fields: list[dict[str, Any]] = []
    for index, (object_id, present) in enumerate(zip(object_ids, masks.present().tolist(), strict=True)):
        if not present:
            names = ("mask_id", key, "mask_age_ms", "mask_source", "mask_confidence")
            fields.append(dict.fromkeys(names))
            continue
        fields.append({
            "mask_id": object_id or None,
            key: converted(masks, index, *size_wh),
            "mask_age_ms": round(float(masks.ages_ms[index]), 1),
            "mask_source": MaskSource(masks.sources[index]).name.lower(),
            "mask_confidence": round(float(masks.confidences[index]), 3),
        })  # fmt: skip
    return fields


def _crop(masks: Masks, index: int, width: int, height: int) -> tuple[int, int, Bools]:
    """(left, top, bool (rows, columns)): the pixels of the part of the picture that the rectangle touches."""
    rect = masks.rects_xyxy[index].tolist()
    left, right = (min(max(edge, 0), width) for edge in (math.floor(rect[0]), math.ceil(rect[2])))
    top, bottom = (min(max(edge, 0), height) for edge in (math.floor(rect[1]), math.ceil(rect[3])))
    inside: U8 = np.zeros((max(0, bottom - top), max(0, right - left)), np.uint8)
    moved = (rect[0] - left, rect[1] - top, rect[2] - left, rect[3] - top)
    kernels.blend_mask(inside, _NO_CHROMA, masks.grid(index), moved, (1, 0, 0), 1.0)
    return left, top, inside.view(np.bool_)


def _outlines(grid: Bools) -> Iterator[tuple[F64, list[F64]]]:
    """(outer outline, outlines of its holes) of each part of a grid: (points, 2), in cells from its left upper corner.

    Cells that touch at a corner are one part.
    """
    # Twice as large, a cell has a pixel in each corner, so that a line through pixels tells which corners it
    # passes; a line through cells would run through their centres and cut off half a cell all round.
    doubled = grid.view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outlines = [_crossings(contour.reshape(-1, 2), (grid.shape[1], grid.shape[0])) for contour in contours]
    parents = np.asarray(hierarchy).reshape(-1, 4)[:, 3].tolist()
    holes: dict[int, list[F64]] = {index: [] for index, parent in enumerate(parents) if parent < 0}
    for outline, parent in zip(outlines, parents, strict=True):
        if parent >= 0:
            holes[parent].append(outline)
    for index, inner in holes.items():
        yield outlines[index], inner


def _crossings(contour: NDArray[Any], size_wh: tuple[int, int]) -> F64:
    """(points, 2): where the outline crosses from cell to cell, of a contour of the doubled grid."""
    # OpenCV goes round the other way than GeoJSON.
    corners = (contour[::-1] + 1) // 2
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    crossings = (corners + np.roll(corners, -1, axis=0)) / 2
    points = np.stack((corners, crossings), axis=1).reshape(-1, 2)
    # On the edge of the grid there is no outer cell to interpolate with: the outline keeps its corners.
    kept = np.ones((len(corners), 2), np.bool_)
    kept[:, 0] = ((corners == 0) | (corners == size_wh)).any(axis=1)
    outline: F64 = points[kept.reshape(-1)]
    return outline


def _meets_border(outline: F64, low: F64, high: F64) -> I64:
    """Which points of a cut outline lie on the picture's border beside one that does not: there its edge begins."""
    on_border = ((outline <= low) | (outline >= high)).any(axis=1)
    inner = ~on_border
    return np.flatnonzero(on_border & (np.roll(inner, 1) | np.roll(inner, -1)))


def _thinned(outline: F64, kept: I64) -> F64:
    """The outline with fewer points; `kept` are the numbers of those that stay in any case."""
    points = outline.astype(np.float32)
    if not len(kept):
        thinned = cv2.approxPolyDP(points, LARGEST_DEVIATION_CELLS, True).reshape(-1, 2)
    else:
        points = np.roll(points, -kept[0], axis=0)
        ends = np.append(kept - kept[0], len(points))
        around = np.concatenate((points, points[:1]))
        chains = [around[begin : end + 1] for begin, end in itertools.pairwise(ends)]
        thinned = np.concatenate(
            [cv2.approxPolyDP(chain, LARGEST_DEVIATION_CELLS, False).reshape(-1, 2)[:-1] for chain in chains]
        )
    return thinned.astype(np.float64) if len(thinned) > 2 else outline


def _closed(points_xy: F64) -> Ring:
    points: Ring = points_xy.tolist()
    return [*points, points[0]]


def _area(points_xy: F64) -> float:
    x, y = points_xy[:, 0], points_xy[:, 1]
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _run_lengths(crop: Bools, left: int, top: int, width: int, height: int) -> I64:
    """Lengths of empty and set runs in turn, empty first, down the columns of the whole picture."""
    columns = np.zeros((crop.shape[1], crop.shape[0] + 2), np.bool_)
    columns[:, 1:-1] = crop.T
    changes = np.flatnonzero(columns[:, 1:] != columns[:, :-1])
    column, row = np.divmod(changes, crop.shape[0] + 1)
    edges = (left + column) * height + top + row
    # Where a column is set down to the last row and the next one from the first, the run goes on.
    joints = np.flatnonzero(edges[1:] == edges[:-1])
    edges = np.delete(edges, np.concatenate((joints, joints + 1)))
    lengths: I64 = np.diff(edges, prepend=0, append=width * height)
    return lengths if lengths[-1] else lengths[:-1]


def _numbers(text: str) -> Iterator[int]:
    """The numbers in COCO's text: five bits a letter, lowest first, a sixth: it goes on; the highest is the sign."""
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("run lengths are damaged: letters that COCO does not write")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            yield value - (1 << shift) if bits & 16 else value
            value = shift = 0
    if shift:
        raise ValueError("run lengths are damaged: they end in the middle of a number")
