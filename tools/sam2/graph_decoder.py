"""The mask decoder as a graph: prompts and features of a row → its mask, and all candidates.

The same numbers as the package's prompt encoder, two-way transformer and heads. A handful of prompt tokens meets r²
tokens of the picture, so whatever can be done on the side of the few is done there: their projections are multiplied
into each other instead of projecting the picture (q·(Wk) = (qW)·k), heads are rows in which the other heads' columns
are zero, and what the picture's position adds is multiplied at export. Mask prompts are embedded channels last.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tools.sam2.graph_parts import Tensor, apply_flat, gelu, linear, negated, tokens_of

NO_OBJECT_SCORE = -1024.0
"""Logit of every pixel of an object that is absent."""
_TOKENS = 4  # mask tokens of the decoder: one for a single mask, three for ambiguous prompts


class MaskDecoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Prompts and features of a row → its mask, as the official predictor chooses it, and all candidates."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        decoder, prompts = model.sam_mask_decoder, model.sam_prompt_encoder
        self.decoder = decoder
        self.pointer = model.obj_ptr_proj
        self.size, self.side = float(model.image_size), model.image_size // 16
        self.frequencies = prompts.pe_layer.positional_encoding_gaussian_matrix
        self.dense = _DensePrompt(prompts)
        self.maps = getattr(prompts, "maps", None)  # nano-sam's: points and boxes drawn into the grid
        self.enlarge = _TokensEnlarged(decoder.output_upscaling[0], self.side)
        self.hyper = _Hyper(decoder.output_hypernetworks_mlps)
        self.transformer = _TwoWay(decoder.transformer, tokens_of(prompts.get_dense_pe().detach()))
        self.register_buffer("no_pointer", model.no_obj_ptr.detach().clone())
        points = [prompts.not_a_point_embed, *prompts.point_embeddings]
        self.register_buffer("labels", torch.cat([embedding.weight.detach() for embedding in points]))
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
        fine = high_res_1.permute(0, 2, 3, 1)
        finer = (high_res_0.index_select(0, frame_index), fine.index_select(0, frame_index))
        sparse = self._points(point_coords, point_labels)
        features = tokens_of(pix_feat) + self.dense(mask_prompt, mask_prompt_valid)
        if self.maps is not None:
            features = features + tokens_of(self.maps(point_coords, point_labels))
        masks, ious, mask_tokens, score = self._masks(features, finer, sparse)
        present = score > 0
        pointers = torch.where(present[:, :, None], self.pointer(mask_tokens), self.no_pointer[None])
        mask_token, pointer_token = self._choice(masks, ious, multimask)
        low_res = (masks * mask_token[:, :, None, None]).sum(1, keepdim=True)
        low_res = torch.where(present[:, :, None, None], low_res, NO_OBJECT_SCORE)
        iou = (ious * mask_token).sum(1, keepdim=True)
        pointer = (pointers * pointer_token[:, :, None]).sum(1)
        return low_res, iou, pointer, score, masks, ious, pointers

    def _points(self, coords: Tensor, labels: Tensor) -> Tensor:
        """[N,T,2] pixels and labels → [N,T+1,C]; the package appends a point that is none."""
        angles = (2 * ((coords + 0.5) / self.size) - 1) @ self.frequencies * (2 * torch.pi)
        position = torch.cat([angles.sin(), angles.cos()], -1)
        known = (labels >= 0).to(position.dtype)[..., None]
        points = position * known + functional.embedding(labels + 1, self.labels)
        padding = self.labels[:1].expand(coords.shape[0], 1, -1)
        return torch.cat([points, padding], 1)

    def _masks(
        self, features: Tensor, finer: tuple[Tensor, Tensor], sparse: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        decoder = self.decoder
        rows, finest = features.shape[0], finer[0].shape[-1]
        tokens = torch.cat([self.tokens.expand(rows, -1, -1), sparse], 1)
        states, features = self.transformer(tokens, features)
        mask_tokens = states[:, 2 : 2 + _TOKENS]
        _, norm, mix, again, last = decoder.output_upscaling
        features = _norm(norm, self.enlarge(features) + finer[1]).permute(0, 3, 1, 2)
        features = _activate(last, again(_activate(mix, features)) + finer[0])
        masks = (self.hyper(mask_tokens) @ features.flatten(2)).reshape(rows, _TOKENS, finest, finest)
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


class _DensePrompt(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """mask_prompt [N,1,m,m] and its validity [N] → [N,r²,C]: what is added to the picture's tokens."""

    def __init__(self, prompts: Any) -> None:
        super().__init__()
        halve, self.first_norm, _, again, self.second_norm, _, out = prompts.mask_downscaling
        self.cell = halve.kernel_size[0]
        self.halve = linear(halve.weight.flatten(1), halve.bias)
        # Channels of the four places come one place after the other.
        self.again = linear(again.weight.permute(0, 2, 3, 1).flatten(1), again.bias)
        self.out = linear(out.weight.flatten(1), out.bias)
        self.register_buffer("none", prompts.no_mask_embed.weight.detach().reshape(1, 1, -1).clone())

    def forward(self, mask: Tensor, valid: Tensor) -> Tensor:
        rows, cell = mask.shape[0], self.cell
        side = mask.shape[-1] // (2 * cell)
        cells = mask.reshape(rows, side, 2, cell, side, 2, cell).permute(0, 1, 4, 2, 5, 3, 6)
        x = gelu(_norm(self.first_norm, self.halve(cells.reshape(rows, -1, cell * cell))))
        x = gelu(_norm(self.second_norm, self.again(x.reshape(rows, side * side, -1))))
        return torch.where((valid > 0)[:, None, None], apply_flat(self.out, x), self.none)


class _TokensEnlarged(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """A transposed convolution whose stride is its size, of tokens [N,side²,C] → [N,s·side,s·side,C'].

    A linear layer to all pixels of a cell; channels stay last, so that what is put in order are rows of them.
    """

    def __init__(self, convolution: Any, side: int) -> None:
        super().__init__()
        self.side, self.times, self.width = side, convolution.stride[0], convolution.out_channels
        weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
        self.pixels = linear(weight, convolution.bias.repeat(self.times**2))

    def forward(self, tokens: Tensor) -> Tensor:
        rows, side, times = tokens.shape[0], self.side, self.times
        pixels = apply_flat(self.pixels, tokens).reshape(rows, side, side, times, times, self.width)
        return pixels.permute(0, 1, 3, 2, 4, 5).reshape(rows, times * side, times * side, self.width)


class _Hyper(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """The networks of all mask tokens [N,4,C] at once → [N,4,C']: a row of a batched product for each."""

    def __init__(self, networks: Any) -> None:
        super().__init__()
        layers = list(zip(*(network.layers for network in networks), strict=True))
        for index, layer in enumerate(layers):
            weight = torch.stack([each.weight.T for each in layer])
            bias = torch.stack([each.bias[None] for each in layer])
            self.register_parameter(f"weight_{index}", nn.Parameter(weight.detach(), requires_grad=False))
            self.register_parameter(f"bias_{index}", nn.Parameter(bias.detach(), requires_grad=False))
        self.count = len(layers)

    def forward(self, tokens: Tensor) -> Tensor:
        x = tokens.transpose(0, 1)
        for index in range(self.count):
            x = x @ self.get_parameter(f"weight_{index}") + self.get_parameter(f"bias_{index}")
            x = functional.relu(x) if index + 1 < self.count else x
        return x.transpose(0, 1)


class _TwoWay(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Tokens [N,T,C] and picture [N,L,C] look at each other."""

    def __init__(self, transformer: Any, position: Tensor) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_TwoWayLayer(layer, position) for layer in transformer.layers)
        self.last = _TokensToPicture(transformer.final_attn_token_to_image, position)
        self.norm = transformer.norm_final_attn

    def forward(self, tokens: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        x = tokens
        for layer in self.layers:
            x, picture = layer(x, tokens, picture)
        return self.norm(x + self.last(x + tokens, picture)), picture


class _TwoWayLayer(nn.Module):  # type: ignore[misc]  # torch is not looked into
    def __init__(self, layer: Any, position: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.to_picture = _TokensToPicture(layer.cross_attn_token_to_image, position)
        self.to_tokens = _PictureToTokens(layer.cross_attn_image_to_token, position)

    def forward(self, x: Tensor, place: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        """x: tokens; place: what they were at first, added to queries and keys."""
        layer = self.layer
        if layer.skip_first_layer_pe:
            x = layer.self_attn(q=x, k=x, v=x)
        else:
            x = x + layer.self_attn(q=x + place, k=x + place, v=x)
        x = layer.norm1(x)
        x = layer.norm2(x + self.to_picture(x + place, picture))
        x = layer.norm3(x + layer.mlp(x))
        return x, layer.norm4(picture - self.to_tokens(x + place, x, picture))


class _Heads(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """[N,T,C] → [N,heads·T,C]: a row per head and token, zero outside of the head's columns."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.heads, self.width = attention.num_heads, attention.internal_dim
        columns = torch.arange(self.width) // (self.width // self.heads)
        own = (columns == torch.arange(self.heads)[:, None]).float()
        self.register_buffer("own", own[None, :, None, :])

    def apart(self, x: Tensor) -> Tensor:
        return (x[:, None] * self.own).reshape(x.shape[0], -1, self.width)

    def together(self, x: Tensor) -> Tensor:
        return (x.reshape(x.shape[0], self.heads, -1, self.width) * self.own).sum(1)


class _TokensToPicture(_Heads):
    """Attention of few tokens to the picture's: asking [N,T,C], picture [N,L,C] → [N,T,C]."""

    def __init__(self, attention: Any, position: Tensor) -> None:
        super().__init__(attention)
        scale = (self.width // self.heads) ** -0.5
        query, key, value, out = attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj
        self.query = linear(query.weight * scale, query.bias * scale)
        self.key = linear(key.weight.T)
        self.register_buffer("position", (position @ key.weight.T).transpose(1, 2).contiguous())
        self.value = linear(value.weight)
        self.out = linear(out.weight, out.weight @ value.bias + out.bias)

    def forward(self, asking: Tensor, picture: Tensor) -> Tensor:
        query = self.apart(self.query(asking))
        scores = self.key(query) @ picture.transpose(1, 2) + query @ self.position
        seen = torch.softmax(scores, -1) @ picture
        return self.out(self.together(self.value(seen)))


class _PictureToTokens(_Heads):
    """Attention of the picture's tokens to the few, with the other sign.

    The sign lets the caller subtract: ONNX Runtime replaces an addition and the normalisation after it by one
    operation, which takes four times as long on a CPU as the two.
    """

    def __init__(self, attention: Any, position: Tensor) -> None:
        super().__init__(attention)
        scale = (self.width // self.heads) ** -0.5
        query, key, value, out = attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj
        self.key = linear(key.weight)
        self.query = linear(query.weight.T * scale)
        self.register_buffer("position", ((position @ query.weight.T + query.bias) * scale).contiguous())
        self.value = linear(value.weight)
        self.out = negated(linear(out.weight))
        self.register_buffer("bias", -(out.weight @ value.bias + out.bias).detach())

    def forward(self, keys: Tensor, values: Tensor, picture: Tensor) -> Tensor:
        key = self.apart(self.key(keys))
        scores = picture @ self.query(key).transpose(1, 2) + self.position @ key.transpose(1, 2)
        by_head = scores.reshape(scores.shape[0], scores.shape[1], self.heads, keys.shape[1])
        weights = torch.softmax(by_head, -1).reshape(scores.shape)
        return weights @ self.out(self.apart(self.value(values))) + self.bias


def _activate(activation: Any, x: Tensor) -> Tensor:
    """A GELU in the form that is recognised; other activations as they are."""
    return gelu(x) if isinstance(activation, nn.GELU) else activation(x)


def _norm(norm: Any, x: Tensor) -> Tensor:
    """The package's `LayerNorm2d` where channels are last."""
    return functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)
