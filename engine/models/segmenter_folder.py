"""Which folder a segmenter is in: a path, or a name that is looked up where models live.

Knows folders and names; what is in a folder `engine.models.sam2_sidecar` reads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.errors import ModelNotFound
from engine.models import sam2_sidecar
from engine.models.registry import cache_dir, model_folders
from engine.registry import nearest


def find_segmenter(name_or_path: str, environ: Mapping[str, str] | None = None) -> Path:
    """The folder of a segmenter: a path, or NAME in a folder of $ENGINE_MODELS or in the cache.

    Raises `ModelNotFound`, whose message says how to make one. What is in the folder is not looked at.
    """
    path = Path(name_or_path).expanduser()
    if os.sep in name_or_path or path.is_dir():
        if path.is_dir():
            return path
        raise ModelNotFound(f"segmenter {name_or_path}: there is no such folder (looked from {os.getcwd()})")
    folders = [*model_folders(environ), cache_dir(environ)]
    for folder in folders:
        if sam2_sidecar.is_segmenter(folder / name_or_path):
            return folder / name_or_path
    target = folders[0] / name_or_path
    raise ModelNotFound(
        f"segmenter {name_or_path!r} is neither a folder nor in {', '.join(map(str, folders))}"
        f"{nearest(name_or_path, known_segmenters(environ))}; make it from a checkpoint: "
        f"tools/export_onnx.py sam2 CHECKPOINT --size {_size_in(name_or_path)} --out {target} (docs/export.md)"
    )


def known_segmenters(environ: Mapping[str, str] | None = None) -> list[str]:
    """Names of the segmenters in $ENGINE_MODELS and in the cache."""
    folders = [folder for folder in (*model_folders(environ), cache_dir(environ)) if folder.is_dir()]
    return sorted(
        {entry.name for folder in folders for entry in folder.iterdir() if sam2_sidecar.is_segmenter(entry)}
    )


def _size_in(name: str) -> str:
    """The size of the picture that a name like `edgetam_512` or `sam2.1_small_1024_fp16` speaks of."""
    return next((part for part in name.split("_") if part.isdecimal()), "512")
