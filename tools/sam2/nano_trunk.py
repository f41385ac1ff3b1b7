"""The image encoder of nano-sam: the body of nano-det, which knows people already, and a neck up to stride 2.

Dense convolutions of few channels, ReLU and batch normalisation: what a CPU does best. Training begins with nano-det's
weights (`NanoTrunk.begin_with`), since finding people is half of outlining them. `folded` returns the same function
without normalisations. Knows nothing of what is done with the features.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tools.nano.detector import NanoDetector, Normalised, Residual

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

MEAN_RGB = (0.485, 0.456, 0.406)
STD_RGB = (0.229, 0.224, 0.225)
"""Of pictures in 0..1: what SAM 2's pictures are normalised with, and nano-det's are not."""
STEM, FINE, MIDDLE, COARSE, COARSEST = 16, 32, 64, 160, 128
"""Channels at strides 2, 4, 8, 16 and 32."""


class NanoTrunk(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """image [F,3,S,S] → features at strides 2, 4, 8, 16 and 32, finest first.

    Those of strides 8 and 16 are nano-det's mixed ones; beside the latter lie the ones before mixing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.channel_list = [COARSEST, COARSE, MIDDLE, FINE, STEM]
        body = NanoDetector()
        self.stem, self.downs, self.stages, self.pooled = body.stem, body.downs, body.stages, body.pooled
        self.laterals, self.descending = body.laterals, body.descending
        self.step, self.ascending = body.steps[0], body.ascending[0]
        self.register_buffer("mean", torch.tensor(MEAN_RGB)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD_RGB)[:, None, None], persistent=False)

    def begin_with(self, detector: Mapping[str, Tensor]) -> None:
        """Take the weights of a trained nano-det, its `state_dict()`. Raises KeyError where one is missing."""
        weights = self.state_dict()
        for name in weights:
            part, _, rest = name.partition(".")
            weights[name] = detector[f"{_IN_DETECTOR.get(part, part)}.{rest}"]
        self.load_state_dict(weights)

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = [self.stem(image * self.std + self.mean)]
        for down, stage in zip(self.downs, self.stages, strict=True):
            levels.append(stage(down(levels[-1])))
        finest, fine, middle, coarse, coarsest = levels
        coarsest = self.pooled(coarsest)
        low, mid, high = (
            lateral(x) for lateral, x in zip(self.laterals, (middle, coarse, coarsest), strict=True)
        )
        mid = self.descending[0](torch.cat([mid, _twice(high)], 1))
        low = self.descending[1](torch.cat([low, _twice(mid)], 1))
        mid = self.ascending(torch.cat([mid, self.step(low)], 1))
        return [finest, fine, low, torch.cat([mid, coarse], 1), coarsest]


_IN_DETECTOR = {"step": "steps.0", "ascending": "ascending.0"}


class NanoNeck(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Features of the trunk → features at strides 2, 4 and 16, the last `d_model` wide, and positions of the last.

    Every level takes in what the coarser ones say, mixed by 3x3 convolutions. The finer levels are for the mask
    decoder alone, which does not ask for their positions: zeros of their size are in the place of these.
    """

    def __init__(self, position_encoding: Any, d_model: int) -> None:
        super().__init__()
        self.position_encoding = position_encoding
        self.d_model = d_model
        self.backbone_channel_list = [COARSEST, COARSE, MIDDLE, FINE, STEM]
        self.coarse = nn.Conv2d(COARSE, d_model, 1)
        self.coarsest = nn.Conv2d(COARSEST, d_model, 1)
        self.to_middle = nn.Conv2d(d_model, MIDDLE, 1)
        self.middle = Normalised(MIDDLE, MIDDLE)
        self.to_fine = nn.Conv2d(MIDDLE, FINE, 1)
        self.fine = nn.Sequential(Normalised(FINE, FINE), Residual(FINE))
        self.to_finest = nn.Conv2d(FINE, STEM, 1)
        self.finest = Normalised(STEM, STEM)

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        finest, fine, middle, coarse, coarsest = levels
        coarse = self.coarse(coarse) + _twice(self.coarsest(coarsest))
        middle = self.middle(middle + _twice(self.to_middle(coarse)))
        fine = self.fine(fine + _twice(self.to_fine(middle)))
        finest = self.finest(finest + _twice(self.to_finest(fine)))
        places = [level.new_zeros(level.shape[0], 1, *level.shape[2:]) for level in (finest, fine)]
        return [finest, fine, coarse], [*places, self.position_encoding(coarse).to(coarse.dtype)]


def folded(module: Any) -> Any:
    """A copy whose normalisations are folded into the convolutions before them, for inference; the same function."""
    done = copy.deepcopy(module).eval()
    _fold_children(done)
    return done.requires_grad_(False)


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _fold_children(module: Any) -> None:
    for name, child in module.named_children():
        if isinstance(child, Normalised):
            setattr(module, name, nn.Sequential(fuse_conv_bn_eval(child[0], child[1]), nn.ReLU()))
        else:
            _fold_children(child)
