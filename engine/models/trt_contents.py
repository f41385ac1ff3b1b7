"""What a loaded TensorRT engine says about itself, checked against its record: batches, sizes, element types.

The engine object comes from `engine.models.trt`; nothing is imported from TensorRT here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.errors import BackendError, ModelUnsupported
from engine.models.heads.base import Graph, Tensor
from engine.models.heads.inputs import constants_of, pictures_first
from engine.models.trt_engine_file import BatchProfile, EngineRecord
from kernels import device


class Allocation(NamedTuple):
    """Shape at the largest batch, and element type, of an input or output."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def profiles_of(engine: Any, record: EngineRecord, path: Path) -> list[BatchProfile]:
    """The batch sizes of each optimisation profile. Raises `ModelUnsupported`."""
    pictures = _pictures(record, path).name
    found = []
    for index in range(int(engine.num_optimization_profiles)):
        shapes = engine.get_tensor_profile_shape(pictures, index)
        found.append(BatchProfile(*(int(shape[0]) for shape in shapes)))
    if not found:
        raise ModelUnsupported(f"{path}: the engine has no optimisation profile")
    return found


def tensors_of(trt: Any, engine: Any, record: EngineRecord, path: Path) -> dict[str, Allocation]:
    """Inputs and outputs by name. Raises `ModelUnsupported`, or `BackendError` where the device refuses."""
    names = [str(engine.get_tensor_name(index)) for index in range(int(engine.num_io_tensors))]
    declared = {tensor.name for tensor in (*record.inputs, *record.outputs)}
    if set(names) != declared:
        raise ModelUnsupported(
            f"{path}: the engine has {', '.join(sorted(names))}, its record {', '.join(sorted(declared))}"
        )
    try:
        dtypes = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}
    except TypeError as error:
        raise ModelUnsupported(
            f"{path}: an input or output is of a type that numpy lacks: {error}"
        ) from error
    shapes = _shapes_at_most(trt, engine, record, names)
    unknown = [name for name, shape in shapes.items() if not shape or min(shape) < 0]
    if unknown:
        raise ModelUnsupported(f"{path}: the size of {unknown[0]} depends on what is in the picture")
    return {name: Allocation(shapes[name], dtypes[name]) for name in names}


def graph_of(record: EngineRecord, tensors: Mapping[str, Allocation], batch: int, path: Path) -> Graph:
    """The graph as heads want it, with the shapes of a run of `batch` pictures. Raises `ModelUnsupported`."""
    pictures, *further = pictures_first(record.inputs)
    shape, dtype = tensors[pictures.name]
    if dtype not in (np.dtype(np.float32), np.dtype(np.float16)) or len(shape) != 4:
        raise ModelUnsupported(
            f"{path}: pictures of {dtype} {shape}, not float32 or float16 [batch, 3, h, w]"
        )
    size_wh = (shape[2], shape[1]) if pictures.channels_last else (shape[3], shape[2])
    constants = constants_of(further, size_wh)
    if constants is None:
        names = ", ".join(tensor.name for tensor in further)
        raise ModelUnsupported(f"{path}: it is not known what {names} is to be fed with")
    typed = tuple(Tensor(t.name, str(tensors[t.name].dtype), t.shape) for t in (pictures, *further))
    shapes = tuple((batch, *tensors[t.name].shape[1:]) for t in record.outputs)
    return Graph(typed, record.outputs, shapes, size_wh, dict(record.metadata), constants)


def _shapes_at_most(
    trt: Any, engine: Any, record: EngineRecord, names: list[str]
) -> dict[str, tuple[int, ...]]:
    """Sizes at the largest batch, as a context works them out."""
    pictures = pictures_first(record.inputs)[0].name
    most = [
        int(engine.get_tensor_profile_shape(pictures, index)[2][0])
        for index in range(int(engine.num_optimization_profiles))
    ]
    profile = most.index(max(most))
    # One without memory of its own: it only works out sizes.
    context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    if context is None:
        raise BackendError("tensorrt: no execution context")
    if profile:
        stream = device.Stream()
        context.set_optimization_profile_async(profile, stream.address)
        stream.wait()
    for tensor in record.inputs:
        shape = tuple(engine.get_tensor_profile_shape(tensor.name, profile)[2])
        if not context.set_input_shape(tensor.name, shape):
            raise BackendError(f"tensorrt: input {tensor.name} of {shape} refused")
    return {name: tuple(int(size) for size in context.get_tensor_shape(name)) for name in names}


def _pictures(record: EngineRecord, path: Path) -> Tensor:
    inputs = pictures_first(record.inputs)
    if not inputs:
        raise ModelUnsupported(
            f"{path}: a detector has one input [batch, 3, height, width] of float32 or float16"
        )
    return inputs[0]
