"""EdgeTAM here against EdgeTAM in Hugging Face's transformers, with the same made-up weights.

    python3 -m venv /somewhere/peer && . /somewhere/peer/bin/activate
    pip install -e '.[export]' transformers==5.23.0 timm==1.0.31    # and sam2, as docs/export.md says
    python -m bench.edgetam_peer [--size 512] [--frames 20] [--folder FOLDER]

Run by hand: transformers and timm are no packages of this project. Theirs is an implementation of its own of the
same model (its weights are converted from the official checkpoint), so what agrees with it agrees with the official
names, shapes and arithmetic. Compared are the backbone's and the neck's levels, the memory attention, the memory
encoder with the perceiver, and a clip tracked by both from a box: every frame's mask logits. With one thing wrong at
a time the clip has to differ. --folder names an exported segmenter of the same weights (`export_onnx sam2 --random
edgetam --size …`), which then tracks instead of the torch modules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.types import F32, FrameNv12
from tools.sam2 import edgetam, interface, parity
from tools.sam2.export import MEAN, STD
from tools.sam2.families import Parts, Source
from tools.sam2.loop_parity import made_up_clip

MEMORIES, POINTERS = interface.MEMORY_SLOTS, interface.POINTER_SLOTS
FAULTS = ("memory ages off by one", "memories zeroed", "pointers left out", "global latents last")
Run = Callable[[str, Mapping[str, Any]], list[F32]]
"""A graph's outputs from its name and inputs."""

RENAMED = (
    (r"^sam_prompt_encoder\.", "prompt_encoder."), (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"^image_encoder\.trunk\.body\.", "vision_encoder.backbone.timm_model."),
    (r"^image_encoder\.neck\.convs\.(\d)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"), (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"), (r"^obj_ptr_proj\.", "object_pointer_proj."),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."), (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."), (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"output_upscaling\.0\.", "upscale_conv1."), (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
    (r"\.dwconv\.", ".depthwise_conv."), (r"\.pwconv", ".pointwise_conv"), (r"\.gamma$", ".scale"),
    (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"mask_downsampler\.encoder\.12\.", "mask_downsampler.final_conv."),
    (r"^(memory_attention.*)\.linear1\.", r"\1.mlp.up_proj."),
    (r"^(memory_attention.*)\.linear2\.", r"\1.mlp.down_proj."),
    (r"^(mask_decoder\.transformer.*)\.mlp\.layers\.0\.", r"\1.mlp.proj_in."),
    (r"^(mask_decoder\.transformer.*)\.mlp\.layers\.1\.", r"\1.mlp.proj_out."),
    (r"^(mask_decoder\.(?:iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d)|object_pointer_proj)"
     r"\.layers\.0\.", r"\1.proj_in."),
    (r"^(mask_decoder\.(?:iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d)|object_pointer_proj)"
     r"\.layers\.1\.", r"\1.layers.0."),
    (r"^(mask_decoder\.(?:iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d)|object_pointer_proj)"
     r"\.layers\.2\.", r"\1.proj_out."),
    (r"^spatial_perceiver\.latents$", "spatial_perceiver.latents_1d"),
    (r"^(spatial_perceiver.*)\.self_attn\.norm\.", r"\1.layer_norm_self."),
    (r"^(spatial_perceiver.*)\.attn\.norm_x\.", r"\1.layer_norm_input."),
    (r"^(spatial_perceiver.*)\.attn\.norm_latents\.", r"\1.layer_norm_latents."),
    (r"^(spatial_perceiver.*)\.self_attn\.to_", r"\1.self_attention.to_"),
    (r"^(spatial_perceiver.*)\.attn\.to_", r"\1.cross_attention.to_"),
    (r"\.to_q\.", ".q_proj."), (r"\.to_out\.", ".o_proj."),
    (r"^(spatial_perceiver.*\.)self_ff\.", r"\1self_mlp."), (r"^(spatial_perceiver.*\.)ff\.", r"\1mlp."),
    (r"^(spatial_perceiver.*mlp\.)0\.", r"\1layer_norm."), (r"^(spatial_perceiver.*mlp\.)1\.", r"\1up_proj."),
    (r"^(spatial_perceiver.*mlp\.)3\.", r"\1down_proj."),
    (r"\.out_proj\.", ".o_proj."), (r"\.norm", ".layer_norm"),
)  # fmt: skip
"""Official names → theirs, one after the other."""


def renamed(name: str) -> str:
    """What transformers calls an official parameter."""
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    step = re.match(r"(memory_encoder\.mask_downsampler)\.encoder\.(\d+)\.(\w+)$", name)
    if step:
        index, kind = divmod(int(step[2]), 3)
        name = f"{step[1]}.layers.{index}.{('conv', 'layer_norm')[kind]}.{step[3]}"
    return name


def their_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Official tensors under the names of transformers, split and joined as it has them."""
    found: dict[str, Any] = {}
    for name, tensor in weights.items():
        new = renamed(name)
        if ".to_kv." in new:
            key, value = tensor.chunk(2)
            found |= {new.replace("to_kv", "k_proj"): key, new.replace("to_kv", "v_proj"): value}
        elif not new.startswith("prompt_encoder.point_embeddings."):
            found[new] = tensor
    points = [weights[f"sam_prompt_encoder.point_embeddings.{index}.weight"] for index in range(4)]
    matrix = found["prompt_encoder.shared_embedding.positional_embedding"]
    return found | {
        "prompt_encoder.point_embed.weight": torch.cat(points),
        "shared_image_embedding.positional_embedding": matrix,
    }


def their_model(weights: Mapping[str, Any], size: int) -> Any:
    """`EdgeTamVideoModel` with these weights, all of them and no others."""
    # torchvision, which timm imports, asks for operators that a torch for CPUs may not have.
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    transformers = import_module("transformers")
    grid = size // 16
    backbone = transformers.TimmWrapperConfig(
        architecture="repvit_m1",
        model_args={"in_chans": 3, "features_only": True, "out_indices": (0, 1, 2, 3)},
    )
    vision = transformers.EdgeTamVisionConfig(
        backbone_config=backbone, backbone_feature_sizes=[[4 * grid] * 2, [2 * grid] * 2, [grid] * 2]
    )
    config = transformers.EdgeTamVideoConfig(
        vision_config=vision, prompt_encoder_config={"image_size": size}, image_size=size,
        memory_attention_rope_feat_sizes=[grid, grid], enable_occlusion_spatial_embedding=False,
        enable_temporal_pos_encoding_for_object_pointers=False,
    )  # fmt: skip
    model = transformers.EdgeTamVideoModel(config).eval()
    model.load_state_dict(their_weights(weights), strict=True)
    return model.requires_grad_(False)


def compare_parts(parts: Parts, peer: Any, image: Any) -> list[parity.Difference]:
    """Graph by graph, on the same inputs."""
    size = image.shape[-1]
    grid = size // 16
    with torch.no_grad():
        levels = peer.get_image_features(image, return_dict=True)
    sequences, places = levels.fpn_hidden_states, levels.fpn_position_encoding
    outputs = parity.run_module(parts.modules["image_encoder"], {"image": image})
    wanted = [sequences[2], sequences[0], sequences[1]]
    names = interface.INTERFACE["image_encoder"].outputs
    found = [
        parity.difference("image_encoder", name, "F=1", output.reshape(output.shape[1], -1).T, level[:, 0])
        for name, output, level in zip(names, outputs, wanted, strict=True)
    ]
    embed = torch.from_numpy(outputs[0])
    generator = torch.Generator().manual_seed(7)
    mask = 4 * torch.randn(1, 1, 4 * grid, 4 * grid, generator=generator)
    for hard in (False, True):
        high = torch.nn.functional.interpolate(mask, (size, size), mode="bilinear", align_corners=False)
        with torch.no_grad():
            memory, position = peer._encode_new_memory(sequences[2], high, torch.ones(1, 1), hard)
        inputs = {
            "image_embed": embed, "frame_index": torch.zeros(1, dtype=torch.int64), "low_res_mask": mask,
            "object_score": torch.ones(1, 1), "mask_from_points": torch.full((1,), float(hard)),
        }  # fmt: skip
        [mine] = parity.run_module(parts.modules["memory_encoder"], inputs)
        found.append(parity.difference("memory_encoder", "memory", f"binary={hard}", mine, memory))
    slots, pointers = 5, 6
    memories = torch.randn(1, slots, 512, 64, generator=generator)
    tokens = torch.randn(1, pointers, 256, generator=generator)
    ages = torch.tensor([[6, 0, 1, 2, 3]])
    table = peer.memory_temporal_positional_encoding.reshape(-1, 64)
    keys = (position.reshape(1, 1, 512, 64) + table[ages][:, :, None]).reshape(1, -1, 64)
    with torch.no_grad():
        seen = peer.memory_attention(
            current_vision_features=sequences[2],
            current_vision_position_embeddings=places[2],
            memory=torch.cat([memories.reshape(1, -1, 64), tokens.reshape(1, -1, 64)], 1).transpose(0, 1),
            memory_posision_embeddings=torch.cat([keys, torch.zeros(1, 4 * pointers, 64)], 1).transpose(0, 1),
            num_object_pointer_tokens=4 * pointers,
            num_spatial_memory_tokens=slots,
        )
    inputs = {
        "image_embed": embed, "frame_index": torch.zeros(1, dtype=torch.int64), "memory": memories,
        "memory_tpos": ages, "obj_ptr": tokens, "obj_ptr_tdiff": torch.ones(1, pointers),
        "memory_valid": torch.ones(1, slots), "obj_ptr_valid": torch.ones(1, pointers),
    }  # fmt: skip
    [mine] = parity.run_module(parts.modules["memory_attention"], inputs)
    result = seen.reshape(grid * grid, 256)
    found.append(
        parity.difference(
            "memory_attention", "pix_feat", f"M={slots} P={pointers}", mine.reshape(256, -1).T, result
        )
    )
    return found


def track_here(run: Run, no_memory: F32, images: list[F32], box: F32, fault: str = "") -> list[F32]:
    """Low-resolution mask logits of each frame, by the four graphs; memories kept as they are, in float32."""
    bank: list[tuple[int, F32, F32]] = []
    row = np.zeros(1, np.int64)
    grid = images[0].shape[-1] // 16
    masks = []
    for now, image in enumerate(images):
        embed, finest, fine = run("image_encoder", {"image": image})
        if now:
            features = run("memory_attention", attention_inputs(bank, now, embed, fault))[0]
            coords, labels = np.zeros((1, 1, 2), np.float32), np.full((1, 1), -1, np.int32)
        else:
            features = embed + no_memory.reshape(1, 256, 1, 1)
            coords, labels = box.reshape(1, 2, 2), np.array([[2, 3]], np.int32)
        mask, _, pointer, score, *_ = run("mask_decoder", {
            "pix_feat": features, "high_res_0": finest, "high_res_1": fine, "frame_index": row,
            "point_coords": coords, "point_labels": labels, "multimask": np.full(1, float(now > 0), np.float32),
            "mask_prompt": np.zeros((1, 1, 4 * grid, 4 * grid), np.float32),
            "mask_prompt_valid": np.zeros(1, np.float32),
        })  # fmt: skip
        memory = run("memory_encoder", {
            "image_embed": embed, "frame_index": row, "low_res_mask": mask, "object_score": score,
            "mask_from_points": np.full(1, float(now == 0), np.float32),
        })[0]  # fmt: skip
        if fault == "global latents last":
            memory = np.concatenate([memory[:, 256:], memory[:, :256]], 1)
        bank.append((now, memory * (fault != "memories zeroed"), pointer))
        masks.append(mask[0, 0])
    return masks


def attention_inputs(bank: list[tuple[int, F32, F32]], now: int, embed: F32, fault: str) -> dict[str, Any]:
    """The first frame's memory and pointer and the last ones, as the official predictor chooses them."""
    memories = [bank[0], *bank[1:][:-MEMORIES:-1]]
    pointers = [bank[0], *bank[1:][:-POINTERS:-1]]
    ages = [6] + [now - frame - 1 for frame, _, _ in memories[1:]]
    if fault == "memory ages off by one":
        ages = [(age + 1) % 7 for age in ages]
    return {
        "image_embed": embed, "frame_index": np.zeros(1, np.int64),
        "memory": np.stack([memory[0] for _, memory, _ in memories])[None],
        "memory_tpos": np.array([ages], np.int64),
        "obj_ptr": np.stack([pointer[0] for *_, pointer in pointers])[None],
        "obj_ptr_tdiff": np.array([[now - frame for frame, *_ in pointers]], np.float32),
        "memory_valid": np.ones((1, len(memories)), np.float32),
        "obj_ptr_valid": np.full((1, len(pointers)), float(fault != "pointers left out"), np.float32),
    }  # fmt: skip


def track_there(peer: Any, images: list[F32], box: F32) -> list[F32]:
    """The same by transformers."""
    package = import_module("transformers.models.edgetam_video.modeling_edgetam_video")
    size = images[0].shape[-1]
    video = torch.from_numpy(np.concatenate(images))
    session = package.EdgeTamVideoInferenceSession(
        video=video, video_height=size, video_width=size, dtype=torch.float32
    )
    index = session.obj_id_to_idx(0)
    points = {
        "point_coords": torch.from_numpy(box.reshape(1, 1, 2, 2)),
        "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32),
    }
    session.add_point_inputs(index, 0, points)
    session.obj_with_new_inputs = [0]
    masks = []
    with torch.no_grad():
        for frame in range(len(images)):
            masks.append(peer(inference_session=session, frame_idx=frame).pred_masks[0, 0].numpy())
    return masks


def normalised(frame: FrameNv12) -> F32:
    """(1,3,S,S) as the image encoder wants it."""
    rgb = cv2.cvtColorTwoPlane(frame.y, frame.uv, cv2.COLOR_YUV2RGB_NV12)
    normal = (rgb / np.float32(255) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def runner(parts: Parts, folder: Path | None) -> Run:
    """The torch modules, or the graphs of a folder."""
    if folder is None:
        return lambda name, inputs: parity.run_module(
            parts.modules[name],
            {
                entry: torch.from_numpy(np.ascontiguousarray(inputs[entry]))
                for entry in interface.INTERFACE[name].inputs
            },
        )
    sessions = {name: parity.open_graph(folder / f"{name}.onnx") for name in parts.modules}
    return lambda name, inputs: sessions[name].run(None, dict(inputs))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="an exported segmenter of these weights")
    args = parser.parse_args()
    parts = edgetam.build(Source("edgetam", "edgetam", None, args.seed, f"random:{args.seed}"), args.size)
    peer = their_model(parts.official.state_dict(), args.size)
    frames, boxes = made_up_clip(args.size, args.frames, 1)
    images = [normalised(frame) for frame in frames]
    differences = compare_parts(parts, peer, torch.from_numpy(images[0]))
    wanted = np.stack(track_there(peer, images, boxes[0]))
    run = runner(parts, args.folder)
    rows: list[tuple[object, ...]] = []
    for fault in ("", *FAULTS):
        found = np.stack(track_here(run, parts.no_mem_embed, images, boxes[0], fault))
        agreement = float(((found > 0) == (wanted > 0)).mean())
        rows.append((fault or "as it is", f"{np.abs(found - wanted).max():.2g}", f"{agreement:.4%}"))
    print(heading())
    print(markdown_table(parity.COLUMNS, [item.row() for item in differences]))
    print(f"\n{args.frames} frames of {args.size} × {args.size}, mask logits (spread {wanted.std():.2f}):\n")
    print(markdown_table(("loop", "largest difference", "pixels that agree"), rows))
    write_json(args.json, parts=[item.row() for item in differences], loop=rows)


if __name__ == "__main__":
    main()
