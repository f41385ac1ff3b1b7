"""What the official model computes of a graph's inputs: module by module, and for a whole clip.

`Parts.official` is a `SAM2VideoPredictor` (EdgeTAM's derives from it). Its own methods are called, one row at a time
as it wants them, so that nothing of `graphs` is in the reference.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.types import F32
from tools.command_line import needs
from tools.sam2.export import sample_inputs
from tools.sam2.families import Parts
from tools.sam2.interface import Counts
from tools.sam2.parity import Difference, difference, run_module

_NOW = 20
"""Frame in which the memory attention is asked: its conditioning frame is 0, its last ones are 19, 18, …"""


def module_differences(parts: Parts, size: int) -> list[Difference]:
    """The graphs' torch modules against the official model's own methods."""
    found: list[Difference] = []
    for name, reference in _REFERENCES.items():
        counts = Counts(2, 3, points=2)
        inputs = sample_inputs(name, size, parts.memory_tokens, counts, parts.widths)
        if name == "memory_attention":
            inputs |= _history(counts)
        wanted = reference(parts.official, inputs)
        results = run_module(parts.modules[name], inputs)
        for (output, values), result in zip(wanted.items(), results, strict=False):
            found.append(difference(name, output, "official", result, values))
    return found


def _history(counts: Counts) -> dict[str, Any]:
    """A full bank: slot 0 is the conditioning frame, the others are the last frames, newest first."""
    rows = counts.rows
    ages = torch.tensor([_NOW, *range(1, counts.pointers)], dtype=torch.float32)
    return {
        "memory_tpos": torch.tensor([6, 0, 1, 2, 3, 4, 5]).expand(rows, 7).contiguous(),
        "obj_ptr_tdiff": ages.expand(rows, counts.pointers).contiguous(),
        "memory_valid": torch.ones(rows, counts.memories),
        "obj_ptr_valid": torch.ones(rows, counts.pointers),
    }


def _encode_image(model: Any, inputs: Mapping[str, Any]) -> dict[str, F32]:
    with torch.no_grad():
        finest, fine, coarse = model.forward_image(inputs["image"])["backbone_fpn"]
    return {"image_embed": coarse.numpy(), "high_res_0": finest.numpy(), "high_res_1": fine.numpy()}


def _attend(model: Any, inputs: Mapping[str, Any]) -> dict[str, F32]:
    side = model.image_size // 16
    place = model.image_encoder.neck.position_encoding(torch.zeros(1, model.hidden_dim, side, side))
    results = []
    for row, frame in enumerate(inputs["frame_index"].tolist()):
        memories, pointers = inputs["memory"][row], inputs["obj_ptr"][row]
        outputs = [_remembered(model, memories, pointers, slot) for slot in range(len(pointers))]
        history = {
            "cond_frame_outputs": {0: outputs[0]},
            "non_cond_frame_outputs": {_NOW - slot: outputs[slot] for slot in range(1, len(outputs))},
        }
        with torch.no_grad():
            results.append(
                model._prepare_memory_conditioned_features(
                    frame_idx=_NOW,
                    is_init_cond_frame=False,
                    current_vision_feats=[_sequence(inputs["image_embed"][frame][None])],
                    current_vision_pos_embeds=[_sequence(place)],
                    feat_sizes=[(side, side)],
                    output_dict=history,
                    num_frames=2 * _NOW,
                )
            )
    return {"pix_feat": torch.cat(results).numpy()}


def _remembered(model: Any, memories: Any, pointers: Any, slot: int) -> dict[str, Any]:
    """An output of the past as the predictor keeps it; the oldest have a pointer only."""
    tokens = memories.shape[1]
    side = model.image_size // 16
    height, width = (side, side) if tokens == side * side else (tokens, 1)
    kept = memories[min(slot, len(memories) - 1)]
    features = kept.transpose(0, 1).reshape(1, -1, height, width)
    place = memory_position(model, features)
    return {"maskmem_features": features, "maskmem_pos_enc": [place], "obj_ptr": pointers[slot][None]}


def memory_position(model: Any, features: Any) -> Any:
    """The positions that the official model keeps beside a memory [1,W,h,w]."""
    own = getattr(model, "memory_position", None)
    return model.memory_encoder.position_encoding(features) if own is None else own()


def _decode(model: Any, inputs: Mapping[str, Any]) -> dict[str, F32]:
    names = ("low_res_mask", "iou", "obj_ptr", "object_score")
    results: dict[str, list[Any]] = {name: [] for name in names}
    for row, frame in enumerate(inputs["frame_index"].tolist()):
        here = slice(row, row + 1)
        prompt = inputs["mask_prompt"][here] if inputs["mask_prompt_valid"][row] > 0 else None
        many = bool(inputs["multimask"][row] > 0)
        with torch.no_grad():
            _, _, ious, low, _, pointer, score = model._forward_sam_heads(
                backbone_features=inputs["pix_feat"][here],
                point_inputs={
                    "point_coords": inputs["point_coords"][here], "point_labels": inputs["point_labels"][here]
                },
                mask_inputs=prompt,
                high_res_features=[
                    inputs["high_res_0"][frame][None], inputs["high_res_1"][frame][None]
                ],
                multimask_output=many,
            )  # fmt: skip
        for name, value in zip(names, (low, ious.max(1, keepdim=True).values, pointer, score), strict=True):
            results[name].append(value)
    return {name: torch.cat(values).numpy() for name, values in results.items()}


def _encode_memory(model: Any, inputs: Mapping[str, Any]) -> dict[str, F32]:
    side = model.image_size // 16
    results = []
    for row, frame in enumerate(inputs["frame_index"].tolist()):
        mask = torch.nn.functional.interpolate(
            inputs["low_res_mask"][row][None],
            size=(model.image_size, model.image_size),
            mode="bilinear",
            align_corners=False,
        )
        with torch.no_grad():
            features, _ = model._encode_new_memory(
                current_vision_feats=[_sequence(inputs["image_embed"][frame][None])],
                feat_sizes=[(side, side)],
                pred_masks_high_res=mask,
                object_score_logits=inputs["object_score"][row][None],
                is_mask_from_pts=bool(inputs["mask_from_points"][row] > 0),
            )
        results.append(features.flatten(2).transpose(1, 2))
    return {"memory": torch.cat(results).numpy()}


_REFERENCES = {
    "image_encoder": _encode_image,
    "memory_attention": _attend,
    "mask_decoder": _decode,
    "memory_encoder": _encode_memory,
}


def _sequence(features: Any) -> Any:
    """[1,C,h,w] → [h·w,1,C]."""
    return features.flatten(2).permute(2, 0, 1)


def track(model: Any, pictures: F32, boxes: Sequence[F32]) -> F32:
    """Low-resolution mask logits (frames, objects, 4r, 4r) by the official predictor.

    pictures  (frames, 3, S, S), normalised: of the model's own size, so that neither reading nor resizing plays a part
    boxes     (4,) left, top, right, bottom of each object in the first frame, in pixels of S
    """
    with needs("export"):
        from PIL import Image
    with tempfile.TemporaryDirectory(prefix="camring-clip-") as folder:
        # It opens a clip by files only; they say how many pictures there are and how large.
        for index in range(len(pictures)):
            Image.new("RGB", pictures.shape[:-3:-1]).save(Path(folder) / f"{index:05d}.jpg")
        # Its progress bars would tear the tables apart.
        with contextlib.redirect_stderr(io.StringIO()):
            state = model.init_state(folder)
            state["images"] = torch.from_numpy(pictures)
            state["cached_features"].clear()
            for number, box in enumerate(boxes):
                model.add_new_points_or_box(state, 0, number, box=box)
            seen = [index for index, _, _ in model.propagate_in_video(state)]
    kept = [state["output_dict_per_obj"][number] for number in range(len(boxes))]
    return np.stack(
        [
            np.stack([_of_frame(outputs, index)["pred_masks"].numpy()[0, 0] for outputs in kept])
            for index in seen
        ]
    )


def _of_frame(outputs: Mapping[str, Any], index: int) -> Any:
    return outputs["cond_frame_outputs" if index == 0 else "non_cond_frame_outputs"][index]
