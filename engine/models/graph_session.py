"""The contract of a graph with many named inputs and outputs: arrays by name in, arrays by name out.

What a detector's `Backend` is to one picture input, this is to models that are several graphs, as the four of a
SAM 2. Knows neither what a graph computes nor which runtime does it: each runtime is one file with a registered name,
the names being those of `segment.backends`. Which follows when one fails is `engine.models.chain`'s.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from engine.errors import BackendError, BackendMissing, ConfigError, ModelUnsupported
from engine.models.chain import BackendChain, PassedOver
from engine.models.heads.base import Tensor
from engine.registry import nearest

_MODULES = {
    "tensorrt": "engine.models.trt_graph",
    "ort-cuda": "engine.models.ort_graph",
    "ort-openvino": "engine.models.ort_graph",
    "ort-coreml": "engine.models.ort_graph",
    "ort-cpu": "engine.models.ort_graph",
}
"""Where the runtimes are, so that one is imported only when it is asked for."""
_UNSUITED = {
    "ort-tensorrt": "builds its engine again for every new number of objects; name tensorrt or ort-cuda instead"
}
"""Backends of detectors that do not run graphs of varying sizes, and why."""


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """How a graph is loaded.

    threads  threads inside one call, where the device has such
    rows     most object rows in one call, for runtimes that build for sizes
    frames   most frames in one call, likewise
    device   number of the GPU
    cache    folder for what takes long to make: TensorRT engine files
    """

    threads: int = 1
    rows: int = 1
    frames: int = 1
    device: int = 0
    cache: Path | None = None


class GraphSession(ABC):
    """A graph that is loaded and ready. Subclasses register: `class OrtCpuGraph(GraphSession, name="ort-cpu")`.

    inputs, outputs  names, element types and shapes as the file declares them; sizes that vary are names
    metadata         free text that the exporter left in the file
    description      runtime, version and device, for the log
    """

    names: ClassVar[dict[str, type[GraphSession]]] = {}
    name: ClassVar[str] = ""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: Mapping[str, str]
    description: str

    def __init_subclass__(cls, name: str = "") -> None:
        if name:
            cls.name = name
            GraphSession.names[name] = cls

    @classmethod
    @abstractmethod
    def load(cls, path: Path, options: GraphOptions) -> GraphSession:
        """Load a graph.

        Raises `BackendError` where this runtime cannot do it but another may; `ModelNotFound`, `ModelCorrupt` or
        `ModelUnsupported` where none can.
        """

    @abstractmethod
    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the graph once; arrays on the host, which belong to the caller, in the dtypes that are declared.

        outputs  those that are wanted, None for all

        One thread at a time. Raises `BackendError` where the device fails; the session is not to be used again then.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what is held. May be called twice."""

    def fixed(self, name: str, axis: int) -> int | None:
        """The size of an input's axis, None where it may vary."""
        for tensor in self.inputs:
            if tensor.name == name:
                size = tensor.shape[axis]
                return size if isinstance(size, int) else None
        raise ModelUnsupported(f"{self.name}: the graph has no input {name}")


class GraphSet:
    """Several graphs on one runtime, opened and closed together."""

    def __init__(self, sessions: Mapping[str, GraphSession]) -> None:
        self.sessions = dict(sessions)

    def run(
        self, graph: str, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """See `GraphSession.run`."""
        return self.sessions[graph].run(feeds, outputs)

    def close(self) -> None:
        """Close all. May be called twice."""
        for session in self.sessions.values():
            session.close()


class GraphChain:
    """A set of graphs on the first of the named backends that works, and on the next one when it fails."""

    def __init__(self, names: Sequence[str], paths: Mapping[str, Path], options: GraphOptions) -> None:
        """`paths` are the graphs' files by name.

        Raises `BackendError` where no backend can load them, `ModelCorrupt`, `ModelUnsupported` or `ModelNotFound`
        where none ever will, `ConfigError` for a backend that there is not.
        """
        self._paths, self._options = dict(paths), options
        self._chain = BackendChain(names, self._start)

    @property
    def name(self) -> str:
        """The backend that runs."""
        return self._chain.name

    @property
    def passed_over(self) -> tuple[PassedOver, ...]:
        """Backends that were given up, and why."""
        return self._chain.passed_over

    def sessions(self) -> Mapping[str, GraphSession]:
        """What runs now, by the graphs' names; to be looked at, not to be run."""
        with self._chain.current() as graphs:
            return graphs.sessions

    def run(
        self, graph: str, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run one graph. Raises `BackendError` once the last backend has failed."""
        while True:
            try:
                with self._chain.current() as graphs:
                    return graphs.run(graph, feeds, outputs)
            except BackendError:
                if self._chain.exhausted:
                    raise

    def close(self) -> None:
        """Close what runs. May be called twice."""
        self._chain.close()

    def _start(self, backend: str) -> GraphSet:
        kind = graph_session_named(backend)
        with ExitStack() as on_error:
            sessions: dict[str, GraphSession] = {}
            for graph, path in self._paths.items():
                sessions[graph] = kind.load(path, self._options)
                on_error.callback(sessions[graph].close)
            on_error.pop_all()
        return GraphSet(sessions)


def graph_session_named(name: str) -> type[GraphSession]:
    """The registered runtime. Raises `ConfigError` for a name that is none, `BackendMissing` where it is absent."""
    if name in _UNSUITED:
        raise BackendError(f"{name}: {_UNSUITED[name]}")
    if name not in GraphSession.names and name in _MODULES:
        try:
            importlib.import_module(_MODULES[name])
        except ImportError as error:
            raise BackendMissing(f"{name}: its runtime cannot be imported: {error}") from error
    if name not in GraphSession.names:
        known = sorted({*GraphSession.names, *_MODULES})
        raise ConfigError(
            f"segment.backends names {name!r}, which is no backend{nearest(name, known)}; known: {', '.join(known)}"
        )
    return GraphSession.names[name]


def check_interface(session: GraphSession, path: Path, inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """Refuse a graph with other inputs or too few outputs. Raises `ModelUnsupported`."""
    found = {tensor.name for tensor in session.inputs}
    missing = set(outputs) - {tensor.name for tensor in session.outputs}
    if found != set(inputs) or missing:
        raise ModelUnsupported(
            f"{path}: its inputs are {', '.join(sorted(found)) or 'none'}, expected {', '.join(sorted(inputs))}"
            + (f"; outputs missing: {', '.join(sorted(missing))}" if missing else "")
            + "; export it again with tools/export_onnx.py sam2"
        )
