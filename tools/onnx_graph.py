"""ONNX files as tools handle them: read, take apart into body and tail, change precision, make bytes.

The *body* of a detector are its convolutions and what lies between them; the *tail* turns their last results into
boxes and scores. Knows graphs; neither runtimes nor pictures.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ModelCorrupt, ModelUnsupported
from tools.command_line import needs

with needs("export"):
    import onnx
    import onnxslim
    from google.protobuf.message import Error as ProtobufError
    from onnx import numpy_helper

LEARNT = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose weights are learnt."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Names of the nodes of a detector's graph.

    first  convolutions that see the picture itself
    body   nodes that a convolution follows, `first` included
    last   convolutions that none follows: their results are raw scores and distances
    tail   what makes boxes and scores of these
    ends   for every node of the body: the nodes of `last` that can be reached from it
    """

    first: tuple[str, ...]
    body: tuple[str, ...]
    last: tuple[str, ...]
    tail: tuple[str, ...]
    ends: Mapping[str, frozenset[str]]


def read_model(path: Path) -> Any:
    """The `onnx.ModelProto`. Raises `ModelCorrupt`."""
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except OSError as error:
        raise ModelCorrupt(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ProtobufError, onnx.checker.ValidationError) as error:
        raise ModelCorrupt(f"{path}: no sound ONNX model: {one_line(error)}") from error
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return model


def dissect(model: Any) -> Anatomy:
    """Which nodes are body and which are tail. Raises `ModelUnsupported` for a graph without convolutions."""
    nodes = list(model.graph.node)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    followers = defaultdict(list)
    for node in nodes:
        for name in node.input:
            followers[name].append(node)
    learnt = {node.name for node in nodes if _is_learnt(node, weights)}
    ends: dict[str, frozenset[str]] = {}
    # Nodes are in topological order: backwards, what is known of all followers of a node when its turn comes.
    for node in reversed(nodes):
        after = [follower.name for name in node.output for follower in followers[name]]
        reached = frozenset().union(*(ends[name] or ({name} & learnt) for name in after))
        ends[node.name] = reached
    last = tuple(node.name for node in nodes if node.name in learnt and not ends[node.name])
    if not last:
        raise ModelUnsupported("the graph has no convolution with weights: nothing to do for this tool")
    fed: set[str] = set()  # tensors that come out of a convolution, however far on
    first = []
    for node in nodes:
        after_one = not fed.isdisjoint(node.input)
        if node.name in learnt and not after_one:
            first.append(node.name)
        if after_one or node.name in learnt:
            fed.update(node.output)
    return Anatomy(
        first=tuple(first),
        body=tuple(node.name for node in nodes if ends[node.name]),
        last=last,
        tail=tuple(node.name for node in nodes if not ends[node.name] and node.name not in last),
        ends={name: reached for name, reached in ends.items() if reached},
    )


def _is_learnt(node: Any, weights: dict[str, Any]) -> bool:
    if node.op_type not in LEARNT or node.input[1] not in weights:
        return False
    # Ultralytics writes the expectation over distances as a convolution with one output: 0, 1, 2, …
    weight = weights[node.input[1]]
    return not (node.op_type == "Conv" and weight.dims[0] == 1 and _counts(weight))


def _counts(weight: Any) -> bool:
    values = numpy_helper.to_array(weight).ravel()
    # A file that was quantised before has them nearly.
    return len(values) > 1 and bool(np.all(np.abs(values - np.arange(len(values))) < 0.1))


def fix_size(model: Any, width: int, height: int) -> Any:
    """The model for pictures of this size only, everything that follows from the size computed ahead."""
    shape = model.graph.input[0].type.tensor_type.shape.dim
    shape[2].dim_value, shape[3].dim_value = height, width
    for output in model.graph.output:
        for size in output.type.tensor_type.shape.dim[1:]:
            size.Clear()
    return slim(model)


def slim(model: Any) -> Any:
    """The simplified model: constants folded, what has no effect removed."""
    logging.getLogger("onnxslim").setLevel(logging.ERROR)
    return onnxslim.slim(model)


def to_half(model: Any, half_input: bool) -> Any:
    """The body in float16. The tail stays in float32: boxes of hundreds of pixels have no place in ten bits.

    half_input  whether the input is float16 too, else it is converted in the graph
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    name = model.graph.input[0].name
    outputs = [output.name for output in model.graph.output]
    half = convert_float_to_float16(
        model,
        keep_io_types=outputs if half_input else [name, *outputs],
        node_block_list=list(dissect(model).tail),
    )
    OnnxModel(half).topological_sort()
    return half


def metadata(model: Any) -> dict[str, str]:
    """What the exporter left in the file."""
    return {entry.key: entry.value for entry in model.metadata_props}


def set_metadata(model: Any, values: dict[str, str]) -> None:
    """Replace the metadata."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, values)


def to_bytes(model: Any, where: str) -> bytes:
    """The file's content. Raises `ModelUnsupported` if it is no sound model (which `where` names)."""
    try:
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())
    except (
        ProtobufError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError,  # beyond 2 GiB
    ) as error:  # fmt: skip
        raise ModelUnsupported(f"{where}: the result is no sound ONNX model: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """An error of a library in one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "…"
