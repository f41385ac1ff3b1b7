"""TensorRT engine files: what one was built from and for, where it lies, and whether it may be used here.

An engine is machine code for one GPU model and one TensorRT version, and loading it runs that code. So it is taken
only from the engine folder or from where the user pointed, only with its record beside it, and only when the
record's checksum is that of the very bytes that are loaded. That guards against accidents, not against somebody
who can write into the folder. Imports no TensorRT: everything here is tested without a GPU.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import BackendMissing, EngineFileStale
from engine.models.heads.base import Tensor
from engine.models.registry import cache_dir

FORMAT = 1
"""Version of the record; another one is not read."""
TOOL = "tools/export_trt.py"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine was built, or is to run: it must be the same.

    gpu         name of the GPU, as the driver gives it
    capability  compute capability, major and minor
    tensorrt    full version of TensorRT
    """

    gpu: str
    capability: tuple[int, int]
    tensorrt: str

    def __str__(self) -> str:
        return (
            f"{self.gpu} sm{self.capability[0]}{self.capability[1]} TensorRT {_short_version(self.tensorrt)}"
        )


@dataclass(frozen=True, slots=True)
class BatchProfile:
    """Batch sizes that an engine takes: the least, the one it is fastest at, the most."""

    least: int
    best: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.best <= self.most:
            raise ValueError(f"a profile is 1 <= least <= best <= most, not {self}")

    def __str__(self) -> str:
        return f"{self.least}:{self.best}:{self.most}"

    @classmethod
    def parse(cls, text: str) -> BatchProfile:
        """`1:4:8`, or `8` for exactly eight. Raises `ValueError`."""
        if not re.fullmatch(r"\d{1,4}(:\d{1,4}:\d{1,4})?", text):
            raise ValueError(f"a profile is LEAST:BEST:MOST or one number, not {text!r}")
        numbers = [int(part) for part in text.split(":")]
        return cls(*numbers) if len(numbers) == 3 else cls(*numbers * 3)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an engine is built from. Two engines of the same recipe and place are the same.

    model_name, model_sha256  the ONNX file that the user named
    precision                 fp32, fp16 or int8
    profiles                  batch sizes; one of equal numbers for a file with a fixed batch
    options                   everything else that changes the engine, by name
    """

    model_name: str
    model_sha256: str
    precision: str
    profiles: tuple[BatchProfile, ...]
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """What is written beside an engine file.

    inputs, outputs  as the ONNX file declares them
    input_wh         size in pixels that the engine takes
    metadata         what the exporter left in the ONNX file: names, task, stride
    sha256, size     of the engine file
    """

    recipe: Recipe
    place: Place
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    input_wh: tuple[int, int]
    metadata: Mapping[str, str]
    sha256: str = ""
    size: int = 0


def engine_folder(cache: Path | None = None) -> Path:
    """Where engines and timing caches are kept: in `cache`, or beside the fetched models."""
    return (cache or cache_dir().parent) / "tensorrt"


def engine_name(recipe: Recipe, place: Place) -> str:
    """A file name that differs where anything does that a GPU, a version or a person would notice."""
    least = min(profile.least for profile in recipe.profiles)
    most = max(profile.most for profile in recipe.profiles)
    parts = (
        _slug(Path(recipe.model_name).stem),
        recipe.model_sha256[:12],
        _slug(place.gpu.removeprefix("NVIDIA ")),
        f"sm{place.capability[0]}{place.capability[1]}",
        f"trt{_short_version(place.tensorrt)}",
        recipe.precision,
        f"b{least}-{most}",
    )
    return "-".join(parts) + ".engine"


def record_path(engine: Path) -> Path:
    """The record of an engine file."""
    return engine.with_name(engine.name + ".json")


def timing_cache_path(folder: Path, place: Place) -> Path:
    """Timings of kernels, shared by all models of a place; they make the next build quicker."""
    version = _slug(place.tensorrt)
    return (
        folder / f"timing-{_slug(place.gpu)}-sm{place.capability[0]}{place.capability[1]}-trt{version}.cache"
    )


def build_command(model: str, recipe: Recipe | None = None) -> str:
    """What to type to build, or build again, the engine of a model."""
    words = ["python", TOOL, model]
    if recipe is not None:
        words += ["--precision", recipe.precision]
        for profile in recipe.profiles:
            words += ["--batch", str(profile)]
    return shlex.join(words)


def write_engine(folder: Path, record: EngineRecord, plan: bytes) -> Path:
    """Write engine and record, each whole or not at all; returns the engine's path.

    A crash between the two leaves a record that does not fit, which `read_engine` refuses. Raises `OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / engine_name(record.recipe, record.place)
    digest = hashlib.sha256(plan).hexdigest()
    document = {"format": FORMAT, **asdict(record), "sha256": digest, "size": len(plan)}
    replace_file(path, plan)
    replace_file(record_path(path), (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader, and a crash, find the old one or the new one. Raises `OSError`."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_record(engine: Path) -> EngineRecord:
    """The record of an engine. Raises `EngineFileStale` where it is absent or cannot be read."""
    path = record_path(engine)
    try:
        document = json.loads(path.read_bytes())
        if document.get("format") != FORMAT:
            raise ValueError(f"record format {document.get('format')!r}, expected {FORMAT}")
        return _record_from(document)
    except FileNotFoundError:
        raise EngineFileStale(
            f"{engine}: no record {path.name} beside it, so nothing says what it was built for; build it with "
            f"{TOOL}"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise EngineFileStale(
            f"{engine}: its record {path.name} cannot be read ({error}); build it again with {TOOL}"
        ) from error


def read_engine(engine: Path, record: EngineRecord) -> bytes:
    """The bytes of an engine, checked against its record. Raises `EngineFileStale` where they do not fit."""
    try:
        plan = engine.read_bytes()
    except OSError as error:
        raise EngineFileStale(f"{engine}: cannot be read ({error.strerror}); {_rebuild(record)}") from error
    if len(plan) != record.size or hashlib.sha256(plan).hexdigest() != record.sha256:
        raise EngineFileStale(
            f"{engine}: damaged, or not the file that its record describes ({len(plan)} of {record.size} bytes); "
            f"{_rebuild(record)}"
        )
    return plan


def changes(record: EngineRecord, place: Place, recipe: Recipe | None = None) -> list[str]:
    """What is another here than it was when the engine was built; empty where the engine may be used.

    Without a recipe only the place counts: the user pointed at this very engine.
    """
    found = []
    if (record.place.gpu, record.place.capability) != (place.gpu, place.capability):
        found.append("GPU")
    if record.place.tensorrt != place.tensorrt:
        found.append("TensorRT version")
    if recipe is not None:
        for name, built, wanted in (
            ("model file", record.recipe.model_sha256, recipe.model_sha256),
            ("precision", record.recipe.precision, recipe.precision),
            ("batch profiles", record.recipe.profiles, recipe.profiles),
            ("options", dict(record.recipe.options), dict(recipe.options)),
        ):
            if built != wanted:
                found.append(name)
    return found


def check_place(engine: Path, record: EngineRecord, place: Place) -> None:
    """Raise `EngineFileStale`, in one line, unless the engine was built for this GPU and TensorRT version."""
    if changes(record, place):
        raise EngineFileStale(f"{engine}: built for {record.place}, here {place}: {_rebuild(record)}")


def find_engine(folder: Path, model: Path, model_sha256: str, place: Place, batch: int) -> Path:
    """The engine of an ONNX file for this place: the one whose profiles end nearest to `batch`.

    Raises `EngineFileStale` where there are engines of it for other places only, or of another version of the
    file, and `BackendMissing` where there are none; each with the command that builds one.
    """
    named = [path for path in sorted(folder.glob("*.engine")) if _is_of(path, model, model_sha256)]
    readable = [(path, record) for path in named if (record := _record_or_none(path)) is not None]
    of_model = [entry for entry in readable if entry[1].recipe.model_sha256 == model_sha256]
    fitting = [entry for entry in of_model if not changes(entry[1], place)]
    if fitting:
        return min(fitting, key=lambda entry: (_misfit(entry[1].recipe, batch), entry[0].name))[0]
    if of_model:
        check_place(*of_model[0], place)
    command = build_command(str(model))
    if readable:
        raise EngineFileStale(
            f"{readable[0][0]}: built from another version of {model.name}: build it again with {command}"
        )
    raise BackendMissing(f"{model}: no TensorRT engine for {place} in {folder}: build it with {command}")


def _misfit(recipe: Recipe, batch: int) -> tuple[bool, int, bool]:
    """Too small is worst, then too large; of equals the lower precision, which somebody took pains to build."""
    most = max(profile.most for profile in recipe.profiles)
    return most < batch, abs(most - batch), recipe.precision == "fp32"


def _is_of(engine: Path, model: Path, model_sha256: str) -> bool:
    return model_sha256[:12] in engine.name or engine.name.startswith(_slug(model.stem) + "-")


def _record_or_none(engine: Path) -> EngineRecord | None:
    try:
        return read_record(engine)
    except EngineFileStale:
        return None


def _rebuild(record: EngineRecord) -> str:
    return f"rebuild it with {build_command(record.recipe.model_name, record.recipe)}"


def _short_version(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("-.") or "unnamed"


def _record_from(document: Mapping[str, object]) -> EngineRecord:
    recipe, place = _table(document["recipe"]), _table(document["place"])
    width, height = _numbers(document["input_wh"])
    major, minor = _numbers(place["capability"])
    return EngineRecord(
        recipe=Recipe(
            str(recipe["model_name"]),
            str(recipe["model_sha256"]),
            str(recipe["precision"]),
            tuple(
                BatchProfile(int(table["least"]), int(table["best"]), int(table["most"]))
                for table in map(_table, _entries(recipe["profiles"]))
            ),
            {str(name): str(value) for name, value in _table(recipe["options"]).items()},
        ),
        place=Place(str(place["gpu"]), (major, minor), str(place["tensorrt"])),
        inputs=_tensors(document["inputs"]),
        outputs=_tensors(document["outputs"]),
        input_wh=(width, height),
        metadata={str(name): str(value) for name, value in _table(document["metadata"]).items()},
        sha256=str(document["sha256"]),
        size=int(str(document["size"])),
    )


def _tensors(value: object) -> tuple[Tensor, ...]:
    tables = [_table(entry) for entry in _entries(value)]
    return tuple(Tensor(str(t["name"]), str(t["dtype"]), tuple(t["shape"])) for t in tables)


def _table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"a table was expected, found {value!r}")
    return value


def _entries(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, found {value!r}")
    return value


def _numbers(value: object) -> tuple[int, int]:
    first, second = _entries(value)
    return int(str(first)), int(str(second))
