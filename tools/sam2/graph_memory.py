"""Memory attention and memory encoder as graphs.

The same numbers as the package's modules. Memory attention differs by algebra only:
- the rotary embedding in halves of real numbers instead of complex pairs, each half from a linear layer of its own,
  so that nothing is cut apart;
- an entry that is not valid is masked by one more column: it holds the mask in keys and 1 in queries, so that the
  score tensor, by far the largest, is not touched once more;
- one head: projecting values and projecting what comes out is one matrix, before the weighted sum over the frame's
  own tokens, after that over memories, whose values stay 64 wide; rows of a softmax sum to one, so biases pass;
- what comes before the first look at an object's memory is done once per frame, not once per object.

The memory encoder normalises channels last, where that is one operation, and stays there between convolutions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from tools.sam2.graph_parts import (
    Tensor,
    apply_flat,
    channel_norm,
    gelu,
    linear,
    negated,
    picture_of,
    tokens_of,
)

_MASKED = 1e4  # subtracted from scores of bank entries that are not valid; fits into float16


class MemoryAttention(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A frame's features, seen in the light of what is remembered of each object: pix_feat [N,C,r,r].

    C = 256 and memories 64 wide in SAM 2; a pointer is split into as many tokens as a memory goes into it.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        attention = model.memory_attention
        self.side, self.memory_width = model.image_size // 16, model.mem_dim
        self.pointer_tokens = model.hidden_dim // model.mem_dim
        own = attention.layers[0].self_attn
        cos, sin = rotary_tables(self.side, float(own.compute_cis.keywords["theta"]), own.internal_dim)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)
        neck = model.image_encoder.neck
        frame_position = neck.position_encoding(torch.zeros(1, neck.d_model, self.side, self.side))
        # The package adds a tenth of the position to the features.
        self.register_buffer("frame_position", 0.1 * tokens_of(frame_position))
        memory = torch.zeros(1, model.mem_dim, self.side, self.side)
        memory_position = model.memory_encoder.position_encoding(memory)
        self.register_buffer("memory_position", tokens_of(memory_position)[:, None])
        self.register_buffer("memory_age", model.maskmem_tpos_enc.detach().reshape(-1, model.mem_dim).clone())
        self.pointer_age = PointerAge(model)
        self.layers = nn.ModuleList(_Layer(layer) for layer in attention.layers)
        self.norm = attention.norm

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
        rows, slots, length = memory.shape[0], memory.shape[1], memory.shape[2]
        pointers, width = obj_ptr.shape[1], self.memory_width
        remembered = (rows, slots * length, width)
        pointed = (rows, pointers * self.pointer_tokens, width)
        ages = functional.embedding(memory_tpos, self.memory_age)[:, :, None, :]
        pointer_tokens = obj_ptr.reshape(rows, pointers, self.pointer_tokens, width)
        pointer_keys = pointer_tokens + self.pointer_age(obj_ptr_tdiff)[:, :, None, :]
        values = torch.cat([memory.reshape(remembered), pointer_tokens.reshape(pointed)], 1)
        memory_keys = (memory + self.memory_position + ages).reshape(remembered)
        keys = _Keys(
            memory_keys,
            _mask_column(memory_valid, length),
            pointer_keys.reshape(pointed),
            _mask_column(obj_ptr_valid, self.pointer_tokens),
        )
        tables = (self.cos, self.sin)
        x = tokens_of(image_embed) + self.frame_position
        first = self.layers[0]
        x = first.look_around(x, tables)
        query = first.ask(x, tables).index_select(0, frame_index)
        x = x.index_select(0, frame_index)
        for layer in self.layers:
            if layer is not first:
                x = layer.look_around(x, tables)
                query = layer.ask(x, tables)
            x = layer.remember(x, query, keys, values, tables)
        return picture_of(self.norm(x), self.side)


class _Keys(NamedTuple):
    """What keys are made of, the same in all layers: tokens [N,M·L,W] and [N,tP,W], masks [N,…,1]."""

    memories: Tensor
    memory_mask: Tensor
    pointers: Tensor
    pointer_mask: Tensor


class PointerAge(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """obj_ptr_tdiff [N,P], frames → [N,P,W] of a memory's width, added to the keys of a pointer's tokens."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.used = bool(model.add_tpos_enc_to_obj_ptrs)  # SAM 2.0 does not
        self.project = model.obj_ptr_tpos_proj
        width = model.hidden_dim if model.proj_tpos_enc_in_obj_ptrs else model.mem_dim
        steps = torch.arange(width // 2).float()
        exponent = -2 * torch.div(steps, 2, rounding_mode="floor") / (width // 2)
        self.register_buffer("frequency", 10000**exponent)
        self.longest = float(model.max_obj_ptrs_in_encoder - 1)

    def forward(self, tdiff: Tensor) -> Tensor:
        if not self.used:
            return torch.zeros_like(tdiff)[..., None] * 0.0
        angles = (tdiff / self.longest)[..., None] * self.frequency
        return self.project(torch.cat([angles.sin(), angles.cos()], -1))


class _Layer(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """One layer of the memory attention, its weights reordered once for the rotary embedding in halves."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        own, cross = layer.self_attn, layer.cross_attn_image
        order = torch.cat([torch.arange(0, own.internal_dim, 2), torch.arange(1, own.internal_dim, 2)])
        scale = own.internal_dim**-0.5
        self.own_norm, self.cross_norm, self.last_norm = layer.norm1, layer.norm2, layer.norm3
        # With the other sign, to be subtracted: ONNX Runtime joins an addition with the normalisation after it into
        # one operation that takes longer than the two.
        self.linear_in, self.linear_out = layer.linear1, negated(layer.linear2)
        self.own_query = _Turned(own.q_proj.weight[order] * scale, own.q_proj.bias[order] * scale)
        self.own_key = _Turned(own.k_proj.weight[order], own.k_proj.bias[order])
        self.own_value = linear(own.out_proj.weight @ own.v_proj.weight)
        self.own_bias = nn.Parameter(
            own.out_proj.weight @ own.v_proj.bias + own.out_proj.bias, requires_grad=False
        )
        self.cross_query = _Turned(cross.q_proj.weight[order] * scale, cross.q_proj.bias[order] * scale)
        self.cross_key = _Turned(cross.k_proj.weight[order], cross.k_proj.bias[order])
        self.cross_out = linear(
            cross.out_proj.weight @ cross.v_proj.weight,
            cross.out_proj.weight @ cross.v_proj.bias + cross.out_proj.bias,
        )

    def look_around(self, x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
        """Self-attention over the frame's tokens."""
        seen = self.own_norm(x)
        query, key = self.own_query(seen, *tables), self.own_key(seen, *tables)
        weights = torch.softmax(query @ key.transpose(1, 2), -1)
        return x + (weights @ apply_flat(self.own_value, seen) + self.own_bias)

    def ask(self, x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
        """Queries of the cross attention [N,L,K+1]; the last column is 1 and meets the keys' mask."""
        query = self.cross_query(self.cross_norm(x), *tables)
        return functional.pad(query, (0, 1), value=1.0)

    def remember(
        self, x: Tensor, query: Tensor, keys: _Keys, values: Tensor, tables: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Cross attention to keys with values [N,…,W], and what follows it."""
        pointers = torch.cat([*self.cross_key.still(keys.pointers), keys.pointer_mask], 2)
        key = torch.cat([self.cross_key.of_slots(keys.memories, *tables, keys.memory_mask), pointers], 1)
        weights = torch.softmax(query @ key.transpose(1, 2), -1)
        x = x + apply_flat(self.cross_out, weights @ values)
        hidden = functional.relu(self.linear_in(self.last_norm(x)))
        return x - apply_flat(self.linear_out, hidden)


class _Turned(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A linear layer and the rotary embedding of what it gives."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.half = len(weight) // 2
        self.first = linear(weight[: self.half], bias[: self.half])
        self.second = linear(weight[self.half :], bias[self.half :])

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        a, b = apply_flat(self.first, x), apply_flat(self.second, x)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    def still(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Without turning: [N,T,W] → the halves [N,T,K/2]."""
        return apply_flat(self.first, x), apply_flat(self.second, x)

    def of_slots(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """[N,M·L,W], turned alike in every slot → [N,M·L,K+1] with the mask as the last column."""
        split = (x.shape[0], -1, *cos.shape)
        a, b = (half.reshape(split) for half in self.still(x))
        whole = (x.shape[0], x.shape[1], self.half)
        turned = (a * cos - b * sin, a * sin + b * cos)
        return torch.cat([turned[0].reshape(whole), turned[1].reshape(whole), mask], 2)


class MemoryEncoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A frame's features and an object's mask → what is remembered of them, [N,L,W]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        encoder = model.memory_encoder
        self.size = model.image_size
        self.side = model.image_size // 16
        self.scale = model.sigmoid_scale_for_mem_enc
        self.bias = model.sigmoid_bias_for_mem_enc
        self.downsampler = encoder.mask_downsampler.encoder
        last, project = self.downsampler[-1], encoder.pix_feat_proj
        # Two sums of 1x1 convolutions: their biases are one.
        self.mask_out = linear(last.weight.flatten(1), last.bias + project.bias)
        self.project = linear(project.weight.flatten(1))
        self.mixers = nn.ModuleList(_Mixer(layer) for layer in encoder.fuser.layers)
        out = encoder.out_proj
        self.out = linear(out.weight.flatten(1), out.bias)
        absent = model.no_obj_embed_spatial  # None in SAM 2.0
        self.register_buffer(
            "absent", torch.zeros(1, model.mem_dim) if absent is None else absent.detach().clone()
        )

    def forward(
        self,
        image_embed: Tensor,
        frame_index: Tensor,
        low_res_mask: Tensor,
        object_score: Tensor,
        mask_from_points: Tensor,
    ) -> Tensor:
        logits = functional.interpolate(
            low_res_mask, size=(self.size, self.size), mode="bilinear", align_corners=False
        )
        hard = (mask_from_points > 0)[:, None, None, None]
        mask = torch.where(hard, (logits > 0).to(logits.dtype), torch.sigmoid(logits))
        mask = mask * self.scale + self.bias
        for at in range(0, len(self.downsampler) - 1, 3):
            convolution, norm = self.downsampler[at], self.downsampler[at + 1]
            mask = gelu(channel_norm(norm, convolution(mask)))
        features = apply_flat(self.project, tokens_of(image_embed)).index_select(0, frame_index)
        x = features + apply_flat(self.mask_out, tokens_of(mask))
        for mixer in self.mixers:
            x = mixer(x, self.side)
        return apply_flat(self.out, x) + torch.where(object_score > 0, 0.0, self.absent)[:, None, :]


class _Mixer(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A ConvNeXt block over tokens [N,side²,C]; its layer scale is in the last linear layer."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.convolution, self.norm, self.widen = block.dwconv, block.norm, block.pwconv1
        scale = torch.ones(()) if block.gamma is None else block.gamma
        self.narrow = linear(block.pwconv2.weight * scale.reshape(-1, 1), block.pwconv2.bias * scale)

    def forward(self, x: Tensor, side: int) -> Tensor:
        seen = tokens_of(self.convolution(picture_of(x, side)))
        seen = functional.layer_norm(seen, seen.shape[-1:], self.norm.weight, self.norm.bias, self.norm.eps)
        return x + apply_flat(self.narrow, gelu(self.widen(seen)))


def rotary_tables(side: int, theta: float, width: int = 256) -> tuple[Tensor, Tensor]:
    """Cosine and sine [side²,width/2] of the angles by which the halves of queries and keys are turned."""
    tokens = torch.arange(side * side).float()
    columns, rows = tokens % side, torch.div(tokens, side, rounding_mode="floor")
    frequency = 1.0 / theta ** (torch.arange(0, width, 4).float() / width)
    angles = torch.cat([torch.outer(columns, frequency), torch.outer(rows, frequency)], -1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn [..., L, K] by the angles of its tokens' places."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def _mask_column(valid: Tensor, tokens: int) -> Tensor:
    """Validity [N,M] of entries of so many tokens → what is added to scores, [N,M·tokens,1]."""
    mask = ((valid - 1) * _MASKED)[:, :, None]
    return mask.expand(-1, -1, tokens).reshape(valid.shape[0], -1, 1)
