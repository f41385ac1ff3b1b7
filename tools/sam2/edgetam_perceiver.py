"""EdgeTAM's spatial perceiver: a frame's memory of r*r tokens becomes 512, whatever the picture's size.

256 global latents look at all tokens of the frame; 256 more, one for each window of a 16x16 grid, look at their
window only. Both go through the same layers. Parameters carry the names of the official checkpoint
(`spatial_perceiver.…`).

Written for export: keys and values of a frame's tokens are made once for both kinds of latents, the one latent of a
window weighs its few tokens without a matrix product, and its self-attention, whose softmax is 1, is the projection
of its value.

Source: Zhou et al., "EdgeTAM: On-Device Track Anything Model", arXiv 2501.07256.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tools.sam2.graph_parts import gelu

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

GRID = 16
"""Windows along a side, whatever the size: a latent's place for the rotary embedding."""
GLOBAL_LATENTS = 256
LATENTS = GLOBAL_LATENTS + GRID * GRID
"""Tokens of one memory."""
_WIDTH = 64

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys, values → weighted values."""


class SpatialPerceiver(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """memory [N,r*r,64] and its positions [1,r*r,64] → [N,512,64], global latents first."""

    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(GLOBAL_LATENTS, _WIDTH))
        self.latents_2d = nn.Parameter(torch.randn(GRID * GRID, _WIDTH))
        self.layers = nn.ModuleList(_Layer() for _ in range(depth))
        self.norm = nn.LayerNorm(_WIDTH)

    def forward(self, memory: Tensor, position: Tensor) -> Tensor:
        rows, tokens = memory.shape[0], memory.shape[1]
        window = int(tokens**0.5) // GRID
        whole = self.latents[None].expand(rows, -1, -1)
        local = self.latents_2d[None].expand(rows, -1, -1).reshape(-1, 1, _WIDTH)
        for layer in self.layers:
            key, value = layer.attn.keys_and_values(memory)
            whole = layer(whole, _attend, (key + position, value + position))
            local = layer(local, _weigh, (_windows(key, window), _windows(value, window)))
        return self.norm(torch.cat([whole, local.reshape(rows, GRID * GRID, _WIDTH)], 1))


class _Layer(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self) -> None:
        super().__init__()
        self.attn = _CrossAttention()
        self.ff = _feed_forward()
        self.self_attn = _SelfAttention()
        self.self_ff = _feed_forward()

    def forward(self, latents: Tensor, attend: Attend, seen: tuple[Tensor, Tensor]) -> Tensor:
        latents = latents + self.attn(latents, attend, seen)
        latents = latents + self.ff(latents)
        latents = latents + self.self_attn(latents)
        return latents + self.self_ff(latents)


class _CrossAttention(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Latents look at tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_x = nn.LayerNorm(_WIDTH)
        self.norm_latents = nn.LayerNorm(_WIDTH)
        self.to_q = nn.Linear(_WIDTH, _WIDTH, bias=False)
        self.to_kv = nn.Linear(_WIDTH, 2 * _WIDTH, bias=False)
        self.to_out = nn.Linear(_WIDTH, _WIDTH, bias=False)

    def keys_and_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        key, value = self.to_kv(self.norm_x(tokens)).chunk(2, dim=-1)
        return key, value

    def forward(self, latents: Tensor, attend: Attend, seen: tuple[Tensor, Tensor]) -> Tensor:
        return self.to_out(attend(self.to_q(self.norm_latents(latents)), *seen))


class _SelfAttention(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(_WIDTH)
        self.to_q = nn.Linear(_WIDTH, _WIDTH, bias=False)
        self.to_kv = nn.Linear(_WIDTH, 2 * _WIDTH, bias=False)
        self.to_out = nn.Linear(_WIDTH, _WIDTH, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        seen = self.norm(latents)
        if latents.shape[1] == 1:
            return self.to_out(functional.linear(seen, self.to_kv.weight[_WIDTH:]))
        key, value = self.to_kv(seen).chunk(2, dim=-1)
        return self.to_out(_attend(self.to_q(seen), key, value))


class _Gelu(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def forward(self, x: Tensor) -> Tensor:
        return gelu(x)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """One head of 64."""
    return torch.softmax(query * _WIDTH**-0.5 @ key.transpose(1, 2), -1) @ value


def _weigh(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same for one query [B,1,64] and few keys."""
    scores = (query * _WIDTH**-0.5 * key).sum(-1, keepdim=True)
    return (torch.softmax(scores, 1) * value).sum(1, keepdim=True)


def _windows(tokens: Tensor, window: int) -> Tensor:
    """[N,r·r,64] → [N·256,w·w,64]."""
    rows = tokens.shape[0]
    split = tokens.reshape(rows, GRID, window, GRID, window, _WIDTH)
    return split.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, _WIDTH)


def _feed_forward() -> nn.Sequential:
    """Names as in the checkpoint: the normalisation is 0, the matrices 1 and 3."""
    return nn.Sequential(
        nn.LayerNorm(_WIDTH),
        nn.Linear(_WIDTH, 4 * _WIDTH, bias=False),
        _Gelu(),
        nn.Linear(4 * _WIDTH, _WIDTH, bias=False),
    )
