"""Models by name: where a model's file is looked for, and what is said where there is none.

Knows names, checksums and folders; not what is in a model file, and not the network (see `fetch`).
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ModelCorrupt, ModelError, ModelNotFound, ModelUnsupported
from engine.models.embedded import (
    EMBEDDED_DETECTOR,
    EMBEDDED_SEGMENTER,
    LIMITS,
    StandIn,
    embedded_detector,
)
from engine.models.entries import DETECTION, REIDENTIFICATION, WITHOUT_FILE, ModelEntry, load_registry
from engine.registry import nearest

if TYPE_CHECKING:
    from engine.models.fetch import Patience, Progress


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """Which file a model is, and why. `path` is None for the detector without weights.

    entry     where the file or its name is one of the registry
    degraded  which model stands in for which and why, in one line; "" where it is the one that was asked for
    """

    path: Path | None
    name: str
    entry: ModelEntry | None
    reason: str
    degraded: str = ""


def cache_dir(environ: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Where fetched models are kept."""
    variables = os.environ if environ is None else environ
    home = Path(variables.get("HOME") or Path.home())
    cache = Path(variables.get("XDG_CACHE_HOME", ""))
    # The XDG specification wants relative paths ignored.
    if not cache.is_absolute():
        cache = home / "Library" / "Caches" if platform == "darwin" else home / ".cache"
    return cache / "camring" / "models"


def model_folders(environ: Mapping[str, str] | None = None) -> list[Path]:
    """The folders of $ENGINE_MODELS, in order, separated as in $PATH."""
    variables = os.environ if environ is None else environ
    listed = variables.get("ENGINE_MODELS", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in listed if folder.strip()]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal. Raises `ModelError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"model {path}: cannot be read: {error.strerror}") from error


def is_intact(path: Path, entry: ModelEntry) -> bool:
    """Whether there is a file with the size and the checksum of the entry."""
    return (
        os.path.isfile(path) and path.stat().st_size == entry.size_bytes and sha256_of(path) == entry.sha256
    )


def local_files(name: str, environ: Mapping[str, str] | None = None) -> list[Path]:
    """All files of this name, intact or not: those in $ENGINE_MODELS, then the one in the cache."""
    folders = [*model_folders(environ), cache_dir(environ)]
    return [path for folder in folders if os.path.isfile(path := folder / f"{name}.onnx")]


def find_local(
    name: str, entry: ModelEntry | None, environ: Mapping[str, str] | None = None
) -> ResolvedModel | None:
    """The model in $ENGINE_MODELS or the cache; None if it is in neither. Looks at no network.

    A file of another checksum in $ENGINE_MODELS is taken, because someone put it there; in the cache only an
    intact one counts.
    """
    for path in local_files(name, environ):
        intact = entry is None or is_intact(path, entry)
        if path.parent == cache_dir(environ):
            return ResolvedModel(path, name, entry, "found in the cache") if intact else None
        note = "" if intact else "; it is not the file of the registry, but used as it is"
        return ResolvedModel(path, name, entry, f"found in $ENGINE_MODELS{note}")
    return None


def resolve_model(
    name_or_path: str,
    environ: Mapping[str, str] | None = None,
    registry: Mapping[str, ModelEntry] | None = None,
    progress: Progress | None = None,
    *,
    kind: str = DETECTION,
    stand_in: StandIn | None = None,
) -> ResolvedModel:
    """The file of a model: a path, or a name that is looked for in $ENGINE_MODELS, then in the cache.

    kind      what it is for: `detection` or `re-identification`
    stand_in  what takes the place of a registered detector that cannot be had; None = nothing

    A name of the registry that is in neither is fetched into the cache; where something may stand in for it, a bad
    network is given up within seconds. Raises `ModelNotFound` if there is no such file or name, or if it cannot be
    fetched and nothing stands in (the message says which file to put where), `ModelCorrupt` if what was fetched is not
    the registered file, or an embedded one is damaged, and `ModelError` if it cannot be stored.
    Raises `ModelUnsupported` where the registry knows that file or name as a model of another kind.
    """
    if name_or_path == WITHOUT_FILE and kind == DETECTION:
        return ResolvedModel(None, WITHOUT_FILE, None, "background subtraction needs no file")
    stand_in = stand_in or StandIn()
    known = load_registry() if registry is None else registry
    path = Path(name_or_path).expanduser()
    if os.path.isfile(path):
        registered = _registered(path, known)
        _check_kind(name_or_path, registered, kind)
        return ResolvedModel(path, path.stem, registered, "a file")
    if os.sep in name_or_path or path.suffix == ".onnx":
        found = (
            "it is a folder" if os.path.isdir(path) else f"there is no such file (looked from {os.getcwd()})"
        )
        raise ModelNotFound(f"model {name_or_path}: {found}")
    entry = known.get(name_or_path)
    _check_kind(name_or_path, entry, kind)
    local = find_local(name_or_path, entry, environ)
    if local is not None:
        return local
    if name_or_path == EMBEDDED_DETECTOR:
        return ResolvedModel(embedded_detector(stand_in.folder), name_or_path, None, "comes with the package")
    if entry is None:
        raise _unknown(name_or_path, known, kind)
    return _fetched(entry, cache_dir(environ), progress, stand_in if kind == DETECTION else StandIn())


def _fetched(entry: ModelEntry, folder: Path, progress: Progress | None, stand_in: StandIn) -> ResolvedModel:
    """A registered model from the network, or what stands in for it."""
    from engine.models.fetch import AT_START  # as in `fetch_entry`

    patience = AT_START if stand_in.name else None
    try:
        path = fetch_entry(entry, folder, progress, patience)
    except ModelError as error:
        if not stand_in.name:
            raise
        short = error.__cause__ if isinstance(error.__cause__, ModelError) else error
        return _standing_in(entry, stand_in, f"{entry.name} cannot be fetched ({short})")
    return ResolvedModel(path, entry.name, entry, f"fetched from {entry.url}")


def _standing_in(entry: ModelEntry, stand_in: StandIn, why: str) -> ResolvedModel:
    to_get_it = f"engine-models fetch {entry.name} tries again"
    if stand_in.name == WITHOUT_FILE:
        line = f"motion (background subtraction, no classes) in use because {why}; {to_get_it}"
        return ResolvedModel(None, WITHOUT_FILE, None, f"stands in for {entry.name}", line)
    try:
        path = embedded_detector(stand_in.folder)
    except ModelError as error:
        raise type(error)(f"{why}, and {error}") from error
    limits = "" if set(entry.labels) <= {"person"} else f"; {LIMITS[EMBEDDED_DETECTOR]}"
    line = f"embedded model {EMBEDDED_DETECTOR} in use because {why}{limits}; {to_get_it}"
    return ResolvedModel(path, EMBEDDED_DETECTOR, None, f"stands in for {entry.name}", line)


def _unknown(name: str, known: Mapping[str, ModelEntry], kind: str) -> ModelNotFound:
    of_kind = [other for other, one in known.items() if one.kind == kind]
    of_kind += [EMBEDDED_DETECTOR, WITHOUT_FILE] if kind == DETECTION else []
    hint, names = nearest(name, of_kind), ", ".join(sorted(of_kind)) or "none"
    return ModelNotFound(f"model {name!r} is neither a file nor a known name{hint}; known: {names}")


def registered_file(path: Path, registry: Mapping[str, ModelEntry] | None = None) -> ModelEntry | None:
    """The entry of the registry whose very file this is, if it is one. Raises as `load_registry` and `sha256_of`."""
    if not os.path.isfile(path):
        return None
    return _registered(path, load_registry() if registry is None else registry)


def _check_kind(name_or_path: str, entry: ModelEntry | None, kind: str) -> None:
    if name_or_path == EMBEDDED_SEGMENTER or (name_or_path == EMBEDDED_DETECTOR and kind != DETECTION):
        setting = "segment.model" if name_or_path == EMBEDDED_SEGMENTER else "infer.model"
        raise ModelUnsupported(f"model {name_or_path!r} is not for {kind}; it belongs under {setting}")
    if entry is None or entry.kind == kind:
        return
    setting = "reid.model" if entry.kind == REIDENTIFICATION else "infer.model"
    raise ModelUnsupported(
        f"model {name_or_path!r} is for {entry.kind}, not for {kind}; it belongs under {setting}"
    )


def _registered(path: Path, known: Mapping[str, ModelEntry]) -> ModelEntry | None:
    """The entry whose very file this is. Files of another size are told apart without reading them."""
    size = path.stat().st_size
    candidates = [entry for entry in known.values() if entry.size_bytes == size]
    digest = sha256_of(path) if candidates else ""
    return next((entry for entry in candidates if entry.sha256 == digest), None)


def fetch_entry(
    entry: ModelEntry, folder: Path, progress: Progress | None = None, patience: Patience | None = None
) -> Path:
    """Fetch a registered model into a folder unless it is there; returns its path.

    Raises `ModelNotFound` with what to put where if it cannot be had, `ModelCorrupt` if it is not the file.
    """
    # http.client and ssl take longer to import than everything else that `--help` needs.
    from engine.models.fetch import Wanted, fetch

    target = folder / entry.file_name
    try:
        fetch(Wanted(entry.url, entry.sha256, entry.size_bytes), target, progress, patience)
    except ModelCorrupt:
        raise
    except ModelNotFound as error:
        raise ModelNotFound(
            f"model {entry.name} could not be fetched ({error}): put {entry.file_name} "
            f"({entry.size_bytes} bytes, sha256 {entry.sha256}) from {entry.url} into {folder}, "
            f"or into a folder that ENGINE_MODELS names"
        ) from error
    return target


__all__ = [
    "DETECTION",
    "REIDENTIFICATION",
    "WITHOUT_FILE",
    "ModelEntry",
    "ResolvedModel",
    "cache_dir",
    "fetch_entry",
    "find_local",
    "is_intact",
    "load_registry",
    "local_files",
    "model_folders",
    "registered_file",
    "resolve_model",
    "sha256_of",
]
