"""From an ONNX graph to the bytes of a TensorRT engine. Needs TensorRT and its GPU; nothing is decided here.

Networks are strongly typed: every number is computed in the type that the graph gives it. TensorRT 11 knows no other
way, and 10 knows this one; so precision is a matter of the graph, which is converted before it comes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import BackendError, DeviceOutOfMemory, ModelUnsupported
from engine.models.trt import import_tensorrt, is_memory, logger
from engine.models.trt_engine_file import replace_file

Shapes = Mapping[str, Sequence[tuple[int, ...]]]
"""The least, the best and the largest shape of every input, by name."""

MOST_ERRORS = 5
"""Errors of the parser that are shown; the first ones say what the others follow from."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How hard TensorRT looks for the best kernels.

    level          0 quickest to build, 5 quickest to run; TensorRT's own default is 3
    workspace_mib  GPU memory that a kernel may take while it works
    """

    level: int = 3
    workspace_mib: int = 4096


def build_engine(
    onnx_bytes: bytes,
    profiles: Sequence[Shapes],
    options: BuildOptions,
    timing_cache: Path | None = None,
) -> bytes:
    """The serialised engine. Takes minutes.

    `timing_cache` is read where it is there, and written. Raises `ModelUnsupported` where TensorRT refuses the
    graph, `DeviceOutOfMemory` or `BackendError` where the build fails, and `OSError` for the cache.
    """
    trt = import_tensorrt()
    log = logger(trt)
    log.errors.clear()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx_bytes):
        raise ModelUnsupported(f"TensorRT {trt.__version__} refuses the graph: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.builder_optimization_level = options.level
    for profile in profiles:
        _add_profile(builder, config, profile)
    # The cache must outlive the build.
    timings = _read_timings(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = "; ".join(log.errors) or "it gave no reason"
        kind = DeviceOutOfMemory if is_memory(reason) else BackendError
        raise kind(f"TensorRT {trt.__version__} cannot build the engine: {reason}")
    if timing_cache is not None:
        replace_file(timing_cache, bytes(memoryview(config.get_timing_cache().serialize())))
    del timings
    return bytes(memoryview(plan))


def _add_profile(builder: Any, config: Any, profile: Shapes) -> None:
    shapes = builder.create_optimization_profile()
    for name, sizes in profile.items():
        shapes.set_shape(name, *sizes)
    if config.add_optimization_profile(shapes) < 0:
        raise BackendError(f"TensorRT refuses the profile {dict(profile)}")


def _read_timings(config: Any, path: Path | None) -> Any:
    """The timing cache in use; an empty one where there is none, or one of another device or version."""
    known = path.read_bytes() if path is not None and path.is_file() else b""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _parser_errors(parser: Any) -> str:
    count = int(parser.num_errors)
    shown = [" ".join(parser.get_error(index).desc().split()) for index in range(min(count, MOST_ERRORS))]
    return "; ".join(shown) + (f"; and {count - MOST_ERRORS} more" if count > MOST_ERRORS else "")
