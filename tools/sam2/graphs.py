"""SAM 2 as four graphs without state: image encoder, memory attention, mask decoder, memory encoder.

Each class takes the built model of Meta's `sam2` package and computes what its video predictor computes, for rows
of objects of several frames at once: F frames, N rows, `frame_index` says whose frame a row belongs to. The bank of
M memories and P pointers per row comes in as plain arrays with a validity each; nothing is kept in between. S is the
picture's side, r = S/16, L = r·r tokens in a memory.

Everything is written so that it exports without complex numbers, scattering and control flow. What differs from the
package is algebra: the rotary embedding in halves instead of complex pairs, values of the cross attention left 64
wide until after the weighted sum, and the first self-attention once per frame instead of once per object.

Source: Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv 2408.00714, and its code,
github.com/facebookresearch/sam2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

NO_OBJECT_SCORE = -1024.0
"""Logit of every pixel of an object that is absent."""
_MASKED = 1e4  # subtracted from scores of bank entries that are not valid; fits into float16
_TOKENS = 4  # mask tokens of the decoder: one for a single mask, three for ambiguous prompts


class ImageEncoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """image [F,3,S,S] → image_embed [F,256,r,r], high_res_0 [F,32,4r,4r], high_res_1 [F,64,2r,2r]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = self.model.forward_image(image)["backbone_fpn"]
        return levels[2], levels[0], levels[1]


class MemoryAttention(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A frame's features, seen in the light of what is remembered of each object: pix_feat [N,256,r,r]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        attention = model.memory_attention
        self.side = model.image_size // 16
        cos, sin = rotary_tables(self.side, _theta(attention))
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)
        frame_position = model.image_encoder.neck.position_encoding(torch.zeros(1, 256, self.side, self.side))
        # The package adds a tenth of the position to the features.
        self.register_buffer("frame_position", 0.1 * _tokens(frame_position))
        memory_position = model.memory_encoder.position_encoding(torch.zeros(1, 64, self.side, self.side))
        self.register_buffer("memory_position", _tokens(memory_position)[:, None])
        self.register_buffer("memory_age", model.maskmem_tpos_enc.detach().reshape(-1, 64).clone())
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
        rows, slots, tokens = memory.shape[0], memory.shape[1], memory.shape[2]
        pointers = obj_ptr.shape[1]
        tables = (self.cos, self.sin)
        ages = functional.embedding(memory_tpos, self.memory_age)[:, :, None, :]
        memory_keys = memory + self.memory_position + ages
        pointer_values = obj_ptr.reshape(rows, pointers, 4, 64)
        pointer_keys = pointer_values + self.pointer_age(obj_ptr_tdiff)[:, :, None, :]
        values = torch.cat(
            [memory.reshape(rows, slots * tokens, 64), pointer_values.reshape(rows, pointers * 4, 64)], 1
        )
        keys = (memory_keys, pointer_keys.reshape(rows, pointers * 4, 64))
        bias = torch.cat(
            [
                ((memory_valid - 1) * _MASKED)[:, :, None]
                .expand(rows, slots, tokens)
                .reshape(rows, 1, slots * tokens),
                ((obj_ptr_valid - 1) * _MASKED)[:, :, None]
                .expand(rows, pointers, 4)
                .reshape(rows, 1, pointers * 4),
            ],
            2,
        )
        x = _tokens(image_embed) + self.frame_position
        first = self.layers[0]
        x = first.look_around(x, tables).index_select(0, frame_index)
        for layer in self.layers:
            if layer is not first:
                x = layer.look_around(x, tables)
            x = layer.remember(x, keys, values, bias, tables)
        x = self.norm(x)
        return x.transpose(1, 2).reshape(rows, 256, self.side, self.side)


class PointerAge(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """obj_ptr_tdiff [N,P], frames → [N,P,64], added to the keys of a pointer's four tokens."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.used = bool(model.add_tpos_enc_to_obj_ptrs)  # SAM 2.0 does not
        self.project = model.obj_ptr_tpos_proj
        width = 256 if model.proj_tpos_enc_in_obj_ptrs else 64
        steps = torch.arange(width // 2).float()
        self.register_buffer(
            "frequency", 10000 ** (-2 * torch.div(steps, 2, rounding_mode="floor") / (width // 2))
        )
        self.longest = float(model.max_obj_ptrs_in_encoder - 1)

    def forward(self, tdiff: Tensor) -> Tensor:
        if not self.used:
            return 0.0 * tdiff[..., None]
        angles = (tdiff / self.longest)[..., None] * self.frequency
        return self.project(torch.cat([angles.sin(), angles.cos()], -1))


class _Layer(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """One layer of the memory attention, its weights reordered once for the rotary embedding in halves."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        own, cross = layer.self_attn, layer.cross_attn_image
        order = torch.cat([torch.arange(0, 256, 2), torch.arange(1, 256, 2)])
        scale = 256**-0.5
        self.own_norm, self.cross_norm, self.last_norm = layer.norm1, layer.norm2, layer.norm3
        self.linear_in, self.linear_out = layer.linear1, layer.linear2
        self.own_query = _linear(own.q_proj.weight[order] * scale, own.q_proj.bias[order] * scale)
        self.own_key = _linear(own.k_proj.weight[order], own.k_proj.bias[order])
        self.own_value, self.own_out = own.v_proj, own.out_proj
        self.cross_query = _linear(cross.q_proj.weight[order] * scale, cross.q_proj.bias[order] * scale)
        self.cross_key = _linear(cross.k_proj.weight[order], cross.k_proj.bias[order])
        # Rows of a softmax sum to one: projecting the values may wait until after the weighted sum.
        self.cross_out = _linear(
            cross.out_proj.weight @ cross.v_proj.weight,
            cross.out_proj.weight @ cross.v_proj.bias + cross.out_proj.bias,
        )

    def look_around(self, x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
        """Self-attention over the frame's tokens."""
        seen = self.own_norm(x)
        query = rotate(self.own_query(seen), *tables)
        key = rotate(self.own_key(seen), *tables)
        weights = torch.softmax(query @ key.transpose(1, 2), -1)
        return x + self.own_out(weights @ self.own_value(seen))

    def remember(
        self,
        x: Tensor,
        keys: tuple[Tensor, Tensor],
        values: Tensor,
        bias: Tensor,
        tables: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Cross attention to memories [N,M,L,64] and pointers [N,4P,64], and what follows it."""
        memories, pointers = keys
        rows, slots, tokens = memories.shape[0], memories.shape[1], memories.shape[2]
        query = rotate(self.cross_query(self.cross_norm(x)), *tables)
        turned = rotate(self.cross_key(memories), *tables).reshape(rows, slots * tokens, 256)
        key = torch.cat([turned, self.cross_key(pointers)], 1)
        weights = torch.softmax(query @ key.transpose(1, 2) + bias, -1)
        x = x + self.cross_out(weights @ values)
        return x + self.linear_out(functional.relu(self.linear_in(self.last_norm(x))))


class MaskDecoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Prompts and features of a row → its mask, as the official predictor chooses it, and all candidates."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.decoder = model.sam_mask_decoder
        self.prompts = model.sam_prompt_encoder
        self.pointer = model.obj_ptr_proj
        self.size = float(model.image_size)
        self.register_buffer("no_pointer", model.no_obj_ptr.detach().clone())
        self.register_buffer("position", model.sam_prompt_encoder.get_dense_pe().detach().clone())
        points = [model.sam_prompt_encoder.not_a_point_embed, *model.sam_prompt_encoder.point_embeddings]
        self.register_buffer("labels", torch.cat([embedding.weight.detach() for embedding in points]))
        decoder = model.sam_mask_decoder
        tokens = [decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight]
        self.register_buffer("tokens", torch.cat(tokens).detach()[None])

    def forward(
        self,
        pix_feat: Tensor,
        high_res_0: Tensor,
        high_res_1: Tensor,
        frame_index: Tensor,
        point_coords: Tensor,
        point_labels: Tensor,
        multimask: Tensor,
        mask_prompt: Tensor,
        mask_prompt_valid: Tensor,
    ) -> tuple[Tensor, ...]:
        dense = torch.where(
            (mask_prompt_valid > 0)[:, None, None, None],
            self.prompts.mask_downscaling(mask_prompt),
            self.prompts.no_mask_embed.weight.reshape(1, -1, 1, 1),
        )
        finer = (high_res_0.index_select(0, frame_index), high_res_1.index_select(0, frame_index))
        sparse = self._points(point_coords, point_labels)
        masks, ious, mask_tokens, score = self._masks(pix_feat + dense, finer, sparse)
        present = score > 0
        pointers = torch.where(present[:, :, None], self.pointer(mask_tokens), self.no_pointer[None])
        mask_token, pointer_token = self._choice(masks, ious, multimask)
        low_res = (masks * mask_token[:, :, None, None]).sum(1, keepdim=True)
        low_res = torch.where(present[:, :, None, None], low_res, NO_OBJECT_SCORE)
        iou = (ious * mask_token).sum(1, keepdim=True)
        pointer = (pointers * pointer_token[:, :, None]).sum(1)
        return low_res, iou, pointer, score, masks, ious, pointers

    def _points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """[N,T,2] pixels and labels → [N,T+1,256]; the package appends a point that is none."""
        matrix = self.prompts.pe_layer.positional_encoding_gaussian_matrix
        angles = (2 * ((coords + 0.5) / self.size) - 1) @ matrix * (2 * torch.pi)
        position = torch.cat([angles.sin(), angles.cos()], -1)
        known = (labels >= 0).to(position.dtype)[..., None]
        points = position * known + functional.embedding(labels + 1, self.labels)
        padding = self.labels[:1].expand(coords.shape[0], 1, -1)
        return torch.cat([points, padding], 1)

    def _masks(
        self, features: Tensor, finer: tuple[Tensor, Tensor], sparse: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        decoder = self.decoder
        rows, channels, height, width = features.shape
        tokens = torch.cat([self.tokens.expand(rows, -1, -1), sparse], 1)
        states, features = decoder.transformer(features, self.position, tokens)
        mask_tokens = states[:, 2 : 2 + _TOKENS]
        features = features.transpose(1, 2).reshape(rows, channels, height, width)
        twice, norm, first_act, again, last_act = decoder.output_upscaling
        features = first_act(norm(twice(features) + finer[1]))
        features = last_act(again(features) + finer[0])
        hyper = torch.stack(
            [decoder.output_hypernetworks_mlps[index](mask_tokens[:, index]) for index in range(_TOKENS)], 1
        )
        masks = (hyper @ features.flatten(2)).reshape(rows, _TOKENS, 4 * height, 4 * width)
        ious = decoder.iou_prediction_head(states[:, 1])
        return masks, ious, mask_tokens, decoder.pred_obj_score_head(states[:, 0])

    def _choice(self, masks: Tensor, ious: Tensor, multimask: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [N,4] of one 1 each: which candidate is the mask, and which token is the pointer.

        Token 0 where one mask is wanted, unless its outline is unstable; else the best of the other three.
        """
        best = ious[:, 1:].argmax(1) + 1
        single = torch.zeros_like(best)
        wants_many = multimask > 0
        delta = self.decoder.dynamic_multimask_stability_delta
        inner = (masks[:, 0] > delta).to(masks.dtype).mean((1, 2))
        outer = (masks[:, 0] > -delta).to(masks.dtype).mean((1, 2))
        stable = inner >= outer * self.decoder.dynamic_multimask_stability_thresh
        chosen = torch.where(torch.logical_or(wants_many, torch.logical_not(stable)), best, single)
        pointer = torch.where(wants_many, best, single)
        tokens = torch.arange(_TOKENS)
        return (
            (tokens == chosen[:, None]).to(masks.dtype),
            (tokens == pointer[:, None]).to(masks.dtype),
        )


class MemoryEncoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A frame's features and an object's mask → what is remembered of them, [N,L,64]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder = model.memory_encoder
        self.size = model.image_size
        self.scale = model.sigmoid_scale_for_mem_enc
        self.bias = model.sigmoid_bias_for_mem_enc
        absent = model.no_obj_embed_spatial  # None in SAM 2.0
        self.register_buffer("absent", torch.zeros(1, 64) if absent is None else absent.detach().clone())

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
        features = self.encoder.pix_feat_proj(image_embed).index_select(0, frame_index)
        features = self.encoder.fuser(features + self.encoder.mask_downsampler(mask))
        memory = _tokens(self.encoder.out_proj(features))
        return memory + torch.where(object_score > 0, 0.0, self.absent)[:, None, :]


def rotary_tables(side: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine [side²,128] of the angles by which the halves of queries and keys are turned."""
    tokens = torch.arange(side * side).float()
    columns, rows = tokens % side, torch.div(tokens, side, rounding_mode="floor")
    frequency = 1.0 / theta ** (torch.arange(0, 256, 4).float() / 256)
    angles = torch.cat([torch.outer(columns, frequency), torch.outer(rows, frequency)], -1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn [..., L, 256] by the angles of its tokens' places."""
    a, b = x[..., :128], x[..., 128:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def _theta(attention: Any) -> float:
    """Base of the rotary frequencies; the package keeps it in a function made with it."""
    made = attention.layers[0].self_attn.compute_cis
    return float(made.keywords["theta"])


def _tokens(features: Tensor) -> Tensor:
    """[N,C,h,w] → [N,h·w,C]."""
    return features.flatten(2).transpose(1, 2)


def _linear(weight: Tensor, bias: Tensor) -> Any:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    return linear.requires_grad_(False)
