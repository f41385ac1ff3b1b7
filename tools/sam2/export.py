"""The torch modules of a model → four ONNX files in a folder, with the sidecar that says what they are."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import ModelUnsupported
from engine.models.sam2_sidecar import SCHEMA, SET_ID_KEY
from tools import onnx_graph
from tools.command_line import write_whole
from tools.sam2 import interface
from tools.sam2.families import GRAPHS, Parts, Source
from tools.sam2.graph_edit import tidy
from tools.sam2.interface import (
    DIMENSIONS,
    INTERFACE,
    MEMORY_SLOTS,
    POINTER_SLOTS,
    SAM2_WIDTHS,
    Counts,
    Widths,
)

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def sample_inputs(
    name: str, size: int, tokens: int, counts: Counts, widths: Widths = SAM2_WIDTHS
) -> dict[str, Any]:
    """Inputs of a graph to try it with, as torch tensors."""
    arrays = interface.sample_inputs(name, size, tokens, counts, widths=widths)
    return {entry: torch.from_numpy(np.ascontiguousarray(array)) for entry, array in arrays.items()}


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
            name,
            parts.modules[name],
            sample_inputs(name, size, parts.memory_tokens, counts, parts.widths),
            opset,
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
        "width": parts.widths.features,
        "memory_width": parts.widths.memory,
        "mask_scale": parts.widths.mask_scale,
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
