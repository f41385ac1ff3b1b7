"""EdgeTAM as the four graphs of SAM 2: same inputs, same outputs, 512 tokens in a memory instead of r·r.

The mask decoder is SAM 2's, the image encoder has a file of its own. Computed differently from the model, with the
same result: keys that are not turned by the rotary embedding (global latents, pointers) stay 64 wide, their matrix
goes to the query; what is not valid in the bank is masked by one more column of queries and keys.

EdgeTAM gives pointers no age and absent objects no mark in their memory: `obj_ptr_tdiff` and `object_score` are
inputs without effect, so that one program runs both families.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tools.sam2 import graphs
from tools.sam2.edgetam_model import latent_positions
from tools.sam2.edgetam_perceiver import GLOBAL_LATENTS, GRID
from tools.sam2.graph_parts import linear, picture_of, tokens_of

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

_MASKED = 1e4  # subtracted from scores of bank entries that are not valid; fits into float16


class MemoryAttention(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A frame's features, seen in the light of what is remembered of each object: pix_feat [N,256,r,r]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.side = model.image_size // 16
        theta = float(model.memory_attention.layers[0].self_attn.compute_cis.keywords["theta"])
        for name, side in (("frame", self.side), ("window", GRID)):
            cos, sin = graphs.rotary_tables(side, theta)
            self.register_buffer(f"{name}_cos", cos)
            self.register_buffer(f"{name}_sin", sin)
        position = model.image_encoder.neck.position_encoding(torch.zeros(1, 256, self.side, self.side))
        # The package adds a tenth of the position to the features.
        self.register_buffer("frame_position", 0.1 * tokens_of(position))
        self.register_buffer("window_position", latent_positions()[GLOBAL_LATENTS:])
        self.register_buffer("memory_age", model.maskmem_tpos_enc.detach().reshape(-1, 64).clone())
        self.layers = nn.ModuleList(_Layer(layer) for layer in model.memory_attention.layers)
        self.norm = model.memory_attention.norm

    def forward(
        self,
        image_embed: Tensor,
        frame_index: Tensor,
        memory: Tensor,
        memory_tpos: Tensor,
        obj_ptr: Tensor,
        obj_ptr_tdiff: Tensor,
        memory_valid: Tensor,
        obj_ptr_valid: Tensor,
    ) -> Tensor:
        rows, slots, pointers = memory.shape[0], memory.shape[1], obj_ptr.shape[1]
        tables = (self.frame_cos, self.frame_sin)
        memory_bias = ((memory_valid - 1) * _MASKED)[:, :, None].expand(rows, slots, GLOBAL_LATENTS)
        pointer_valid = obj_ptr_valid + torch.zeros_like(obj_ptr_tdiff)
        pointer_bias = ((pointer_valid - 1) * _MASKED)[:, :, None].expand(rows, pointers, 4)
        windows, globals_ = memory[:, :, GLOBAL_LATENTS:], memory[:, :, :GLOBAL_LATENTS]
        ages = functional.embedding(memory_tpos, self.memory_age)[:, :, None, :]
        pointer_tokens = obj_ptr.reshape(rows, pointers * 4, 64)
        plain = torch.cat([(globals_ + ages).reshape(rows, -1, 64), pointer_tokens], 1)
        plain_bias = torch.cat([memory_bias.reshape(rows, -1), pointer_bias.reshape(rows, -1)], 1)[..., None]
        plain = torch.cat([plain, torch.ones_like(plain_bias), plain_bias], 2)
        turned = (
            windows + self.window_position + ages,
            memory_bias.reshape(rows, -1, 1),
            (self.window_cos, self.window_sin),
        )
        values = torch.cat([globals_.reshape(rows, -1, 64), pointer_tokens, windows.reshape(rows, -1, 64)], 1)
        x = tokens_of(image_embed) + self.frame_position
        first = self.layers[0]
        x = first.look_around(x, tables).index_select(0, frame_index)
        for layer in self.layers:
            if layer is not first:
                x = layer.look_around(x, tables)
            x = layer.remember(x, (plain, turned), values, tables)
        return picture_of(self.norm(x), self.side)


class MemoryEncoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A frame's features and an object's mask → what is remembered of them, [N,512,64]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encode = graphs.MemoryEncoder(model)
        self.perceiver = model.spatial_perceiver
        side = model.image_size // 16
        position = model.memory_encoder.position_encoding(torch.zeros(1, 64, side, side))
        self.register_buffer("position", tokens_of(position))

    def forward(
        self,
        image_embed: Tensor,
        frame_index: Tensor,
        low_res_mask: Tensor,
        object_score: Tensor,
        mask_from_points: Tensor,
    ) -> Tensor:
        tokens = self.encode(image_embed, frame_index, low_res_mask, object_score, mask_from_points)
        return self.perceiver(tokens, self.position)


class _Layer(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """One layer of the memory attention, its weights reordered once for the rotary embedding in halves."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        own, cross = layer.self_attn, layer.cross_attn_image
        order = torch.cat([torch.arange(0, 256, 2), torch.arange(1, 256, 2)])
        scale = 256**-0.5
        self.own_norm, self.cross_norm, self.last_norm = layer.norm1, layer.norm2, layer.norm3
        self.linear_in, self.linear_out = layer.linear1, layer.linear2
        self.own_query = linear(own.q_proj.weight[order] * scale, own.q_proj.bias[order] * scale)
        self.own_key = linear(own.k_proj.weight[order], own.k_proj.bias[order])
        self.own_value, self.own_out = own.v_proj, own.out_proj
        self.cross_query = linear(cross.q_proj.weight[order] * scale, cross.q_proj.bias[order] * scale)
        self.cross_key = linear(cross.k_proj.weight[order], cross.k_proj.bias[order])
        # Of keys that are not turned only the 64 wide token is kept: q·(Wm + b) = (qW)·m + q·b.
        to_plain = torch.cat([self.cross_key.weight.T, self.cross_key.bias[None]])
        self.to_plain = linear(to_plain, torch.zeros(65))
        # Rows of a softmax sum to one: projecting the values may wait until after the weighted sum.
        self.cross_out = linear(
            cross.out_proj.weight @ cross.v_proj.weight,
            cross.out_proj.weight @ cross.v_proj.bias + cross.out_proj.bias,
        )

    def look_around(self, x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
        """Self-attention over the frame's tokens."""
        seen = self.own_norm(x)
        query = graphs.rotate(self.own_query(seen), *tables)
        key = graphs.rotate(self.own_key(seen), *tables)
        weights = torch.softmax(query @ key.transpose(1, 2), -1)
        return x + self.own_out(weights @ self.own_value(seen))

    def remember(
        self, x: Tensor, keys: tuple[Any, Any], values: Tensor, tables: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Cross attention, and what follows it.

        keys  those not turned, [N,K,66]: token, one, mask; and windows [N,M,256,64], their mask, their tables
        """
        plain, (windows, window_bias, window_tables) = keys
        rows = windows.shape[0]
        query = graphs.rotate(self.cross_query(self.cross_norm(x)), *tables)
        one = torch.ones_like(query[:, :, :1])
        turned = graphs.rotate(self.cross_key(windows), *window_tables).reshape(rows, -1, 256)
        turned = torch.cat([turned, window_bias], 2)
        scores = [
            torch.cat([self.to_plain(query), one], 2) @ plain.transpose(1, 2),
            torch.cat([query, one], 2) @ turned.transpose(1, 2),
        ]
        x = x + self.cross_out(torch.softmax(torch.cat(scores, 2), -1) @ values)
        return x + self.linear_out(functional.relu(self.linear_in(self.last_norm(x))))
