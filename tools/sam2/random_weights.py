"""Made-up weights under which every input matters, so that a comparison of two implementations proves something.

Plain random weights let the image alone decide: the memory could be left out and no figure would tell. Here the
attention is peaky, and masks and pointers depend strongly on what is remembered.
"""

from __future__ import annotations

from typing import Any

import torch


def randomise(model: Any, seed: int) -> None:
    """Give a freshly built SAM 2 these weights, in place. What the constructor left random stays as it is."""
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            _stir(name, parameter, generator)
        amplify(model)


def amplify(model: Any) -> None:
    """Make masks depend on memories and pointers; in place, without gradients."""
    with torch.no_grad():
        for layer in model.memory_attention.layers:
            for attention in (layer.self_attn, layer.cross_attn_image):
                for projection in (attention.q_proj, attention.k_proj, attention.out_proj):
                    projection.weight.mul_(3)
        for name, parameter in model.sam_mask_decoder.named_parameters():
            if name.endswith("_proj.weight"):
                parameter.mul_(2.5)
            elif "output_hypernetworks_mlps" in name and name.endswith("layers.2.weight"):
                parameter.mul_(20)
            elif "output_upscaling" in name and parameter.ndim == 4:
                parameter.mul_(3)
        model.memory_encoder.out_proj.weight.mul_(5)
        for linear in model.obj_ptr_proj.layers:
            linear.weight.mul_(3)
        # Objects are present most of the time.
        model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(1.0)


def _stir(name: str, parameter: Any, generator: Any) -> None:
    """What constructors leave at zero or one gets a value of its own."""
    noise = torch.randn(parameter.shape, generator=generator)
    if parameter.ndim == 1 and "norm" in name and name.endswith("weight"):
        parameter.copy_(1 + 0.1 * noise)
    elif parameter.ndim == 1 and name.endswith("gamma"):
        parameter.copy_(0.1 * (1 + 0.1 * noise))
    elif parameter.ndim <= 1 or not parameter.abs().max():
        parameter.copy_(0.02 * noise)
