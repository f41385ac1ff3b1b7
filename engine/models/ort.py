"""ONNX Runtime as a backend, and on the CPU. The only file that imports it; other providers: `ort_providers`.

Knows sessions, files and errors. Does not know what a picture or a box is, nor which backend follows when one
fails (`engine.models.chain`).
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from engine.errors import (
    BackendError,
    BackendMissing,
    DeviceOutOfMemory,
    ModelCorrupt,
    ModelError,
    ModelNotFound,
    ModelUnsupported,
)  # fmt: skip
from engine.models.backend import Backend, BackendOptions, Call
from engine.models.base import Choice
from engine.models.heads.base import Graph, Tensor, parse_size
from engine.models.heads.inputs import constants_of, pictures_first, repeated
from engine.models.onnx_weights import without_tiny_weights
from engine.models.ort_binding import Binding
from engine.types import F32

_CPU = "CPUExecutionProvider"
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}

_NO_MODEL = (ort_errors.InvalidProtobuf, ort_errors.NoModel, UnicodeDecodeError)
"""What loading a file raises that is no ONNX model, or was one."""
_REFUSED = (
    ort_errors.EPFail, ort_errors.Fail, ort_errors.InvalidGraph, ort_errors.NotImplemented,
    ort_errors.RuntimeException, ort_errors.InvalidArgument, RuntimeError, MemoryError,
)  # fmt: skip
"""What loading or running raises: operators, versions, devices. pybind11 makes the last two of C++ exceptions."""
_MEMORY = re.compile(
    r"out[ _]?of[ _]?memory|failed to allocate|bad[ _]?alloc|ALLOC_FAILED|cudaErrorMemoryAllocation", re.I
)
"""How the runtime, CUDA, cuBLAS, cuDNN and TensorRT say that memory is used up."""

_MOST_CLEANED_BYTES = 256 * 2**20
"""Larger files are not held in memory beside the session that is made of them."""


class OrtBackend(Backend):
    """An ONNX file in ONNX Runtime.

    Lanes of one thread share one session on a CPU: `run` uses the caller's thread then, and a second session would
    only hold the weights twice (measured: the same throughput). Other lanes have a session each.
    """

    provider: ClassVar[str]
    remedy: ClassVar[str]
    """What to do where this build of ONNX Runtime does not have the provider."""

    def __init__(self, path: Path, options: BackendOptions) -> None:
        """See `load`."""
        self._path, self.options = path, options
        available = onnxruntime.get_available_providers()
        if self.provider not in available:
            raise BackendMissing(
                f"{self.name}: this ONNX Runtime has no {self.provider} (it has {', '.join(available)}); "
                f"{self.remedy}"
            )
        self._sessions = [self._open()]
        self.graph = self._inspect(self._sessions[0])
        declared = self.graph.inputs[0].shape[0]
        self.fixed_batch = isinstance(declared, int)
        self.batch = declared if isinstance(declared, int) else max(1, options.batch)
        self._constants = repeated(self.graph.constants, self.batch)
        for _ in range(0 if self._shares_session() else max(1, options.lanes) - 1):
            self._sessions.append(self._open())
        self.description = f"{self.runtime()} on {self.provider}"

    @classmethod
    def runtime(cls) -> str:
        return f"ONNX Runtime {onnxruntime.__version__}"

    @classmethod
    def load(cls, path: Path, options: BackendOptions) -> Backend:
        return cls(path, options)

    def new_call(self) -> Call:
        return Call(np.zeros(self.graph.input_shape(self.batch), self.graph.inputs[0].dtype))

    def run(self, call: Call, count: int, lane: int) -> list[F32]:
        # A fixed batch that is not full runs with old pictures in the rest, whose boxes nobody reads.
        frames = self.batch if self.fixed_batch else count
        try:
            return self.compute(call, frames, lane)
        except _REFUSED as error:
            raise self.failure("failed", error) from error

    def compute(self, call: Call, frames: int, lane: int) -> list[F32]:
        """Run so many pictures of a call that lies in host memory. Raises what the session raises."""
        pictures = call.input_nchw[:frames]
        feed = {self.graph.inputs[0].name: pictures, **self._constants_for(frames)}
        return [np.asarray(output, np.float32) for output in self._session(lane).run(None, feed)]

    def bound(self, call: Call, frames: int, lane: int, device: tuple[str, int]) -> Binding:
        """The binding of a call's memory on this device for so many frames, made when it is first needed."""
        if call.private is None:
            call.private = {}
        session = self._session(lane)
        key = (id(session), frames)
        if key not in call.private:
            pictures, constants = call.input_nchw[:frames], self._constants_for(frames)
            call.private[key] = Binding(session, self.graph, pictures, constants, device)
        binding: Binding = call.private[key]
        return binding

    def _constants_for(self, frames: int) -> dict[str, NDArray[Any]]:
        return {name: rows[:frames] for name, rows in self._constants.items()}

    def close(self) -> None:
        self._sessions.clear()

    def provider_options(self) -> dict[str, str]:
        """What the execution provider is told."""
        return {}

    def further_providers(self) -> tuple[str, ...]:
        """Who runs the operators that the provider does not have."""
        return (_CPU,)

    def declared_on_cpu(self) -> Graph:
        """What the file declares, read before the provider is told about it."""
        try:
            session = onnxruntime.InferenceSession(str(self._path), self._session_options(), providers=[_CPU])
        except _NO_MODEL as error:
            raise _damaged(self._path, error) from error
        except _REFUSED as error:
            raise self._not_loaded(error) from error
        return _declared(session, self._path)

    def _source(self) -> str | bytes:
        """What a session is opened on: the file's path, or its content."""
        return str(self._path)

    def _shares_session(self) -> bool:
        return False

    def _session(self, lane: int) -> Any:
        return self._sessions[lane if len(self._sessions) > 1 else 0]

    def _open(self) -> Any:
        """A session on the file, or the `ModelError` that says why not."""
        path = self._path
        if not path.is_file():
            raise ModelNotFound(
                f"{path}: no such model file; give the path of an ONNX file or a registered name"
            )
        providers: list[Any] = [(self.provider, self.provider_options())]
        providers += [name for name in self.further_providers() if name != self.provider]
        try:
            # The package's own fallback prints and hides the reason.
            session = onnxruntime.InferenceSession(
                self._source(), self._session_options(), providers=providers, enable_fallback=0
            )
        except _NO_MODEL as error:
            raise _damaged(path, error) from error
        except _REFUSED as error:
            raise self._not_loaded(error) from error
        if session.get_providers()[0] != self.provider:
            raise BackendMissing(
                f"{self.name}: {self.provider} could not be initialised (its libraries or its device are missing)"
            )
        return session

    def _session_options(self) -> Any:
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = max(1, self.options.threads)
        settings.inter_op_num_threads = 1
        # Threads that wait by spinning take the core from decoding and tracking.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return settings

    def _not_loaded(self, error: Exception) -> ModelError:
        return self.failure(f"cannot load {self._path}", error)

    def failure(self, what: str, error: Exception) -> BackendError:
        """The error of this backend for one of the runtime or of the device."""
        return _failed(self.name, what, error)

    def _inspect(self, session: Any) -> Graph:
        """The graph as heads want it. Runs the session once."""
        declared = _declared(session, self._path)
        images = declared.inputs[0]
        batch = images.shape[0] if isinstance(images.shape[0], int) else 1
        picture = np.zeros(declared.input_shape(batch), images.dtype)
        try:
            found = session.run(None, {images.name: picture, **repeated(declared.constants, batch)})
        except _REFUSED as error:
            raise self._not_run(declared, error) from error
        shapes = tuple(tuple(output.shape) for output in found)
        examples = tuple(np.array(output[:1] if output.ndim else output, np.float32) for output in found)
        return replace(declared, shapes=shapes, examples=examples)

    def _not_run(self, declared: Graph, error: Exception) -> ModelError:
        return self.failure(f"cannot run {self._path}", error)


class OrtCpu(OrtBackend, name="ort-cpu"):
    """Any machine. What it cannot load or run, no other provider can."""

    provider = _CPU
    remedy = "pip install onnxruntime"
    on_cores = True

    def __init__(self, path: Path, options: BackendOptions) -> None:
        """See `load`."""
        self._content: bytes | None = None
        super().__init__(path, options)
        # The sessions have copies of their own.
        self._content = None

    def _source(self) -> str | bytes:
        if self._content is None:
            try:
                if self._path.stat().st_size > _MOST_CLEANED_BYTES:
                    return str(self._path)
                content = self._path.read_bytes()
            except OSError:
                return str(self._path)  # the runtime says what is wrong with it
            self._content, tiny = without_tiny_weights(content)
            if tiny:
                reason = "below 1e-15 of their tensor's largest, and slow to compute with"
                self.choices = (Choice("weights", f"{tiny} set to zero", reason),)
        return self._content if self.choices else str(self._path)

    def _shares_session(self) -> bool:
        return self.options.threads <= 1

    def _not_loaded(self, error: Exception) -> ModelError:
        if isinstance(error, ort_errors.InvalidArgument):
            return _damaged(self._path, error)
        return ModelUnsupported(f"{self._path}: ONNX Runtime cannot load it: {_one_line(error)}")

    def _not_run(self, declared: Graph, error: Exception) -> ModelError:
        width, height = declared.input_wh
        return ModelUnsupported(
            f"{self._path}: does not run on a picture of {width} × {height}: {_one_line(error)}. "
            f"{declared.describe()}"
        )


def open_graph(path: Path, who: str, provider: tuple[str, dict[str, str]], remedy: str, threads: int) -> Any:
    """A session on a graph with any inputs, which runs beside other sessions of this process.

    who       the backend's name, for messages
    provider  execution provider and what it is told; what it cannot do goes to the CPU
    remedy    what to do where this build of ONNX Runtime does not have the provider

    Raises as `Backend.load`.
    """
    available = onnxruntime.get_available_providers()
    if provider[0] not in available:
        raise BackendMissing(
            f"{who}: this ONNX Runtime has no {provider[0]} (it has {', '.join(available)}); {remedy}"
        )
    if not path.is_file():
        raise ModelNotFound(f"{path}: no such model file")
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = max(1, threads)
    settings.inter_op_num_threads = 1
    # Threads of one session that wait by spinning take the cores from the next session's.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    # Patterns of allocations are kept for every combination of sizes that has come up. The arena stays: it is full
    # after the largest call, and without it a SAM 2 takes 5 to 8 % more time (for 370 MiB less, at 448 and 4 rows).
    settings.enable_mem_pattern = False
    providers: list[Any] = [provider] if provider[0] == _CPU else [provider, _CPU]
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=providers, enable_fallback=0)
    except _NO_MODEL as error:
        raise _damaged(path, error) from error
    except _REFUSED as error:
        if provider[0] != _CPU:
            raise _failed(who, f"cannot load {path}", error) from error
        if isinstance(error, ort_errors.InvalidArgument):
            raise _damaged(path, error) from error
        raise ModelUnsupported(f"{path}: ONNX Runtime cannot load it: {_one_line(error)}") from error
    if session.get_providers()[0] != provider[0]:
        raise BackendMissing(
            f"{who}: {provider[0]} could not be initialised (its libraries or its device are missing)"
        )
    return session


def run_graph(
    session: Any, who: str, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None
) -> dict[str, NDArray[Any]]:
    """Run a session of `open_graph`. Raises `BackendError`."""
    names = [node.name for node in session.get_outputs()] if outputs is None else list(outputs)
    try:
        found = session.run(names, dict(feeds))
    except _REFUSED as error:
        raise _failed(who, "failed", error) from error
    return dict(zip(names, found, strict=True))


def tensors_of(session: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], dict[str, str]]:
    """Inputs, outputs and metadata as a session's file declares them."""
    inputs, outputs = (tuple(map(_tensor, nodes)) for nodes in (session.get_inputs(), session.get_outputs()))
    return inputs, outputs, dict(session.get_modelmeta().custom_metadata_map)


def _failed(who: str, what: str, error: Exception) -> BackendError:
    no_memory = _MEMORY.search(str(error)) or isinstance(error, MemoryError)
    return (DeviceOutOfMemory if no_memory else BackendError)(f"{who}: {what}: {_one_line(error)}")


def _damaged(path: Path, error: Exception) -> ModelError:
    if zipfile.is_zipfile(path):
        return ModelUnsupported(
            f"{path}: not an ONNX model but a zip archive, as PyTorch writes; export it to ONNX first"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelCorrupt(
        f"{path}: not an ONNX model or damaged (sha256 {digest}, {path.stat().st_size} bytes); fetch it again "
        f"with engine-models fetch {path.stem} ({_one_line(error)})"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _declared(session: Any, path: Path) -> Graph:
    """The graph as the file declares it, without the shapes of a run. Raises `ModelUnsupported`."""
    inputs, outputs = (
        tuple(map(_tensor, tensors)) for tensors in (session.get_inputs(), session.get_outputs())
    )
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    graph = Graph(inputs, outputs, (), (0, 0), metadata)
    ordered = pictures_first(inputs)
    if not ordered or any(not node.type.startswith("tensor(") for node in session.get_outputs()):
        raise ModelUnsupported(
            f"{path}: a model of pictures has one input [batch, 3, height, width] of float32 or float16. "
            f"Found {graph.describe()}"
        )
    height, width = ordered[0].shape[1:3] if ordered[0].channels_last else ordered[0].shape[2:]
    size_wh = parse_size(metadata.get("imgsz", ""))
    wh = (width if isinstance(width, int) else size_wh[0], height if isinstance(height, int) else size_wh[1])
    constants = constants_of(ordered[1:], wh)
    if constants is None:
        raise ModelUnsupported(
            f"{path}: only orig_target_sizes and pixel_mask are known as inputs besides the pictures. "
            f"Found {graph.describe()}"
        )
    return Graph(ordered, outputs, (), wh, metadata, constants)


def _tensor(node: Any) -> Tensor:
    dtype = _DTYPES.get(node.type, node.type.removeprefix("tensor(").removesuffix(")"))
    return Tensor(node.name, dtype, tuple(node.shape))
