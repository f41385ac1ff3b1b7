"""Engines of TensorRT on an NVIDIA GPU. The only file that imports it.

An engine is built beforehand (`tools/export_trt.py`), never here: a run that starts must not take minutes. Knows
contexts, CUDA graphs and device memory. Does not know pictures or boxes, nor which backend follows when one fails.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BackendError, BackendMissing, DeviceOutOfMemory, ModelNotFound
from engine.models.backend import Backend, BackendOptions, Call
from engine.models.base import Choice
from engine.models.gpu import gpu_work
from engine.models.registry import sha256_of
from engine.models.trt_contents import graph_of, profiles_of, tensors_of
from engine.models.trt_engine_file import (
    EngineRecord,
    Place,
    check_place,
    engine_folder,
    find_engine,
    read_engine,
    read_record,
)
from engine.types import F32
from kernels import device

_LEAST_VERSION = (10, 1)
"""The first with `ICudaEngine.device_memory_size_v2`, by which contexts share their scratch memory."""
_INSTALL = "install the extras trt and gpu: pip install 'camring[trt,gpu]'"
_ERRORS_KEPT = 4


def import_tensorrt() -> Any:
    """The module `tensorrt`. Raises `BackendMissing` where it is absent, cannot be loaded or is too old."""
    try:
        import tensorrt
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendMissing(f"tensorrt: cannot be imported ({_line(error)}); {_INSTALL}") from error
    version = tuple(int(part) for part in tensorrt.__version__.split(".")[:2])
    if version < _LEAST_VERSION:
        raise BackendMissing(
            f"tensorrt: version {tensorrt.__version__} is too old, 10.1 is needed; {_INSTALL}"
        )
    return tensorrt


def place_here(trt: Any, number: int = 0) -> Place:
    """GPU and TensorRT version of this process. Raises `BackendMissing` where there is no usable GPU."""
    with gpu_work("tensorrt"):
        device.require(number)
        return Place(device.name(number), divmod(device.capability(number), 10), str(trt.__version__))


@lru_cache(maxsize=1)
def logger(trt: Any) -> Any:
    """The one logger of this process, as TensorRT wants it; keeps what went wrong last in `errors`."""
    severity = trt.ILogger.Severity

    class Log(trt.ILogger):  # type: ignore[misc]  # the package has no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=_ERRORS_KEPT)

        def log(self, level: Any, message: str) -> None:
            if level in (severity.INTERNAL_ERROR, severity.ERROR):
                self.errors.append(" ".join(message.split()))

    return Log()


@dataclass(slots=True)
class _CallMemory:
    """What a call keeps: fixed addresses, so that a recorded graph stays true.

    inputs   device arrays of every input by name, for the largest batch
    outputs  the same for outputs; `host` are their pinned copies
    """

    number: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    host: dict[str, NDArray[Any]]


@dataclass(slots=True)
class _Ready:
    """A lane's way to run a call of so many pictures."""

    context: Any
    graph: device.Graph | None
    host: list[NDArray[Any]]


@dataclass(slots=True)
class _Lane:
    """One call at a time. All its contexts share one scratch memory, because only one of them runs.

    done  the mark that `run` waits for
    """

    stream: device.Stream
    scratch: Any
    done: device.Event
    ready: dict[tuple[int, int], _Ready] = field(default_factory=dict)


class Tensorrt(Backend, name="tensorrt"):
    """A TensorRT engine: its own file, or the one that was built from an ONNX file for this GPU and version.

    Every call has fixed memory, and every lane has an execution context for each call and number of pictures,
    made when it comes up for the first time: a recorded CUDA graph holds the addresses and sizes of its context.
    Lanes compute side by side, so that one lane's copy to the host overlaps another lane's kernels; they share
    the weights.
    """

    on_gpu = True

    def __init__(self, path: Path, options: BackendOptions) -> None:
        """See `load`."""
        self._trt = import_tensorrt()
        self._log = logger(self._trt)
        self._number = options.device
        place = place_here(self._trt, self._number)
        engine_path, record = _locate(path, place, options)
        plan = read_engine(engine_path, record)
        self._runtime = self._trt.Runtime(self._log)
        with gpu_work(self.name):
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise self._refused(f"cannot load {engine_path}")
            self._profiles = profiles_of(self._engine, record, engine_path)
            self.fixed_batch = all(profile.least == profile.most for profile in self._profiles)
            self.batch = max(profile.most for profile in self._profiles)
            self._tensors = tensors_of(self._trt, self._engine, record, engine_path)
            self.graph = graph_of(record, self._tensors, self.batch if self.fixed_batch else 1, engine_path)
            self._lanes = [self._new_lane() for _ in range(max(1, options.lanes))]
        self._unrecorded = ""
        self._calls = 0
        self._where = f"TensorRT {self._trt.__version__} on {place.gpu}, {record.recipe.precision}"
        # The contract's run on an empty picture; its memory is the first call's.
        self._spare: Call | None = self._make_call()
        found = self.run(self._spare, min(profile.least for profile in self._profiles), 0)
        self.graph = replace(self.graph, examples=tuple(output[:1].copy() for output in found))

    @classmethod
    def runtime(cls) -> str:
        return f"TensorRT {import_tensorrt().__version__}"

    @classmethod
    def load(cls, path: Path, options: BackendOptions) -> Backend:
        return cls(path, options)

    @property
    def description(self) -> str:  # type: ignore[override]  # changes with what can be recorded
        return self._where + (", without CUDA graphs" if self._unrecorded else "")

    @property
    def choices(self) -> tuple[Choice, ...]:  # type: ignore[override]  # known after the first run
        if self._unrecorded:
            return (Choice("CUDA graphs", "off", f"recording failed: {self._unrecorded}"),)
        return (Choice("CUDA graphs", "on", "one per call and number of pictures, with fixed addresses"),)

    def new_call(self) -> Call:
        call, self._spare = self._spare, None
        return call or self._make_call()

    def run(self, call: Call, count: int, lane: int) -> list[F32]:
        count = self.batch if self.fixed_batch else count
        if not any(profile.least <= count <= profile.most for profile in self._profiles):
            raise BackendError(f"{self.name}: {count} pictures in a call, the engine takes {self._sizes()}")
        with gpu_work(self.name):
            self._use_device()
            mine, memory = self._lanes[lane], call.private
            key = memory.number, count
            if (ready := mine.ready.get(key)) is None:
                ready = mine.ready[key] = self._make_ready(mine, memory, count)
            elif ready.graph is not None:
                ready.graph.launch(mine.stream)
            else:
                self._enqueue(ready.context, mine, memory, ready.host)
            mine.stream.record(mine.done)
            mine.done.wait()
        return [np.asarray(array, np.float32) for array in ready.host]

    def close(self) -> None:
        # Contexts before the engine, the engine before the runtime: TensorRT wants it so.
        self._spare = None
        self._lanes = []
        self._engine = self._runtime = None

    def _use_device(self) -> None:
        if self._number:
            device.require(self._number)

    def _make_call(self) -> Call:
        with gpu_work(self.name):
            self._use_device()
            tensors = self._tensors
            inputs = {name: device.empty(*tensors[name]) for name in self._inputs()}
            for name, row in self.graph.constants.items():
                rows = np.repeat(np.asarray(row), self.batch, axis=0).astype(tensors[name].dtype)
                inputs[name] = device.to_device(rows)
            outputs = {t.name: device.empty(*tensors[t.name]) for t in self.graph.outputs}
            host = {name: device.pinned_empty(array.shape, array.dtype) for name, array in outputs.items()}
            self._calls += 1
            memory = _CallMemory(self._calls, inputs, outputs, host)
            pictures = inputs[self.graph.inputs[0].name]
            with device.Stream() as stream:
                pictures.data.memset_async(0, pictures.nbytes)
                stream.wait()
            return Call(pictures, memory)

    def _make_ready(self, lane: _Lane, memory: _CallMemory, count: int) -> _Ready:
        """A context for this call and number of pictures, run once, then recorded where that works."""
        context = self._new_context(count, lane)
        for name in self._inputs():
            shape = (count, *memory.inputs[name].shape[1:])
            if not context.set_input_shape(name, shape):
                raise self._refused(f"input {name} of {shape}")
        for name, array in (*memory.inputs.items(), *memory.outputs.items()):
            if not context.set_tensor_address(name, array.data.ptr):
                raise self._refused(f"memory of {name}")
        host = [memory.host[t.name][: self._rows(context, t.name)] for t in self.graph.outputs]
        # The first run after a change of shapes sets up what must not be part of a recording.
        self._enqueue(context, lane, memory, host)
        lane.stream.wait()
        if self._unrecorded:
            return _Ready(context, None, host)
        try:
            graph = lane.stream.capture(lambda: self._enqueue(context, lane, memory, host))
        except device.GpuError as error:
            self._unrecorded = str(error)
            return _Ready(context, None, host)
        return _Ready(context, graph, host)

    def _enqueue(self, context: Any, lane: _Lane, memory: _CallMemory, host: list[NDArray[Any]]) -> None:
        """Compute, and copy the answer to the host, both in the lane's stream. Does not wait."""
        if not context.execute_async_v3(lane.stream.address):
            kind = device.GpuOutOfMemory if is_memory(self._last_error()) else device.GpuError
            raise kind(self._last_error())
        for tensor, target in zip(self.graph.outputs, host, strict=True):
            device.download_async(memory.outputs[tensor.name][: len(target)], target, lane.stream)

    def _new_lane(self) -> _Lane:
        scratch = device.empty(max(1, int(self._engine.device_memory_size_v2)), np.uint8)
        return _Lane(device.Stream(), scratch, device.Event())

    def _new_context(self, count: int, lane: _Lane) -> Any:
        context = self._engine.create_execution_context(
            self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if context is None:
            raise self._refused("no execution context")
        fitting = [i for i, profile in enumerate(self._profiles) if profile.least <= count <= profile.most]
        best = min(fitting, key=lambda i: abs(self._profiles[i].best - count))
        if best:
            if not context.set_optimization_profile_async(best, lane.stream.address):
                raise self._refused(f"profile {best}")
            lane.stream.wait()
        context.set_device_memory(lane.scratch.data.ptr, lane.scratch.nbytes)
        return context

    def _inputs(self) -> list[str]:
        return [tensor.name for tensor in self.graph.inputs]

    def _rows(self, context: Any, name: str) -> int:
        return int(context.get_tensor_shape(name)[0])

    def _refused(self, what: str) -> BackendError:
        reason = self._last_error()
        kind = DeviceOutOfMemory if is_memory(reason) else BackendError
        return kind(f"{self.name}: {what}: {reason}")

    def _last_error(self) -> str:
        return "; ".join(self._log.errors) or "TensorRT gave no reason"

    def _sizes(self) -> str:
        return " or ".join(f"{profile.least} to {profile.most}" for profile in self._profiles)


def _locate(path: Path, place: Place, options: BackendOptions) -> tuple[Path, EngineRecord]:
    """The engine to load and its record, which fits this place."""
    if not path.is_file():
        raise ModelNotFound(f"{path}: no such model file; give the path of an ONNX file or a registered name")
    engine = path
    if path.suffix != ".engine":
        folder = engine_folder(options.cache)
        engine = find_engine(folder, path, sha256_of(path), place, options.batch)
    record = read_record(engine)
    check_place(engine, record, place)
    return engine, record


def is_memory(reason: str) -> bool:
    """Whether TensorRT's own words mean that the device's memory is used up."""
    return (
        re.search(r"out ?of ?memory|cudaErrorMemoryAllocation|failed to allocate", reason, re.I) is not None
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


__all__ = ["Tensorrt", "import_tensorrt", "is_memory", "logger", "place_here"]
