"""The streaming loop of SAM 2 in torch, with gradients: rows of objects over the frames of clips.

What the four graphs and the engine's memory bank do at run time, on the parts of a model of `tools.sam2.nano`: encode,
decode prompts, attend to what is remembered, remember. Ages are counted as `engine.models.sam2_memory` counts them, in
frames that an object remembers. Knows no losses and no data.

Source: Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv 2408.00714.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from engine.types import I64, Bools

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

MEMORIES = 7
"""Frames of spatial memory, the conditioning frame among them."""
POINTERS = 16
"""Object pointers, that of the conditioning frame among them."""
PREVIOUS_LOGIT = 32.0
"""Earlier logits are clamped to plus and minus this before they are a prompt."""
NO_OBJECT_LOGIT = -1024.0
"""What an absent object's mask goes into the memory encoder with."""


@dataclass(frozen=True, slots=True)
class Features:
    """Encoded pictures: image_embed (F, C, r, r), high_res_0 (F, C0, 4r, 4r), high_res_1 (F, C1, 2r, 2r)."""

    image_embed: Tensor
    high_res_0: Tensor
    high_res_1: Tensor

    def frames(self, count: int) -> list[Features]:
        """Pictures that lie frame by frame, taken apart: one for each of so many frames."""
        levels = (self.image_embed, self.high_res_0, self.high_res_1)
        apart = [level.unflatten(0, (count, -1)).unbind(0) for level in levels]
        return [Features(*each) for each in zip(*apart, strict=True)]

    def rows(self, index: I64) -> Features:
        """Those of the pictures that `index` (n,) names, ascending, once for each row."""
        counts = np.bincount(index, minlength=len(self.image_embed))
        return Features(
            *(_repeated(level, counts) for level in (self.image_embed, self.high_res_0, self.high_res_1))
        )


@dataclass(frozen=True, slots=True)
class Points:
    """coords float32 (n, T, 2) in the model's pixels, labels int64 (n, T): -1 none, 0 and 1 clicks, 2 and 3 a box."""

    coords: Tensor
    labels: Tensor

    @classmethod
    def nothing(cls, rows: int) -> Points:
        """What a frame without a prompt is decoded with."""
        return cls(torch.zeros(rows, 1, 2), torch.full((rows, 1), -1, dtype=torch.int64))

    @property
    def ambiguous(self) -> bool:
        """Whether three masks are weighed: one point or none may mean a part or the whole."""
        return bool(self.labels.shape[1] <= 1)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a decoder says of n rows.

    masks     (n, 4, 4r, 4r) logits: the single mask and three for ambiguous prompts
    ious      (n, 4) predicted overlap of each
    score     (n,) logit of the object being there
    pointers  (n, 4, C) of each mask, as if the object were there
    chosen    int64 (n,): which of the four is the answer
    """

    masks: Tensor
    ious: Tensor
    score: Tensor
    pointers: Tensor
    chosen: Tensor

    def mask(self) -> Tensor:
        """(n, 4r, 4r): logits of the answer, whether or not the object is there."""
        return self.masks[torch.arange(len(self.masks)), self.chosen]

    def iou(self) -> Tensor:
        """(n,): predicted overlap of the answer."""
        return self.ious[torch.arange(len(self.ious)), self.chosen]

    def pointer(self) -> Tensor:
        """(n, C): pointer of the answer."""
        return self.pointers[torch.arange(len(self.pointers)), self.chosen]


def _repeated(level: Tensor, counts: I64) -> Tensor:
    """Like `repeat_interleave`, whose gradient, as that of single slices, takes many times longer."""
    apart = level.unbind(0)
    return torch.cat(
        [each[None].expand(int(count), -1, -1, -1) for each, count in zip(apart, counts, strict=True)]
    )


def encode(model: Any, pictures: Tensor) -> Features:
    """Features of pictures (F, 3, S, S), normalised RGB."""
    finest, fine, coarse = model.forward_image(pictures)["backbone_fpn"]
    return Features(coarse, finest, fine)


def first_features(model: Any, features: Features) -> Tensor:
    """(n, C, r, r): features of rows that remember nothing."""
    return features.image_embed + model.no_mem_embed.reshape(1, -1, 1, 1)


def decode(
    model: Any, features: Features, pix_feat: Tensor, points: Points, before: Tensor | None = None
) -> Decoded:
    """Masks of n rows.

    features  of the rows (`Features.rows`)
    pix_feat  (n, C, r, r) from `first_features` or `attend`
    before    (n, 4r, 4r) logits that the rows had, as a prompt; None = none
    """
    decoder, prompts = model.sam_mask_decoder, model.sam_prompt_encoder
    dense = None if before is None else before.clamp(-PREVIOUS_LOGIT, PREVIOUS_LOGIT)[:, None]
    sparse, dense = prompts(points=(points.coords, points.labels), boxes=None, masks=dense)
    # The fused attention takes several times as long where one side has a handful of tokens, backwards above all.
    with sdpa_kernel(SDPBackend.MATH):
        masks, ious, tokens, score = decoder.predict_masks(
            image_embeddings=pix_feat,
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[features.high_res_0, features.high_res_1],
        )
    masks, ious = masks.float(), ious.float()
    best = ious[:, 1:].argmax(1) + 1
    chosen = best if points.ambiguous else torch.where(_is_stable(decoder, masks[:, 0]), 0, best)
    return Decoded(masks, ious, score.float()[:, 0], model.obj_ptr_proj(tokens), chosen)


def _is_stable(decoder: Any, mask: Tensor) -> Tensor:
    """bool (n,): whether the single mask's outline hardly depends on the threshold."""
    delta = decoder.dynamic_multimask_stability_delta
    inner, outer = ((mask > level).float().mean((1, 2)) for level in (delta, -delta))
    return inner >= outer * decoder.dynamic_multimask_stability_thresh


@dataclass(slots=True)
class History:
    """What n rows remember, in steps of the clip; a row need not have remembered every step.

    memories      per step: (n, L, D)
    pointers      per step: (n, C)
    remembered    per step: bool (n,)
    conditioning  int64 (n,): the step that is the conditioning frame of each row, -1 none
    """

    memories: list[Tensor] = field(default_factory=list)
    pointers: list[Tensor] = field(default_factory=list)
    remembered: list[Bools] = field(default_factory=list)
    conditioning: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def add(self, memory: Tensor, pointer: Tensor, remembered: Bools, prompted: Bools) -> None:
        """One more step. `prompted` rows have it for their conditioning frame from now on."""
        if not self.memories:
            self.conditioning = np.full(len(remembered), -1, np.int64)
        self.conditioning[prompted & remembered] = len(self.memories)
        self.memories.append(memory)
        self.pointers.append(pointer)
        self.remembered.append(remembered)

    def recall(self, most: int) -> tuple[I64, I64, Bools]:
        """Steps int64 (n, K), their ages int64 (n, K) and which are valid, the conditioning frame first.

        K is as many as the fullest row has, at most `most`. Ages count what the row remembers; a frame of `most`
        remembered frames ago or more is forgotten, the conditioning frame never.
        """
        rows = len(self.conditioning)
        taken = np.stack(self.remembered, 1)
        ages = taken.sum(1, keepdims=True) - np.cumsum(taken, 1) + 1
        steps = np.arange(taken.shape[1])
        first = steps == self.conditioning[:, None]
        valid = taken & ~first & (ages < most)
        # The conditioning frame first, then the newest.
        rank = np.where(first, -1, np.where(valid, ages, 1 << 20))
        order = np.argsort(rank, axis=1, kind="stable")
        count = int((valid | first).sum(1).max(initial=1))
        order = order[:, :count]
        at = np.arange(rows)[:, None]
        return order, ages[at, order], (valid | first)[at, order]


def attend(model: Any, features: Features, history: History, extra_age: I64 | None = None) -> Tensor:
    """pix_feat (n, C, r, r): features of n rows in the light of what they remember.

    extra_age  int64 (n,): added to the age of the conditioning frame's pointer, as if a row had been followed for
               so much longer
    """
    steps, ages, valid = history.recall(MEMORIES)
    memory = _gathered(history.memories, steps)
    tokens, width = memory.shape[2:]
    side = features.image_embed.shape[-1]
    age = np.where(np.arange(steps.shape[1]) == 0, MEMORIES - 1, ages - 1).clip(0, MEMORIES - 1)
    time = model.maskmem_tpos_enc.reshape(MEMORIES, width)[torch.from_numpy(age)]
    place = model.memory_encoder.position_encoding(memory.new_zeros(1, width, side, side))
    position = place.flatten(2).transpose(1, 2)[:, None] + time[:, :, None]

    steps, ages, pointer_valid = history.recall(POINTERS)
    pointers = _gathered(history.pointers, steps)
    parts = pointers.shape[2] // width
    distance = ages.astype(np.float32)
    if extra_age is not None:
        distance[:, 0] += extra_age
    pointer_position = pointer_positions(model, torch.from_numpy(distance))

    rows = len(memory)
    keys = torch.cat([memory.flatten(1, 2), pointers.reshape(rows, -1, width)], 1)
    positions = torch.cat([position.flatten(1, 2), pointer_position.repeat_interleave(parts, 1)], 1)
    mask = np.concatenate([valid.repeat(tokens, 1), pointer_valid.repeat(parts, 1)], 1)
    allowed = None if mask.all() else torch.from_numpy(mask)[:, None, None]
    remembered = _Keys(keys, positions, memory.shape[1] * tokens, allowed)
    return _memory_attention(model, features.image_embed, remembered)


def pointer_positions(model: Any, distance: Tensor) -> Tensor:
    """(n, P, D): what the distances in time (n, P) of pointers are embedded as."""
    width = model.obj_ptr_tpos_proj.in_features
    half = width // 2
    power = torch.arange(half, dtype=torch.float32)
    period = 10000.0 ** (2 * torch.div(power, 2, rounding_mode="floor") / half)
    angle = (distance / (POINTERS - 1))[..., None] / period
    return model.obj_ptr_tpos_proj(torch.cat([angle.sin(), angle.cos()], -1))


def _gathered(steps: list[Tensor], order: I64) -> Tensor:
    """Of values per step (n, …) those that each row has in its order: (n, K, …)."""
    stacked = torch.stack(steps, 1)
    return stacked[torch.arange(len(order))[:, None], torch.from_numpy(order)]


class _Keys(NamedTuple):
    """What is attended to: tokens (n, K, D), what is added to them as keys, how many of the first lie at places of a
    grid, and which may be looked at, bool (n, 1, 1, K), None = all."""

    tokens: Tensor
    positions: Tensor
    turned: int
    allowed: Tensor | None


def _memory_attention(model: Any, image_embed: Tensor, remembered: _Keys) -> Tensor:
    """The package's memory attention with a mask over keys, which it does not have."""
    attention = model.memory_attention
    side = image_embed.shape[-1]
    place = model.image_encoder.neck.position_encoding(image_embed[:1])
    place = place.flatten(2).transpose(1, 2).to(image_embed.dtype)
    x = image_embed.flatten(2).transpose(1, 2) + 0.1 * place
    for layer in attention.layers:
        own = layer.norm1(x)
        x = x + _attention(layer.self_attn, own, _Keys(own, torch.zeros_like(own), own.shape[1], None), side)
        x = x + _attention(layer.cross_attn_image, layer.norm2(x), remembered, side)
        x = x + layer.linear2(layer.activation(layer.linear1(layer.norm3(x))))
    return attention.norm(x).transpose(1, 2).reshape(len(x), -1, side, side)


def _attention(attention: Any, asking: Tensor, keys: _Keys, side: int) -> Tensor:
    turned = keys.turned
    query, key = attention.q_proj(asking), attention.k_proj(keys.tokens + keys.positions)
    value = attention.v_proj(keys.tokens)
    cos, sin = rotary_tables(side, query.shape[-1], float(attention.compute_cis.keywords["theta"]))
    query = _turned(query, cos, sin)
    frames = turned // (side * side)
    whole = _turned(key[:, :turned], cos.repeat(frames, 1), sin.repeat(frames, 1))
    key = whole if turned == key.shape[1] else torch.cat([whole, key[:, turned:]], 1)
    found = functional.scaled_dot_product_attention(
        query[:, None], key[:, None], value[:, None], attn_mask=keys.allowed
    )
    return attention.out_proj(found[:, 0])


@lru_cache(maxsize=4)
def rotary_tables(side: int, width: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines (side², width/2) of the two-dimensional rotary embedding: x in the first half, then y."""
    quarter = width // 4
    frequency = theta ** (-torch.arange(quarter, dtype=torch.float32) / quarter)
    place = torch.arange(side * side)
    across = (place % side).float()[:, None] * frequency
    down = torch.div(place, side, rounding_mode="floor").float()[:, None] * frequency
    angle = torch.cat([across, down], 1)
    return angle.cos(), angle.sin()


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of neighbouring pairs of (n, L, C)."""
    pairs = x.float().unflatten(-1, (-1, 2))
    a, b = pairs[..., 0], pairs[..., 1]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


def remember(model: Any, features: Features, logits: Tensor, present: Tensor) -> Tensor:
    """(n, L, D): what n rows remember of a frame.

    logits   (n, 4r, 4r) of the mask
    present  bool (n,): whether the object was found; of one that was not the mask is left out
    """
    side = 16 * features.image_embed.shape[-1]
    logits = torch.where(present[:, None, None], logits, NO_OBJECT_LOGIT)
    large = functional.interpolate(logits[:, None], size=(side, side), mode="bilinear", align_corners=False)
    mask = torch.sigmoid(large) * model.sigmoid_scale_for_mem_enc + model.sigmoid_bias_for_mem_enc
    found = model.memory_encoder(features.image_embed, mask, skip_mask_sigmoid=True)["vision_features"]
    if model.no_obj_embed_spatial is not None:
        absent = (~present).to(found.dtype)[:, None, None, None]
        found = found + absent * model.no_obj_embed_spatial[..., None, None].to(found.dtype)
    return found.flatten(2).transpose(1, 2)


def pointer_of(model: Any, decoded: Decoded, present: Tensor) -> Tensor:
    """(n, C): pointers to keep; of an absent object the one that says so."""
    return torch.where(present[:, None], decoded.pointer(), model.no_obj_ptr.to(decoded.pointers.dtype))
