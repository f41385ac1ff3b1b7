"""Pixels from the shapes in the engine's JSON lines: rings of polygons, and COCO run lengths.

A pixel is inside when its centre is, so that what was written from pixels gives these pixels again as far as the
form allows. Raises `ValueError` for what is no such shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from engine.types import I64, Bools


def polygon_pixels(parts: Sequence[Any], height: int, width: int) -> Bools:
    """bool (height, width) of a list of parts, each a list of closed rings [[x, y], …], filled by even-odd."""
    changes = np.zeros((height, width + 1), np.bool_)
    for part in parts:
        for ring in part:
            corners = np.array(ring, np.float64)
            if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
                raise ValueError("a ring of a polygon must be a list of [x, y]")
            for start, stop in pairwise(corners):
                _cross(changes, start.tolist(), stop.tolist())
    inside: Bools = np.logical_xor.accumulate(changes, axis=1)[:, :width]
    return inside


def _cross(changes: Bools, start: list[float], stop: list[float]) -> None:
    """Note the pixel from which on each row is on the other side of an edge."""
    (x, y), (x_end, y_end) = sorted((start, stop), key=lambda corner: corner[1])
    height, width = changes.shape[0], changes.shape[1] - 1
    rows = np.arange(max(0, int(np.ceil(y - 0.5))), min(height, int(np.ceil(y_end - 0.5))))
    if len(rows):
        crossings = x + (rows + 0.5 - y) * ((x_end - x) / (y_end - y))
        columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.intp)
        changes[rows, columns] ^= True


def run_length_pixels(rle: dict[str, Any]) -> Bools:
    """bool (height, width) of a COCO run length: `{"size": [height, width], "counts": text or list}`."""
    try:
        height, width = (int(length) for length in rle["size"])
        counts = rle["counts"]
    except (KeyError, TypeError) as error:
        raise ValueError("a run length must have `size` and `counts`") from error
    lengths = np.array(counts, np.int64) if isinstance(counts, list) else _unpacked(counts)
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(f"run lengths that do not add up to {height} × {width} pixels")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(width, height).T


def _unpacked(text: str) -> I64:
    """Lengths from COCO's text: five bits a character, lowest first; from the fourth on less the last but one."""
    lengths: list[int] = []
    value, shift = 0, 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value, shift = 0, 0
    return np.array(lengths, np.int64)
