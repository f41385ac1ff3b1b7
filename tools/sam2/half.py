"""A segmenter's graph in float16, its inputs and outputs in float32; or only its weights as they lie in the file.

Coordinates and ages stay in float32 until their sine is taken, or until they are drawn: at ten bits a point in a
picture of 1024 pixels would be half a pixel off. So do variances that are computed step by step: their squares may
leave float16's range.

Weights alone: a graph that computes in float32, whose large constants lie in the file as float16 behind a Cast, which
ONNX Runtime carries out once, when it loads. Half the file, the same speed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tools.command_line import needs
from tools.sam2.graph_edit import ancestors, copied, tidy

with needs("export"):
    import onnx
    from onnx import helper, numpy_helper

_IN_FULL = frozenset({"Pow", "ReduceMean", "Sqrt", "Reciprocal", "ReduceSum", "ArgMax", "Range"})
"""Computed in float32 wherever they are: sums of many numbers, squares, and what is chosen by the least difference."""


def to_half(model: Any) -> Any:
    """The graph in float16, a copy."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = copied(model)
    angles = [node for node in model.graph.node if node.op_type in ("Sin", "Cos", "Exp", "Tanh")]
    in_full = {node.name for node in model.graph.node if node.op_type in _IN_FULL}
    in_full |= {node.name for node in angles} | ancestors(model, angles)
    with warnings.catch_warnings():
        # Weights smaller than float16 can tell from zero; what that costs is seen when results are compared.
        warnings.simplefilter("ignore")
        half = convert_float_to_float16(model, keep_io_types=True, node_block_list=sorted(in_full))
    OnnxModel(half).topological_sort()
    # Types of results between nodes are those of before, for what stayed in float32; who reads the file infers them.
    del half.graph.value_info[:]
    return tidy(half)


_WORTH_IT = 256  # numbers; for fewer the Cast takes more than it saves
_STORED = "_float16"


def round_weights(modules: Mapping[str, Any]) -> None:
    """Round all parameters of torch modules to what float16 can tell apart, in place; buffers stay as they are."""
    for module in modules.values():
        for parameter in module.parameters():
            parameter.data.copy_(parameter.data.half().float())


def store_weights_in_half(model: Any) -> Any:
    """The same graph, a copy, with every large constant that float16 holds exactly stored so, behind a Cast."""
    model = copied(model)
    casts = []
    for tensor in list(model.graph.initializer):
        if tensor.data_type != onnx.TensorProto.FLOAT or int(np.prod(tensor.dims)) < _WORTH_IT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halved = values.astype(np.float16)
        if not np.array_equal(halved.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halved, name + _STORED))
        casts.append(
            helper.make_node("Cast", [name + _STORED], [name], f"{name}_widened", to=onnx.TensorProto.FLOAT)
        )
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    return model


def widen_weights(model: Any) -> Any:
    """The graph of `store_weights_in_half`, a copy, as it was before: for what does not carry out casts at once.

    A graph without such casts comes back as it is.
    """
    model = copied(model)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in list(model.graph.node):
        source = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if source is None or source.name != node.output[0] + _STORED:
            continue
        values = numpy_helper.to_array(source).astype(np.float32)
        source.CopyFrom(numpy_helper.from_array(values, node.output[0]))
        model.graph.node.remove(node)
    return model
