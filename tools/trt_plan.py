"""What `export_trt` is going to build, and everything about it that can be settled without a GPU."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.errors import ConfigError, EngineFileStale, ModelUnsupported, OutputError, SourceError
from engine.models.registry import sha256_of
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
from engine.sources.base import SourceOptions, create_source
from engine.types import F32
from tools.onnx_graph import read_model, to_bytes, to_half
from tools.trt_check import (
    Interface,
    default_profiles,
    graph_problems,
    interface_of,
    is_quantised,
    precision_problems,
    profile_problems,
)

SPARE_BYTES = 64 << 20
"""Room for the timing cache."""
PACKAGES = {
    "onnx": "export", "onnxslim": "export", "onnxruntime": "", "tensorrt": "trt", "cupy": "gpu"
}  # fmt: skip
"""What building needs, and the extra that it belongs to."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for; empty is the default.

    calibrate  source of pictures to quantise with
    """

    model: Path
    precision: str = ""
    batches: tuple[str, ...] = ()
    out: Path | None = None
    level: int = 3
    workspace_mib: int = 4096
    calibrate: str = ""
    calibrate_count: int = 128


class Plan:
    """The graph, how it will be changed, and the recipe of the engine.

    facts  what was looked at, one line each; complete once `problems` was asked
    """

    def __init__(self, wish: Wish) -> None:
        """Raises `ModelCorrupt` or `ModelUnsupported` for a file that is no detector, `ConfigError` for a flag."""
        self.wish = wish
        self.folder = wish.out or engine_folder()
        self.facts: list[str] = []
        self._model = read_model(wish.model)
        self.interface: Interface = interface_of(self._model)
        profiles = tuple(map(_profile, wish.batches)) or default_profiles(self.interface)
        precision = wish.precision or ("int8" if is_quantised(self._model) else "fp16")
        options = {"level": str(wish.level), "workspace_mib": str(wish.workspace_mib)}
        if wish.calibrate:
            options |= {"calibrated_on": wish.calibrate, "pictures": str(wish.calibrate_count)}
        self.recipe = Recipe(str(wish.model), sha256_of(wish.model), precision, profiles, options)

    def problems(self) -> list[str]:
        """Why the engine cannot be built, one line each; empty where nothing is known against it."""
        inputs = ", ".join(map(str, self.interface.inputs))
        opset = max(entry.version for entry in self._model.opset_import)
        self.facts = [
            f"{self.wish.model} is sound: {len(self._model.graph.node)} nodes, operator set {opset}, {inputs}",
            f"precision {self.recipe.precision}; batches {', '.join(map(str, self.recipe.profiles))}; "
            f"input {self.interface.input_wh[0]} × {self.interface.input_wh[1]}",
        ]
        found = graph_problems(self._model)
        found += precision_problems(self._model, self.recipe.precision, calibrated=bool(self.wish.calibrate))
        found += profile_problems(self.interface, self.recipe.profiles)
        for look in (
            self._shape_problem,
            self._conversion_problem,
            self._folder_problem,
            self._source_problem,
        ):
            # What comes later builds on what came before: one cause, one line.
            if not found and (problem := look()):
                found.append(problem)
        return found

    def packages(self) -> list[str]:
        """Which of the packages that building needs are there."""
        lines = []
        for name, extra in PACKAGES.items():
            there = importlib.util.find_spec(name) is not None
            lines.append(f"{name}: {'there' if there else f'missing, install camring[{extra}]'}")
        return lines

    def not_checked(self) -> list[str]:
        """What only a GPU can tell."""
        return [
            "whether TensorRT's parser takes every operator with these attributes (its own judgement counts)",
            "whether the engine builds, fits into the GPU's memory, and how fast it is",
            "parity with ONNX Runtime",
            f"the engine's name, which holds GPU and TensorRT version: {self._name_here()}",
        ]

    def existing(self, place: Place) -> Path | None:
        """The engine that this plan would build, if it is there and intact."""
        path = self.folder / engine_name(self.recipe, place)
        try:
            record = read_record(path)
            read_engine(path, record)
        except EngineFileStale:
            return None
        return None if changes(record, place, self.recipe) else path

    def onnx_bytes(self) -> bytes:
        """The graph in the precision of the engine."""
        return self._converted

    def write(self, place: Place, content: bytes) -> Path:
        """Write engine and record. Raises `OutputError`."""
        face = self.interface
        record = EngineRecord(self.recipe, place, face.inputs, face.outputs, face.input_wh, face.metadata)
        try:
            return write_engine(self.folder, record, content)
        except OSError as error:
            raise OutputError(f"{self.folder}: the engine cannot be written: {error.strerror}") from error

    def discard(self, path: Path) -> None:
        """Remove an engine that turned out to be no good."""
        for unwanted in (path, record_path(path)):
            unwanted.unlink(missing_ok=True)

    @cached_property
    def _converted(self) -> bytes:
        model = self._model
        if self.wish.calibrate:
            from tools.trt_quantize import quantise_for_tensorrt

            model = quantise_for_tensorrt(model, self._calibration_pictures())
        elif self.recipe.precision == "fp16" and self.interface.inputs[0].dtype == "float32":
            model = to_half(read_model(self.wish.model), half_input=False)
        return to_bytes(model, str(self.wish.model))

    def _calibration_pictures(self) -> Iterator[F32]:
        """The pictures as the engine's own sources and preprocessing give them."""
        from engine.models.backend import BackendOptions, backend_named
        from engine.models.heads.base import recognise
        from tools.frames import prepared, read_frames

        backend = backend_named("ort-cpu").load(self.wish.model, BackendOptions())
        head = recognise(backend.graph, str(self.wish.model))
        backend.close()
        for frame in read_frames([self.wish.calibrate], self.wish.calibrate_count):
            yield prepared(frame, head, self.interface.input_wh)[0]

    def _shape_problem(self) -> str:
        for tensor in self.interface.inputs:
            try:
                self.interface.shape(tensor, 1)
            except ModelUnsupported as error:
                return str(error)
        return ""

    def _conversion_problem(self) -> str:
        if self.wish.calibrate:
            self.facts.append(
                f"calibration on {self.wish.calibrate_count} pictures, done when the engine is built"
            )
            return ""
        try:
            size = len(self._converted)
        except ModelUnsupported as error:
            return str(error)
        self.facts.append(f"graph in {self.recipe.precision}: {size / 1e6:.1f} MB")
        return ""

    def _folder_problem(self) -> str:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                free = shutil.disk_usage(self.folder).free
        except OSError as error:
            return f"{self.folder}: cannot be written: {error.strerror}"
        # An engine holds the weights, at most in the file's own precision, with kernels; twice is plenty.
        wanted = 2 * self.wish.model.stat().st_size + SPARE_BYTES
        if free < wanted:
            return f"{self.folder}: {free >> 20} MiB free, {wanted >> 20} wanted"
        self.facts.append(f"{self.folder}: can be written, {free >> 20} MiB free")
        return ""

    def _source_problem(self) -> str:
        if not self.wish.calibrate:
            return ""
        try:
            with closing(create_source(SourceOptions(self.wish.calibrate, offline=True))) as source:
                source.open()
                if source.grab() is None:
                    return f"--calibrate {self.wish.calibrate}: no picture in it"
        except SourceError as error:
            return f"--calibrate: {error}"
        self.facts.append(f"--calibrate {self.wish.calibrate}: {source.description}")
        return ""

    def _name_here(self) -> str:
        name = engine_name(self.recipe, Place("GPU", (0, 0), "0.0"))
        return name.replace("-gpu-sm00-trt0.0-", "-<gpu>-sm<nn>-trt<version>-")


def _profile(text: str) -> BatchProfile:
    try:
        return BatchProfile.parse(text)
    except ValueError as error:
        raise ConfigError(f"--batch: {error}") from None


__all__ = ["Plan", "Wish"]
