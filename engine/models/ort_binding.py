"""Input that lies in device memory and output buffers that are kept, for ONNX Runtime sessions.

Knows addresses and shapes. Binding pays where it saves copies between host and device; on a CPU it saves nothing
that could be measured, so `run` is used there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.heads.base import Graph
from engine.types import F32


class Binding:
    """One call's input and outputs for one number of frames on one session."""

    def __init__(
        self,
        session: Any,
        graph: Graph,
        pictures_nchw: Any,
        constants: Mapping[str, NDArray[Any]],
        device: tuple[str, int],
    ) -> None:
        """`pictures_nchw` is a numpy array for ("cpu", 0), a CuPy array for ("cuda", number); it must stay.

        `constants` are what further inputs are fed with, in host memory.
        """
        self._session = session
        self._binding = session.io_binding()
        images = graph.inputs[0]
        dtype, shape = np.dtype(images.dtype), tuple(map(int, pictures_nchw.shape))
        self._binding.bind_input(images.name, *device, dtype, shape, _address(pictures_nchw))
        for name, rows in constants.items():
            self._binding.bind_cpu_input(name, rows)
        self._kept = [_kept_buffer(graph, index, len(pictures_nchw)) for index in range(len(graph.outputs))]
        self._names = [output.name for output in graph.outputs]
        # Outputs come in the order in which they were first bound.
        for name, buffer in zip(self._names, self._kept, strict=True):
            if buffer is None:
                self._binding.bind_output(name, "cpu")
            else:
                self._binding.bind_output(name, "cpu", 0, buffer.dtype, buffer.shape, buffer.ctypes.data)

    def run(self) -> list[F32]:
        """Outputs as float32 on the host, valid until the next run. Raises what the session raises."""
        for name, buffer in zip(self._names, self._kept, strict=True):
            if buffer is None:
                # The runtime allocates what fits, but keeps it for the next run unless it is bound anew.
                self._binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(self._binding)
        found: list[NDArray[Any]] = []
        for buffer, value in zip(self._kept, self._binding.get_outputs(), strict=True):
            found.append(value.numpy() if buffer is None else buffer)
        return [np.asarray(array, np.float32) for array in found]


def _kept_buffer(graph: Graph, index: int, frames: int) -> NDArray[Any] | None:
    """Room for an output of a size that the file declares; None where it may vary from run to run."""
    declared, found = graph.outputs[index].shape, graph.shapes[index]
    if not declared or declared[0] != graph.inputs[0].shape[0] or declared[1:] != found[1:]:
        return None
    return np.empty((frames, *found[1:]), graph.outputs[index].dtype)


def _address(array: Any) -> int:
    return int(array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr)
