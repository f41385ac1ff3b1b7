"""What the modules of several graphs have in common: linear layers made of given weights, token layouts, GELU.

How a thing is written decides what ONNX Runtime makes of it on a CPU. Linear layers over tokens in two dimensions
export as Gemm, which adds the bias on its way; in three dimensions as MatMul and Add, which is better only before a
GELU (ONNX Runtime joins those two).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""


def linear(weight: Tensor, bias: Tensor | None = None) -> Any:
    """A linear layer with these weights [out,in] and this bias [out]."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(bias)
    return made.requires_grad_(False)


def negated(layer: Any) -> Any:
    """A linear layer that gives the same with the other sign."""
    return linear(-layer.weight, None if layer.bias is None else -layer.bias)


def apply_flat(layer: Any, x: Tensor) -> Tensor:
    """A linear layer over [N,T,C] as one matrix product in two dimensions."""
    return layer(x.reshape(-1, x.shape[-1])).reshape(x.shape[0], x.shape[1], layer.out_features)


def gelu(x: Tensor) -> Tensor:
    """The exact GELU, in the form that ONNX Runtime recognises at every operator set."""
    return 0.5 * (x * (1.0 + torch.erf(x / 2**0.5)))


def tokens_of(features: Tensor) -> Tensor:
    """[N,C,h,w] → [N,h·w,C]."""
    return features.flatten(2).transpose(1, 2)


def picture_of(tokens: Tensor, side: int) -> Tensor:
    """[N,side²,C] → [N,C,side,side]."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], side, side)


def channel_norm(norm: Any, x: Tensor) -> Tensor:
    """The package's `LayerNorm2d` over channels of [N,C,h,w], as one operation with channels last.

    Not with few channels: ONNX Runtime takes as long for a row of four as for one of a hundred.
    """
    if x.shape[1] < 8:
        centred = x - x.mean(1, keepdim=True)
        spread = torch.sqrt((centred * centred).mean(1, keepdim=True) + norm.eps)
        return centred / spread * norm.weight[:, None, None] + norm.bias[:, None, None]
    last = x.permute(0, 2, 3, 1)
    done = functional.layer_norm(last, last.shape[-1:], norm.weight, norm.bias, norm.eps)
    return done.permute(0, 3, 1, 2)
