"""TensorRT engines of graphs with many inputs, as those of a SAM 2; built beforehand by `tools/export_trt.py`.

Rows are rounded up to a power of two, the first one repeated, so that few sizes come up: for each an execution context
is made once and, where that works, recorded as a CUDA graph. Memory on the device and its pinned copies are allocated
once, for the largest call. Knows contexts and device memory; TensorRT is reached through `engine.models.trt`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BackendError, DeviceOutOfMemory, ModelNotFound, ModelUnsupported
from engine.models.gpu import gpu_work
from engine.models.graph_session import GraphOptions, GraphSession
from engine.models.heads.base import Tensor
from engine.models.registry import sha256_of
from engine.models.trt import import_tensorrt, is_memory, logger, place_here
from engine.models.trt_engine_file import check_place, engine_folder, find_engine, read_engine, read_record
from kernels import device

ROWS, FRAMES = "N", "F"
"""Names of the axes of object rows and of frames, in the graphs."""
_SIZES_KEPT = 24
"""Contexts and recordings of so many different calls are kept; the one used least recently goes."""

Range = tuple[int, int]
"""Least and most."""


@dataclass(slots=True)
class _Ready:
    """A way to run calls of one size."""

    context: Any
    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]
    graph: device.Graph | None


class TensorrtGraph(GraphSession, name="tensorrt"):
    """The engine of an ONNX file for this GPU and TensorRT version."""

    def __init__(self, path: Path, options: GraphOptions) -> None:
        """See `load`."""
        self._trt = import_tensorrt()
        self._log = logger(self._trt)
        self._number = options.device
        place = place_here(self._trt, self._number)
        if not path.is_file():
            raise ModelNotFound(f"{path}: no such model file")
        engine_path = find_engine(engine_folder(options.cache), path, sha256_of(path), place, options.rows)
        record = read_record(engine_path)
        check_place(engine_path, record, place)
        plan = read_engine(engine_path, record)
        self.inputs, self.outputs, self.metadata = record.inputs, record.outputs, dict(record.metadata)
        self._ready: OrderedDict[object, _Ready] = OrderedDict()
        self._unrecorded = ""
        self._where = f"TensorRT {self._trt.__version__} on {place.gpu}, {record.recipe.precision}"
        with gpu_work(self.name):
            self._runtime: Any = self._trt.Runtime(self._log)
            self._engine: Any = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise self._refused(f"cannot load {engine_path}")
            self._ranges = self._look_at_ranges(engine_path)
            self._check_wish(options, engine_path)
            self._allocate()

    @classmethod
    def load(cls, path: Path, options: GraphOptions) -> GraphSession:
        return cls(path, options)

    @property
    def description(self) -> str:  # type: ignore[override]  # changes with what can be recorded
        return self._where + (f", without CUDA graphs ({self._unrecorded})" if self._unrecorded else "")

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        names = tuple(tensor.name for tensor in self.outputs) if outputs is None else tuple(outputs)
        sizes = axis_sizes(self.inputs, feeds)
        padded = padded_sizes(sizes, self._ranges)
        with gpu_work(self.name):
            if self._number:
                device.require(self._number)
            ready = self._ready_for(padded, names)
            for name, target in ready.inputs.items():
                put_padded(feeds[name], target)
            if ready.graph is not None:
                ready.graph.launch(self._stream)
            else:
                self._enqueue(ready)
            self._stream.record(self._done)
            self._done.wait()
        rows = {tensor.name: sizes.get(str(tensor.shape[0])) for tensor in self.outputs}
        return {name: ready.outputs[name][: rows[name]].copy() for name in names}

    def close(self) -> None:
        # Contexts before the engine, the engine before the runtime: TensorRT wants it so.
        self._ready.clear()
        self._engine = self._runtime = None
        self._device_bytes: dict[str, Any] = {}
        self._host_bytes: dict[str, NDArray[np.uint8]] = {}
        self._scratch: Any = None

    def _look_at_ranges(self, path: Path) -> dict[str, Range]:
        """Least and most of each axis that varies, from the engine's one profile."""
        count = int(self._engine.num_optimization_profiles)
        if count != 1:
            raise ModelUnsupported(f"{path}: {count} optimisation profiles, one was expected")
        names = {
            str(self._engine.get_tensor_name(index)) for index in range(int(self._engine.num_io_tensors))
        }
        declared = {tensor.name for tensor in (*self.inputs, *self.outputs)}
        if names != declared:
            raise ModelUnsupported(
                f"{path}: the engine has {', '.join(sorted(names))}, its record {', '.join(sorted(declared))}"
            )
        ranges: dict[str, Range] = {}
        for tensor in self.inputs:
            least, _, most = self._engine.get_tensor_profile_shape(tensor.name, 0)
            for axis, low, high in zip(tensor.shape, least, most, strict=True):
                if isinstance(axis, str):
                    ranges[axis] = int(low), int(high)
        return ranges

    def _check_wish(self, options: GraphOptions, path: Path) -> None:
        """Refuse at once what would fail in the middle of a run."""
        for axis, wanted, flag in ((ROWS, options.rows, "--batch"), (FRAMES, options.frames, "--frames")):
            least, most = self._ranges.get(axis, (1, wanted))
            if least > 1 or most < wanted:
                raise BackendError(
                    f"{self.name}: {path}: takes {least} to {most} of {axis}, 1 to {wanted} are wanted; build it "
                    f"with tools/export_trt.py {flag} 1:1:{wanted}"
                )

    def _allocate(self) -> None:
        """Memory for the largest call, and what all calls share."""
        largest = {axis: most for axis, (_, most) in self._ranges.items()}
        self._stream, self._done = device.Stream(), device.Event()
        self._scratch = device.empty(max(1, int(self._engine.device_memory_size_v2)), np.uint8)
        context = self._new_context(largest)
        self._dtypes = {
            tensor.name: np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(tensor.name)))
            for tensor in (*self.inputs, *self.outputs)
        }
        self._device_bytes = {}
        self._host_bytes = {}
        for name, dtype in self._dtypes.items():
            shape = [int(size) for size in context.get_tensor_shape(name)]
            if min(shape, default=1) < 0:
                raise ModelUnsupported(
                    f"{self.name}: the size of {name} depends on the numbers in the inputs"
                )
            nbytes = int(np.prod(shape)) * dtype.itemsize
            self._device_bytes[name] = device.empty(max(1, nbytes), np.uint8)
            self._host_bytes[name] = device.pinned_empty(max(1, nbytes), np.uint8)

    def _ready_for(self, sizes: Mapping[str, int], names: tuple[str, ...]) -> _Ready:
        key = tuple(sorted(sizes.items())), names
        if (found := self._ready.get(key)) is None:
            while len(self._ready) >= _SIZES_KEPT:
                self._ready.popitem(last=False)
            found = self._ready[key] = self._make_ready(sizes, names)
        self._ready.move_to_end(key)
        return found

    def _make_ready(self, sizes: Mapping[str, int], names: tuple[str, ...]) -> _Ready:
        """A context for calls of this size, run once, then recorded where that works."""
        context = self._new_context(sizes)
        for name, memory in self._device_bytes.items():
            if not context.set_tensor_address(name, memory.data.ptr):
                raise self._refused(f"memory of {name}")
        ready = _Ready(
            context,
            {tensor.name: self._host(context, tensor.name) for tensor in self.inputs},
            {name: self._host(context, name) for name in names},
            None,
        )
        for array in ready.inputs.values():
            array[...] = 0  # indices among them: what an earlier call left may lie beyond this one's frames
        # The first run after a change of shapes sets up what must not be part of a recording.
        self._enqueue(ready)
        self._stream.wait()
        if not self._unrecorded:
            try:
                ready.graph = self._stream.capture(lambda: self._enqueue(ready))
            except device.GpuError as error:
                self._unrecorded = str(error)
        return ready

    def _new_context(self, sizes: Mapping[str, int]) -> Any:
        context = self._engine.create_execution_context(
            self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if context is None:
            raise self._refused("no execution context")
        context.set_device_memory(self._scratch.data.ptr, self._scratch.nbytes)
        for tensor in self.inputs:
            shape = tuple(size if isinstance(size, int) else sizes[str(size)] for size in tensor.shape)
            if not context.set_input_shape(tensor.name, shape):
                raise self._refused(f"input {tensor.name} of {shape}")
        return context

    def _host(self, context: Any, name: str) -> NDArray[Any]:
        """The pinned copy of a tensor, in the shape that it has in this context."""
        shape = tuple(int(size) for size in context.get_tensor_shape(name))
        dtype = self._dtypes[name]
        nbytes = int(np.prod(shape)) * dtype.itemsize
        found: NDArray[Any] = self._host_bytes[name][:nbytes].view(dtype).reshape(shape)
        return found

    def _enqueue(self, ready: _Ready) -> None:
        """Inputs to the device, compute, outputs to the host, all in the stream. Does not wait."""
        for name, host in ready.inputs.items():
            flat = host.reshape(-1).view(np.uint8)
            device.upload_async(flat, self._device_bytes[name][: flat.nbytes], self._stream)
        if not ready.context.execute_async_v3(self._stream.address):
            kind = device.GpuOutOfMemory if is_memory(self._last_error()) else device.GpuError
            raise kind(self._last_error())
        for name, host in ready.outputs.items():
            flat = host.reshape(-1).view(np.uint8)
            device.download_async(self._device_bytes[name][: flat.nbytes], flat, self._stream)

    def _refused(self, what: str) -> BackendError:
        reason = self._last_error()
        kind = DeviceOutOfMemory if is_memory(reason) else BackendError
        return kind(f"{self.name}: {what}: {reason}")

    def _last_error(self) -> str:
        return "; ".join(self._log.errors) or "TensorRT gave no reason"


def axis_sizes(inputs: Sequence[Tensor], feeds: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """The size of every axis that varies. Raises `BackendError` where arrays do not fit the graph or each other."""
    sizes: dict[str, int] = {}
    for tensor in inputs:
        if tensor.name not in feeds:
            raise BackendError(f"tensorrt: input {tensor.name} is missing")
        found = feeds[tensor.name].shape
        if len(found) != len(tensor.shape):
            raise BackendError(f"tensorrt: {tensor} was given {list(found)}")
        for axis, size in zip(tensor.shape, found, strict=True):
            expected = axis if isinstance(axis, int) else sizes.setdefault(str(axis), size)
            if size != expected:
                raise BackendError(f"tensorrt: {tensor} was given {list(found)}, {axis} is {expected}")
    return sizes


def padded_sizes(sizes: Mapping[str, int], ranges: Mapping[str, Range]) -> dict[str, int]:
    """The same with rows rounded up to a power of two, or to the most there may be. Raises `BackendError`."""
    for axis, size in sizes.items():
        least, most = ranges[axis]
        if not least <= size <= most:
            raise BackendError(f"tensorrt: {size} of {axis} in a call, the engine takes {least} to {most}")
    padded = dict(sizes)
    if ROWS in sizes:
        padded[ROWS] = min(1 << (sizes[ROWS] - 1).bit_length(), ranges[ROWS][1])
    return padded


def put_padded(source: NDArray[Any], target: NDArray[Any]) -> None:
    """Copy an array into a longer one; the rest is its first row again, whose results nobody reads."""
    target[: len(source)] = source
    target[len(source) :] = source[:1]
