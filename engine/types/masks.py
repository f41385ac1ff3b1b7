"""Outlines of objects as small grids of bits, with what is known of where each comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.types.arrays import F32, I32, I64, U8, Bools
from engine.types.columns import Columns, check_columns, view_columns


class MaskSource(IntEnum):
    """What a mask was made from. Whether it has been moved to a later frame since, its age tells."""

    NONE = 0
    """There is no mask."""
    DETECTOR = 1
    """A segmenting detector's own mask."""
    BOX = 2
    """SAM2, prompted with the object's box, without memory."""
    MEMORY = 3
    """SAM2, from the memory of the object."""
    PROMPT = 4
    """SAM2, prompted by somebody with points, a box or a mask."""
    AUTOMATIC = 5
    """SAM2, prompted with a grid of points."""


@dataclass(frozen=True, slots=True)
class Masks:
    """Outlines of the objects of one frame, as one small grid of bits each.

    rects_xyxy   float32 (n, 4): the source rectangle, in pixels, that the grid covers edge to edge
    ages_ms      float32 (n,): time of the frame less time of the frame that the mask was computed on; 0 = this very one
    confidences  float32 (n,): 0..1, how good its maker thinks the mask is (SAM2: predicted IoU)
    sources      int32 (n,): `MaskSource`
    sizes_hw     int32 (n, 2): rows and columns of the grid; 0 × 0 for an object without a mask
    bits         uint8 (bytes,): the grids one behind the other, rows from the top, eight cells a byte with the
                 first in the highest bit, each grid padded to whole bytes

    A cell is set where its centre is inside the object. Raises `ValueError` for other shapes or types.
    """

    rects_xyxy: F32
    ages_ms: F32
    confidences: F32
    sources: I32
    sizes_hw: I32
    bits: U8

    COLUMNS: ClassVar[Columns] = (
        ("rects_xyxy", np.float32, 4), ("ages_ms", np.float32, 1), ("confidences", np.float32, 1),
        ("sources", np.int32, 1), ("sizes_hw", np.int32, 2),
    )  # fmt: skip
    BYTES_PER_OBJECT: ClassVar[int] = 36

    def __post_init__(self) -> None:
        check_columns(self.COLUMNS, self, len(self.rects_xyxy))
        if self.bits.shape != (self.grid_bytes().sum(),) or self.bits.dtype != np.uint8:
            expected = f"uint8 ({self.grid_bytes().sum()},)"
            raise ValueError(f"bits must be {expected}, not {self.bits.dtype} {self.bits.shape}")

    def __len__(self) -> int:
        return len(self.rects_xyxy)

    @classmethod
    def none(cls, count: int) -> Masks:
        """So many objects without a mask."""
        return cls.of_grids(np.zeros((count, 4), np.float32), [np.zeros((0, 0), np.bool_)] * count)

    @classmethod
    def of_grids(
        cls,
        rects_xyxy: F32,
        grids: Sequence[Bools],
        sources: I32 | MaskSource = MaskSource.DETECTOR,
        confidences: F32 | None = None,
        ages_ms: F32 | None = None,
    ) -> Masks:
        """Masks from one grid of cells, bool (rows, columns), for each rectangle; without cells: no mask.

        Where no confidences are given they are 1; where no ages are given the masks are of this very frame.
        """
        count = len(grids)
        sizes_hw = np.array([grid.shape for grid in grids], np.int32).reshape(count, 2)
        empty = (sizes_hw == 0).any(axis=1)
        sizes_hw[empty] = 0
        packed = [np.packbits(grid) for grid in grids]
        made_from = np.full(count, sources, np.int32) if isinstance(sources, MaskSource) else sources
        sure = np.ones(count, np.float32) if confidences is None else confidences
        return cls(
            rects_xyxy,
            np.zeros(count, np.float32) if ages_ms is None else ages_ms,
            np.where(empty, np.float32(0), sure),
            np.where(empty, np.int32(MaskSource.NONE), made_from),
            sizes_hw,
            np.concatenate([*packed, np.empty(0, np.uint8)]),
        )

    @classmethod
    def view(cls, count: int, rest_u8: U8, mask_bytes: int) -> Masks:
        """The masks of `count` objects in the bytes behind their columns in a slot. No copy."""
        head = count * cls.BYTES_PER_OBJECT
        return cls(**view_columns(cls.COLUMNS, count, rest_u8), bits=rest_u8[head:mask_bytes])

    def grid_bytes(self) -> I64:
        """int64 (n,): bytes of each grid."""
        cells: I64 = self.sizes_hw.astype(np.int64).prod(axis=1)
        return (cells + 7) // 8

    def present(self) -> Bools:
        """bool (n,): which objects have a mask."""
        present: Bools = np.all(self.sizes_hw, axis=1)
        return present

    def grid(self, index: int) -> Bools:
        """bool (rows, columns): the cells of one object."""
        rows, columns = (int(length) for length in self.sizes_hw[index])
        start = int(self.grid_bytes()[:index].sum())
        cells = np.unpackbits(self.bits[start : start + (rows * columns + 7) // 8], count=rows * columns)
        return cells.reshape(rows, columns).view(np.bool_)

    def take(self, index: Bools | NDArray[np.intp]) -> Masks:
        """The masks selected by a mask or an index array; copies."""
        lengths = self.grid_bytes()
        starts, chosen = (np.cumsum(lengths) - lengths)[index], lengths[index]
        moved = starts - (np.cumsum(chosen) - chosen)
        bits = self.bits[np.repeat(moved, chosen) + np.arange(chosen.sum())]
        return Masks(**{name: getattr(self, name)[index] for name, _, _ in self.COLUMNS}, bits=bits)

    def followed_by_none(self, count: int) -> Masks:
        """These masks, and then so many objects without one."""
        none = Masks.none(count)
        columns = {
            name: np.concatenate((getattr(self, name), getattr(none, name))) for name, _, _ in self.COLUMNS
        }
        return Masks(**columns, bits=self.bits)

    def first_bytes(self, room: int) -> Masks:
        """The masks of as many objects from the first on as go into `room` bytes; the others have none."""
        ends = np.cumsum(self.grid_bytes())
        fits = ends <= room
        if fits.all():
            return self
        sizes_hw = np.where(fits[:, None], self.sizes_hw, np.int32(0))
        sources = np.where(fits, self.sources, np.int32(MaskSource.NONE))
        return replace(
            self, sizes_hw=sizes_hw, sources=sources, bits=self.bits[: int(ends[fits].max(initial=0))]
        )
