"""Eight-bit variants of a segmenter's graphs, for CPUs: which graphs, which of their operators, and how.

*Dynamic*: weights in eight bits by channel, activations measured in every call. *Static*: activations by ranges
found on pictures beforehand, for the image encoder only (its input is a picture; nobody has typical memories).
Reuses the detectors' ranges and QDQ writer.
"""

from __future__ import annotations

import logging
import platform
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.models.sam2_pictures import Pictures
from engine.types import F32
from tools import quantization
from tools.command_line import needs
from tools.frames import TEST_PICTURES, read_frames
from tools.sam2.export import MEAN, STD
from tools.sam2.graph_edit import copied, tidy

with needs("export"):
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.onnx_model import ONNXModel

DYNAMIC: Mapping[str, tuple[str, ...]] = {
    "image_encoder": ("MatMul", "Gemm"),
    "memory_attention": ("MatMul", "Gemm"),
    "memory_encoder": ("MatMul", "Gemm"),
}
"""Operators with learnt weights that are quantised, by graph; graphs that are not here stay as they are."""

STATIC: Mapping[str, tuple[str, ...]] = {"image_encoder": ("Conv", "Gemm", "MatMul")}
"""The same for static quantisation."""


def dynamic(name: str, model: Any) -> Any:
    """The graph with eight-bit weights, a copy; the same object where nothing of it is to be quantised."""
    if name not in DYNAMIC:
        return model
    model = copied(model)
    # Eight bits know products, not Gemm; what is added comes after.
    ONNXModel(model).replace_gemm_with_matmul()
    nodes = _learnt(model, DYNAMIC[name])
    with tempfile.TemporaryDirectory(prefix="camring-quantization-") as folder:
        target = Path(folder) / "int8.onnx"
        # It warns at the root logger that it would like a file prepared by itself.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(
                model, str(target), op_types_to_quantize=list(DYNAMIC[name]), nodes_to_quantize=nodes,
                per_channel=True, reduce_range=_processor().levels < 127, weight_type=QuantType.QInt8,
            )  # fmt: skip
        finally:
            logging.disable(logging.NOTSET)
        return tidy(onnx.load(str(target)))


def static(name: str, model: Any, pictures: Sequence[F32]) -> Any:
    """The graph with eight-bit weights and activations, by the ranges that these pictures (1,3,S,S) give."""
    if name not in STATIC:
        return model
    ready = quantization.ready(copied(model))
    nodes = _learnt(ready, STATIC[name])
    ranges = quantization.collect(ready, nodes, pictures)
    return tidy(quantization.quantised(ready, nodes, ranges, _processor(), pictures[0]))


def calibration_pictures(source: str | None, count: int, size: int) -> list[F32]:
    """Pictures (1,3,S,S) as the engine feeds them to the image encoder; drawn ones where no source is named."""
    every, first = (1, 0) if source else (5, 20)
    pictures = Pictures(size, np.asarray(MEAN, np.float32), np.asarray(STD, np.float32))
    frames = read_frames([source or TEST_PICTURES], count, every, first)
    return [pictures.fill([frame]).copy() for frame in frames]


def _learnt(model: Any, operators: Sequence[str]) -> list[str]:
    """Nodes of these kinds that multiply by a weight, not one result by another."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in operators and any(entry in weights for entry in node.input[:2])
    ]


def _processor() -> quantization.Processor:
    path = Path("/proc/cpuinfo")
    return quantization.processor(path.read_text() if path.is_file() else "", platform.machine())
