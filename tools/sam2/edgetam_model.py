"""EdgeTAM as a torch model whose parameters carry the names of the official checkpoint, `edgetam.pt`.

The official package has the same name as Meta's `sam2` and cannot be installed beside it. What the two share (neck,
memory encoder, prompt encoder, mask decoder, video predictor) comes from `sam2`; the backbone, the spatial
perceiver and the cross attention with two rotary grids are here. The model tracks as it is, and is what exported
graphs are compared with; it is not written for export.

Source: Zhou et al., "EdgeTAM: On-Device Track Anything Model", arXiv 2501.07256, and
github.com/facebookresearch/EdgeTAM, sam2/configs/edgetam.yaml.
"""

from __future__ import annotations

from typing import Any

import torch
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.transformer import RoPEAttention
from sam2.sam2_video_predictor import SAM2VideoPredictor

from tools.sam2.edgetam_perceiver import GRID, LATENTS, SpatialPerceiver
from tools.sam2.edgetam_repvit import WIDTHS, RepVit

Tensor = Any
"""A `torch.Tensor`; torch is not looked into by the type checker."""

LAYERS = 2
"""Of the memory attention."""
_ROTARY_BASE = 10000.0


class EdgeTam(SAM2VideoPredictor):  # type: ignore[misc]  # sam2 has no types
    """The predictor of SAM 2 with EdgeTAM's parts. Memories are [B,64,512,1]: tokens where SAM 2 has a picture."""

    def __init__(self, image_size: int) -> None:
        super().__init__(
            image_encoder=ImageEncoder(RepVit(), _neck(), scalp=1),
            memory_attention=_memory_attention(image_size // 16),
            memory_encoder=_memory_encoder(),
            image_size=image_size,
            sigmoid_scale_for_mem_enc=20.0,
            sigmoid_bias_for_mem_enc=-10.0,
            binarize_mask_from_pts_for_mem_enc=True,
            use_mask_input_as_output_without_sam=True,
            directly_add_no_mem_embed=True,
            use_high_res_features_in_sam=True,
            multimask_output_in_sam=True,
            multimask_output_for_tracking=True,
            multimask_min_pt_num=0,
            multimask_max_pt_num=1,
            use_multimask_token_for_obj_ptr=True,
            iou_prediction_use_sigmoid=True,
            use_obj_ptrs_in_encoder=True,
            add_tpos_enc_to_obj_ptrs=False,
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
        self.spatial_perceiver = SpatialPerceiver()

    @staticmethod
    def memory_position() -> Tensor:
        """[1,64,512,1] the positions kept beside each memory."""
        return latent_positions().T[None, :, :, None]

    def _encode_new_memory(self, *args: Any, **kwargs: Any) -> tuple[Tensor, list[Tensor]]:
        features, positions = super()._encode_new_memory(*args, **kwargs)
        tokens = features.flatten(2).transpose(1, 2)
        memory = self.spatial_perceiver(tokens, positions[0][:1].flatten(2).transpose(1, 2))
        position = self.memory_position().expand(memory.shape[0], -1, -1, -1)
        return memory.transpose(1, 2)[..., None], [position]


def latent_positions() -> Tensor:
    """[512,64] added to a memory's keys: nothing for global latents, their window's place for the others."""
    windows = _sine(64)(torch.zeros(1, 64, GRID, GRID)).flatten(2).transpose(1, 2)[0]
    return torch.cat([torch.zeros(LATENTS - GRID * GRID, 64), windows])


class LatentAttention(RoPEAttention):  # type: ignore[misc]  # sam2 has no types
    """Cross attention to memories of 512 latents and, last, pointers.

    Queries are turned by their place in the picture's grid, window latents by theirs in the 16x16 grid, global
    latents and pointers not at all. The two grids are not scaled to each other.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor, num_k_exclude_rope: int = 0) -> Tensor:
        query, key = self.q_proj(q), self.k_proj(k)
        side = round(query.shape[1] ** 0.5)
        query = _turn(query, self.compute_cis(end_x=side, end_y=side))
        rows, turned = key.shape[0], key.shape[1] - num_k_exclude_rope
        memories = key[:, :turned].reshape(rows, -1, LATENTS, key.shape[2])
        split = LATENTS - GRID * GRID
        windows = _turn(memories[:, :, split:], self.compute_cis(end_x=GRID, end_y=GRID))
        memories = torch.cat([memories[:, :, :split], windows], 2).reshape(rows, turned, -1)
        key = torch.cat([memories, key[:, turned:]], 1)
        weights = torch.softmax(query @ key.transpose(1, 2) * query.shape[2] ** -0.5, -1)
        return self.out_proj(weights @ self.v_proj(v))


def _turn(x: Tensor, angles: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
    return torch.view_as_real(pairs * angles).flatten(-2)


def _memory_attention(grid: int) -> MemoryAttention:
    common = {
        "embedding_dim": 256, "num_heads": 1, "downsample_rate": 1, "rope_theta": _ROTARY_BASE,
        "feat_sizes": (grid, grid),
    }  # fmt: skip
    layer = MemoryAttentionLayer(
        activation="relu",
        cross_attention=LatentAttention(kv_in_dim=64, rope_k_repeat=True, **common),
        d_model=256,
        dim_feedforward=2048,
        dropout=0.1,
        pos_enc_at_attn=False,
        pos_enc_at_cross_attn_keys=True,
        pos_enc_at_cross_attn_queries=False,
        self_attention=RoPEAttention(**common),
    )
    return MemoryAttention(d_model=256, pos_enc_at_input=True, layer=layer, num_layers=LAYERS)


def _memory_encoder() -> MemoryEncoder:
    return MemoryEncoder(
        out_dim=64,
        mask_downsampler=MaskDownSampler(kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(dim=256, kernel_size=7, padding=3), num_layers=2),
        position_encoding=_sine(64),
    )


def _neck() -> FpnNeck:
    return FpnNeck(
        position_encoding=_sine(256),
        d_model=256,
        backbone_channel_list=WIDTHS[::-1],
        fpn_interp_model="nearest",
        fpn_top_down_levels=[2, 3],
    )


def _sine(width: int) -> PositionEmbeddingSine:
    return PositionEmbeddingSine(num_pos_feats=width, normalize=True, scale=None, temperature=10000)
