"""Points and boxes as maps over the grid: what nano-sam's decoder is told of a prompt beside SAM 2's tokens.

SAM 2 learns from millions of pictures how tokens of Fourier features find the place that they mean. Drawn as maps, a
place is where it is from the first step on. The maps are added to the features as mask prompts are; points that are
none draw nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from sam2.modeling.sam.prompt_encoder import PromptEncoder
from torch import nn

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

CHANNELS = 14
_CELL_PX = 16.0
_HIDDEN = 64
_NEAR_PX, _FAR_PX = 8.0, 24.0
"""Standard deviations of what is drawn around a click."""
_NOT_ON_IT, _ON_IT, _FIRST_CORNER, _SECOND_CORNER = 0, 1, 2, 3


class PromptMaps(nn.Sequential):  # type: ignore[misc]  # torch is not looked into
    """coords [N,T,2] in the picture's pixels and labels [N,T] → [N,width,r,r], to be added to the features."""

    def __init__(self, width: int, grid: int) -> None:
        super().__init__(nn.Conv2d(CHANNELS, _HIDDEN, 1), nn.ReLU(), nn.Conv2d(_HIDDEN, width, 1))
        self.grid = grid

    def forward(self, coords: Tensor, labels: Tensor) -> Tensor:
        return super().forward(prompt_maps(coords, labels, self.grid))


class NanoPromptEncoder(PromptEncoder):  # type: ignore[misc]  # sam2 has no types
    """The package's, with the maps of its points added to the dense embedding."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.maps = PromptMaps(self.embed_dim, self.image_embedding_size[0])

    def forward(self, points: Any, boxes: Any, masks: Any) -> tuple[Tensor, Tensor]:
        sparse, dense = super().forward(points, boxes, masks)
        return sparse, dense if points is None else dense + self.maps(*points)


def prompt_maps(coords: Tensor, labels: Tensor, grid: int) -> Tensor:
    """[N,14,r,r]: of a box whether a cell is inside, how far its sides are, near and over the picture, and that there
    is one; clicks on the object and beside it, each narrow and wide."""
    coords = coords.float()
    centre = (torch.arange(grid, dtype=torch.float32) + 0.5) * _CELL_PX
    across, down = centre[None, None, :].expand(1, grid, grid), centre[None, :, None].expand(1, grid, grid)
    first, second = _corner(coords, labels, _FIRST_CORNER), _corner(coords, labels, _SECOND_CORNER)
    sides = torch.stack(
        [across - first[:, :1, None], second[:, :1, None] - across, down - first[:, 1:, None],
         second[:, 1:, None] - down], 1
    )  # fmt: skip
    boxed = (labels == _FIRST_CORNER).float().sum(1).clamp(max=1.0)[:, None, None, None]
    inside = torch.sigmoid(sides / 4).prod(1, keepdim=True)
    near, whole = torch.tanh(sides / _CELL_PX), sides / (grid * _CELL_PX)
    drawn = torch.cat([inside, near, whole, torch.ones_like(inside)], 1) * boxed
    squares = (across[:, None] - coords[:, :, 0, None, None]) ** 2 + (
        down[:, None] - coords[:, :, 1, None, None]
    ) ** 2
    clicks = [
        (torch.exp(-squares / (2 * spread**2)) * (labels == label).float()[:, :, None, None]).sum(
            1, keepdim=True
        )
        for label in (_ON_IT, _NOT_ON_IT)
        for spread in (_NEAR_PX, _FAR_PX)
    ]
    return torch.cat([drawn, *clicks], 1)


def _corner(coords: Tensor, labels: Tensor, label: int) -> Tensor:
    """[N,2]: the point with this label, zeros where there is none."""
    return (coords * (labels == label).float()[:, :, None]).sum(1)
