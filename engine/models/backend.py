"""The contract of a backend: a model file on a device, arrays in, arrays out.

Knows no pictures and no boxes: what goes in is made by `engine.models.prepare`, what comes out is read by a head.
Backends are tried in the order of `infer.backends`; each is one file with a registered name.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from engine.errors import BackendMissing, ConfigError
from engine.models.base import Choice
from engine.models.heads.base import Graph
from engine.registry import nearest
from engine.types import F32

_MODULES = {
    "tensorrt": "engine.models.trt",
    "ort-tensorrt": "engine.models.ort_providers",
    "ort-cuda": "engine.models.ort_providers",
    "ort-openvino": "engine.models.ort_providers",
    "ort-coreml": "engine.models.ort_providers",
    "ort-cpu": "engine.models.ort",
}
"""Where the backends of `infer.backends` are, so that a runtime is imported only when it is asked for."""


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """How a model is loaded.

    lanes    calls that may run side by side
    threads  threads inside one call, where the device has such
    batch    most frames in one call; a file with a fixed batch keeps its own
    device   number of the GPU
    cache    folder for what takes long to make: TensorRT engine files, timing caches
    """

    lanes: int = 1
    threads: int = 1
    batch: int = 1
    device: int = 0
    cache: Path | None = None


@dataclass(slots=True)
class Call:
    """The memory of one call in flight; belongs to one thread at a time.

    input_nchw  (batch, 3, height, width) float32 or float16 on the backend's own device: a numpy array, or a
                CuPy array where `Backend.on_gpu`; (batch, height, width, 3) where `Graph.channels_last`
    private     what the backend keeps for the call: bindings, output buffers, a stream
    """

    input_nchw: Any
    private: Any = field(default=None, repr=False)


class Backend(ABC):
    """A model that is loaded and ready. Subclasses register: `class Tensorrt(Backend, name="tensorrt")`.

    graph  inputs and outputs of the file, with the sizes of one run
    batch  most frames in one call; `fixed_batch` says that every call has exactly so many
    """

    names: ClassVar[dict[str, type[Backend]]] = {}
    name: ClassVar[str] = ""
    on_cores: ClassVar[bool] = False
    """Whether it computes on the CPU's cores: lanes and threads are shares of these then."""
    on_gpu: bool = False
    """Whether a call's input lies in GPU memory."""

    graph: Graph
    batch: int
    fixed_batch: bool
    description: str
    """Runtime, version and device, for the log."""
    choices: tuple[Choice, ...] = ()
    """What the backend has decided by itself."""

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            cls.name = name
            Backend.names[name] = cls

    @classmethod
    def runtime(cls) -> str:
        """Runtime and version, known before anything is loaded; what was measured holds for this one only."""
        return cls.name

    @classmethod
    @abstractmethod
    def load(cls, path: Path, options: BackendOptions) -> Backend:
        """Load the model and run it once on an empty picture.

        Raises `BackendError` where this backend cannot do it but another may; `ModelNotFound`, `ModelCorrupt` or
        `ModelUnsupported` where none can.
        """

    @abstractmethod
    def new_call(self) -> Call:
        """Memory for one more call in flight."""

    @abstractmethod
    def run(self, call: Call, count: int, lane: int) -> list[F32]:
        """Run the first `count` pictures of a call; float32 host arrays in the order of the graph's outputs.

        Different lanes may run at the same time, one lane may not. The arrays are valid until the call's next
        run. Raises `BackendError` where the device fails; the backend is not to be used again then.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the device's memory back. May be called twice."""


def backend_named(name: str) -> type[Backend]:
    """The registered backend. Raises `ConfigError` for a name that is none, `BackendMissing` without its runtime."""
    if name not in Backend.names and name in _MODULES:
        try:
            importlib.import_module(_MODULES[name])
        except ImportError as error:
            raise BackendMissing(f"{name}: its runtime cannot be imported: {error}") from error
    if name not in Backend.names:
        known = sorted({*Backend.names, *_MODULES})
        raise ConfigError(
            f"infer.backends names {name!r}, which is no backend{nearest(name, known)}; known: {', '.join(known)}"
        )
    return Backend.names[name]
