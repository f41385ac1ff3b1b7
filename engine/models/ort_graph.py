"""ONNX Runtime for graphs with many inputs: one session each, several of them in one process.

Knows execution providers; the runtime itself is reached through `engine.models.ort`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from engine.models.graph_session import GraphOptions, GraphSession
from engine.models.ort import OrtBackend, open_graph, run_graph, tensors_of


class OrtGraph(GraphSession):
    """A graph in ONNX Runtime. Arrays are read in place where they are contiguous."""

    provider: ClassVar[str]
    remedy: ClassVar[str]
    """What to do where this build of ONNX Runtime does not have the provider."""

    def __init__(self, path: Path, options: GraphOptions) -> None:
        """See `load`."""
        provider = (self.provider, self.provider_options(options))
        self._session: Any = open_graph(path, self.name, provider, self.remedy, options.threads)
        self.inputs, self.outputs, self.metadata = tensors_of(self._session)
        self.description = f"{OrtBackend.runtime()} on {self.provider}"

    @classmethod
    def load(cls, path: Path, options: GraphOptions) -> GraphSession:
        return cls(path, options)

    def provider_options(self, options: GraphOptions) -> dict[str, str]:
        """What the execution provider is told."""
        return {}

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        return run_graph(self._session, self.name, feeds, outputs)

    def close(self) -> None:
        self._session = None


class OrtCpuGraph(OrtGraph, name="ort-cpu"):
    """Any machine."""

    provider = "CPUExecutionProvider"
    remedy = "pip install onnxruntime"


class OrtCudaGraph(OrtGraph, name="ort-cuda"):
    """CUDA and cuDNN; arrays are copied from and to the host."""

    provider = "CUDAExecutionProvider"
    remedy = "pip install onnxruntime-gpu in place of onnxruntime"

    def provider_options(self, options: GraphOptions) -> dict[str, str]:
        # The default search tries every algorithm of every layer, for each number of objects that comes up anew.
        return {"device_id": str(options.device), "cudnn_conv_algo_search": "HEURISTIC"}


class OrtOpenvinoGraph(OrtGraph, name="ort-openvino"):
    """An Intel processor through OpenVINO."""

    provider = "OpenVINOExecutionProvider"
    remedy = "pip install onnxruntime-openvino in place of onnxruntime"

    def provider_options(self, options: GraphOptions) -> dict[str, str]:
        return {"device_type": "CPU", "num_of_threads": str(max(1, options.threads))}


class OrtCoremlGraph(OrtGraph, name="ort-coreml"):
    """The GPU and the neural engine of a Mac, as CoreML shares them out."""

    provider = "CoreMLExecutionProvider"
    remedy = "onnxruntime has it on a Mac only"

    def provider_options(self, options: GraphOptions) -> dict[str, str]:
        return {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"}
