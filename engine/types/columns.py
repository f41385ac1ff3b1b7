"""Parallel arrays laid out one behind the other in a slot, and views of them. A slot is read by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.types.arrays import U8

Columns = tuple[tuple[str, type[np.generic], int], ...]
"""Name, type and width of parallel arrays in the order in which they lie in a slot, the largest type first."""


def check_columns(columns: Columns, holder: object, count: int) -> None:
    """Raise `ValueError` unless every array has `count` rows of its type: one other would shift all that follow."""
    for name, dtype, width in columns:
        array: NDArray[np.generic] = getattr(holder, name)
        shape = _shape(count, width)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"{name} must be {np.dtype(dtype)} {shape}, not {array.dtype} {array.shape}")


def lay_out(arrays: Sequence[NDArray[Any]], slot_u8: U8) -> int:
    """Write arrays one behind the other; the bytes they took."""
    offset = 0
    for array in arrays:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        slot_u8[offset : offset + flat.size] = flat
        offset += flat.size
    return offset


def view_columns(columns: Columns, count: int, slot_u8: U8) -> dict[str, Any]:
    """The arrays by name, inside the slot. No copy."""
    arrays, offset = {}, 0
    for name, dtype, width in columns:
        nbytes = count * width * np.dtype(dtype).itemsize
        arrays[name] = slot_u8[offset : offset + nbytes].view(dtype).reshape(_shape(count, width))
        offset += nbytes
    return arrays


def _shape(count: int, width: int) -> tuple[int, ...]:
    return (count, width) if width > 1 else (count,)
