"""`segmenter.json`: what a folder with the four graphs of a SAM 2 says of itself, read and checked.

A model is a folder: `image_encoder.onnx`, `memory_attention.onnx`, `mask_decoder.onnx`, `memory_encoder.onnx` and
this file. Knows the file; neither ONNX nor runtimes. Who opens the graphs hands their metadata to
`Sidecar.check_set_id`, so that graphs of different sets never run together.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelCorrupt, ModelNotFound, ModelUnsupported

FILE_NAME = "segmenter.json"
SCHEMA = "camring.segmenter/1"
SET_ID_KEY = "camring.set_id"
"""Key in the metadata of each graph."""

GRAPHS = ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder")
"""Names of the graphs, in the order in which a frame passes them; each is the file `<name>.onnx`."""

FAMILIES = ("sam2.1", "sam2", "edgetam")
PRECISIONS = ("fp32", "fp16", "int8-dynamic", "int8-static")
CELL = 16
"""Pixels a side of the picture for each cell of the grid."""
_WIDTH, _MEMORY_WIDTH, _MASK_SCALE = 256, 64, 4
"""What a folder has that says nothing of them: those of all official models."""

_MOST_BYTES = 8 << 20
_F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A set of four graphs.

    folder           where they are
    family, variant  "sam2.1", "sam2" or "edgetam"; "tiny", "small", …
    image_size       side S of the square picture, in pixels
    grid             r = S/16, side of the features
    memory_tokens    L, tokens of one frame's memory
    memory_slots     M of the bank
    pointer_slots    P of the bank
    width            C of the features and of pointers
    memory_width     W of a memory's tokens; a pointer is C / W of them
    mask_scale       pixels a side of a low-resolution mask for each cell of the grid
    mean, std        (3,) of RGB in 0…1, subtracted and divided by
    no_mem_embed     (C,), added to the features of a frame without memory
    mask_weight      (k, k) weights of the convolution with stride k = 16 / mask_scale that makes a mask prompt of a
                     full mask
    mask_bias        its bias
    no_object_score  logit of every pixel of an object that is absent
    precision        of each graph: one of `PRECISIONS`
    weights          "sha256:…" of the checkpoint, or "random:SEED"
    weights_licence  its licence
    sha256           of each graph's file
    set_id           the same in every graph's metadata
    parity           figures of the export: what was compared, and how far apart it was
    made_by          program and versions
    """

    folder: Path
    family: str
    variant: str
    image_size: int
    grid: int
    memory_tokens: int
    memory_slots: int
    pointer_slots: int
    mean: _F32
    std: _F32
    no_mem_embed: _F32
    mask_weight: _F32
    mask_bias: float
    no_object_score: float
    precision: Mapping[str, str]
    weights: str
    weights_licence: str
    sha256: Mapping[str, str]
    set_id: str
    parity: Mapping[str, Any]
    made_by: str
    width: int = _WIDTH
    memory_width: int = _MEMORY_WIDTH
    mask_scale: int = _MASK_SCALE

    @property
    def mask_side(self) -> int:
        """Side of a low-resolution mask, in pixels."""
        return self.mask_scale * self.grid

    @property
    def pointer_tokens(self) -> int:
        """How many tokens of the memory attention a pointer is."""
        return self.width // self.memory_width

    def path(self, graph: str) -> Path:
        """The file of a graph."""
        return self.folder / f"{graph}.onnx"

    def check_set_id(self, graph: str, metadata: Mapping[str, str]) -> None:
        """Refuse a graph of another set, by its ONNX metadata. Raises `ModelCorrupt`."""
        found = metadata.get(SET_ID_KEY)
        if found != self.set_id:
            whose = f"belongs to set {found}" if found else "says of no set that it belongs to it"
            raise ModelCorrupt(
                f"{self.path(graph)}: {whose}, the folder's is {self.set_id}: files of different exports are mixed; "
                "export the folder again with tools/export_onnx.py sam2"
            )

    def check_files(self) -> None:
        """Compare every graph's file with its checksum (reads all of them). Raises `ModelCorrupt`."""
        for graph in GRAPHS:
            path = self.path(graph)
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise ModelCorrupt(f"{path}: cannot be read: {error.strerror or error}") from error
            if found != self.sha256[graph]:
                raise ModelCorrupt(
                    f"{path}: its SHA-256 is {found[:12]}…, {FILE_NAME} says {self.sha256[graph][:12]}…: damaged, or "
                    "of another export; export the folder again with tools/export_onnx.py sam2"
                )


def load(folder: Path, checksums: bool = False) -> Sidecar:
    """Read and check a model folder.

    checksums  compare the graphs' files with their checksums too, which reads all of them

    Raises `ModelNotFound` where folder, sidecar or a graph is missing, `ModelUnsupported` for another schema or
    family, `ModelCorrupt` for a sidecar that contradicts itself.
    """
    path = folder / FILE_NAME
    if not folder.is_dir():
        kind = "is a file; name the folder that it is in" if folder.is_file() else "there is no such folder"
        raise ModelNotFound(f"{folder}: {kind}; tools/export_onnx.py sam2 makes segmenter folders")
    content = _read(path)
    sidecar = _Fields(path, content).sidecar(folder)
    for graph in GRAPHS:
        if not sidecar.path(graph).is_file():
            raise ModelNotFound(
                f"{sidecar.path(graph)}: missing; a segmenter is whole: {', '.join(GRAPHS)} and {FILE_NAME}"
            )
    if checksums:
        sidecar.check_files()
    return sidecar


def is_segmenter(folder: Path) -> bool:
    """Whether a folder has the looks of one: nothing is checked."""
    return (folder / FILE_NAME).is_file()


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise ModelNotFound(
            f"{path}: missing, so {path.parent} is no segmenter; tools/export_onnx.py sam2 makes them"
        ) from None
    except OSError as error:
        raise ModelCorrupt(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(raw) > _MOST_BYTES:
        raise ModelCorrupt(f"{path}: larger than {_MOST_BYTES >> 20} MiB: no sidecar")
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelCorrupt(f"{path}: no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelCorrupt(f"{path}: holds no object")
    found = content.get("schema")
    if found != SCHEMA:
        raise ModelUnsupported(
            f"{path}: schema {found!r}, this version reads {SCHEMA!r}; export the folder again"
        )
    return content


class _Fields:
    """The entries of a sidecar; whatever is not as it should be is a `ModelCorrupt` that names the entry."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self._path = path
        self._content = content

    def sidecar(self, folder: Path) -> Sidecar:
        family = self.text("family")
        if family not in FAMILIES:
            raise ModelUnsupported(f"{self._path}: family {family!r}; known are {', '.join(FAMILIES)}")
        size, grid = self.count("image_size"), self.count("grid")
        if size != CELL * grid:
            raise self.wrong("grid", f"is {grid}, a picture of {size} has {size / CELL:g}")
        tokens = self.count("memory_tokens")
        if family != "edgetam" and tokens != grid * grid:
            raise self.wrong("memory_tokens", f"is {tokens}, a grid of {grid} has {grid * grid}")
        width, memory_width, mask_scale = self.widths()
        block = (CELL // mask_scale,) * 2
        mask = self.table("mask_downsample")
        return Sidecar(
            folder=folder,
            family=family,
            variant=self.text("variant"),
            image_size=size,
            grid=grid,
            memory_tokens=tokens,
            memory_slots=self.count("memory_slots"),
            pointer_slots=self.count("pointer_slots"),
            mean=self.numbers("mean", (3,)),
            std=self.positive("std", (3,)),
            no_mem_embed=self.numbers("no_mem_embed", (width,)),
            mask_weight=self.numbers("mask_downsample.weight", block, mask.get("weight")),
            mask_bias=float(self.numbers("mask_downsample.bias", (), mask.get("bias"))),
            no_object_score=float(self.numbers("no_object_score", ())),
            precision=self.by_graph("precision", PRECISIONS),
            weights=self.text("weights"),
            weights_licence=self.text("weights_licence"),
            sha256=self.by_graph("graphs"),
            set_id=self.text("set_id"),
            parity=self.table("parity") if "parity" in self._content else {},
            made_by=self.text("made_by"),
            width=width,
            memory_width=memory_width,
            mask_scale=mask_scale,
        )

    def widths(self) -> tuple[int, int, int]:
        """width, memory_width and mask_scale; folders of official models need not name them."""
        width = self.count("width") if "width" in self._content else _WIDTH
        memory = self.count("memory_width") if "memory_width" in self._content else _MEMORY_WIDTH
        scale = self.count("mask_scale") if "mask_scale" in self._content else _MASK_SCALE
        if width % memory:
            raise self.wrong("memory_width", f"is {memory}, of which no pointer of {width} is made")
        if scale > CELL or CELL % scale:
            raise self.wrong("mask_scale", f"is {scale}, no divisor of {CELL}")
        return width, memory, scale

    def text(self, name: str) -> str:
        value = self._content.get(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, f"is {_short(value)}, no text")
        return value

    def count(self, name: str) -> int:
        value = self._content.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 20:
            raise self.wrong(name, f"is {_short(value)}, no count")
        return value

    def table(self, name: str) -> Mapping[str, Any]:
        value = self._content.get(name)
        if not isinstance(value, dict):
            raise self.wrong(name, f"is {_short(value)}, no object")
        return value

    def numbers(self, name: str, shape: tuple[int, ...], value: Any = None) -> _F32:
        value = self._content.get(name) if value is None else value
        try:
            found = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise self.wrong(name, "holds what is no number") from None
        if found.shape != shape or not np.isfinite(found).all():
            raise self.wrong(name, f"is not of shape {shape}, or not finite")
        return found.astype(np.float32)

    def positive(self, name: str, shape: tuple[int, ...]) -> _F32:
        found = self.numbers(name, shape)
        if not (found > 0).all():
            raise self.wrong(name, "has to be positive")
        return found

    def by_graph(self, name: str, allowed: tuple[str, ...] = ()) -> Mapping[str, str]:
        found = self.table(name)
        if set(found) != set(GRAPHS):
            raise self.wrong(name, f"has to name exactly {', '.join(GRAPHS)}")
        for graph, value in found.items():
            if not isinstance(value, str) or (allowed and value not in allowed):
                raise self.wrong(f"{name}.{graph}", f"is {_short(value)}")
        return dict(found)

    def wrong(self, name: str, what: str) -> ModelCorrupt:
        return ModelCorrupt(f"{self._path}: {name} {what}; export the folder again")


def _short(value: Any) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
