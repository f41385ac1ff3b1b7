"""In which order the tokens of a square grid lie so that windows and pooling cells are contiguous.

Hiera attends within windows, and pools 2×2 cells between stages. With tokens in raster order every block copies them
into windows and back; in the order made here a window is a slice, a cell is four neighbours, and pooling leaves the
windows (now of half the side) contiguous. Attention over all tokens, normalisation and linear layers do not see the
order.

A grid that is no multiple of the window is padded by the package with zero tokens at its right and lower edges. Here
the cut windows are kept as they are, and the padding is only counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tools.sam2.graph_parts import Tensor


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one kind, one after the other: how many, tokens in each, and padded tokens that each would have."""

    count: int
    tokens: int
    padding: int


def window_order(side: int, window: int) -> tuple[Tensor, tuple[Windows, ...]]:
    """Raster places [side²] in the order of windows, and what windows there are.

    Whole windows come first, then those cut at one edge, then the one cut at both.
    """
    places = torch.arange(side * side).reshape(side, side)
    whole = [(at, window) for at in range(0, side - window + 1, window)]
    cut = [(len(whole) * window, side % window)] if side % window else []
    order: list[Tensor] = []
    kinds = []
    for pairs in ([(whole, whole)], [(whole, cut), (cut, whole)], [(cut, cut)]):
        found = [
            places[top : top + height, left : left + width]
            for rows, columns in pairs
            for top, height in rows
            for left, width in columns
        ]
        if found:
            tokens = found[0].numel()
            kinds.append(Windows(len(found), tokens, window * window - tokens))
            order += [each.reshape(-1)[_cells_first(*each.shape)] for each in found]
    return torch.cat(order), tuple(kinds)


def inverse(order: Tensor) -> Tensor:
    """For every raster place, where its token lies."""
    found = torch.empty_like(order)
    found[order] = torch.arange(len(order))
    return found


def pooled_order(order: Tensor, side: int) -> Tensor:
    """The order of the half as wide grid after four neighbours have become one. `side` is that before pooling."""
    first = order[::4]
    rows, columns = torch.div(first, side, rounding_mode="floor"), first % side
    return torch.div(rows, 2, rounding_mode="floor") * (side // 2) + torch.div(
        columns, 2, rounding_mode="floor"
    )


def enlarged(side: int) -> Tensor:
    """For every raster place of a grid of this side, the place in the half as wide grid that covers it."""
    half = torch.div(torch.arange(side), 2, rounding_mode="floor")
    return (half[:, None] * (side // 2) + half).reshape(-1)


def _cells_first(height: int, width: int) -> Tensor:
    """Raster places of a window with 2×2 cells contiguous, and cells of cells, as far as the sides are even."""
    places = torch.arange(height * width).reshape(height, width)
    if height % 2 or width % 2:
        return places.reshape(-1)
    cells = places.reshape(height // 2, 2, width // 2, 2).permute(0, 2, 1, 3).reshape(-1, 4)
    return cells[_cells_first(height // 2, width // 2)].reshape(-1)
