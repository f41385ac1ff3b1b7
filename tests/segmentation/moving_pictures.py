"""Made-up scenes for moving masks: a patterned thing on a patterned ground, with its true mask and box."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from engine.types import F32, U8, Bools, Detections, FrameFlag, FrameMeta, FrameNv12, Masks, Tracks

WIDTH, HEIGHT = 640, 360


def pattern(seed: int, height: int = HEIGHT, width: int = WIDTH) -> U8:
    """Noise with structure of all sizes, the large ones stronger, as in pictures of real things."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    for size in (1.5, 3.0, 6.0, 12.0, 24.0):
        noise = cv2.GaussianBlur(random.random((height, width)).astype(np.float32), (0, 0), size)
        total += (noise - noise.mean()) / noise.std()
    return np.clip(128 + total * 22, 0, 255).astype(np.uint8)


class Thing:
    """An ellipse with its own pattern, placed anywhere by an affine matrix from its own 100 × 60 pixels."""

    def __init__(self, seed: int = 7) -> None:
        y, x = np.mgrid[:60, :100]
        self.mask = (((x + 0.5 - 50) / 50) ** 2 + ((y + 0.5 - 30) / 30) ** 2 < 1).astype(np.uint8)
        self.picture = pattern(seed, 60, 100)

    def draw(self, ground: U8, matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[U8, Bools]:
        """(picture, true mask)."""
        size = ground.shape[1], ground.shape[0]
        moved = cv2.warpAffine(
            self.picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        inside = cv2.warpAffine(self.mask * 255, matrix, size, flags=cv2.INTER_LINEAR) > 127
        return np.where(inside, np.asarray(moved, np.uint8), ground), inside


def placed(
    x: float, y: float, scale: float = 1.0, turned_deg: float = 0.0
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The thing with its centre there, so much larger, turned."""
    matrix = np.asarray(cv2.getRotationMatrix2D((50, 30), turned_deg, scale), np.float64)
    matrix[:, 2] += (x - 50, y - 30)
    return matrix


def frame_of(y: U8, flags: FrameFlag = FrameFlag.NONE) -> FrameNv12:
    """A frame with this Y plane."""
    height, width = y.shape
    meta = FrameMeta(0, 0, 0, width, height, width, width, width * height, flags=flags)
    return FrameNv12(meta, y, np.full(((height + 1) // 2, (width + 1) // 2, 2), 128, np.uint8))


def box_of(mask: Bools) -> F32:
    """The tight box of a mask, float32 (4,)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def tracks_of(boxes_xyxy: Sequence[F32], ids: Sequence[int]) -> Tracks:
    """Tracks with these boxes."""
    count = len(ids)
    boxes = np.array(boxes_xyxy, np.float32).reshape(count, 4)
    found = Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int32))
    return Tracks.of(found, np.array(ids, np.int64), np.ones(count, np.int32))


def grid_of(mask: Bools) -> tuple[Bools, F32]:
    """A mask as a segmenter gives it: cut out, half the resolution."""
    left, top, right, bottom = (int(edge) for edge in box_of(mask))
    part = mask[top:bottom, left:right].astype(np.float32)
    size = max(1, (right - left) // 2), max(1, (bottom - top) // 2)
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small > 0.5), np.array([left, top, right, bottom], np.float32)


def pixels_of(masks: Masks, index: int = 0, size_wh: tuple[int, int] = (WIDTH, HEIGHT)) -> Bools:
    """The pixels whose centres lie in a set cell."""
    grid, rect = masks.grid(index), masks.rects_xyxy[index]
    picture = np.zeros((size_wh[1], size_wh[0]), np.bool_)
    if grid.size:
        x = np.floor((np.arange(size_wh[0]) + 0.5 - rect[0]) / (rect[2] - rect[0]) * grid.shape[1]).astype(
            int
        )
        y = np.floor((np.arange(size_wh[1]) + 0.5 - rect[1]) / (rect[3] - rect[1]) * grid.shape[0]).astype(
            int
        )
        columns, rows = (x >= 0) & (x < grid.shape[1]), (y >= 0) & (y < grid.shape[0])
        picture[np.ix_(rows, columns)] = grid[np.ix_(y[rows], x[columns])]
    return picture


def overlap(a: Bools, b: Bools) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))
