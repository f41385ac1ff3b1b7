"""Tiny weights: found in the file as it is, set to zero, nothing else touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engine.models.backend import BackendOptions
from engine.models.onnx_weights import without_tiny_weights
from engine.models.ort import OrtCpu


def model(*tensors: TensorProto) -> bytes:
    nodes = [helper.make_node("Identity", ["images"], ["out"])]
    shape = [1, 3, 8, 8]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("images", "out")]
    graph = helper.make_graph(nodes, "weights", infos[:1], infos[1:], list(tensors))
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return content


def weights_in(content: bytes) -> list[NDArray[np.generic]]:
    return [numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(content).graph.initializer]


def test_tiny_weights_become_zero_and_nothing_else_changes() -> None:
    filters = np.array([[1.0, -1e-20, 3e-41], [0.0, -2.0, 1e-12]], np.float32)
    as_numbers = helper.make_tensor("n", TensorProto.FLOAT, (1, 3), [5.0, 1e-39, 1e-3])
    row = np.array([1e-30, 1e-20, 1e-12], np.float32)
    half = np.array([[1e-7, 1.0]], np.float16)
    given_tensors = [
        numpy_helper.from_array(filters, "filters"), as_numbers, numpy_helper.from_array(row, "row"),
        numpy_helper.from_array(half, "half"),
    ]  # fmt: skip
    content = model(*given_tensors)
    cleaned, count = without_tiny_weights(content)
    assert count == 3 and len(cleaned) == len(content)
    first, second, third, fourth = weights_in(cleaned)
    assert np.array_equal(first, np.array([[1, 0, 0], [0, -2, 1e-12]], np.float32))
    assert np.array_equal(second, np.array([[5, 0, 1e-3]], np.float32))
    # A row may hold what keeps a division from being one by nothing.
    assert np.array_equal(third, row) and np.array_equal(fourth, half)


def test_a_file_without_them_is_given_back() -> None:
    content = model(numpy_helper.from_array(np.ones((2, 2), np.float32), "w"))
    cleaned, count = without_tiny_weights(content)
    assert cleaned is content and count == 0


def test_weights_in_other_files_are_left_alone() -> None:
    tensor = numpy_helper.from_array(np.array([[1, 1e-30]], np.float32), "w")
    elsewhere = TensorProto(
        name="e", data_type=TensorProto.FLOAT, dims=[1, 2], data_location=TensorProto.EXTERNAL
    )
    assert without_tiny_weights(model(tensor))[1] == 1
    assert without_tiny_weights(model(tensor, elsewhere))[1] == 0


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_what_is_no_model_is_given_back_or_changed_in_place(noise: bytes, at: int, byte: int) -> None:
    assert len(without_tiny_weights(noise)[0]) == len(noise)
    broken = bytearray(model(numpy_helper.from_array(np.array([[1, 1e-30]], np.float32), "w")))
    broken[at % len(broken)] = byte
    assert len(without_tiny_weights(bytes(broken))[0]) == len(broken)


@pytest.mark.data
def test_the_network_that_needs_it_answers_as_before(data_dir: Path) -> None:
    import onnxruntime

    path = data_dir / "weights" / "osnet_x0_25_msmt17_dynbatch.onnx"
    backend = OrtCpu.load(path, BackendOptions())
    assert backend.choices[0].what == "weights" and int(backend.choices[0].chosen.split()[0]) > 1000
    call = backend.new_call()
    call.input_nchw[:] = np.random.default_rng(0).normal(size=call.input_nchw.shape)
    found = backend.run(call, 1, 0)[0]
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    plain = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(found, plain.run(None, {"images": call.input_nchw})[0], atol=1e-4)
