"""Graphs taken apart, fixed in size, halved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is missing: pip install -e '.[export]'")
pytest.importorskip("onnxslim", reason="onnxslim is missing: pip install -e '.[export]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - after the check

from engine.errors import ModelCorrupt, ModelUnsupported  # noqa: E402
from tools import onnx_graph  # noqa: E402


def convolution(name: str, source: str, outputs: int, inputs: int) -> tuple[Any, Any]:
    weight = np.random.default_rng(0).normal(0, 0.1, (outputs, inputs, 1, 1)).astype(np.float32)
    return (
        helper.make_node("Conv", [source, f"{name}_w"], [f"{name}_out"], name=name),
        numpy_helper.from_array(weight, f"{name}_w"),
    )


def two_branches() -> Any:
    """Focus, stem and neck, a branch of one convolution and one of two, distances as expectation over bins."""
    stem, neck, boxes, hidden, scores = (
        convolution("stem", "joined", 4, 6), convolution("neck", "active", 4, 4),
        convolution("boxes", "neck_out", 8, 4),
        convolution("hidden", "neck_out", 4, 4), convolution("scores", "hidden_out", 3, 4),
    )  # fmt: skip
    expectation = numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1), "bins")
    nodes = [
        helper.make_node("Concat", ["images", "images"], ["joined"], name="focus", axis=1),
        stem[0], helper.make_node("Sigmoid", ["stem_out"], ["gate"], name="gate"),
        helper.make_node("Mul", ["stem_out", "gate"], ["active"], name="silu"),
        neck[0], boxes[0], hidden[0], scores[0],
        helper.make_node("Softmax", ["boxes_out"], ["shares"], name="softmax", axis=1),
        helper.make_node("Conv", ["shares", "bins"], ["distance"], name="expectation"),
        helper.make_node("Sigmoid", ["scores_out"], ["probability"], name="probability"),
        helper.make_node("Concat", ["distance", "probability"], ["output0"], name="join", axis=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "two branches",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", 4, "height", "width"])],
        [part[1] for part in (stem, neck, boxes, hidden, scores)] + [expectation],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_body_and_tail() -> None:
    anatomy = onnx_graph.dissect(two_branches())
    assert anatomy.first == ("stem",)
    assert set(anatomy.body) == {"focus", "stem", "gate", "silu", "neck", "hidden"}
    assert set(anatomy.last) == {"boxes", "scores"}
    assert set(anatomy.tail) == {"softmax", "expectation", "probability", "join"}
    assert anatomy.ends["neck"] == {"boxes", "scores"} and anatomy.ends["hidden"] == {"scores"}


def test_a_graph_without_convolutions_is_refused() -> None:
    node = helper.make_node("Sigmoid", ["a"], ["b"], name="only")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
    with pytest.raises(ModelUnsupported, match="no convolution"):
        onnx_graph.dissect(helper.make_model(helper.make_graph([node], "g", value[:1], value[1:])))


def test_a_fixed_size_leaves_the_batch_free() -> None:
    shape = onnx_graph.fix_size(two_branches(), 32, 16).graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_param or size.dim_value for size in shape] == ["batch", 3, 16, 32]


@pytest.mark.parametrize("half_input", [False, True])
def test_halves_keep_their_outputs_in_full(half_input: bool) -> None:
    import onnxruntime

    model = two_branches()
    picture = np.random.default_rng(1).random((2, 3, 8, 8), np.float32)
    providers = ["CPUExecutionProvider"]
    wanted = onnxruntime.InferenceSession(model.SerializeToString(), providers=providers).run(
        None, {"images": picture}
    )
    half = onnx_graph.to_half(model, half_input)
    weights = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert weights["neck_w"] == TensorProto.FLOAT16 and weights["bins"] == TensorProto.FLOAT
    session = onnxruntime.InferenceSession(onnx_graph.to_bytes(half, "half"), providers=providers)
    kind = np.float16 if half_input else np.float32
    found = session.run(None, {"images": picture.astype(kind)})
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[0], wanted[0], atol=2e-3)


def test_metadata_is_replaced_whole() -> None:
    model = two_branches()
    onnx_graph.set_metadata(model, {"old": "1"})
    onnx_graph.set_metadata(model, {"names": "{0: 'a'}"})
    assert onnx_graph.metadata(model) == {"names": "{0: 'a'}"}


@pytest.mark.parametrize("content", [b"", b"<html>no model</html>", bytes(1000)])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=r"model\.onnx: no sound ONNX model"):
        onnx_graph.read_model(path)
    with pytest.raises(ModelCorrupt, match="cannot be read"):
        onnx_graph.read_model(tmp_path / "none.onnx")
