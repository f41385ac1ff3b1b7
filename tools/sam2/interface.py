"""Inputs and outputs of the four graphs, the sizes that vary, and inputs to try them with. Knows no torch, no ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = {"F": 256, "N": 1024, "M": 64, "P": 64, "T": 64}
"""What varies from call to call, and its largest value: frames, rows of objects, memories, pointers, points."""

MEMORY_SLOTS, POINTER_SLOTS = 7, 16


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs of a graph with their axes that vary, by name; names of its outputs."""

    inputs: Mapping[str, Mapping[int, str]]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Widths:
    """What of the four graphs differs between variants; the defaults are SAM 2's and EdgeTAM's.

    features      channels of image_embed and pix_feat, width of pointers
    memory        of a memory's tokens; a pointer is features / memory of them
    mask_scale    pixels a side of a low-resolution mask for each cell of the grid; high_res_0 has that size
    finest, fine  channels of high_res_0 and of high_res_1
    fine_scale    pixels a side of high_res_1 for each cell of the grid
    """

    features: int = 256
    memory: int = 64
    mask_scale: int = 4
    finest: int = 32
    fine: int = 64
    fine_scale: int = 2


SAM2_WIDTHS = Widths()

_N = {0: "N"}
_BANK = {0: "N", 1: "M"}
_POINTERS = {0: "N", 1: "P"}
_POINTS = {0: "N", 1: "T"}
_F = {0: "F"}
INTERFACE: Mapping[str, Interface] = {
    "image_encoder": Interface({"image": _F}, ("image_embed", "high_res_0", "high_res_1")),
    "memory_attention": Interface(
        {
            "image_embed": _F, "frame_index": _N, "memory": _BANK, "memory_tpos": _BANK, "obj_ptr": _POINTERS,
            "obj_ptr_tdiff": _POINTERS, "memory_valid": _BANK, "obj_ptr_valid": _POINTERS,
        },
        ("pix_feat",),
    ),
    "mask_decoder": Interface(
        {
            "pix_feat": _N, "high_res_0": _F, "high_res_1": _F, "frame_index": _N, "point_coords": _POINTS,
            "point_labels": _POINTS, "multimask": _N, "mask_prompt": _N, "mask_prompt_valid": _N,
        },
        ("low_res_mask", "iou", "obj_ptr", "object_score", "candidate_masks", "candidate_ious", "candidate_ptrs"),
    ),
    "memory_encoder": Interface(
        {
            "image_embed": _F, "frame_index": _N, "low_res_mask": _N, "object_score": _N, "mask_from_points": _N,
        },
        ("memory",),
    ),
}  # fmt: skip
"""The contract with what runs the graphs, in engine/models."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes of a call: frames, rows, memories, pointers, points."""

    frames: int
    rows: int
    memories: int = MEMORY_SLOTS
    pointers: int = POINTER_SLOTS
    points: int = 2


def sample_inputs(
    name: str, size: int, tokens: int, counts: Counts, seed: int = 5, widths: Widths = SAM2_WIDTHS
) -> dict[str, NDArray[Any]]:
    """Inputs of a graph with values of the right kind; some bank entries are not valid."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> NDArray[Any]:
        return generator.standard_normal(shape, np.float32)

    r = size // 16
    side, fine_side = widths.mask_scale * r, widths.fine_scale * r
    f, n, m, p, t = counts.frames, counts.rows, counts.memories, counts.pointers, counts.points
    memory_valid, pointer_valid = np.ones((n, m), np.float32), np.ones((n, p), np.float32)
    memory_valid[-1, 1:] = 0
    pointer_valid[-1, 1:] = 0
    # One point is none, two are a box, more are clicks of both kinds.
    labels = {1: [-1], 2: [2, 3]}.get(t, [index % 2 for index in range(t)])
    rows = np.arange(n)
    every = {
        "image": normal(f, 3, size, size), "image_embed": normal(f, widths.features, r, r),
        "high_res_0": normal(f, widths.finest, side, side),
        "high_res_1": normal(f, widths.fine, fine_side, fine_side),
        "frame_index": rows % f, "pix_feat": normal(n, widths.features, r, r),
        "memory": normal(n, m, tokens, widths.memory),
        "memory_tpos": np.tile(np.arange(m) % MEMORY_SLOTS, (n, 1)), "obj_ptr": normal(n, p, widths.features),
        "obj_ptr_tdiff": np.tile(np.arange(1, p + 1, dtype=np.float32), (n, 1)),
        "memory_valid": memory_valid, "obj_ptr_valid": pointer_valid,
        "point_coords": generator.random((n, t, 2), np.float32) * np.float32(size),
        "point_labels": np.tile(np.array(labels, np.int32), (n, 1)), "multimask": (rows % 2).astype(np.float32),
        "mask_prompt": 5 * normal(n, 1, side, side), "mask_prompt_valid": (rows % 3 == 1).astype(np.float32),
        "low_res_mask": 3 * normal(n, 1, side, side), "object_score": normal(n, 1),
        "mask_from_points": (rows % 2).astype(np.float32),
    }  # fmt: skip
    return {entry: every[entry] for entry in INTERFACE[name].inputs}
