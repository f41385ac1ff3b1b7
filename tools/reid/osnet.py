"""OSNet in torch, for export only: under the parameter names of torchreid, so that its checkpoints load by name.

Zhou, Yang, Cavallaro, Xiang: Omni-Scale Feature Learning for Person Re-Identification, ICCV 2019, arXiv:1905.00953
(figure 4 and table 1). What the paper leaves open (the reduction in the gate, where activations stand) was told from
the names, shapes and graph of an exported file. The widths 1.0, 0.75, 0.5 and 0.25 differ in channels only. In
evaluation only: the classifier of the training is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

CHANNELS = {
    "osnet_x1_0": (64, 256, 384, 512),
    "osnet_x0_75": (48, 192, 288, 384),
    "osnet_x0_5": (32, 128, 192, 256),
    "osnet_x0_25": (16, 64, 96, 128),
}
"""Channels behind the stem and behind each of the three stages, by the names of torchreid."""
DIMS = 512
_BLOCKS = 2
_STREAMS = 4
_BOTTLENECK = 4
_GATE_REDUCTION = 16


class Normalised(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A convolution without bias and batch normalisation, with an activation or without."""

    def __init__(self, inputs: int, outputs: int, side: int, *, stride: int = 1, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.bn(self.conv(x))
        return torch.relu(normalised) if self.active else normalised


class Light3x3(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A 3 × 3 convolution taken apart: across channels first, then within each (§3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv2(self.conv1(x))))


class Gate(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """The aggregation gate (§3.2): a weight for each channel, from its mean over the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // _GATE_REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(mean))))


class Block(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """The omni-scale residual block: four streams whose fields of view are 3, 5, 7 and 9 pixels, one shared gate."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // _BOTTLENECK
        self.conv1 = Normalised(inputs, middle, 1)
        self.conv2a = Light3x3(middle)
        self.conv2b = nn.Sequential(*(Light3x3(middle) for _ in range(2)))
        self.conv2c = nn.Sequential(*(Light3x3(middle) for _ in range(3)))
        self.conv2d = nn.Sequential(*(Light3x3(middle) for _ in range(_STREAMS)))
        self.gate = Gate(middle)
        self.conv3 = Normalised(middle, outputs, 1, active=False)
        self.downsample = Normalised(inputs, outputs, 1, active=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(x)
        streams = [
            self.gate(stream(narrow)) for stream in (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        ]
        residual = self.conv3(streams[0] + streams[1] + streams[2] + streams[3])
        return torch.relu(residual + (x if self.downsample is None else self.downsample(x)))


class OsNet(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """float32 (n, 3, height, width) to float32 (n, 512); height and width are multiples of 16."""

    def __init__(self, channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        stem, first, second, third = channels
        self.conv1 = Normalised(3, stem, 7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = _stage(stem, first, halve=True)
        self.conv3 = _stage(first, second, halve=True)
        self.conv4 = _stage(second, third, halve=False)
        self.conv5 = Normalised(third, third, 1)
        self.fc = nn.Sequential(nn.Linear(third, DIMS), nn.BatchNorm1d(DIMS), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        features = self.maxpool(self.conv1(x))
        features = self.conv5(self.conv4(self.conv3(self.conv2(features))))
        vectors: Tensor = self.fc(nn.functional.adaptive_avg_pool2d(features, 1).flatten(1))
        return vectors


def _stage(inputs: int, outputs: int, *, halve: bool) -> nn.Sequential:
    layers: list[nn.Module] = [Block(inputs if index == 0 else outputs, outputs) for index in range(_BLOCKS)]
    if halve:
        layers.append(nn.Sequential(Normalised(outputs, outputs, 1), nn.AvgPool2d(2, stride=2)))
    return nn.Sequential(*layers)


def variant_of(weights: Mapping[str, Any]) -> str | None:
    """Which OSNet these tensors are of, by their names and shapes; None if of none that is known."""
    stem = weights.get("conv1.conv.weight")
    for name, channels in CHANNELS.items():
        if stem is not None and stem.shape == (channels[0], 3, 7, 7):
            expected = OsNet(channels).state_dict()
            sizes = {key: tuple(value.shape) for key, value in weights.items()}
            if sizes == {key: tuple(value.shape) for key, value in expected.items()}:
                return name
    return None
