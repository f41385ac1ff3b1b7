"""The image encoder as a graph: Hiera and its neck, with tokens kept in the order of their windows.

The same numbers as `SAM2VideoPredictor.forward_image`, computed with less: no copies into windows and back
(`window_order`); no work on the padding of cut windows, whose keys without bias score zero and whose values without
bias are zero, so that it only enlarges the softmax's sum; no bias of keys (it shifts a row's scores alike) and of
values (it passes through the weighted sum into the projection's bias); the neck's finer levels and the decoder's
projections of them as one matrix; position embedding computed at export.

Source: Ryali et al., "Hiera", arXiv 2306.00989; github.com/facebookresearch/sam2, modeling/backbones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tools.sam2.graph_parts import Tensor, apply_flat, gelu, linear, picture_of, tokens_of
from tools.sam2.window_order import Windows, enlarged, inverse, pooled_order, window_order


class ImageEncoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """image [F,3,S,S] → image_embed [F,256,r,r], high_res_0 [F,32,4r,4r], high_res_1 [F,64,2r,2r]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        trunk = model.image_encoder.trunk
        side = model.image_size // 4
        order, windows = window_order(side, trunk.window_spec[0])
        self.patches = trunk.patch_embed.proj
        self.register_buffer("first_order", order)
        position = trunk._get_pos_embed((side, side)).detach()
        self.register_buffer("position", position.reshape(1, side * side, -1)[:, order].clone())
        self.stages = nn.ModuleList()
        blocks: list[Any] = []
        for index, block in enumerate(trunk.blocks):
            everything = (Windows(1, side * side, 0),)
            blocks.append(_Block(block, windows if block.window_size else everything))
            if block.pool is not None:
                order, side = pooled_order(order, side), side // 2
                wanted, windows = window_order(side, trunk.window_spec[len(self.stages)])
                if not torch.equal(order, wanted):
                    blocks.append(_Reorder(inverse(order)[wanted]))
                order = wanted
            if index in trunk.stage_ends:
                self.stages.append(_Stage(blocks, inverse(order), side))
                blocks = []
        self.neck = _Neck(model, [stage.raster for stage in self.stages])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = tokens_of(self.patches(image)).index_select(1, self.first_order) + self.position
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        finest, fine, coarse = self.neck(levels)
        finest_side, fine_side, coarse_side = (stage.side for stage in self.stages[:3])
        return (
            picture_of(coarse, coarse_side),
            picture_of(finest, finest_side),
            picture_of(fine, fine_side),
        )


class _Stage(nn.Sequential):  # type: ignore[misc]  # torch is not looked into
    """Blocks of one stage. raster: where the token of a raster place lies in what they return."""

    def __init__(self, blocks: list[Any], raster: Tensor, side: int) -> None:
        super().__init__(*blocks)
        self.raster = raster
        self.side = side


class _Reorder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self, places: Tensor) -> None:
        super().__init__()
        self.register_buffer("places", places)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.places)


class _Block(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """One block of Hiera over tokens [F,T,C] in the order of their windows."""

    def __init__(self, block: Any, windows: tuple[Windows, ...]) -> None:
        super().__init__()
        self.sizes = [kind.count * kind.tokens for kind in windows]
        self.first_norm, self.second_norm = block.norm1, block.norm2
        self.widen, self.narrow = block.mlp.layers
        self.skip = block.proj if block.dim != block.dim_out else None
        self.pooled = block.pool is not None
        layers = _layers(block.attn)
        self.attentions = nn.ModuleList(
            _Attention(layers, block.attn.num_heads, kind, pooled=self.pooled) for kind in windows
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = self.first_norm(x)
        if self.skip is not None:
            x = apply_flat(self.skip, seen)
            x = _pool(x) if self.pooled else x
        parts = [seen] if len(self.sizes) == 1 else seen.split(self.sizes, 1)
        found = [attention(part) for attention, part in zip(self.attentions, parts, strict=True)]
        x = x + (found[0] if len(found) == 1 else torch.cat(found, 1))
        return x + apply_flat(self.narrow, gelu(self.widen(self.second_norm(x))))


def _layers(attention: Any) -> dict[str, Any]:
    """The linear layers of an attention, without the biases that change nothing or can wait."""
    width = attention.dim_out
    query, key, value = attention.qkv.weight.split(width)
    query_bias, _, value_bias = attention.qkv.bias.split(width)
    scale = (width // attention.num_heads) ** -0.5
    out = attention.proj
    return {
        "query": linear(query * scale, query_bias * scale),
        "key": linear(key),
        "value": linear(value),
        "out": linear(out.weight, out.weight @ value_bias + out.bias),
    }


def _by_head(windows: int, tokens: int, heads: int) -> Tensor:
    """Rows of one head's width: from the order window, token, head to window, head, token."""
    rows = torch.arange(windows * tokens * heads).reshape(windows, tokens, heads)
    return rows.transpose(1, 2).reshape(-1)


class _Attention(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Attention within windows of one kind, whose queries are pooled at the begin of a stage.

    Windows are given by their number in a frame and their tokens. Heads are taken apart and put together by a
    gathering of rows, which ONNX Runtime does on all threads; a transposition it does on one.
    """

    def __init__(self, layers: Mapping[str, Any], heads: int, windows: Windows, *, pooled: bool) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (
            layers[name] for name in ("query", "key", "value", "out")
        )
        self.heads, self.pooled, self.padding = heads, pooled, windows.padding
        self.tokens = windows.tokens
        self.asking = windows.tokens // 4 if pooled else windows.tokens
        if heads > 1:
            order = _by_head(windows.count, windows.tokens, heads)
            asking = _by_head(windows.count, self.asking, heads)
            self.register_buffer("apart", order)
            self.register_buffer("apart_asking", asking)
            self.register_buffer("together", inverse(asking))

    def forward(self, x: Tensor) -> Tensor:
        """[F,T,C] → [F,T or T/4,width]."""
        frames = x.shape[0]
        flat = x.reshape(-1, x.shape[2])
        query, key, value = self.query(flat), self.key(flat), self.value(flat)
        width = value.shape[1]
        if self.pooled:
            query = query.reshape(-1, 4, width).amax(1)
        if self.heads > 1:
            query = self._rows(query, frames, self.apart_asking)
            key, value = self._rows(key, frames, self.apart), self._rows(value, frames, self.apart)
        query, key, value = (
            each.reshape(-1, tokens, width // self.heads)
            for each, tokens in ((query, self.asking), (key, self.tokens), (value, self.tokens))
        )
        found = _softmax(query @ key.transpose(1, 2), self.padding) @ value
        if self.heads > 1:
            found = self._rows(found, frames, self.together)
        return self.out(found.reshape(-1, width)).reshape(frames, -1, width)

    def _rows(self, x: Tensor, frames: int, places: Tensor) -> Tensor:
        """Rows of one head's width, of each frame, in another order."""
        return x.reshape(frames, len(places), -1).index_select(1, places)


class _Neck(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Levels in the order of windows, finest first → [F,T,32], [F,T,64], [F,T,256] in raster order.

    Only the third level takes part in the top-down path, and the fourth is needed for nothing else.
    """

    def __init__(self, model: Any, raster: list[Tensor]) -> None:
        super().__init__()
        neck, decoder = model.image_encoder.neck, model.sam_mask_decoder
        if set(neck.fpn_top_down_levels) != {2, 3} or neck.fpn_interp_model != "nearest":
            raise ValueError("the neck passes features down in another way than SAM 2's configurations")
        half = 2 if neck.fuse_type == "avg" else 1
        (coarsest, coarsest_bias), (coarse, coarse_bias), (fine, fine_bias), (finest, finest_bias) = (
            (level.conv.weight.flatten(1), level.conv.bias) for level in neck.convs
        )
        to_fine, to_finest = decoder.conv_s1.weight.flatten(1), decoder.conv_s0.weight.flatten(1)
        self.coarsest = linear(coarsest / half)
        self.coarse = linear(coarse / half, (coarse_bias + coarsest_bias) / half)
        self.fine = linear(to_fine @ fine, to_fine @ fine_bias + decoder.conv_s1.bias)
        self.finest = linear(to_finest @ finest, to_finest @ finest_bias + decoder.conv_s0.bias)
        self.register_buffer("finest_raster", raster[0])
        self.register_buffer("fine_raster", raster[1])
        self.register_buffer("coarse_raster", raster[2])
        side = math.isqrt(len(raster[2]))
        self.register_buffer("coarsest_raster", raster[3][enlarged(side)])

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        finest = apply_flat(self.finest, levels[0]).index_select(1, self.finest_raster)
        fine = apply_flat(self.fine, levels[1]).index_select(1, self.fine_raster)
        coarse = apply_flat(self.coarse, levels[2]).index_select(1, self.coarse_raster)
        above = apply_flat(self.coarsest, levels[3]).index_select(1, self.coarsest_raster)
        return finest, fine, coarse + above


def _pool(x: Tensor) -> Tensor:
    """The largest of four neighbouring tokens: [N,4T,C] → [N,T,C]."""
    return x.reshape(-1, 4, x.shape[2]).amax(1).reshape(x.shape[0], x.shape[1] // 4, x.shape[2])


def _softmax(scores: Tensor, padding: int) -> Tensor:
    """Weights of the tokens, beside so many more whose score is zero."""
    if not padding:
        return torch.softmax(scores, -1)
    together = functional.pad(scores, (0, 1), value=math.log(padding))
    return torch.softmax(together, -1)[:, :, :-1]
