"""Pictures of several cameras as one, side by side, each at its moment.

`Mosaic` lays out and pastes; `Interleave` says which picture comes next. Pure: no clock, no files, no encoder.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engine.types import U8, ColourMatrix, FrameMeta, FrameNv12, nv12_geometry

MOST_WIDTH, MOST_HEIGHT = 1920, 1080
"""Of the whole picture."""
LEAST_STEP_NS = 32_000_000
"""From picture to picture: 30 a second, whatever number of cameras."""
PATIENCE_NS = 1_000_000_000
"""How far behind the newest picture of all a camera may be before it is not waited for."""
MOST_QUEUED = 48
"""Pictures of one camera that wait for the others at most."""
_BLACK_Y, _GREY_UV = 16, 128


@dataclass(frozen=True, slots=True)
class Tile:
    """One camera's picture, drawn, at its own size.

    y   uint8 (height, width)
    uv  uint8 (⌈height/2⌉, ⌈width/2⌉, 2)
    """

    y: U8
    uv: U8
    matrix: ColourMatrix
    full_range: bool


class Mosaic:
    """A grid with a place for each camera, in their order; the size of a place comes from the first picture."""

    def __init__(self, names: Sequence[str], first: Tile) -> None:
        """Colours are those of `first`; others are not converted."""
        self.names = tuple(names)
        self.columns = math.ceil(math.sqrt(len(names)))
        rows = -(-len(names) // self.columns)
        height, width = first.y.shape
        scale = min(1.0, MOST_WIDTH / (width * self.columns), MOST_HEIGHT / (height * rows))
        self.cell_wh = max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
        self.size_wh = self.cell_wh[0] * self.columns, self.cell_wh[1] * rows
        stride, offset_uv, slot_bytes = nv12_geometry(*self.size_wh)
        self._meta = FrameMeta(
            0, 0, 0, *self.size_wh, stride, stride, offset_uv, matrix=first.matrix, full_range=first.full_range
        )  # fmt: skip
        self.frame = FrameNv12.view(self._meta, np.empty(slot_bytes, np.uint8))
        self.frame.y[:] = 0 if first.full_range else _BLACK_Y
        self.frame.uv[:] = _GREY_UV

    def paste(self, name: str, tile: Tile) -> None:
        """Put a camera's picture into its place: as large as fits, in the middle."""
        place = self.names.index(name)
        left, top = place % self.columns * self.cell_wh[0], place // self.columns * self.cell_wh[1]
        height, width = tile.y.shape
        scale = min(self.cell_wh[0] / width, self.cell_wh[1] / height)
        shown = max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
        left += (self.cell_wh[0] - shown[0]) // 4 * 2
        top += (self.cell_wh[1] - shown[1]) // 4 * 2
        half = shown[0] // 2, shown[1] // 2
        self.frame.y[top : top + shown[1], left : left + shown[0]] = _sized(tile.y, shown)
        self.frame.uv[top // 2 : top // 2 + half[1], left // 2 : left // 2 + half[0]] = _sized(tile.uv, half)


def _sized(plane: U8, size_wh: tuple[int, int]) -> U8:
    if (plane.shape[1], plane.shape[0]) == size_wh:
        return plane
    way = cv2.INTER_AREA if plane.shape[1] > size_wh[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, size_wh, interpolation=way), np.uint8)


class Interleave:
    """Pictures of several cameras in the order of their times, though some come late.

    Nobody is waited for who has ended, or is `PATIENCE_NS` behind; and never with more than `MOST_QUEUED` pictures of
    a camera in hand.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._queues: dict[str, deque[tuple[int, Tile]]] = {name: deque() for name in names}
        self._ended: set[str] = set()
        self._newest_ns = -1

    @property
    def all_ended(self) -> bool:
        """Nothing comes any more."""
        return self._ended >= set(self._queues)

    def put(self, name: str, time_ns: int, tile: Tile) -> None:
        """The next picture of a camera."""
        self._ended.discard(name)
        self._queues[name].append((time_ns, tile))
        self._newest_ns = max(self._newest_ns, time_ns)

    def end(self, name: str) -> None:
        """Nothing more comes of this camera."""
        self._ended.add(name)

    def due(self, *, everything: bool = False) -> Iterator[tuple[str, int, Tile]]:
        """What may be shown now, in order: (camera, time, picture)."""
        while waiting := [name for name, queue in self._queues.items() if queue]:
            name = min(waiting, key=lambda each: self._queues[each][0][0])
            queue = self._queues[name]
            missing = [
                other for other, queued in self._queues.items() if not queued and other not in self._ended
            ]
            late = self._newest_ns - queue[0][0] > PATIENCE_NS
            if missing and not (everything or late or len(queue) > MOST_QUEUED):
                return
            time_ns, tile = queue.popleft()
            yield name, time_ns, tile
