"""The image encoder of nano-sam: residual 3x3 convolutions at strides 2 to 32, and a neck that carries context upwards.

Dense convolutions of few channels, ReLU and batch normalisation: what a CPU does best, and what learns from nothing in
an hour. `folded` returns the same function without normalisations. Knows nothing of what is done with the features.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

STEM = 16
"""Channels at stride 2."""
WIDTHS = (32, 64, 128, 128)
"""Channels at strides 4, 8, 16 and 32."""
DEPTHS = (1, 1, 2, 1)
"""Residual blocks at these strides."""


class ConvNorm(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A convolution without bias and its batch normalisation; ReLU is the caller's."""

    def __init__(self, width: int, out_width: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, out_width, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))

    def folded(self) -> nn.Conv2d:
        """One convolution with a bias."""
        scale = self.norm.weight / torch.sqrt(self.norm.running_var + self.norm.eps)
        made = nn.Conv2d(
            self.conv.in_channels, self.conv.out_channels, self.conv.kernel_size, self.conv.stride,
            self.conv.padding,
        )  # fmt: skip
        with torch.no_grad():
            made.weight.copy_(self.conv.weight * scale[:, None, None, None])
            made.bias.copy_(self.norm.bias - self.norm.running_mean * scale)
        return made


class NanoTrunk(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """image [F,3,S,S] → features at strides 2, 4, 8, 16 and 32, finest first."""

    def __init__(self) -> None:
        super().__init__()
        self.channel_list = [*WIDTHS[::-1], STEM]
        self.stem = ConvNorm(3, STEM, stride=2)
        self.stages = nn.ModuleList()
        width = STEM
        for out_width, depth in zip(WIDTHS, DEPTHS, strict=True):
            self.stages.append(_Stage(width, out_width, depth))
            width = out_width

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = [functional.relu(self.stem(image))]
        for stage in self.stages:
            levels.append(stage(levels[-1]))
        return levels


class NanoNeck(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Features of the trunk → features at strides 2, 4 and 16, the last `d_model` wide, and positions of the last.

    Every level takes in what the coarser ones say, mixed by a 3x3 convolution. The finer levels are for the mask
    decoder alone, which does not ask for their positions: zeros of their size are in the place of these.
    """

    def __init__(self, position_encoding: Any, d_model: int) -> None:
        super().__init__()
        self.position_encoding = position_encoding
        self.d_model = d_model
        self.backbone_channel_list = [*WIDTHS[::-1], STEM]
        finest, fine, middle, coarse, coarsest = STEM, *WIDTHS
        self.coarse = nn.Conv2d(coarse, d_model, 1)
        self.coarsest = nn.Conv2d(coarsest, d_model, 1)
        self.to_middle = nn.Conv2d(d_model, middle, 1)
        self.middle = ConvNorm(middle, middle)
        self.to_fine = nn.Conv2d(middle, fine, 1)
        self.fine = ConvNorm(fine, fine)
        self.to_finest = nn.Conv2d(fine, finest, 1)

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        finest, fine, middle, coarse, coarsest = levels
        coarse = self.coarse(coarse) + _twice(self.coarsest(coarsest))
        middle = functional.relu(self.middle(middle + _twice(self.to_middle(coarse))))
        fine = functional.relu(self.fine(fine + _twice(self.to_fine(middle))))
        finest = functional.relu(finest + _twice(self.to_finest(fine)))
        places = [level.new_zeros(level.shape[0], 1, *level.shape[2:]) for level in (finest, fine)]
        return [finest, fine, coarse], [*places, self.position_encoding(coarse).to(coarse.dtype)]


def folded(module: Any) -> Any:
    """A copy whose normalisations are folded into the convolutions before them, for inference; the same function."""
    done = copy.deepcopy(module)
    _fold_children(done)
    return done.eval().requires_grad_(False)


class _Stage(nn.Sequential):  # type: ignore[misc]  # torch is not looked into
    """Half the side, and residual blocks."""

    def __init__(self, width: int, out_width: int, depth: int) -> None:
        blocks = [_Block(out_width) for _ in range(depth)]
        super().__init__(ConvNorm(width, out_width, stride=2), nn.ReLU(), *blocks)


class _Block(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(width, width), ConvNorm(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _fold_children(module: Any) -> None:
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            setattr(module, name, child.folded())
        else:
            _fold_children(child)
