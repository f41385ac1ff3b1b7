"""What `export_trt` builds of a segmenter's folder: one engine for each graph, and what is known of them without a GPU.

Memories and pointers become fixed (M = 7, P = 16; rows that have fewer are masked by their validity), so that of the
bank only the number of rows varies. Frames, rows and points stay free within one profile each.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ConfigError, EngineFileStale, ModelUnsupported, OutputError
from engine.models.registry import sha256_of
from engine.models.sam2_sidecar import GRAPHS, Sidecar
from engine.models.trt_engine_file import (
    BatchProfile,
    EngineRecord,
    Place,
    Recipe,
    changes,
    engine_folder,
    engine_name,
    read_engine,
    read_record,
    record_path,
    write_engine,
)
from tools.command_line import needs
from tools.onnx_graph import metadata, one_line, read_model, to_bytes
from tools.sam2 import graph_check, half
from tools.sam2.graph_edit import copied
from tools.sam2.interface import INTERFACE, Widths
from tools.trt_build import Shapes
from tools.trt_check import graph_problems, tensor_of
from tools.trt_plan import PACKAGES

with needs("export"):
    import onnx
    import onnxruntime
    from onnx import numpy_helper

ROWS, FRAMES, POINTS = BatchProfile(1, 4, 16), BatchProfile(1, 1, 8), BatchProfile(1, 2, 16)
"""Object rows, frames and points in a call, where the user does not say."""

_LARGEST_HALF = 10_000.0
"""Constants of larger magnitude are clipped by the conversion to float16."""


@dataclass(frozen=True, slots=True)
class SegmenterWish:
    """What the user asked for; empty is the default.

    rows, frames  LEAST:BEST:MOST of object rows and of frames in a call
    """

    precision: str = ""
    rows: str = ""
    frames: str = ""
    out: Path | None = None
    level: int = 3
    workspace_mib: int = 4096


class GraphPlan:
    """One graph of the folder, how it will be changed, and the recipe of its engine.

    name, path    of the graph
    axes          those of its inputs that vary
    profiles      sizes of all axes, by name
    size, tokens  side of the picture in pixels, tokens of a memory
    widths        channels and sizes that differ between variants
    facts         what was looked at, one line each; complete once `problems` was asked
    """

    def __init__(self, sidecar: Sidecar, name: str, wish: SegmenterWish) -> None:
        """Raises `ModelCorrupt` for a damaged or foreign file, `ConfigError` for a flag."""
        if wish.precision == "int8":
            raise ConfigError("--precision int8: eight-bit engines are built of detectors only; take fp16")
        self.name = name
        self.path = sidecar.path(name)
        self.folder = wish.out or engine_folder()
        self.facts: list[str] = []
        self.profiles = {
            "F": _profile("--frames", wish.frames, FRAMES), "N": _profile("--batch", wish.rows, ROWS), "T": POINTS,
            "M": BatchProfile(*[sidecar.memory_slots] * 3), "P": BatchProfile(*[sidecar.pointer_slots] * 3),
        }  # fmt: skip
        self.axes = {axis for axes in INTERFACE[name].inputs.values() for axis in axes.values()}
        self.size, self.tokens = sidecar.image_size, sidecar.memory_tokens
        self._made_in = sidecar.precision[name]
        self._model = half.widen_weights(read_model(self.path))
        sidecar.check_set_id(name, metadata(self._model))
        self.widths = Widths(
            sidecar.width, sidecar.memory_width, sidecar.mask_scale, fine_scale=sidecar.mask_scale // 2,
            finest=self._channels("high_res_0"), fine=self._channels("high_res_1"),
        )  # fmt: skip
        precision = wish.precision or "fp16"
        options = {"level": str(wish.level), "workspace_mib": str(wish.workspace_mib)}
        options |= {axis: str(self.profiles[axis]) for axis in sorted(self.axes)}
        # Who looks for an engine of so many rows, or for the encoder of so many frames, goes by the profile.
        leading = self.profiles["N" if "N" in self.axes else "F"]
        self.recipe = Recipe(str(self.path), sha256_of(self.path), precision, (leading,), options)

    def problems(self) -> list[str]:
        """Why the engine cannot be built, one line each; empty where nothing is known against it."""
        # What is quantised for CPUs fails every further check, which would only repeat it.
        found = self._precision_problems() or [
            *(f"{self.name}: {problem}" for problem in graph_problems(self._model)),
            *graph_check.problems(self.name, self._model),
        ]
        if not found:
            for look in (self._shape_problems, self._conversion_problems):
                found += look()
        wide = [tensor.name for tensor in map(tensor_of, self._model.graph.input) if tensor.dtype == "int64"]
        if wide:
            self.facts.append(
                f"{self.name}: int64 inputs {', '.join(wide)}: TensorRT takes them from 10.0 on"
            )
        return found

    def shapes(self) -> Shapes:
        """Least, best and largest shape of every input."""
        corners = [self._corner(which) for which in ("least", "best", "most")]
        return {
            value.name: tuple(_shape(tensor_of(value).shape, corner) for corner in corners)
            for value in self._fixed.graph.input
        }

    def onnx_bytes(self) -> bytes:
        """The graph as TensorRT gets it. Raises `ModelUnsupported`."""
        return to_bytes(self._converted, str(self.path))

    def existing(self, place: Place) -> Path | None:
        """The engine that this plan would build, if it is there and intact."""
        path = self.folder / engine_name(self.recipe, place)
        try:
            record = read_record(path)
            read_engine(path, record)
        except EngineFileStale:
            return None
        return None if changes(record, place, self.recipe) else path

    def write(self, place: Place, content: bytes) -> Path:
        """Write engine and record. Raises `OutputError`."""
        inputs = tuple(map(tensor_of, self._fixed.graph.input))
        outputs = tuple(map(tensor_of, self._fixed.graph.output))
        wh = (self.size, self.size)
        record = EngineRecord(self.recipe, place, inputs, outputs, wh, metadata(self._model))
        try:
            return write_engine(self.folder, record, content)
        except OSError as error:
            raise OutputError(f"{self.folder}: the engine cannot be written: {error.strerror}") from error

    def discard(self, path: Path) -> None:
        """Remove an engine that turned out to be no good."""
        for unwanted in (path, record_path(path)):
            unwanted.unlink(missing_ok=True)

    def _channels(self, entry: str) -> int:
        """Of an input of the mask decoder; 0 in other graphs, which do not have it."""
        shapes = {tensor.name: tensor.shape for tensor in map(tensor_of, self._model.graph.input)}
        return int(shapes[entry][1] or 0) if entry in shapes else 0

    def _corner(self, which: str) -> dict[str, int]:
        return {axis: getattr(profile, which) for axis, profile in self.profiles.items()}

    @cached_property
    def _fixed(self) -> Any:
        """The graph with fixed memories and pointers."""
        model = copied(self._model)
        _fix(model, {axis: self.profiles[axis].best for axis in ("M", "P")})
        return model

    @cached_property
    def _converted(self) -> Any:
        if self.recipe.precision == "fp16" and self._made_in == "fp32":
            return half.to_half(self._fixed)
        return self._fixed

    def _precision_problems(self) -> list[str]:
        if self._made_in.startswith("int8"):
            return [
                f"{self.name}: the folder is quantised for CPUs; take the float32 one that it was made of"
            ]
        if self._made_in == "fp16" and self.recipe.precision == "fp32":
            return [f"{self.name}: fp32: the folder is in float16; types are those of the files"]
        return []

    def _shape_problems(self) -> list[str]:
        """The sizes of all outputs have to follow from those of the inputs, at every corner of the profiles."""
        for which in ("least", "best", "most"):
            corner = self._corner(which)
            model = copied(self._model)
            _fix(model, corner)
            for value in model.graph.output:
                value.type.tensor_type.ClearField("shape")
            try:
                inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
            except onnx.shape_inference.InferenceError as error:
                return [f"{self.name}: shapes do not fit together with {corner}: {one_line(error)}"]
            found = {tensor.name: tensor for tensor in map(tensor_of, inferred.graph.output)}
            for declared in map(tensor_of, self._model.graph.output):
                if not _agree(_known(declared.shape, corner), found[declared.name].shape):
                    return [
                        f"{self.name}: {found[declared.name]} follows with {corner}, declared is {declared}"
                    ]
        used = ", ".join(f"{axis} {self.profiles[axis]}" for axis in sorted(self.axes))
        self.facts.append(f"{self.name}: shapes follow from the inputs at all corners of {used}")
        return []

    def _conversion_problems(self) -> list[str]:
        found = []
        if self.recipe.precision == "fp16":
            largest = max(map(_magnitude, _float_constants(self._fixed)), default=0.0)
            if not largest <= _LARGEST_HALF:
                found.append(
                    f"{self.name}: a constant of {largest:.3g} does not survive float16; build it in fp32"
                )
            self.facts.append(f"{self.name}: constants fit into float16, the largest is {largest:.4g}")
        try:
            content = self.onnx_bytes()
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except (ModelUnsupported, RuntimeError, ValueError) as error:
            return [*found, f"{self.name}: the graph that TensorRT would get is not sound: {one_line(error)}"]
        self.facts.append(
            f"{self.name}: graph in {self.recipe.precision} is sound to ONNX Runtime, {len(content) / 1e6:.1f} MB"
        )
        return found


def plans(sidecar: Sidecar, wish: SegmenterWish) -> list[GraphPlan]:
    """What is to be built of a folder. Raises `ConfigError` or a `ModelError`."""
    return [GraphPlan(sidecar, name, wish) for name in GRAPHS]


def packages() -> list[str]:
    """Which of the packages that building needs are there."""
    return [
        f"{name}: {'there' if importlib.util.find_spec(name) else f'missing, install camring[{extra}]'}"
        for name, extra in PACKAGES.items()
    ]


NOT_CHECKED = (
    "whether TensorRT's parser takes every operator with these attributes (its own judgement counts)",
    "whether the engines build, fit into the GPU's memory, and how fast they are",
    "parity with ONNX Runtime",
)
"""What only a GPU can tell."""


def compared_calls(plan: GraphPlan) -> Sequence[Mapping[str, int]]:
    """Sizes at which an engine is compared: every combination of the least and the best of what varies."""
    ends = {axis: sorted({profile.least, profile.best}) for axis, profile in plan.profiles.items()}
    kept = {axis: sizes if axis in plan.axes else sizes[-1:] for axis, sizes in ends.items()}
    return [dict(zip(kept, sizes, strict=True)) for sizes in product(*kept.values())]


def _profile(flag: str, text: str, default: BatchProfile) -> BatchProfile:
    try:
        return BatchProfile.parse(text) if text else default
    except ValueError as error:
        raise ConfigError(f"{flag}: {error}") from None


def _fix(model: Any, sizes: Mapping[str, int]) -> None:
    """Give named axes of the inputs their sizes, in place; what was known of results between nodes is forgotten."""
    for value in model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    del model.graph.value_info[:]


def _shape(shape: Sequence[int | str | None], sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else sizes[str(size)] for size in shape)


def _known(shape: Sequence[int | str | None], sizes: Mapping[str, int]) -> list[int | None]:
    return [size if isinstance(size, int) else sizes.get(str(size)) for size in shape]


def _agree(declared: Sequence[int | None], inferred: Sequence[int | str | None]) -> bool:
    """Whether every size is known, from either side, and none contradicts the other."""
    if len(declared) != len(inferred):
        return False
    return all(
        isinstance(says, int) and (says == follows or not isinstance(follows, int))
        for says, follows in zip(declared, inferred, strict=True)
    )


def _float_constants(model: Any) -> list[Any]:
    tensors = list(model.graph.initializer)
    tensors += [
        attribute.t
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.type == onnx.AttributeProto.TENSOR
    ]
    return [tensor for tensor in tensors if tensor.data_type == onnx.TensorProto.FLOAT]


def _magnitude(tensor: Any) -> float:
    values = numpy_helper.to_array(tensor)
    return float(np.abs(values).max(initial=0.0)) if np.isfinite(values).all() else float("inf")
