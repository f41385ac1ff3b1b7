"""A network that stands in for a detector where no runtime for real ones is there: torch, random weights.

Part of `bench.gpu`. As deep and as wide as YOLOv8n, with its input and its output layout, so that what the engine
does around the network (uploads, preprocessing, batches, answers, suppression) is measured under a like load. Its
boxes mean nothing, and its speed is torch's, not TensorRT's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engine.models.backend import Backend, BackendOptions, Call
from engine.models.gpu import gpu_work
from engine.models.heads.base import Graph, Tensor
from engine.types import F32
from kernels import device

SIDE, CLASSES = 640, 80
NAMES = str({index: f"thing {index}" for index in range(CLASSES)})


class _Block(nn.Module):  # type: ignore[misc]  # torch is not looked into by the type checker
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels_in, channels, 3, stride, 1)
        self.one, self.two = (nn.Conv2d(channels // 2, channels // 2, 3, 1, 1) for _ in range(2))
        self.mix = nn.Conv2d(channels + channels // 2, channels, 1)

    def forward(self, x: Any) -> Any:
        x = nn.functional.silu(self.down(x))
        half = x.shape[1] // 2
        more = nn.functional.silu(self.two(nn.functional.silu(self.one(x[:, half:]))))
        return nn.functional.silu(self.mix(torch.cat([x, more], 1)))


class _Network(nn.Module):  # type: ignore[misc]  # as above
    """Five strides, three of them with a head: (n, 84, 8400)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (24, 40, 88, 176, 336)
        self.blocks = nn.ModuleList(
            _Block(before, after, 2) for before, after in zip((3, *widths), widths, strict=False)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, 80, 3, 1, 1), nn.SiLU(), nn.Conv2d(80, 80, 3, 1, 1), nn.SiLU(),
                          nn.Conv2d(80, 4 + CLASSES, 1))
            for width in widths[2:]
        )  # fmt: skip
        # Thirty places where there is something, as in a picture with some objects.
        bias = torch.full((CLASSES, 8400), -6.0)
        bias[torch.randint(CLASSES, (30,)), torch.randint(8400, (30,))] = 2.0
        self.register_buffer("bias", bias)

    def forward(self, x: Any) -> Any:
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index >= 2:
                outputs.append(self.heads[index - 2](x).flatten(2))
        found = torch.cat(outputs, 2)
        boxes = found[:, :4].sigmoid() * SIDE
        return torch.cat([boxes, (found[:, 4:] + self.bias).sigmoid()], 1)


@dataclass(slots=True)
class _Memory:
    pictures: Any
    host: NDArray[Any]


class TorchStandIn(Backend, name="bench-torch"):
    """Runs the network in half precision, a stream for each lane."""

    on_gpu = True

    def __init__(self, path: Path, options: BackendOptions) -> None:
        torch.manual_seed(1)
        self.batch, self.fixed_batch = options.batch, False
        self._network = _Network().half().eval().cuda().to(memory_format=torch.channels_last)
        self._streams = [device.Stream() for _ in range(max(1, options.lanes))]
        inputs = (Tensor("images", "float32", ("batch", 3, SIDE, SIDE)),)
        outputs = (Tensor("output0", "float32", ("batch", 4 + CLASSES, 8400)),)
        metadata = {
            "author": "Ultralytics",
            "stride": "32",
            "task": "detect",
            "names": NAMES,
            "imgsz": "[640, 640]",
        }
        self.graph = Graph(inputs, outputs, ((1, 4 + CLASSES, 8400),), (SIDE, SIDE), metadata)
        self.description = f"stand-in network in torch {torch.__version__}, random weights"

    @classmethod
    def load(cls, path: Path, options: BackendOptions) -> Backend:
        return cls(path, options)

    def new_call(self) -> Call:
        with gpu_work(self.name):
            pictures = device.empty((self.batch, 3, SIDE, SIDE), np.float32)
            host = device.pinned_empty((self.batch, 4 + CLASSES, 8400), np.float32)
        return Call(pictures, _Memory(torch.as_tensor(pictures, device="cuda"), host))

    def run(self, call: Call, count: int, lane: int) -> list[F32]:
        stream, memory = self._streams[lane], call.private
        with torch.cuda.stream(torch.cuda.ExternalStream(stream.address)), torch.inference_mode():
            pictures = memory.pictures[:count].half().contiguous(memory_format=torch.channels_last)
            found = self._network(pictures).float()
            torch.from_numpy(memory.host[:count]).copy_(found, non_blocking=True)
        with gpu_work(self.name):
            stream.wait()
        return [memory.host[:count]]

    def close(self) -> None:
        self._streams = []


def giga_operations() -> float:
    """Multiplications and additions of one picture, in 10⁹, counted over the convolutions."""
    total = 0.0

    def count(module: Any, _: Any, output: Any) -> None:
        nonlocal total
        total += 2 * module.weight.numel() / module.weight.shape[0] * output[0].numel()

    network = _Network()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 3, SIDE, SIDE))
    return total / 1e9


def has_cuda() -> bool:
    """Whether this torch can use the GPU."""
    return bool(torch.cuda.is_available())
