"""What every backend does alike. A backend that this machine cannot have is skipped with its own reason."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from engine.errors import BackendMissing, ModelError, ModelNotFound
from engine.models.backend import Backend, BackendOptions, Call, backend_named
from engine.types import F32

from .backends import Bound
from .samples import toy_model

BACKENDS = [
    pytest.param("ort-cpu"),
    pytest.param(Bound.name),
    pytest.param("ort-openvino"),
    pytest.param("ort-coreml"),
    pytest.param("ort-cuda", marks=pytest.mark.gpu),
    pytest.param("ort-tensorrt", marks=[pytest.mark.gpu, pytest.mark.slow, pytest.mark.timeout(1200)]),
    pytest.param("tensorrt", marks=[pytest.mark.gpu, pytest.mark.slow, pytest.mark.timeout(1200)]),
]
Load = Callable[..., Backend]


@pytest.fixture(params=BACKENDS)
def load_on_device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Load]:
    """Loads a file on the backend in question; skips where the machine does not have it."""
    loaded: list[Backend] = []

    def load(path: Path, **options: Any) -> Backend:
        try:
            kind = backend_named(request.param)
            if request.param == "tensorrt" and path.is_file():
                build_engine_of(path, tmp_path, options.get("batch", 1))
            loaded.append(kind.load(path, BackendOptions(cache=tmp_path, **options)))
        except BackendMissing as error:
            pytest.skip(str(error))
        return loaded[-1]

    yield load
    for backend in loaded:
        backend.close()


@pytest.fixture
def person(data_dir: Path) -> Path:
    return data_dir / "weights" / "light_person_detector_192_f32.onnx"


@pytest.fixture
def free_batch(data_dir: Path) -> Path:
    return data_dir / "weights" / "yolov8n-seg_320_f32_dynbatch.onnx"


def pictures(backend: Backend, count: int, seed: int = 1) -> NDArray[Any]:
    width, height = backend.graph.input_wh
    noise = np.random.default_rng(seed).random((count, 3, height, width), np.float32)
    return noise.astype(backend.graph.inputs[0].dtype)


def build_engine_of(path: Path, cache: Path, batch: int) -> None:
    """What `tools/export_trt.py` does, in the file's own precision. Raises `BackendMissing` without TensorRT."""
    from engine.models.trt import import_tensorrt, place_here
    from engine.models.trt_engine_file import engine_folder
    from tools.trt_build import BuildOptions, build_engine
    from tools.trt_plan import Plan, Wish

    place = place_here(import_tensorrt())
    interface = Plan(Wish(path)).interface
    precision = "fp16" if interface.inputs[0].dtype == "float16" else "fp32"
    batches = (str(interface.fixed_batch or f"1:{batch}:{batch}"),)
    plan = Plan(Wish(path, precision, batches, engine_folder(cache), level=1))
    if plan.existing(place) is None:
        options = BuildOptions(level=1)
        plan.write(
            place,
            build_engine(
                plan.onnx_bytes(),
                [plan.interface.shapes(profiles) for profiles in plan.recipe.profiles],
                options,
            ),
        )


def put(backend: Backend, call: Call, pictures_nchw: NDArray[Any]) -> None:
    if backend.on_gpu:
        from kernels import device

        # In a stream that is waited for: backends compute in streams of their own.
        stream = device.Stream()
        device.upload_async(
            np.ascontiguousarray(pictures_nchw), call.input_nchw[: len(pictures_nchw)], stream
        )
        stream.wait()
    else:
        call.input_nchw[: len(pictures_nchw)] = pictures_nchw


def expected(path: Path, pictures_nchw: NDArray[Any]) -> list[F32]:
    """What the file gives in a session of its own, without a backend."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: pictures_nchw})
    return [np.asarray(output, np.float32) for output in found]


def assert_same(found: list[F32], wanted: list[F32], count: int) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == np.float32 and one.shape[1:] == other.shape[1:] and len(one) >= count
        # Devices round differently; a hundredth of the largest number is far above that, and below any mix-up.
        np.testing.assert_allclose(one[:count], other[:count], rtol=0, atol=float(np.abs(other).max()) / 100)


@pytest.mark.data
def test_outputs_are_those_of_the_file(load_on_device: Load, free_batch: Path) -> None:
    backend = load_on_device(free_batch, batch=3)
    assert (backend.batch, backend.fixed_batch) == (3, False)
    assert backend.graph.input_wh == (320, 320) and "names" in backend.graph.metadata
    assert [shape[1:] for shape in backend.graph.shapes] == [(116, 2100), (32, 80, 80)]
    assert backend.description and "\n" not in backend.description
    call = backend.new_call()
    for count in (3, 1, 2, 3):
        images = pictures(backend, count, seed=count)
        put(backend, call, images)
        assert_same(backend.run(call, count, 0), expected(free_batch, images), count)


@pytest.mark.data
def test_a_fixed_batch_stays(load_on_device: Load, person: Path) -> None:
    backend = load_on_device(person, batch=8)
    assert (backend.batch, backend.fixed_batch) == (1, True)
    call = backend.new_call()
    images = pictures(backend, 1)
    put(backend, call, images)
    assert_same(backend.run(call, 1, 0), expected(person, images), 1)


def test_a_fixed_batch_that_is_not_full_runs(load_on_device: Load, tmp_path: Path) -> None:
    answer = {"output0": np.arange(4 * 10 * 6, dtype=np.float32).reshape(4, 10, 6)}
    path = toy_model(tmp_path / "toy.onnx", answer, (4, 3, 64, 64))
    backend = load_on_device(path, batch=1)
    assert (backend.batch, backend.fixed_batch) == (4, True)
    [found] = backend.run(backend.new_call(), 2, 0)
    np.testing.assert_array_equal(found[:2], answer["output0"][:2])


def test_half_precision_goes_in_and_single_comes_out(load_on_device: Load, tmp_path: Path) -> None:
    answer = {"output0": np.linspace(0, 1, 60, dtype=np.float32).reshape(1, 10, 6)}
    path = toy_model(tmp_path / "toy.onnx", answer, ("batch", 3, 64, 64), half=True)
    backend = load_on_device(path, batch=2)
    call = backend.new_call()
    assert str(call.input_nchw.dtype) == "float16" and call.input_nchw.shape == (2, 3, 64, 64)
    [found] = backend.run(call, 2, 0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.repeat(answer["output0"], 2, axis=0), atol=1e-3)


@pytest.mark.data
def test_an_answer_lasts_until_its_calls_next_run(load_on_device: Load, person: Path) -> None:
    backend = load_on_device(person)
    first, second = backend.new_call(), backend.new_call()
    put(backend, first, pictures(backend, 1, seed=1))
    put(backend, second, pictures(backend, 1, seed=2))
    [found] = backend.run(first, 1, 0)
    before = found.copy()
    [other] = backend.run(second, 1, 0)
    np.testing.assert_array_equal(found, before)
    assert not np.array_equal(found, other)


@pytest.mark.data
@pytest.mark.parametrize("threads", [1, 2])
def test_lanes_do_not_disturb_each_other(load_on_device: Load, person: Path, threads: int) -> None:
    backend = load_on_device(person, lanes=3, threads=threads)
    images = [pictures(backend, 1, seed) for seed in range(3)]
    wanted = [expected(person, image) for image in images]
    failures: list[BaseException] = []

    def work(lane: int) -> None:
        try:
            call = backend.new_call()
            for turn in range(10):
                which = (lane + turn) % 3
                put(backend, call, images[which])
                assert_same(backend.run(call, 1, lane), wanted[which], 1)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(lane,)) for lane in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_files_that_are_none(load_on_device: Load, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"nowhere\.onnx"):
        load_on_device(tmp_path / "nowhere.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"<html>404 not found</html>")
    with pytest.raises(ModelError, match=r"damaged\.onnx") as info:
        load_on_device(damaged)
    assert "\n" not in str(info.value)


def test_closing_twice(load_on_device: Load, tmp_path: Path) -> None:
    path = toy_model(tmp_path / "toy.onnx", {"output0": np.zeros((1, 10, 6), np.float32)})
    backend = load_on_device(path)
    backend.close()
    backend.close()
