"""nano-sam: the architecture of SAM 2.1 with small parts, 2.1 million parameters, for two cores of a CPU.

A `SAM2VideoPredictor` of Meta's package with its own memory attention, memory encoder, prompt encoder and mask decoder
at smaller widths; the image encoder is in `nano_trunk`. Different from SAM 2 beside the numbers:
- the image encoder is the body of nano-det;
- masks have eight pixels a side for each cell of the grid instead of four (stride 2), the decoder's fine features
  strides 2 and 4 instead of 4 and 8: a person in a picture of 256 × 256 is 15 to 30 pixels wide;
- points and boxes are also drawn as maps and added to the features (`nano_prompts`);
- between its two enlargements the decoder mixes neighbours once, for each object (`_Refine`), since a cell of the grid
  is as wide as a person.

For training: `nano_model()` in `train()` mode, all of `SAM2Base`'s methods as they are.

Source: Ravi et al., "SAM 2: Segment Anything in Images and Videos", arXiv 2408.00714.
"""

from __future__ import annotations

from typing import Any

import torch
from sam2.modeling.backbones.image_encoder import ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.transformer import RoPEAttention, TwoWayTransformer
from sam2.modeling.sam2_utils import MLP, LayerNorm2d
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import nn

from tools.sam2 import nano_trunk
from tools.sam2.nano_prompts import NanoPromptEncoder
from tools.sam2.nano_trunk import NanoNeck, NanoTrunk

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

WIDTH = 128
"""Of the features at stride 16, of tokens and of pointers."""
MEMORY_WIDTH = 64
INNER_WIDTH = 64
"""Of queries and keys in the memory attention."""
MASK_SCALE = 8
"""Pixels a side of a low-resolution mask for each cell of the grid."""
FINEST, FINE = 16, 32
"""Channels of the decoder's features at strides 2 and 4."""
MEMORY_LAYERS = 2
_HIDDEN = 256  # of feed-forward parts
_ROTARY_BASE = 10000.0
_LAYER_SCALE = 0.1  # of SAM 2's 1e-6 nothing would grow in an hour of training


def nano_model(size: int = 256, seed: int = 0) -> NanoSam:
    """A nano-sam for pictures of size × size (a multiple of 32) with initial weights of this seed, on the CPU.

    In `train()` mode; nothing of torch's own random state is changed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = NanoSam(size)
        model.train()
        return model


class NanoSam(SAM2VideoPredictor):  # type: ignore[misc]  # sam2 has no types
    """See the module. Masks are [N,1,8r,8r]; pointers are split into two tokens of a memory's width."""

    def __init__(self, image_size: int) -> None:
        super().__init__(
            image_encoder=ImageEncoder(NanoTrunk(), NanoNeck(_sine(WIDTH), WIDTH), scalp=0),
            memory_attention=_memory_attention(image_size // 16),
            memory_encoder=_memory_encoder(),
            image_size=image_size,
            sigmoid_scale_for_mem_enc=20.0,
            sigmoid_bias_for_mem_enc=-10.0,
            binarize_mask_from_pts_for_mem_enc=True,
            use_mask_input_as_output_without_sam=True,
            directly_add_no_mem_embed=True,
            no_obj_embed_spatial=True,
            use_high_res_features_in_sam=True,
            multimask_output_in_sam=True,
            multimask_output_for_tracking=True,
            multimask_min_pt_num=0,
            multimask_max_pt_num=1,
            use_multimask_token_for_obj_ptr=True,
            iou_prediction_use_sigmoid=True,
            use_obj_ptrs_in_encoder=True,
            add_tpos_enc_to_obj_ptrs=True,
            proj_tpos_enc_in_obj_ptrs=True,
            use_signed_tpos_enc_to_obj_ptrs=True,
            only_obj_ptrs_in_the_past_for_eval=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
            fixed_no_obj_ptr=True,
            use_mlp_for_obj_ptr_proj=True,
            sam_mask_decoder_extra_args={
                "dynamic_multimask_via_stability": True,
                "dynamic_multimask_stability_delta": 0.05,
                "dynamic_multimask_stability_thresh": 0.98,
            },
        )
        # A mask prompt has the size of a low-resolution mask.
        self.mask_downsample = nn.Conv2d(1, 1, 16 // MASK_SCALE, 16 // MASK_SCALE)

    def _build_sam_heads(self) -> None:
        self.sam_prompt_embed_dim = self.hidden_dim
        self.sam_image_embedding_size = self.image_size // self.backbone_stride
        self.sam_prompt_encoder = _prompt_encoder(self.sam_image_embedding_size, self.image_size)
        self.sam_mask_decoder = _mask_decoder(self.sam_mask_decoder_extra_args)
        self.obj_ptr_proj = MLP(WIDTH, WIDTH, WIDTH, 3)
        self.obj_ptr_tpos_proj = nn.Linear(WIDTH, self.mem_dim)


class _Refine(nn.Sequential):  # type: ignore[misc]  # torch is not looked into
    """ReLU, neighbours mixed, ReLU: the activation between the decoder's two enlargements."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU())


def _mask_decoder(settings: Any) -> MaskDecoder:
    transformer = TwoWayTransformer(depth=2, embedding_dim=WIDTH, num_heads=4, mlp_dim=_HIDDEN)
    decoder = MaskDecoder(
        transformer=transformer, transformer_dim=WIDTH, iou_head_hidden_dim=WIDTH, use_high_res_features=True,
        iou_prediction_use_sigmoid=True, pred_obj_scores=True, pred_obj_scores_mlp=True,
        use_multimask_token_for_obj_ptr=True, **settings,
    )  # fmt: skip
    decoder.conv_s0, decoder.conv_s1 = (
        nn.Conv2d(nano_trunk.STEM, FINEST, 1),
        nn.Conv2d(nano_trunk.FINE, FINE, 1),
    )
    # To stride 4 at once, then to stride 2.
    decoder.output_upscaling = nn.Sequential(
        nn.ConvTranspose2d(WIDTH, FINE, 4, 4), LayerNorm2d(FINE), _Refine(FINE),
        nn.ConvTranspose2d(FINE, FINEST, 2, 2), nn.ReLU(),
    )  # fmt: skip
    return decoder


def _prompt_encoder(grid: int, size: int) -> NanoPromptEncoder:
    encoder = NanoPromptEncoder(
        embed_dim=WIDTH, image_embedding_size=(grid, grid), input_image_size=(size, size), mask_in_chans=16
    )
    encoder.mask_input_size = (MASK_SCALE * grid, MASK_SCALE * grid)
    encoder.mask_downscaling[0] = nn.Conv2d(1, 4, MASK_SCALE // 2, MASK_SCALE // 2)
    return encoder


def _memory_attention(grid: int) -> MemoryAttention:
    common = {
        "embedding_dim": WIDTH, "num_heads": 1, "downsample_rate": WIDTH // INNER_WIDTH,
        "rope_theta": _ROTARY_BASE, "feat_sizes": (grid, grid),
    }  # fmt: skip
    layer = MemoryAttentionLayer(
        activation="relu",
        cross_attention=RoPEAttention(kv_in_dim=MEMORY_WIDTH, rope_k_repeat=True, **common),
        d_model=WIDTH,
        dim_feedforward=_HIDDEN,
        dropout=0.0,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=RoPEAttention(**common),
    )
    return MemoryAttention(d_model=WIDTH, pos_enc_at_input=True, layer=layer, num_layers=MEMORY_LAYERS)


def _memory_encoder() -> MemoryEncoder:
    block = CXBlock(dim=WIDTH, kernel_size=7, padding=3, layer_scale_init_value=_LAYER_SCALE)
    return MemoryEncoder(
        out_dim=MEMORY_WIDTH,
        in_dim=WIDTH,
        mask_downsampler=MaskDownSampler(embed_dim=WIDTH),
        fuser=Fuser(block, num_layers=1),
        position_encoding=_sine(MEMORY_WIDTH),
    )


def _sine(width: int) -> PositionEmbeddingSine:
    return PositionEmbeddingSine(num_pos_feats=width, normalize=True, scale=None, temperature=10000)
