"""EdgeTAM in the family table: a model of EdgeTAM's weights, or of made-up ones, and the modules of its four graphs."""

from __future__ import annotations

from typing import Any

from tools.command_line import needs
from tools.sam2.families import Parts, Source, array_of, with_weights

MULTIPLE = 256
"""The picture's side is a multiple of this: r tokens in 16 windows."""


def build(source: Source, size: int) -> Parts:
    """The model of this source for pictures of size × size. Raises `ConfigError` or a `ModelError`."""
    with needs("export"):
        from tools.sam2 import edgetam_encoder, edgetam_graphs, graphs
    model = official_model(source, size)
    convolution = model.mask_downsample
    return Parts(
        official=model,
        modules={
            "image_encoder": edgetam_encoder.ImageEncoder(model).eval(),
            "memory_attention": edgetam_graphs.MemoryAttention(model).eval(),
            "mask_decoder": graphs.MaskDecoder(model).eval(),
            "memory_encoder": edgetam_graphs.MemoryEncoder(model).eval(),
        },
        memory_tokens=512,
        no_mem_embed=array_of(model.no_mem_embed).reshape(256),
        mask_downsample=array_of(convolution.weight).reshape(4, 4),
        mask_bias=float(convolution.bias),
        licence="Apache-2.0" if source.weights is not None else "none: random numbers",
        multiple=MULTIPLE,
    )


def official_model(source: Source, size: int) -> Any:
    """An `EdgeTam` in evaluation mode on the CPU. Raises `ConfigError` where torch or sam2 is missing."""
    with needs("export"):
        import torch

        from tools.sam2.edgetam_model import EdgeTam
        from tools.sam2.edgetam_random import randomise
    torch.manual_seed(source.seed)
    return with_weights(EdgeTam(size).eval(), source, randomise)
