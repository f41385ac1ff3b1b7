"""What is known of ONNX files and TensorRT without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is missing: pip install 'camring[export]'")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - after the check

from engine.errors import ModelUnsupported  # noqa: E402
from engine.models.trt_engine_file import BatchProfile  # noqa: E402
from tools.onnx_graph import read_model  # noqa: E402
from tools.trt_check import (  # noqa: E402
    default_profiles,
    graph_problems,
    interface_of,
    is_quantised,
    precision_problems,
    profile_problems,
)

FREE = ("batch", 3, 64, 64)


def model(
    nodes: list[Any] | None = None,
    shape: tuple[int | str, ...] = FREE,
    opset: int = 17,
    constants: dict[str, np.ndarray[Any, Any]] | None = None,
    dtype: int = TensorProto.FLOAT,
) -> Any:
    """A graph of these nodes from `images` to `out`."""
    nodes = [helper.make_node("Relu", ["images"], ["out"])] if nodes is None else nodes
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", dtype, list(shape))],
        [helper.make_tensor_value_info("out", dtype, None)],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


REFUSED = {
    "yolov8n_640_int8": 64,
    "yolo11n_320_int8": 88,
    "yolo26n_640_int8_e2e": 102,
    "yolov8n-seg_320_int8": 76,
}


@pytest.mark.data
@pytest.mark.parametrize(("name", "count"), REFUSED.items())
def test_files_quantised_for_cpus_are_refused_by_name(data_dir: Path, name: str, count: int) -> None:
    [problem] = graph_problems(read_model(data_dir / "weights" / f"{name}.onnx"))
    assert f"ConvInteger ({count}×), DynamicQuantizeLinear" in problem
    assert "take the float file" in problem and "\n" not in problem


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "fixed", "wh"),
    [
        ("yolov8n_640_f32_dynbatch", 0, (640, 640)),
        ("yolov8n-seg_320_f32_dynbatch", 0, (320, 320)),
        ("yolox_nano_416_f32", 1, (416, 416)),
        ("nanodet_m_320_f32", 1, (320, 320)),
        ("light_person_detector_192_f32", 1, (192, 192)),
    ],
)
def test_float_files_pass(data_dir: Path, name: str, fixed: int, wh: tuple[int, int]) -> None:
    file = read_model(data_dir / "weights" / f"{name}.onnx")
    assert graph_problems(file) == [] and precision_problems(file, "fp16", calibrated=False) == []
    interface = interface_of(file)
    assert (interface.fixed_batch, interface.input_wh) == (fixed, wh)
    profiles = default_profiles(interface)
    assert profiles == ((BatchProfile(1, 1, 1),) if fixed else (BatchProfile(1, 4, 8),))
    assert profile_problems(interface, profiles) == []
    assert interface.shape(interface.inputs[0], 5) == (5, 3, wh[1], wh[0])


@pytest.mark.parametrize(("opset", "fits"), [(8, False), (9, True), (25, True), (26, False)])
def test_operator_sets(opset: int, fits: bool) -> None:
    assert bool(graph_problems(model(opset=opset))) is not fits


def test_an_operator_inside_a_branch_is_seen() -> None:
    inner = helper.make_graph(
        [helper.make_node("Unique", ["images"], ["u"])], "inner", [],
        [helper.make_tensor_value_info("u", TensorProto.FLOAT, None)],
    )  # fmt: skip
    branch = helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner)
    [problem] = graph_problems(model([branch], constants={"yes": np.array(True)}))
    assert "Unique (2×); rewrite that part" in problem


def test_operators_of_another_domain_are_named() -> None:
    node = helper.make_node("FusedConv", ["images"], ["out"], domain="com.microsoft")
    [problem] = graph_problems(model([node]))
    assert "com.microsoft.FusedConv (1×)" in problem and "plugin" in problem


def test_the_second_output_of_max_pool_and_float64_are_named() -> None:
    pool = helper.make_node("MaxPool", ["images"], ["out", "where"], kernel_shape=[2, 2])
    assert "second output" in graph_problems(model([pool]))[0]
    assert "float64: images, out" in graph_problems(model(dtype=TensorProto.DOUBLE))[0]


def quantised(zero_point: np.ndarray[Any, Any], as_node: bool = False) -> Any:
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["out"]),
    ]
    constants = {"scale": np.array(0.1, np.float32)}
    if as_node:
        nodes.insert(0, helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(zero_point)))
    else:
        constants["zero"] = zero_point
    return model(nodes, constants=constants)


@pytest.mark.parametrize("as_node", [False, True])
@pytest.mark.parametrize(
    ("zero_point", "expected"),
    [
        (np.array(0, np.int8), ""),
        (np.array(3, np.int8), "2 zero points are not 0 and 0 are unsigned"),
        (np.array(0, np.uint8), "0 zero points are not 0 and 2 are unsigned"),
        (np.array(128, np.uint8), "2 zero points are not 0 and 2 are unsigned"),
    ],
)
def test_quantisation_must_be_int8_around_zero(
    zero_point: np.ndarray[Any, Any], expected: str, as_node: bool
) -> None:
    problems = graph_problems(quantised(zero_point, as_node))
    assert bool(problems) is bool(expected) and expected in "".join(problems)


@pytest.mark.parametrize(
    ("file", "precision", "calibrated", "expected"),
    [
        (model(), "fp32", False, ""),
        (model(), "fp16", False, ""),
        (model(), "int8", True, ""),
        (quantised(np.array(0, np.int8)), "int8", False, ""),
        (model(dtype=TensorProto.FLOAT16), "fp16", False, ""),
        (model(), "int8", False, "--calibrate"),
        (quantised(np.array(0, np.int8)), "fp16", False, "its engine is int8"),
        (quantised(np.array(0, np.int8)), "int8", True, "quantised already"),
        (model(dtype=TensorProto.FLOAT16), "fp32", False, "the file is in float16"),
        (model(dtype=TensorProto.FLOAT16), "int8", True, "wants the float32 file"),
    ],
)
def test_precision_is_that_of_the_graph(file: Any, precision: str, calibrated: bool, expected: str) -> None:
    problems = precision_problems(file, precision, calibrated=calibrated)
    assert bool(problems) is bool(expected) and expected in "".join(problems)


def test_a_fixed_batch_takes_no_other() -> None:
    interface = interface_of(model(shape=(4, 3, 64, 64)))
    assert profile_problems(interface, [BatchProfile(4, 4, 4)]) == []
    [problem] = profile_problems(interface, [BatchProfile(1, 4, 8)])
    assert "exported for exactly 4; use --batch 4" in problem


def test_further_inputs_have_their_sizes_too() -> None:
    file = model()
    file.graph.input.append(
        helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["batch", 2])
    )
    interface = interface_of(file)
    assert [interface.shape(tensor, 7) for tensor in interface.inputs] == [(7, 3, 64, 64), (7, 2)]
    file.graph.input[1].name = "what"
    unknown = interface_of(file)
    with pytest.raises(ModelUnsupported, match="what int64"):
        unknown.shape(unknown.inputs[1], 1)


def test_sizes_that_the_file_leaves_open_come_from_its_metadata() -> None:
    file = model(shape=("batch", 3, "height", "width"))
    assert interface_of(file).input_wh == (640, 640)
    helper.set_model_props(file, {"imgsz": "[384, 672]"})
    assert interface_of(file).input_wh == (672, 384)


def test_a_graph_without_pictures_says_what_it_has() -> None:
    with pytest.raises(ModelUnsupported, match=r"found images float32 \[batch, 5\]"):
        interface_of(model(shape=("batch", 5)))


def test_is_quantised_looks_for_the_nodes() -> None:
    assert is_quantised(quantised(np.array(0, np.int8))) and not is_quantised(model())
