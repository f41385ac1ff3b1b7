"""Which folder a segmenter is in: a path, or a name that is looked up where models live, or what stands in for it.

Knows folders and names; what is in a folder `engine.models.sam2_sidecar` reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelError, ModelNotFound, ModelUnsupported
from engine.models import sam2_sidecar
from engine.models.embedded import (
    EMBEDDED_DETECTOR,
    EMBEDDED_SEGMENTER,
    LIMITS,
    StandIn,
    embedded_folder,
    embedded_segmenter,
)
from engine.models.registry import cache_dir, model_folders
from engine.registry import nearest

_KNOWN = re.compile(r"(edgetam|sam2(\.1)?_(tiny|small|base\+|large))_\d+(_[a-z0-9-]+)*")
"""Names as docs/export.md gives them: family, variant, side of the picture, and what was done to it."""


@dataclass(frozen=True, slots=True)
class ResolvedSegmenter:
    """Which folder a segmenter is in, and why.

    degraded  which one stands in for which and why, in one line; "" where it is the one that was asked for
    """

    folder: Path
    name: str
    reason: str
    degraded: str = ""


def resolve_segmenter(
    name_or_path: str, environ: Mapping[str, str] | None = None, *, stand_in: StandIn | None = None
) -> ResolvedSegmenter:
    """The segmenter of this name or path, its sidecar read once; where it cannot be had, what stands in for it.

    stand_in  what takes the place of a segmenter with a name as documents give them; None = nothing

    Raises `ModelNotFound`, `ModelCorrupt` or `ModelUnsupported` for what cannot be had: a path and a name of one's own
    always, since nobody wants another model than the one that he has named so.
    """
    stand_in = stand_in or StandIn()
    folder: Path | None = None
    try:
        folder = find_segmenter(name_or_path, environ, stand_in.folder)
        sam2_sidecar.load(folder)
    except ModelError as error:
        if not stand_in.name or not _KNOWN.fullmatch(name_or_path):
            raise
        why = f"cannot be used ({error})" if folder else "is in no folder of models"
        return _standing_in(name_or_path, stand_in, f"{name_or_path} {why}")
    if folder == stand_in.folder / EMBEDDED_SEGMENTER:
        return ResolvedSegmenter(folder, name_or_path, "comes with the package")
    place = "a folder" if _is_path(name_or_path) else f"found in {folder.parent}"
    return ResolvedSegmenter(folder, folder.name, place)


def segmenter_stand_in(*, require_model: bool, embedded: Path | None = None) -> StandIn:
    """What may stand in for a segmenter: the embedded one, or nothing where the model is required."""
    return StandIn("" if require_model else EMBEDDED_SEGMENTER, embedded or embedded_folder())


def _standing_in(name: str, stand_in: StandIn, why: str) -> ResolvedSegmenter:
    try:
        folder = embedded_segmenter(stand_in.folder)
        sam2_sidecar.load(folder)
    except ModelError as error:
        raise type(error)(f"{why}, and {error}") from error
    line = (
        f"embedded model {EMBEDDED_SEGMENTER} in use because {why}; {LIMITS[EMBEDDED_SEGMENTER]}; docs/export.md "
        f"says how to make {name}"
    )
    return ResolvedSegmenter(folder, EMBEDDED_SEGMENTER, f"stands in for {name}", line)


def _is_path(name_or_path: str) -> bool:
    return os.sep in name_or_path or Path(name_or_path).expanduser().is_dir()


def find_segmenter(
    name_or_path: str, environ: Mapping[str, str] | None = None, embedded: Path | None = None
) -> Path:
    """The folder of a segmenter: a path, or NAME in a folder of $ENGINE_MODELS, in the cache, or with the package.

    embedded  folder of embedded models, None = the package's

    Raises `ModelNotFound`, whose message says how to make one, and as `embedded_segmenter`. What is in the folder is
    not looked at.
    """
    path = Path(name_or_path).expanduser()
    if _is_path(name_or_path):
        if path.is_dir():
            return path
        raise ModelNotFound(f"segmenter {name_or_path}: there is no such folder (looked from {os.getcwd()})")
    if name_or_path == EMBEDDED_DETECTOR:
        raise ModelUnsupported(
            f"segmenter {name_or_path!r}: a detector; it belongs under infer.model, and finds boxes, no masks"
        )
    folders = [*model_folders(environ), cache_dir(environ)]
    for folder in folders:
        if sam2_sidecar.is_segmenter(folder / name_or_path):
            return folder / name_or_path
    if name_or_path == EMBEDDED_SEGMENTER:
        return embedded_segmenter(embedded)
    target = folders[0] / name_or_path
    raise ModelNotFound(
        f"segmenter {name_or_path!r} is neither a folder nor in {', '.join(map(str, folders))}"
        f"{nearest(name_or_path, known_segmenters(environ))}; make it from a checkpoint: "
        f"tools/export_onnx.py sam2 CHECKPOINT --size {_size_in(name_or_path)} --out {target} (docs/export.md)"
    )


def known_segmenters(environ: Mapping[str, str] | None = None) -> list[str]:
    """Names of the segmenters in $ENGINE_MODELS and in the cache, and of the embedded one."""
    folders = [folder for folder in (*model_folders(environ), cache_dir(environ)) if folder.is_dir()]
    found = {
        entry.name for folder in folders for entry in folder.iterdir() if sam2_sidecar.is_segmenter(entry)
    }
    return sorted(found | {EMBEDDED_SEGMENTER})


def is_known_segmenter(name: str, environ: Mapping[str, str] | None = None) -> bool:
    """Whether this is a segmenter's name: one that is there, or one as documents give them."""
    return name in known_segmenters(environ) or _KNOWN.fullmatch(name) is not None


def _size_in(name: str) -> str:
    """The size of the picture that a name like `edgetam_512` or `sam2.1_small_1024_fp16` speaks of."""
    return next((part for part in name.split("_") if part.isdecimal()), "512")
