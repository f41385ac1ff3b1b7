"""What people look like by the colours of their clothes, without a network: soft histograms of four bands of the body.

Knows pixels of an NV12 frame inside boxes. Does not know tracks, nor who is who: its vectors are embeddings like those
of a network, and are compared as such (`appearance`).

Of each band of a box, from the shoulders to the shins, `ROWS` × `COLUMNS` points of the middle are read, where there is
least background. A band is the square root of its histogram, of chroma (`CHROMA_BINS`² bins) and, at half the weight,
of luma, so that the cosine of two vectors is the mean Bhattacharyya coefficient of their bands (Bhattacharyya, 1943).
Values are shared out linearly between neighbouring bins: a little more light changes a vector a little.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.types import F32, Bools, FrameNv12

F64 = NDArray[np.float64]

BANDS = ((0.14, 0.34), (0.30, 0.50), (0.50, 0.70), (0.68, 0.90))
"""From where to where in the height of a box: shoulders and chest, waist, thighs, shins."""
ROWS, COLUMNS = 10, 8
"""Points that are read of a band."""
MIDDLE = 0.28
"""Share of the width of a box that is read: the rest is arms and background."""
CHROMA_BINS, LUMA_BINS = 9, 8
CHROMA = (88.0, 168.0)
"""Cb and Cr of the outermost bins; what is more colourful counts there. Clothes seldom are."""
LUMA = (20.0, 235.0)
LUMA_WEIGHT = 0.5
LEAST_SEEN = 0.25
"""Share of each band that has to be seen for a box to be compared."""
CLEAR = 0.9
"""Share of all points that has to be seen for what a track looks like to be learnt from a box."""
BORDER_PX = 2.0
"""A box that ends so near the upper or lower border of the picture is cut there, and its bands are those of others."""
DIMS = len(BANDS) * (CHROMA_BINS**2 + LUMA_BINS)
POINTS = len(BANDS) * ROWS * COLUMNS


class Colours(NamedTuple):
    """Of m boxes.

    vectors  float32 (m, DIMS): of length 1, zeros where too little is seen
    seen     bool (m,): which have one
    clear    bool (m,): which are seen whole, so that it is theirs alone
    """

    vectors: F32
    seen: Bools
    clear: Bools


def describe(frame: FrameNv12, boxes_xyxy: F64, overlap: F64) -> Colours:
    """The colours inside boxes (m, 4) in pixels; `overlap` (m, m) is of each with each.

    Of two boxes that overlap the one that reaches further down is nearer: what it covers is not read of the other.
    """
    x, y = _points(boxes_xyxy)
    height, width = frame.y.shape
    read = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    bottoms = boxes_xyxy[:, 3]
    for hidden, nearer in np.argwhere((overlap > 0) & (bottoms[:, None] < bottoms)).tolist():
        left, top, right, bottom = boxes_xyxy[nearer]
        read[hidden] &= (x[hidden] < left) | (x[hidden] > right) | (y[hidden] < top) | (y[hidden] > bottom)
    bands = read.reshape(len(boxes_xyxy), len(BANDS), ROWS * COLUMNS)
    seen = (bands.mean(axis=2) >= LEAST_SEEN).all(axis=1)
    inside = boxes_xyxy[:, 1] > BORDER_PX
    inside &= boxes_xyxy[:, 3] < height - BORDER_PX
    vectors = np.zeros((len(boxes_xyxy), DIMS), np.float32)
    if seen.any():
        vectors[seen] = _vectors(frame, x[seen], y[seen], bands[seen])
    return Colours(vectors, seen, seen & inside & (read.mean(axis=1) >= CLEAR))


def _points(boxes_xyxy: F64) -> tuple[F64, F64]:
    """x and y (m, POINTS) of what is read, band by band."""
    across = 0.5 + MIDDLE * ((np.arange(COLUMNS) + 0.5) / COLUMNS - 0.5)
    down = np.concatenate([low + (high - low) * (np.arange(ROWS) + 0.5) / ROWS for low, high in BANDS])
    left, top, right, bottom = boxes_xyxy.T[..., None]
    x, y = left + (right - left) * np.tile(across, len(down)), top + (bottom - top) * np.repeat(down, COLUMNS)
    return x, y


def _vectors(frame: FrameNv12, x: F64, y: F64, read: Bools) -> F32:
    """(k, DIMS) of points (k, POINTS), those of them that are `read` (k, bands, points of a band)."""
    count = len(x)
    column, row = np.where(read.reshape(x.shape), (x, y), 0).astype(np.intp)
    luma = frame.y[row, column]
    chroma = frame.uv[row // 2, column // 2]
    weight = (read / read.sum(axis=2, keepdims=True)).ravel()
    band = np.repeat(np.arange(count * len(BANDS)), ROWS * COLUMNS)
    blue, blue_share = _places(chroma[..., 0].ravel(), CHROMA, CHROMA_BINS)
    red, red_share = _places(chroma[..., 1].ravel(), CHROMA, CHROMA_BINS)
    size = CHROMA_BINS**2
    first = band * size + blue * CHROMA_BINS + red
    colours = np.zeros(count * len(BANDS) * size)
    for step, share in (
        (0, (1 - blue_share) * (1 - red_share)),
        (1, (1 - blue_share) * red_share),
        (CHROMA_BINS, blue_share * (1 - red_share)),
        (CHROMA_BINS + 1, blue_share * red_share),
    ):
        colours += np.bincount(first + step, weight * share, len(colours))
    light, light_share = _places(luma.ravel(), LUMA, LUMA_BINS)
    first = band * LUMA_BINS + light
    lights = np.bincount(first, weight * (1 - light_share), count * len(BANDS) * LUMA_BINS)
    lights += np.bincount(first + 1, weight * light_share, len(lights))
    bands = (colours.reshape(count, len(BANDS), -1), LUMA_WEIGHT * lights.reshape(count, len(BANDS), -1))
    whole = np.sqrt(np.concatenate(bands, axis=2).reshape(count, DIMS))
    vectors: F32 = (whole / np.linalg.norm(whole, axis=1, keepdims=True)).astype(np.float32)
    return vectors


def _places(values: NDArray[np.uint8], ends: tuple[float, float], bins: int) -> tuple[NDArray[np.intp], F64]:
    """The lower of the two bins between which values (n,) lie, and the share of the upper one."""
    place = np.clip((values - ends[0]) * ((bins - 1) / (ends[1] - ends[0])), 0, bins - 1)
    lower = np.minimum(place.astype(np.intp), bins - 2)
    return lower, place - lower
