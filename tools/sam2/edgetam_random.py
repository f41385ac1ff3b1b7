"""Made-up weights for EdgeTAM: as SAM 2's in `random_weights`, and a backbone and a perceiver that pass something on.

Left as constructed, the backbone would damp its input to nothing within its 40 layers, and the perceiver's latents
would look at all tokens alike.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tools.sam2 import random_weights


def randomise(model: Any, seed: int) -> None:
    """Give a freshly built `EdgeTam` these weights, in place."""
    random_weights.randomise(model, seed)
    generator = torch.Generator().manual_seed(seed + 2)
    with torch.no_grad():
        for layer in model.spatial_perceiver.layers:
            for attention in (layer.attn, layer.self_attn):
                for projection in (attention.to_q, attention.to_kv, attention.to_out):
                    projection.weight.mul_(3)
        model.maskmem_tpos_enc.mul_(20)
        stages = _settle(model.image_encoder.trunk, generator)
        for level, features in zip(model.image_encoder.neck.convs, stages[::-1], strict=True):
            level.conv.weight.div_(level.conv(features).std())


def _settle(trunk: Any, generator: Any) -> Any:
    """Normalisations get scales of their own, and the statistics of what passes through for a noisy picture.

    The stages' features of that picture come back.
    """
    norms = [module for module in trunk.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.copy_(0.5 + 0.05 * torch.randn(norm.weight.shape, generator=generator))
        norm.bias.copy_(0.1 * torch.randn(norm.bias.shape, generator=generator))
        norm.momentum = 1.0
    trunk.train()
    coarse, middle, fine = (
        nn.functional.interpolate(torch.randn(4, 3, side, side, generator=generator), size=(128, 128))
        for side in (4, 16, 128)
    )
    contrast = torch.tensor([0.0, 0.1, 0.3, 1.0])[:, None, None, None]
    picture = coarse + contrast * (middle + fine)
    trunk(picture)
    trunk.eval()
    for norm in norms:
        norm.momentum = 0.1
    return trunk(picture)
