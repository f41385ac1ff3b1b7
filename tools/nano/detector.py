"""nano-det: the network of the embedded person detector. One convolution after another, nothing else.

A YOLO-style detector without anchors and without objectness: every cell of three grids (strides 8, 16, 32) gives one
score and, for each side of its box, a distribution over distances, whose mean counts (generalised focal loss, Li et
al., arXiv:2006.04388, §3). Dense 3 × 3 convolutions of few channels and ReLU, because that is what a CPU does fastest;
channels are multiples of 16, so that ONNX Runtime keeps its blocked layout from end to end.

Knows torch; neither pictures nor files, nor how the network is trained (`tools.nano.detector_loss`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

INPUT_WH = (448, 256)
"""Pictures of 16:9 fill it but for four rows: 640 × 360 becomes 448 × 252."""
STRIDES = (8, 16, 32)
BINS = 8
"""Distances 0 … 7 strides from the cell's middle: 224 pixels to each side at stride 32."""
NAMES = ("person",)
_PRIOR = 0.01
"""Score of every cell before training: nearly all of them see nobody."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of the network.

    channels  behind the stem (stride 2) and behind the stages of strides 4, 8, 16, 32
    blocks    residual blocks in each of these four stages
    neck      channels of the levels that are mixed, and of the head
    """

    channels: tuple[int, int, int, int, int] = (16, 32, 64, 96, 128)
    blocks: tuple[int, int, int, int] = (1, 1, 2, 1)
    neck: int = 64


class Normalised(nn.Sequential):  # type: ignore[misc]  # torch is not looked into
    """A convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, side: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Two 3 × 3 convolutions beside a way past them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = Normalised(channels, channels), Normalised(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class Stage(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Half of the channels go through the blocks, and what comes out of each is kept (CSP, arXiv:1911.11929)."""

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        half = outputs // 2
        # Two convolutions and not one that is split: a split would leave the blocked layout.
        self.past, self.into = Normalised(inputs, half, 1), Normalised(inputs, half, 1)
        self.blocks = nn.ModuleList(Residual(half) for _ in range(blocks))
        self.out = Normalised(half * (2 + blocks), outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = [self.past(x), self.into(x)]
        for block in self.blocks:
            kept.append(block(kept[-1]))
        mixed: Tensor = self.out(torch.cat(kept, 1))
        return mixed


class Pooled(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """The largest values of 5, 9 and 13 cells around, so that a cell of the last grid sees a whole body."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.into, self.out = Normalised(channels, channels // 2, 1), Normalised(channels * 2, channels, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        kept = [self.into(x)]
        for _ in range(3):
            kept.append(self.pool(kept[-1]))
        mixed: Tensor = self.out(torch.cat(kept, 1))
        return mixed


class NanoDetector(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Pictures float32 (n, 3, height, width), RGB 0..1, sides multiples of 32 → raw (n, 1 + 4 × BINS, cells).

    Rows: the score's logit, then the logits of the distances to the left, top, right and bottom. Columns: the cells
    of the strides one after the other, each grid row by row.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        super().__init__()
        self.plan = plan or Plan()
        stem, *widths = self.plan.channels
        neck = self.plan.neck
        self.stem = Normalised(3, stem, 3, 2)
        before = [stem, *widths[:-1]]
        self.downs = nn.ModuleList(Normalised(a, b, 3, 2) for a, b in zip(before, widths, strict=True))
        self.stages = nn.ModuleList(
            Stage(width, width, count) for width, count in zip(widths, self.plan.blocks, strict=True)
        )
        self.pooled = Pooled(widths[-1])
        self.laterals = nn.ModuleList(Normalised(width, neck, 1) for width in widths[1:])
        self.descending = nn.ModuleList(Stage(2 * neck, neck, 1) for _ in range(2))
        self.steps = nn.ModuleList(Normalised(neck, neck, 3, 2) for _ in range(2))
        self.ascending = nn.ModuleList(Stage(2 * neck, neck, 1) for _ in range(2))
        self.heads = nn.ModuleList(
            nn.Sequential(Normalised(neck, neck), nn.Conv2d(neck, 1 + 4 * BINS, 1)) for _ in STRIDES
        )
        for head in self.heads:
            nn.init.zeros_(head[1].bias)
            nn.init.constant_(head[1].bias[:1], float(-torch.log(torch.tensor(1 / _PRIOR - 1))))

    def forward(self, images: Tensor) -> Tensor:
        levels = self.levels(images)
        return torch.cat([head(level).flatten(2) for head, level in zip(self.heads, levels, strict=True)], 2)

    def levels(self, images: Tensor) -> list[Tensor]:
        """The grids of strides 8, 16 and 32, mixed downwards and upwards (arXiv:1803.01534, §3.1)."""
        x, seen = self.stem(images), []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(down(x))
            seen.append(x)
        seen[-1] = self.pooled(seen[-1])
        fine, middle, coarse = (
            lateral(level) for lateral, level in zip(self.laterals, seen[1:], strict=True)
        )
        middle = self.descending[0](torch.cat([middle, _doubled(coarse)], 1))
        fine = self.descending[1](torch.cat([fine, _doubled(middle)], 1))
        middle = self.ascending[0](torch.cat([middle, self.steps[0](fine)], 1))
        coarse = self.ascending[1](torch.cat([coarse, self.steps[1](middle)], 1))
        return [fine, middle, coarse]


def _doubled(level: Tensor) -> Tensor:
    wider: Tensor = nn.functional.interpolate(level, scale_factor=2.0, mode="nearest")
    return wider


def cells(size_wh: tuple[int, int], strides: Sequence[int] = STRIDES) -> tuple[Tensor, Tensor]:
    """Middles float32 (cells, 2) of all cells in input pixels, x first, and their strides float32 (cells,)."""
    middles, lengths = [], []
    for stride in strides:
        columns, rows = size_wh[0] // stride, size_wh[1] // stride
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        middles.append((torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        lengths.append(torch.full((rows * columns,), float(stride)))
    return torch.cat(middles), torch.cat(lengths)


def distances(raw: Tensor) -> Tensor:
    """Mean distances (n, 4, cells) in strides of the raw answer."""
    logits = raw[:, 1:].unflatten(1, (4, BINS))
    counts = torch.arange(BINS, dtype=torch.float32).view(1, 1, BINS, 1)
    mean: Tensor = (logits.softmax(2) * counts).sum(2)
    return mean


def boxes_xyxy(raw: Tensor, middles: Tensor, strides: Tensor) -> Tensor:
    """Boxes (n, cells, 4) in input pixels: left, top, right, bottom."""
    reach = distances(raw).transpose(1, 2) * strides[:, None]
    return torch.cat([middles - reach[..., :2], middles + reach[..., 2:]], -1)


class Decoded(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """The network with what an ONNX file gives: (n, 5, cells), centre, width, height in input pixels, and the score."""

    def __init__(self, network: NanoDetector, size_wh: tuple[int, int] = INPUT_WH) -> None:
        super().__init__()
        self.network = network
        middles, strides = cells(size_wh)
        self.register_buffer("middles_t", middles.t().contiguous()[None])
        self.register_buffer("strides_t", strides[None, None])

    def forward(self, images: Tensor) -> Tensor:
        raw = self.network(images)
        reach = distances(raw) * self.strides_t
        before, after = reach[:, :2], reach[:, 2:]
        return torch.cat([self.middles_t + (after - before) / 2, before + after, raw[:, :1].sigmoid()], 1)


def parameters(network: Any) -> int:
    """How many numbers are learnt."""
    return sum(parameter.numel() for parameter in network.parameters())
