"""EdgeTAM's image encoder as a graph: RepViT-M1 folded, the neck, the decoder's projections of its fine levels.

The first two stages are pictures and convolutions: few channels, many places, best in the blocked layout that ONNX
Runtime gives convolutions. In the other two, which hold three quarters of the work, channels come last and all but the
depthwise convolutions are matrix products: as fast, and in eight bits more than twice as fast.

The neck's levels 0 and 1 are not mixed with others: each is one matrix with the decoder's projection behind it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tools.sam2.edgetam_repvit import fold
from tools.sam2.graph_parts import gelu, linear

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""


class ImageEncoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """image [F,3,S,S] → image_embed [F,256,r,r], high_res_0 [F,32,4r,4r], high_res_1 [F,64,2r,2r]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        body = fold(model.image_encoder.trunk).body
        self.stem, self.first, self.second = body.stem, body.stages_0, body.stages_1
        self.third, self.fourth = _LastStage(body.stages_2), _LastStage(body.stages_3)
        coarsest, coarse, fine, finest = (level.conv for level in model.image_encoder.neck.convs)
        self.coarsest, self.coarse = _linear(coarsest), _linear(coarse)
        self.finest = _chain(finest, model.sam_mask_decoder.conv_s0)
        self.fine = _chain(fine, model.sam_mask_decoder.conv_s1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        finest = self.first(self.stem(image))
        fine = self.second(finest)
        coarse = self.third(_last(fine))
        coarsest = self.coarsest(self.fourth(coarse))
        above = functional.interpolate(_first(coarsest), scale_factor=2.0, mode="nearest")
        return _first(self.coarse(coarse)) + above, self.finest(finest), self.fine(fine)


class _LastStage(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A folded stage, channels last: [F,2g,2g,C] → [F,g,g,2C]."""

    def __init__(self, stage: Any) -> None:
        super().__init__()
        shrink = stage.downsample
        self.before = _LastBlock(shrink.pre_block)
        self.halve, self.widen = shrink.spatial_downsample, _linear(shrink.channel_downsample)
        self.feed = _FeedForward(shrink.ffn)
        self.blocks = nn.Sequential(*[_LastBlock(block) for block in stage.blocks])

    def forward(self, x: Tensor) -> Tensor:
        x = _last(self.halve(_first(self.before(x))))
        return self.blocks(self.feed(self.widen(x)))


class _LastBlock(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A folded block, channels last."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.mix = block.token_mixer
        self.squeezes = not isinstance(block.se, nn.Identity)
        if self.squeezes:
            self.squeeze, self.excite = _linear(block.se.fc1), _linear(block.se.fc2)
        self.feed = _FeedForward(block.channel_mixer)

    def forward(self, x: Tensor) -> Tensor:
        x = _last(self.mix(_first(x)))
        if self.squeezes:
            whole = x.mean((1, 2), keepdim=True)
            x = x * torch.sigmoid(self.excite(functional.relu(self.squeeze(whole))))
        return self.feed(x)


class _FeedForward(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """What comes in, and what two matrices make of it; channels last."""

    def __init__(self, feed: Any) -> None:
        super().__init__()
        self.widen, self.narrow = _linear(feed.conv1), _linear(feed.conv2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(gelu(self.widen(x)))


def _chain(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """Two 1x1 convolutions as one."""
    made = nn.Conv2d(first.in_channels, second.out_channels, 1)
    outer = second.weight[:, :, 0, 0]
    with torch.no_grad():
        made.weight.copy_((outer @ first.weight[:, :, 0, 0])[:, :, None, None])
        made.bias.copy_(outer @ first.bias + second.bias)
    return made.requires_grad_(False)


def _linear(convolution: nn.Conv2d) -> Any:
    """A 1x1 convolution as a linear layer."""
    return linear(convolution.weight[:, :, 0, 0], convolution.bias)


def _last(picture: Tensor) -> Tensor:
    """[F,C,g,g] → [F,g,g,C]."""
    return picture.permute(0, 2, 3, 1)


def _first(picture: Tensor) -> Tensor:
    """[F,g,g,C] → [F,C,g,g]."""
    return picture.permute(0, 3, 1, 2)
