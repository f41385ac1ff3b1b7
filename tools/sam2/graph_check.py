"""What a graph of a segmenter must and must not hold, so that every runtime takes it. Knows ONNX, no runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tools.command_line import needs
from tools.sam2.interface import INTERFACE

with needs("export"):
    import onnx

REFUSED = {
    "NonZero": "its result's size depends on data",
    "Unique": "its result's size depends on data",
    "Compress": "its result's size depends on data",
    "NonMaxSuppression": "its result's size depends on data",
    "ScatterElements": "slow or missing in TensorRT",
    "ScatterND": "slow or missing in TensorRT",
    "If": "control flow",
    "Loop": "control flow",
    "Scan": "control flow",
}
"""Operators that no graph may hold, and why."""

_COMPLEX = frozenset({onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128})


def problems(name: str, model: Any) -> list[str]:
    """Why a graph is not as it should be, one text each; empty where it is."""
    counts = Counter(node.op_type for node in model.graph.node)
    found = [f"holds {counts[kind]} {kind}: {why}" for kind, why in REFUSED.items() if counts[kind]]
    if any(kind in _COMPLEX for kind in _element_types(model)):
        found.append("holds complex numbers")
    if any(initializer.data_location == onnx.TensorProto.EXTERNAL for initializer in model.graph.initializer):
        found.append("keeps weights outside the file")
    found += _interface_problems(name, model)
    return [f"{name}: {text}" for text in found]


def _element_types(model: Any) -> Iterator[int]:
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        yield value.type.tensor_type.elem_type
    for tensor in model.graph.initializer:
        yield tensor.data_type
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to":
                yield attribute.i
            elif attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t.data_type


def _interface_problems(name: str, model: Any) -> list[str]:
    """Names of inputs, outputs and of the axes that vary."""
    face = INTERFACE[name]
    inputs = {value.name: value for value in model.graph.input}
    outputs = tuple(value.name for value in model.graph.output)
    found = []
    if tuple(inputs) != tuple(face.inputs):
        found.append(f"inputs are {', '.join(inputs)}; wanted are {', '.join(face.inputs)}")
    if outputs != face.outputs:
        found.append(f"outputs are {', '.join(outputs)}; wanted are {', '.join(face.outputs)}")
    for entry, axes in face.inputs.items():
        dimensions = inputs[entry].type.tensor_type.shape.dim if entry in inputs else ()
        named = {index: dim.dim_param for index, dim in enumerate(dimensions) if not dim.dim_value}
        if entry in inputs and named != dict(axes):
            found.append(f"axes of {entry} that vary are {named}; wanted are {dict(axes)}")
    return found
