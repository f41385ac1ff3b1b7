"""Exporting a re-identification network, comparing it with torch, and writing into a file how it is to be fed."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.errors import ModelUnsupported
from engine.models.backend import BackendOptions, backend_named
from engine.models.reid_heads import METADATA_KEY, recognise_reid
from engine.types import F32
from tools import onnx_graph
from tools.reid.checkpoint import load

_PICTURES = 4
_TOLERANCE = 1e-3
"""Largest difference of a number, as a share of the largest one."""
_LEAST_COSINE = 0.9999


@dataclass(frozen=True, slots=True)
class Exported:
    """A file, and how far it is from torch on made-up pictures.

    difference  largest of a number; `largest` is the largest number there is
    cosine      lowest of a vector with its counterpart
    """

    variant: str
    content: bytes
    difference: float
    largest: float
    cosine: float
    pictures: int

    @property
    def sound(self) -> bool:
        """Whether the file may be used."""
        return self.difference <= _TOLERANCE * self.largest and self.cosine >= _LEAST_COSINE


def export(checkpoint: Path, size_hw: tuple[int, int], opset: int, licence: str) -> Exported:
    """A checkpoint of torchreid as an ONNX file for any number of crops of this size. Raises a `ModelError`."""
    variant, network = load(checkpoint)
    model = onnx_graph.slim(_graph(network, size_hw, opset))
    onnx_graph.set_metadata(model, _metadata("rgb-imagenet", size_hw, licence, variant))
    content = onnx_graph.to_bytes(model, str(checkpoint))
    pictures = np.random.default_rng(0).normal(size=(_PICTURES, 3, *size_hw)).astype(np.float32)
    with torch.no_grad():
        wanted: F32 = network(torch.from_numpy(pictures)).numpy()
    found = _answers(content, pictures)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    cosine = np.sum(found.astype(np.float64) * wanted, axis=1) / np.maximum(lengths, 1e-12)
    return Exported(
        variant, content, float(np.abs(found - wanted).max()), float(np.abs(wanted).max()), float(cosine.min()),
        _PICTURES,
    )  # fmt: skip


def marked(path: Path, pixels: str | None, size_hw: tuple[int, int] | None, licence: str) -> bytes:
    """The same ONNX file with what it wants written into it, which the engine then understands.

    Raises a `ModelError`, also where the engine would not take the result.
    """
    model = onnx_graph.read_model(path)
    values = onnx_graph.metadata(model) | _metadata(pixels, size_hw, licence, "")
    onnx_graph.set_metadata(model, values)
    content = onnx_graph.to_bytes(model, str(path))
    with tempfile.TemporaryDirectory(prefix="camring-reid-") as folder:
        written = Path(folder) / path.name
        written.write_bytes(content)
        backend = backend_named("ort-cpu").load(written, BackendOptions())
        try:
            recognise_reid(backend.graph, str(path))
        finally:
            backend.close()
    return content


def _metadata(
    pixels: str | None, size_hw: tuple[int, int] | None, licence: str, variant: str
) -> dict[str, str]:
    values = {
        METADATA_KEY: pixels or "", "imgsz": json.dumps(list(size_hw)) if size_hw else "", "licence": licence,
        "description": variant,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value}


def _graph(network: Any, size_hw: tuple[int, int], opset: int) -> Any:
    # The exporter tells of its progress, and of what it would have liked to see.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = torch.export.Dim("batch", min=1, max=1024)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network, (torch.zeros(2, 3, *size_hw),), input_names=["images"], output_names=["output"],
                dynamo=True, opset_version=opset, dynamic_shapes=({0: batch},), verbose=False, optimize=True,
            )  # fmt: skip
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise ModelUnsupported(
            f"torch {torch.__version__} cannot export it: {onnx_graph.one_line(error)}"
        ) from error
    assert program is not None
    return program.model_proto


def _answers(content: bytes, pictures: F32) -> F32:
    """What the engine's backend gives for all pictures at once."""
    with tempfile.TemporaryDirectory(prefix="camring-reid-") as folder:
        path = Path(folder) / "result.onnx"
        path.write_bytes(content)
        backend = backend_named("ort-cpu").load(path, BackendOptions(batch=len(pictures)))
        try:
            call = backend.new_call()
            call.input_nchw[:] = pictures
            return backend.run(call, len(pictures), 0)[0].copy()
        finally:
            backend.close()
