"""The torch modules of a model → four ONNX files in a folder, with the sidecar that says what they are."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import ModelUnsupported
from engine.models.sam2_sidecar import SCHEMA, SET_ID_KEY
from tools import onnx_graph
from tools.command_line import write_whole
from tools.sam2.families import GRAPHS, Parts, Source
from tools.sam2.graph_edit import tidy

DIMENSIONS = {"F": 256, "N": 1024, "M": 64, "P": 64, "T": 64}
"""What varies from call to call, and its largest value: frames, rows of objects, memories, pointers, points."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
MEMORY_SLOTS, POINTER_SLOTS = 7, 16


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs of a graph with their axes that vary, by name; names of its outputs."""

    inputs: Mapping[str, Mapping[int, str]]
    outputs: tuple[str, ...]


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


def sample_inputs(name: str, size: int, tokens: int, counts: Counts, seed: int = 5) -> dict[str, Any]:
    """Inputs of a graph, as torch tensors, with values of the right kind; some bank entries are not valid."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator)

    r = size // 16
    f, n, m, p, t = counts.frames, counts.rows, counts.memories, counts.pointers, counts.points
    memory_valid, pointer_valid = torch.ones(n, m), torch.ones(n, p)
    memory_valid[-1, 1:] = 0
    pointer_valid[-1, 1:] = 0
    labels = torch.arange(t, dtype=torch.int32) % 2
    if t == 2:
        labels = labels + 2
    if t == 1:
        labels = labels - 1
    every = {
        "image": normal(f, 3, size, size), "image_embed": normal(f, 256, r, r),
        "high_res_0": normal(f, 32, 4 * r, 4 * r), "high_res_1": normal(f, 64, 2 * r, 2 * r),
        "frame_index": torch.arange(n) % f, "pix_feat": normal(n, 256, r, r),
        "memory": normal(n, m, tokens, 64), "memory_tpos": (torch.arange(m) % 7).expand(n, m).contiguous(),
        "obj_ptr": normal(n, p, 256), "obj_ptr_tdiff": torch.arange(1.0, p + 1).expand(n, p).contiguous(),
        "memory_valid": memory_valid, "obj_ptr_valid": pointer_valid,
        "point_coords": torch.rand(n, t, 2, generator=generator) * size,
        "point_labels": labels.expand(n, t).contiguous(), "multimask": (torch.arange(n) % 2).float(),
        "mask_prompt": 5 * normal(n, 1, 4 * r, 4 * r), "mask_prompt_valid": (torch.arange(n) % 3 == 1).float(),
        "low_res_mask": 3 * normal(n, 1, 4 * r, 4 * r), "object_score": normal(n, 1),
        "mask_from_points": (torch.arange(n) % 2).float(),
    }  # fmt: skip
    return {entry: every[entry] for entry in INTERFACE[name].inputs}


def export_graph(name: str, module: Any, inputs: Mapping[str, Any], opset: int) -> Any:
    """One torch module as an `onnx.ModelProto`. Raises `ModelUnsupported`."""
    face = INTERFACE[name]
    sizes = {axis: torch.export.Dim(axis, min=1, max=most) for axis, most in DIMENSIONS.items()}
    axes = {entry: {at: sizes[axis] for at, axis in face.inputs[entry].items()} for entry in face.inputs}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, tuple(inputs.values()), input_names=list(face.inputs), output_names=list(face.outputs),
                dynamo=True, opset_version=opset, dynamic_shapes=tuple(axes.values()), verbose=False, optimize=True,
            )  # fmt: skip
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelUnsupported(
            f"{name}: torch {torch.__version__} cannot export it: {onnx_graph.one_line(error)}"
        ) from error
    return tidy(program.model_proto)


def export_graphs(parts: Parts, size: int, opset: int) -> dict[str, Any]:
    """All four graphs, in float32."""
    counts = Counts(2, 3)
    return {
        name: export_graph(
            name, parts.modules[name], sample_inputs(name, size, parts.memory_tokens, counts), opset
        )
        for name in GRAPHS
    }


def describe(parts: Parts, source: Source, size: int, precision: Mapping[str, str]) -> dict[str, Any]:
    """The sidecar without what depends on the files."""
    from importlib.metadata import version

    return {
        "schema": SCHEMA,
        "family": source.family,
        "variant": source.variant,
        "image_size": size,
        "grid": size // 16,
        "memory_tokens": parts.memory_tokens,
        "memory_slots": MEMORY_SLOTS,
        "pointer_slots": POINTER_SLOTS,
        "mean": list(MEAN),
        "std": list(STD),
        "no_mem_embed": _floats(parts.no_mem_embed),
        "mask_downsample": {
            "weight": [_floats(row) for row in parts.mask_downsample],
            "bias": float(parts.mask_bias),
        },
        "no_object_score": -1024.0,
        "precision": dict(precision),
        "weights": source.label,
        "weights_licence": parts.licence,
        "made_by": f"camring {version('camring')}, torch {torch.__version__}",
    }


def write_folder(folder: Path, graphs: Mapping[str, Any], sidecar: dict[str, Any]) -> None:
    """Write graphs and sidecar into an empty folder; every graph carries the set's id."""
    identity = hashlib.sha256(json.dumps(sidecar, sort_keys=True).encode())
    for name in GRAPHS:
        identity.update(onnx_graph.to_bytes(graphs[name], name))
    sidecar["set_id"] = identity.hexdigest()[:32]
    sidecar["graphs"] = {}
    for name in GRAPHS:
        kept = onnx_graph.metadata(graphs[name])
        onnx_graph.set_metadata(graphs[name], kept | {SET_ID_KEY: sidecar["set_id"]})
        content = onnx_graph.to_bytes(graphs[name], name)
        write_whole(folder / f"{name}.onnx", content)
        sidecar["graphs"][name] = hashlib.sha256(content).hexdigest()
    write_sidecar(folder, sidecar)


def write_sidecar(folder: Path, sidecar: dict[str, Any]) -> None:
    """Write the sidecar alone: figures that came later."""
    write_whole(folder / "segmenter.json", (json.dumps(sidecar, indent=1) + "\n").encode())


def _floats(values: Any) -> list[float]:
    """Numbers that read back as the same float32."""
    return [float(value) for value in np.asarray(values, np.float32).ravel()]
