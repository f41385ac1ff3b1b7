"""nano-sam in the family table: a model of trained weights, or of made-up ones, and the modules of its four graphs.

Memory attention, mask decoder and memory encoder are SAM 2's graphs at other widths; the image encoder is folded here.
"""

from __future__ import annotations

from typing import Any

from tools.command_line import needs
from tools.sam2.families import Parts, Source, array_of, with_weights
from tools.sam2.interface import Widths

with needs("export"):
    import torch
    from torch import nn

    from tools.sam2 import graphs, nano, random_weights
    from tools.sam2.nano_trunk import folded

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

WIDTHS = Widths(
    features=nano.WIDTH,
    memory=nano.MEMORY_WIDTH,
    mask_scale=nano.MASK_SCALE,
    finest=nano.FINEST,
    fine=nano.FINE,
    fine_scale=nano.MASK_SCALE // 2,
)


def build(source: Source, size: int) -> Parts:
    """The model of this source for pictures of size × size. Raises `ConfigError` or a `ModelError`."""
    model = with_weights(nano.nano_model(size, source.seed).eval(), source, randomise)
    convolution = model.mask_downsample
    return Parts(
        official=model,
        modules={
            "image_encoder": ImageEncoder(model).eval(),
            "memory_attention": graphs.MemoryAttention(model).eval(),
            "mask_decoder": graphs.MaskDecoder(model).eval(),
            "memory_encoder": graphs.MemoryEncoder(model).eval(),
        },
        memory_tokens=(size // 16) ** 2,
        no_mem_embed=array_of(model.no_mem_embed).reshape(-1),
        mask_downsample=array_of(convolution.weight)[0, 0],
        mask_bias=float(convolution.bias),
        licence="Apache-2.0" if source.weights is not None else "none: random numbers",
        widths=WIDTHS,
    )


class ImageEncoder(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """image [F,3,S,S] → image_embed [F,128,r,r], high_res_0 [F,16,8r,8r], high_res_1 [F,32,4r,4r]."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.trunk, self.neck = folded(model.image_encoder.trunk), folded(model.image_encoder.neck)
        self.to_finest, self.to_fine = model.sam_mask_decoder.conv_s0, model.sam_mask_decoder.conv_s1

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        finest, fine, coarse = self.neck(self.trunk(image))[0]
        return coarse, self.to_finest(finest), self.to_fine(fine)


def randomise(model: Any, seed: int) -> None:
    """Give a freshly built `NanoSam` weights under which every input matters, in place."""
    random_weights.randomise(model, seed)
    generator = torch.Generator().manual_seed(seed + 2)
    with torch.no_grad():
        # Else memories would be so large beside pointers and ages that nobody looks at these.
        model.memory_encoder.out_proj.weight.div_(2)
        model.maskmem_tpos_enc.mul_(20)
        # Narrow as it is, with attention as peaky as the large models' rounding would grow from frame to frame.
        for layer in model.memory_attention.layers:
            for attention in (layer.self_attn, layer.cross_attn_image):
                attention.q_proj.weight.mul_(0.7)
                attention.k_proj.weight.mul_(0.7)
        for name, parameter in model.sam_mask_decoder.named_parameters():
            if name.endswith("_proj.weight"):
                parameter.mul_(0.7)
        _settle(model.image_encoder, generator)


def _settle(encoder: Any, generator: Any) -> None:
    """Normalisations take the statistics of what passes through for a coarse and noisy picture."""
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    coarse, fine = (
        nn.functional.interpolate(torch.randn(4, 3, side, side, generator=generator), size=(128, 128))
        for side in (8, 64)
    )
    encoder.train()
    encoder(coarse + 0.3 * fine)
    encoder.eval()
    for norm in norms:
        norm.momentum = 0.1
