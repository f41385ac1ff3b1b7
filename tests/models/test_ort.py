"""ONNX Runtime: files of every kind, and what its errors mean."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from engine.errors import (
    BackendError,
    BackendMissing,
    ConfigError,
    DeviceOutOfMemory,
    ModelError,
    ModelUnsupported,
)
from engine.models.backend import Backend, BackendOptions, backend_named
from engine.models.ort import OrtCpu
from engine.models.ort_providers import OrtCuda, OrtOpenvino, OrtTensorrt

from .backends import Bound
from .samples import toy_model

BOXES = {"output0": np.zeros((1, 10, 6), np.float32)}


def load(path: Path, batch: int = 1) -> Backend:
    return OrtCpu.load(path, BackendOptions(batch=batch))


@pytest.mark.parametrize("name", ["ort-cpu", "ort-cuda", "ort-tensorrt", "ort-openvino", "ort-coreml"])
def test_backends_are_found_by_name(name: str) -> None:
    assert backend_named(name).name == name
    assert "ONNX Runtime" in backend_named(name).runtime()


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"infer\.backends names 'ort-cdua'.*did you mean 'ort-cuda'"):
        backend_named("ort-cdua")


def test_a_provider_that_is_not_built_in_names_the_package(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", BOXES)
    # A provider that no build has beside CUDA: the message is the same for all.
    with pytest.raises(
        BackendMissing, match=r"ort-nowhere: .*no NowhereExecutionProvider.*pip install nowhere"
    ):
        Nowhere.load(path, BackendOptions())


class Nowhere(OrtCpu, name="ort-nowhere"):
    """A provider that does not exist."""

    provider = "NowhereExecutionProvider"
    remedy = "pip install nowhere"


def test_lanes_of_one_thread_share_a_session(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", BOXES)
    assert len(OrtCpu(path, BackendOptions(lanes=3, threads=1))._sessions) == 1
    assert len(OrtCpu(path, BackendOptions(lanes=3, threads=2))._sessions) == 3


def test_threads_do_not_spin(tmp_path: Path) -> None:
    backend = OrtCpu(toy_model(tmp_path / "toy.onnx", BOXES), BackendOptions(threads=2))
    settings = backend._sessions[0].get_session_options()
    assert settings.intra_op_num_threads == 2
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_pytorch_file_says_export(tmp_path: Path) -> None:
    path = tmp_path / "yolo.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x")
    with pytest.raises(ModelUnsupported, match="export it to ONNX"):
        load(path)


def test_unknown_operators_are_unsupported(tmp_path: Path) -> None:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    graph = helper.make_graph([helper.make_node("Nonsense", ["images"], ["y"])], "g", [images], [images])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 99)], ir_version=8)
    path = tmp_path / "future.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelUnsupported, match=r"future\.onnx: ONNX Runtime cannot load it") as info:
        load(path)
    assert "\n" not in str(info.value)


def stuck_model(path: Path) -> Path:
    """A file that loads, and runs on no picture."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "h", "w"])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    shape = onnx.numpy_helper.from_array(np.array([7, 7]), "shape")
    node = helper.make_node("Reshape", ["images", "shape"], ["y"])
    graph = helper.make_graph([node], "g", [images], [result], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_graph_that_cannot_run_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match="does not run on a picture of 640 × 640"):
        load(stuck_model(tmp_path / "stuck.onnx"))


def test_a_run_that_fails_is_a_failure_of_the_backend(tmp_path: Path) -> None:
    """The graph takes one picture but not two: the first run of all is right, a later one is not."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 64, 64])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    shape = onnx.numpy_helper.from_array(np.array([1, 3, 64, 64]), "shape")
    node = helper.make_node("Reshape", ["images", "shape"], ["y"])
    graph = helper.make_graph([node], "g", [images], [result], [shape])
    path = tmp_path / "one.onnx"
    path.write_bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
        ).SerializeToString()
    )
    backend = load(path, batch=2)
    call = backend.new_call()
    backend.run(call, 1, 0)
    with pytest.raises(BackendError, match="ort-cpu: failed: ") as info:
        backend.run(call, 2, 0)
    assert type(info.value) is BackendError and "\n" not in str(info.value)


@pytest.mark.parametrize("kind", [OrtCpu, Bound])
def test_outputs_may_have_another_size_in_every_run(tmp_path: Path, kind: type[OrtCpu]) -> None:
    """The numbers of the pictures that are brighter than one half, as graphs with suppression inside give boxes."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 64, 64])
    results = [
        helper.make_tensor_value_info("found", TensorProto.FLOAT, ["boxes", 1]),
        helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["batch"]),
    ]
    half = onnx.numpy_helper.from_array(np.array(0.5, np.float32), "half")
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Greater", ["mean", "half"], ["bright"]),
        helper.make_node("NonZero", ["bright"], ["numbers_1n"]),
        helper.make_node("Transpose", ["numbers_1n"], ["numbers"]),
        helper.make_node("Cast", ["numbers"], ["found"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(nodes, "g", [images], results, [half])
    path = tmp_path / "bright.onnx"
    path.write_bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
        ).SerializeToString()
    )
    backend = kind.load(path, BackendOptions(batch=3))
    call = backend.new_call()
    for bright in ([0, 2], [], [0, 1, 2], [1]):
        call.input_nchw[:] = 0
        call.input_nchw[bright] = 1
        found, mean = backend.run(call, 3, 0)
        assert found.tolist() == [[number] for number in bright]
        assert mean.tolist() == [float(number in bright) for number in range(3)]


@pytest.mark.parametrize(
    "text",
    [
        "bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size 4194304",
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=x ; file=cuda_allocator.cc",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        "CUDNN_STATUS_ALLOC_FAILED",
        "TensorRT EP: [defaultAllocator.cpp::allocate] Error Code 1: Cuda Runtime (out of memory)",
        "std::bad_alloc",
    ],
)
def test_memory_that_is_used_up_is_told_apart(tmp_path: Path, text: str) -> None:
    backend = OrtCpu(toy_model(tmp_path / "toy.onnx", BOXES), BackendOptions())
    assert type(backend.failure("failed", ort_errors.RuntimeException(text))) is DeviceOutOfMemory
    other = backend.failure("failed", ort_errors.Fail("CUDNN_STATUS_EXECUTION_FAILED"))
    assert type(other) is BackendError
    assert type(backend.failure("failed", MemoryError())) is DeviceOutOfMemory


def test_external_weights_that_are_missing(tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", BOXES)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="toy.data", size_threshold=0)
    (tmp_path / "toy.data").unlink()
    with pytest.raises(ModelError, match=r"toy\.onnx") as info:
        load(path)
    assert "\n" not in str(info.value)


def test_tensorrt_is_told_the_sizes_it_will_meet(tmp_path: Path) -> None:
    told = OrtTensorrt.__new__(OrtTensorrt)
    told._path = toy_model(tmp_path / "toy.onnx", BOXES, ("batch", 3, 64, 96))
    told.options = BackendOptions(batch=8, cache=tmp_path / "cache")
    assert told.provider_options() == {
        "device_id": "0",
        "trt_profile_min_shapes": "images:1x3x64x96",
        "trt_profile_opt_shapes": "images:8x3x64x96",
        "trt_profile_max_shapes": "images:8x3x64x96",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path / "cache" / "ort-tensorrt"),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(tmp_path / "cache" / "ort-tensorrt"),
    }
    told._path = toy_model(tmp_path / "toy.onnx", BOXES, (1, 3, 64, 96))
    told.options = BackendOptions(device=1)
    assert told.provider_options() == {"device_id": "1"}


def test_what_other_providers_are_told(tmp_path: Path) -> None:
    cuda, openvino = OrtCuda.__new__(OrtCuda), OrtOpenvino.__new__(OrtOpenvino)
    cuda.options = BackendOptions(device=2)
    openvino.options = BackendOptions(threads=3)
    assert cuda.provider_options()["device_id"] == "2"
    assert openvino.provider_options() == {"device_type": "CPU", "num_of_threads": "3"}
