"""A segmenter's graph in float16, its inputs and outputs in float32.

Coordinates and ages stay in float32 until their sine is taken: at ten bits a point in a picture of 1024 pixels
would be half a pixel off. So do variances that are computed step by step: their squares may leave float16's range.
"""

from __future__ import annotations

import warnings
from typing import Any

from tools.sam2.graph_edit import ancestors, copied, tidy

_IN_FULL = frozenset({"Pow", "ReduceMean", "Sqrt", "Reciprocal", "ReduceSum", "ArgMax", "Range"})
"""Computed in float32 wherever they are: sums of many numbers, squares, and what is chosen by the least difference."""


def to_half(model: Any) -> Any:
    """The graph in float16, a copy."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = copied(model)
    angles = [node for node in model.graph.node if node.op_type in ("Sin", "Cos")]
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
