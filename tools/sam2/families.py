"""Which models there are, and how weights become the four graphs' modules.

One function per family builds `Parts`; what exports, compares and quantises knows only these. Imports torch and the
families' packages when a model is built, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.errors import ConfigError
from engine.types import F32
from tools.command_line import needs
from tools.sam2.interface import SAM2_WIDTHS, Widths

GRAPHS = ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder")
"""Names of the four graphs, in the order in which a frame passes them."""

VARIANTS = ("tiny", "small", "base+", "large", "edgetam", "nano")


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from.

    family   "sam2.1", "sam2" or "edgetam"
    variant  one of `VARIANTS`
    weights  the checkpoint's tensors by name; None = random, from `seed`
    label    "sha256:…" of the checkpoint, or "random:SEED"
    """

    family: str
    variant: str
    weights: Mapping[str, Any] | None
    seed: int
    label: str


@dataclass(frozen=True, slots=True)
class Parts:
    """A built model and what the four graphs are made of.

    official         the family's own model, for comparison
    modules          a torch module for each of `GRAPHS`, with the inputs and outputs of `export.INTERFACE`
    memory_tokens    tokens in the memory of one frame
    no_mem_embed     (C,) added to the features of a frame without memory
    mask_downsample  (k, k) weights of the convolution that makes a mask prompt of a full mask, k = 16 / mask_scale
    mask_bias        its bias
    licence          of the weights
    multiple         the picture's side is a multiple of this
    widths           C and others
    """

    official: Any
    modules: Mapping[str, Any]
    memory_tokens: int
    no_mem_embed: F32
    mask_downsample: F32
    mask_bias: float
    licence: str
    multiple: int = 32
    notes: tuple[str, ...] = field(default=())
    widths: Widths = SAM2_WIDTHS


def build(source: Source, size: int) -> Parts:
    """The model of this source for pictures of size × size. Raises `ConfigError` or a `ModelError`."""
    if source.family == "edgetam":
        from tools.sam2 import edgetam

        return edgetam.build(source, size)
    if source.variant == "nano":
        from tools.sam2 import nano_graphs

        return nano_graphs.build(source, size)
    return _build_sam2(source, size)


def side_multiple(family: str) -> int:
    """The picture's side has to be a multiple of this."""
    return 256 if family == "edgetam" else 32


def _build_sam2(source: Source, size: int) -> Parts:
    from tools.sam2 import graphs

    model = official_model(source, size)
    convolution = model.mask_downsample
    return Parts(
        official=model,
        modules={
            "image_encoder": graphs.ImageEncoder(model).eval(),
            "memory_attention": graphs.MemoryAttention(model).eval(),
            "mask_decoder": graphs.MaskDecoder(model).eval(),
            "memory_encoder": graphs.MemoryEncoder(model).eval(),
        },
        memory_tokens=(size // 16) ** 2,
        no_mem_embed=array_of(model.no_mem_embed).reshape(256),
        mask_downsample=array_of(convolution.weight).reshape(4, 4),
        mask_bias=float(convolution.bias),
        licence="Apache-2.0" if source.weights is not None else "none: random numbers",
    )


_CONFIGS = {"tiny": "t", "small": "s", "base+": "b+", "large": "l"}


def official_model(source: Source, size: int) -> Any:
    """Meta's `SAM2VideoPredictor`, in evaluation mode on the CPU. Raises `ConfigError` where sam2 is missing."""
    import torch

    with needs("export"):
        import sam2.build_sam  # noqa: F401  # it tells hydra where the configurations are
        from hydra import compose
        from hydra.utils import instantiate
        from omegaconf import OmegaConf

        from tools.sam2.random_weights import randomise
    if source.variant not in _CONFIGS:
        raise ConfigError(f"--variant {source.variant}: no variant of {source.family}")
    grid = size // 16
    overrides = {
        "_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor",
        "image_size": size,
        "memory_attention.layer.self_attention.feat_sizes": f"[{grid},{grid}]",
        "memory_attention.layer.cross_attention.feat_sizes": f"[{grid},{grid}]",
        "sam_mask_decoder_extra_args.dynamic_multimask_via_stability": "true",
        "sam_mask_decoder_extra_args.dynamic_multimask_stability_delta": 0.05,
        "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh": 0.98,
        "binarize_mask_from_pts_for_mem_enc": "true",
    }
    name = f"configs/{source.family}/{source.family}_hiera_{_CONFIGS[source.variant]}.yaml"
    settings = compose(
        config_name=name, overrides=[f"++model.{key}={value}" for key, value in overrides.items()]
    )
    OmegaConf.resolve(settings)
    torch.manual_seed(source.seed)
    model = instantiate(settings.model, _recursive_=True).eval()
    return with_weights(model, source, randomise)


def with_weights(model: Any, source: Source, randomise: Callable[[Any, int], object]) -> Any:
    """A model with the weights of its source, which are not for training. Raises `ModelCorrupt`."""
    if source.weights is None:
        randomise(model, source.seed)
    else:
        from tools.sam2.checkpoint import put_into

        put_into(model, source)
    return model.requires_grad_(False)


def array_of(tensor: Any) -> F32:
    """The same numbers, outside of torch."""
    return np.ascontiguousarray(tensor.detach().float().numpy(), np.float32)
