"""Static eight-bit quantisation of a detector for CPUs (ONNX QDQ): what is quantised, by which ranges.

Activations by tensor, weights by channel. First and last convolutions and all that makes boxes of them stay in
float32: the first is as fast so, and one range for boxes of hundreds of pixels and scores below one would round
the scores away. Knows graphs and ONNX Runtime; frames come from the caller.
"""

from __future__ import annotations

import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ModelUnsupported
from engine.types import F32
from tools import onnx_graph
from tools.calibration import Function, Histogram, channel_scales, identity, relu, silu
from tools.command_line import needs

with needs("export"):
    import onnx
    import onnxruntime
    from onnx import numpy_helper, version_converter
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

OPERATORS = frozenset(
    {"Conv", "Sigmoid", "Mul", "Add", "Concat", "MaxPool", "Resize", "Split", "Relu", "LeakyRelu"}
)
"""What ONNX Runtime computes in eight bits on a CPU without going through float32."""

_LEAST_OPSET, _MOST_OPSET = 13, 20
"""Scales by channel came with 13; ONNX Runtime's quantisation does not take 21 and later."""

RECIPES = {
    "body": "all convolutions but the first and the last of each branch",
    "scores": "as body, the branches that give the scores in float32",
    "trunk": "as body, all branches in float32",
}
"""What is quantised, fastest first."""


@dataclass(frozen=True, slots=True)
class Processor:
    """Which integers a CPU multiplies fast and without overflow.

    signed  activations are signed (ARM) or unsigned (x86)
    levels  largest magnitude of a weight: 64 where pairs of products are added in 16 bits (x86 before VNNI)
    reason  for the report
    """

    signed: bool
    levels: int
    reason: str


def processor(cpuinfo: str, machine: str) -> Processor:
    """The kind of CPU, from the text of /proc/cpuinfo and `platform.machine()`."""
    if machine in ("arm64", "aarch64"):
        return Processor(True, 127, f"{machine}: signed activations, 8-bit weights")
    flags = set(cpuinfo.split())
    for flag in ("amx_int8", "avx512_vnni", "avx_vnni"):
        if flag in flags:
            return Processor(False, 127, f"{machine} with {flag}: unsigned activations, 8-bit weights")
    return Processor(
        False, 64, f"{machine} without VNNI: unsigned activations, 7-bit weights against overflow"
    )


@dataclass(frozen=True, slots=True)
class Ranges:
    """Values of the quantised tensors by name: (lowest, highest)."""

    by_tensor: dict[str, tuple[float, float]]
    pictures: int


def ready(model: Any) -> Any:
    """The model as it can be quantised: an operator set that has scales by channel, constants folded."""
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    kept = onnx_graph.metadata(model)
    if not _LEAST_OPSET <= opset <= _MOST_OPSET:
        model = version_converter.convert_version(model, 17)
    model = onnx_graph.slim(model)
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    onnx_graph.set_metadata(model, kept)
    if any(node.op_type == "QuantizeLinear" or "Integer" in node.op_type for node in model.graph.node):
        raise ModelUnsupported("the model is quantised already; take the float32 file")
    return model


def chosen_nodes(model: Any, recipe: str, classes: int) -> list[str]:
    """Names of the nodes that a recipe quantises. `classes` tells the branches that give scores."""
    anatomy = onnx_graph.dissect(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    by_name = {node.name: node for node in model.graph.node}
    kept = set(anatomy.first)
    for name in anatomy.body:
        ends = anatomy.ends[name]
        if recipe != "body" and len(ends) == 1:
            outputs = weights[by_name[next(iter(ends))].input[1]].dims[0]
            kept |= {name} if recipe == "trunk" or outputs % max(1, classes) == 0 else set()
    silus = _silus(model)
    return [
        name
        for name in anatomy.body
        if name not in kept
        and _is_fast(by_name[name], weights)
        and (by_name[name].op_type != "Mul" or name in silus)
    ]


def _is_fast(node: Any, weights: dict[str, Any]) -> bool:
    return node.op_type in OPERATORS and (node.op_type != "Conv" or node.input[1] in weights)


def _silus(model: Any) -> dict[str, str]:
    """The multiplications x · sigmoid(x), and the tensor x of each."""
    sigmoids = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Sigmoid"}
    found = {}
    for node in model.graph.node:
        if node.op_type == "Mul":
            for x, gate in (tuple(node.input), tuple(reversed(node.input))):
                if sigmoids.get(gate) == x:
                    found[node.name] = x
    return found


def collect(model: Any, nodes: Sequence[str], pictures: Iterable[F32]) -> Ranges:
    """Run the float model on pictures, (1, 3, height, width) each, and choose the ranges of what it computes."""
    tensors = _tensors(model, nodes)
    histograms = {name: Histogram() for name in tensors}
    count = 0
    with tempfile.TemporaryDirectory(prefix="camring-calibration-") as folder:
        session = _open_with_outputs(model, list(tensors), Path(folder) / "all.onnx")
        entry = session.get_inputs()[0].name
        for picture in pictures:
            if entry in histograms:
                histograms[entry].add(picture)
            names = [name for name in tensors if name != entry]
            for name, values in zip(names, session.run(names, {entry: picture}), strict=True):
                histograms[name].add(values)
            count += 1
    found = {name: histograms[name].best_range(through) for name, through in tensors.items()}
    for node in model.graph.node:
        if node.op_type == "Sigmoid" and node.output[0] in found:
            found[node.output[0]] = (0.0, 1.0)
    return Ranges(found, count)


def _tensors(model: Any, nodes: Sequence[str]) -> dict[str, Function]:
    """What goes into and comes out of these nodes, and the function that follows each."""
    weights = {tensor.name for tensor in model.graph.initializer}
    followers = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            followers[name].append(node.op_type)
    wanted = set(nodes)
    found: dict[str, Function] = {}
    for node in model.graph.node:
        if node.name in wanted:
            data = node.input[:1] if node.op_type in ("Conv", "Split", "Resize", "MaxPool") else node.input
            for name in (*data, *node.output):
                if name and name not in weights:
                    found[name] = _function(followers[name])
    return found


def _function(followers: Sequence[str]) -> Function:
    if sorted(followers) == ["Mul", "Sigmoid"]:
        return silu
    return relu if set(followers) == {"Relu"} else identity


def _open_with_outputs(model: Any, names: Sequence[str], path: Path) -> Any:
    """A session of the model that gives these tensors instead of its own outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    entries = {value.name for value in copy.graph.input}
    del copy.graph.output[:]
    copy.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in entries
    )
    onnx.save(copy, str(path))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class _Nothing(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Every range is given: one picture is enough for ONNX Runtime to go on."""

    def __init__(self, name: str, picture: F32) -> None:
        self._feeds: list[dict[str, F32]] = [{name: picture}]

    def get_next(self) -> dict[str, F32] | None:
        return self._feeds.pop() if self._feeds else None


def quantised(model: Any, nodes: Sequence[str], ranges: Ranges, cpu: Processor, picture: F32) -> Any:
    """The quantised model, metadata kept. `picture` is any input of the model's size."""
    model = _copy(model)
    kept = onnx_graph.metadata(model)
    overrides = _weight_overrides(model, nodes, ranges, cpu.levels)
    kind = QuantType.QInt8 if cpu.signed else QuantType.QUInt8
    for name, (low, high) in ranges.by_tensor.items():
        bounds = {"rmin": np.float32(low), "rmax": np.float32(max(high, low + 1e-6))}
        overrides[name] = [{"quant_type": kind, "symmetric": False, **bounds}]
    operators = sorted({node.op_type for node in model.graph.node if node.name in set(nodes)})
    with tempfile.TemporaryDirectory(prefix="camring-quantization-") as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, str(source))
        # It warns at the root logger that it would like a file prepared by itself.
        logging.disable(logging.WARNING)
        try:
            quantize_static(
                str(source), str(target), _Nothing(model.graph.input[0].name, picture), QuantFormat.QDQ,
                op_types_to_quantize=operators, nodes_to_quantize=list(nodes), per_channel=True,
                activation_type=kind, weight_type=QuantType.QInt8,
                extra_options={"TensorQuantOverrides": overrides},
            )  # fmt: skip
        finally:
            logging.disable(logging.NOTSET)
        result = onnx.load(str(target))
    onnx_graph.set_metadata(result, kept)
    return result


def _weight_overrides(
    model: Any, nodes: Sequence[str], ranges: Ranges, levels: int
) -> dict[str, list[dict[str, Any]]]:
    """Scales of the convolutions' weights; the weights are clipped to what these reach."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    overrides: dict[str, list[dict[str, Any]]] = {}
    for node in model.graph.node:
        if node.op_type != "Conv" or node.name not in set(nodes):
            continue
        tensor = weights[node.input[1]]
        values = numpy_helper.to_array(tensor)
        bias = (
            numpy_helper.to_array(weights[node.input[2]]) if len(node.input) > 2 else np.zeros(1, np.float32)
        )
        low, high = ranges.by_tensor[node.input[0]]
        # Biases become 32-bit multiples of both scales: a channel of hardly any weight must not make them overflow.
        least = np.abs(bias) / np.float32(max(high - low, 1e-6) / 255 * 2**30)
        scales = channel_scales(values, levels, least.astype(np.float32))
        shaped = scales.reshape(-1, *[1] * (values.ndim - 1))
        clipped = (np.clip(np.round(values / shaped), -levels, levels) * shaped).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(clipped, tensor.name))
        overrides[tensor.name] = [
            {"axis": 0, "quant_type": QuantType.QInt8, "scale": scale, "zero_point": np.int8(0)}
            for scale in scales
        ]
    return overrides


def _copy(model: Any) -> Any:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
