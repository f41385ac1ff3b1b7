"""RepViT-M1, EdgeTAM's backbone: built as it was trained, and folded into plain convolutions for inference.

Trained, every depthwise convolution is the sum of three branches (3x3, 1x1, the input itself) and every convolution
is followed by a batch normalisation. All of that is linear at inference: `fold` returns the same function with one
convolution where there were up to six layers. Parameters carry the names of the official checkpoint
(`image_encoder.trunk.body.…`, timm's `repvit_m1` as a list of features). Knows nothing of what is done with the
features.

Source: Wang et al., "RepViT: Revisiting Mobile CNN From ViT Perspective", arXiv 2307.09283.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tools.sam2.graph_parts import gelu

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

WIDTHS = (48, 96, 192, 384)
"""Channels of the four stages, at strides 4, 8, 16 and 32."""
DEPTHS = (2, 2, 14, 2)
_EXPANSION = 2  # hidden width of a block's feed-forward part


class RepVit(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """image [F,3,S,S] → features of the four stages, finest first."""

    channel_list = WIDTHS[::-1]

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.stem = _Stem(WIDTHS[0])
        width = WIDTHS[0]
        for index, (out_width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            self.body.add_module(f"stages_{index}", _Stage(width, out_width, depth))
            width = out_width

    def forward(self, image: Tensor) -> list[Tensor]:
        features = self.body.stem(image)
        stages = []
        for index in range(len(WIDTHS)):
            features = self.body.get_submodule(f"stages_{index}")(features)
            stages.append(features)
        return stages


def fold(trunk: RepVit) -> RepVit:
    """A copy whose branches and normalisations are folded into one convolution each; the same function."""
    folded = copy.deepcopy(trunk)
    _fold_children(folded)
    folded.eval().requires_grad_(False)
    return folded


class _ConvNorm(nn.Sequential):  # type: ignore[misc]  # torch is not looked into
    """A convolution without bias and its batch normalisation."""

    def __init__(self, width: int, out_width: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        convolution = nn.Conv2d(
            width, out_width, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.add_module("c", convolution)
        self.add_module("bn", nn.BatchNorm2d(out_width))

    def folded(self) -> nn.Conv2d:
        scale = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        return _convolution(
            self.c, self.c.weight * scale[:, None, None, None], self.bn.bias - self.bn.running_mean * scale
        )


class _TokenMixer(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Depthwise: 3x3 + 1x1 + the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _ConvNorm(width, width, kernel=3, groups=width)
        self.conv1 = _ConvNorm(width, width, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.conv1(x) + x

    def folded(self) -> nn.Conv2d:
        wide, point = self.conv.folded(), self.conv1.folded()
        weight = wide.weight + functional.pad(point.weight + 1.0, [1, 1, 1, 1])
        return _convolution(wide, weight, wide.bias + point.bias)


class _Squeeze(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Each channel weighed by what the whole picture holds of all of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(8, int(width / 4 + 4) // 8 * 8)  # a quarter, rounded to eights
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        whole = functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.fc2(functional.relu(self.fc1(whole))))


class _FeedForward(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(width, width * _EXPANSION)
        self.conv2 = _ConvNorm(width * _EXPANSION, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(gelu(self.conv1(x)))


class _Block(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self, width: int, squeeze: bool) -> None:
        super().__init__()
        self.token_mixer = _TokenMixer(width)
        self.se = _Squeeze(width) if squeeze else nn.Identity()
        self.channel_mixer = _FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(self.token_mixer(x))
        return x + self.channel_mixer(x)


class _Downsample(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Half the side, more channels."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.pre_block = _Block(width, squeeze=False)
        self.spatial_downsample = _ConvNorm(width, width, kernel=3, stride=2, groups=width)
        self.channel_downsample = _ConvNorm(width, out_width)
        self.ffn = _FeedForward(out_width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        return x + self.ffn(x)


class _Stage(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self, width: int, out_width: int, depth: int) -> None:
        super().__init__()
        self.downsample = _Downsample(width, out_width) if width != out_width else nn.Identity()
        self.blocks = nn.Sequential(*[_Block(out_width, squeeze=index % 2 == 0) for index in range(depth)])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class _Stem(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _ConvNorm(3, width // 2, kernel=3, stride=2)
        self.conv2 = _ConvNorm(width // 2, width, kernel=3, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        return self.conv2(gelu(self.conv1(image)))


def _fold_children(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, (_ConvNorm, _TokenMixer)):
            with torch.no_grad():
                setattr(module, name, child.folded())
        else:
            _fold_children(child)


def _convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution of the same geometry with these weights."""
    made = nn.Conv2d(
        like.in_channels, like.out_channels, like.kernel_size, like.stride, like.padding, groups=like.groups
    )
    with torch.no_grad():
        made.weight.copy_(weight)
        made.bias.copy_(bias)
    return made
