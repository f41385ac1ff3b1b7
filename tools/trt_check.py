"""What can be said about an ONNX file and TensorRT without a GPU: operators, types, sizes, batches.

Only TensorRT's own parser can accept a graph; this finds what it is known to refuse. Operators: the table of
onnx-tensorrt, docs/operators.md, for TensorRT 10.15; opsets: that table and the opset guide of TensorRT 11.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import ModelUnsupported
from engine.models.heads.base import Tensor, parse_size
from engine.models.heads.inputs import constants_of, pictures_first
from engine.models.trt_engine_file import BatchProfile
from tools.command_line import needs
from tools.onnx_graph import metadata

with needs("export"):
    import onnx
    from onnx import numpy_helper

OPSETS = (9, 25)
REFUSED = frozenset({
    "AffineGrid", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "CenterCropPad",
    "Col2Im", "Compress", "ConcatFromSequence", "ConvInteger", "DFT", "Det", "DynamicQuantizeLinear",
    "ImageDecoder", "MatMulInteger", "MaxRoiPool", "MaxUnpool", "MelWeightMatrix", "Multinomial",
    "NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement", "OptionalHasElement", "QLinearConv",
    "QLinearMatMul", "RegexFullMatch", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
    "SequenceInsert", "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss", "SplitToSequence",
    "StringNormalizer", "TfIdfVectorizer", "Unique",
})  # fmt: skip
"""Operators that TensorRT's parser does not have."""
CPU_QUANTISED = frozenset({
    "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"
})  # fmt: skip
"""Those among them that tell of a file quantised for CPUs."""
QUANTISING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs and outputs of a model, the pictures' input first, and the size in pixels that it is run with."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    input_wh: tuple[int, int]
    metadata: dict[str, str]

    @property
    def fixed_batch(self) -> int:
        """The batch that the file insists on, 0 if it takes any."""
        batch = self.inputs[0].shape[0]
        return batch if isinstance(batch, int) else 0

    def shape(self, tensor: Tensor, batch: int) -> tuple[int, ...]:
        """The sizes of an input for so many pictures. Raises `ModelUnsupported` where one is not known."""
        if tensor is self.inputs[0]:
            return batch, 3, self.input_wh[1], self.input_wh[0]
        constants = constants_of([tensor], self.input_wh)
        if constants is None:
            raise ModelUnsupported(f"it is not known what the input {tensor} wants")
        return batch, *constants[tensor.name].shape[1:]

    def shapes(self, profile: BatchProfile) -> dict[str, tuple[tuple[int, ...], ...]]:
        """The sizes of every input for a profile: least, best, most. Raises `ModelUnsupported`."""
        counts = (profile.least, profile.best, profile.most)
        return {tensor.name: tuple(self.shape(tensor, count) for count in counts) for tensor in self.inputs}


def interface_of(model: Any) -> Interface:
    """Raises `ModelUnsupported` for a graph without one input of pictures."""
    weights = {tensor.name for tensor in model.graph.initializer}
    given = [tensor_of(value) for value in model.graph.input if value.name not in weights]
    outputs = tuple(tensor_of(value) for value in model.graph.output)
    inputs = pictures_first(given)
    if not inputs or inputs[0].channels_last:
        found = ", ".join(map(str, given)) or "none"
        raise ModelUnsupported(
            f"a detector has one input [batch, 3, height, width] of float32 or float16; found {found}"
        )
    values = metadata(model)
    _, _, height, width = inputs[0].shape
    size = parse_size(values.get("imgsz", ""))
    wh = (width if isinstance(width, int) else size[0], height if isinstance(height, int) else size[1])
    return Interface(inputs, outputs, wh, values)


def graph_problems(model: Any) -> list[str]:
    """Why TensorRT will refuse the graph, one line each; empty where nothing is known against it."""
    nodes = list(all_nodes(model.graph))
    found = [_opset_problem(model), *_operator_problems(nodes)]
    found += [_quantisation_problem(model, nodes), _double_problem(model), _indices_problem(nodes)]
    return [problem for problem in found if problem]


def precision_problems(model: Any, precision: str, *, calibrated: bool) -> list[str]:
    """Whether a file can be built in this precision. `calibrated`: it is going to be quantised first."""
    quantised = is_quantised(model)
    if precision == "int8" and not quantised and not calibrated:
        return [
            "int8 needs a file with QuantizeLinear and DequantizeLinear (TensorRT 11 has no calibrators any more): "
            "name pictures with --calibrate, or quantise it with tools/quantize_onnx.py"
        ]
    if precision == "int8" and calibrated and quantised:
        return ["--calibrate: the file is quantised already"]
    if precision != "int8" and quantised:
        return [f"the file is quantised, so its engine is int8: {precision} wants the float file"]
    half = interface_of(model).inputs[0].dtype == "float16"
    if precision == "fp32" and half:
        return ["fp32: the file is in float16; types are those of the file"]
    if precision == "int8" and calibrated and half:
        return ["--calibrate wants the float32 file"]
    return []


def profile_problems(interface: Interface, profiles: Sequence[BatchProfile]) -> list[str]:
    """Why batches do not fit the graph's input."""
    fixed = interface.fixed_batch
    if fixed:
        return [
            f"batch {profile}: the file is exported for exactly {fixed}; use --batch {fixed}, or export it with a "
            "free batch"
            for profile in profiles
            if profile != BatchProfile(fixed, fixed, fixed)
        ]
    problems = []
    for tensor in interface.inputs[1:]:
        if isinstance(tensor.shape[0], int):
            problems.append(f"input {tensor} has a fixed batch, that of the pictures is free")
    return problems


def default_profiles(interface: Interface) -> tuple[BatchProfile, ...]:
    """One picture to eight, fastest at four; the file's own batch where it has one."""
    fixed = interface.fixed_batch
    return (BatchProfile(fixed, fixed, fixed),) if fixed else (BatchProfile(1, 4, 8),)


def is_quantised(model: Any) -> bool:
    """Whether the file says itself what is computed in 8 bits."""
    return any(node.op_type in QUANTISING for node in all_nodes(model.graph))


def all_nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph and of the graphs inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from all_nodes(inner)


def _opset_problem(model: Any) -> str:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        return "the file does not say which operator set it uses"
    if not OPSETS[0] <= versions[0] <= OPSETS[1]:
        return f"operator set {versions[0]}: TensorRT reads {OPSETS[0]} to {OPSETS[1]}; export it again with another"
    return ""


def _operator_problems(nodes: Sequence[Any]) -> list[str]:
    foreign = Counter(f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in ("", "ai.onnx"))
    refused = Counter(
        node.op_type for node in nodes if node.domain in ("", "ai.onnx") and node.op_type in REFUSED
    )
    problems = []
    if refused:
        advice = "rewrite that part of the model"
        if CPU_QUANTISED & refused.keys():
            advice = "this file is quantised for CPUs; take the float file it was made of"
        problems.append(f"operators that TensorRT does not have: {_counted(refused)}; {advice}")
    if foreign:
        problems.append(
            f"operators of another domain than ONNX's: {_counted(foreign)}; TensorRT needs a plugin"
        )
    return problems


def _quantisation_problem(model: Any, nodes: Sequence[Any]) -> str:
    """TensorRT quantises around zero, into int8."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants |= {node.output[0]: node.attribute[0].t for node in nodes if node.op_type == "Constant"}
    shifted = unsigned = 0
    for node in nodes:
        if node.op_type not in QUANTISING or len(node.input) < 3 or not node.input[2]:
            continue
        zero_point = constants.get(node.input[2])
        if zero_point is None:
            continue
        unsigned += zero_point.data_type == onnx.TensorProto.UINT8
        shifted += bool(np.any(numpy_helper.to_array(zero_point)))
    if shifted or unsigned:
        return (
            f"quantised for CPUs: {shifted} zero points are not 0 and {unsigned} are unsigned; TensorRT wants int8 "
            "around zero: quantise the float file again, with --calibrate here"
        )
    return ""


def _double_problem(model: Any) -> str:
    values = [*model.graph.input, *model.graph.output]
    names = [value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE]
    return f"inputs or outputs in float64: {', '.join(names)}" if names else ""


def _indices_problem(nodes: Sequence[Any]) -> str:
    count = sum(node.op_type == "MaxPool" and len(node.output) > 1 for node in nodes)
    return f"MaxPool with its second output ({count}×), which TensorRT does not have" if count else ""


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} ({count}×)" for name, count in names.most_common())


def tensor_of(value: Any) -> Tensor:
    """An input or output as the file declares it; sizes that vary are names."""
    kind = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None) for dim in kind.shape.dim
    )
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)) if kind.elem_type else "unknown"
    return Tensor(value.name, dtype, shape)
