"""Folders of embedded models for tests of the lookup: files with right checksums that nobody runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from engine.models.embedded import CHECKSUMS, EMBEDDED_DETECTOR, EMBEDDED_SEGMENTER
from engine.models.sam2_sidecar import FILE_NAME, GRAPHS, SCHEMA

_SIDECAR = {
    "schema": SCHEMA, "family": "sam2.1", "variant": "tiny", "image_size": 256, "grid": 16, "memory_tokens": 256,
    "memory_slots": 7, "pointer_slots": 16, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
    "no_mem_embed": [0.5] * 256, "mask_downsample": {"weight": [[0.1] * 4] * 4, "bias": -0.5},
    "no_object_score": -1024.0, "precision": dict.fromkeys(GRAPHS, "fp32"), "weights": "random:0",
    "weights_licence": "none: random numbers", "set_id": "abc", "parity": {}, "made_by": "a test",
    "graphs": {graph: hashlib.sha256(graph.encode()).hexdigest() for graph in GRAPHS},
}  # fmt: skip


def write_segmenter(folder: Path) -> Path:
    """A folder that passes for a segmenter until it is loaded."""
    folder.mkdir(parents=True)
    for graph in GRAPHS:
        (folder / f"{graph}.onnx").write_bytes(graph.encode())
    (folder / FILE_NAME).write_text(json.dumps(_SIDECAR))
    return folder


def write_embedded(folder: Path, segmenter: Path | None = None) -> Path:
    """A folder with both embedded models and their checksums; `segmenter`: a real one that is taken."""
    if segmenter is None:
        write_segmenter(folder / EMBEDDED_SEGMENTER)
    else:
        shutil.copytree(segmenter, folder / EMBEDDED_SEGMENTER)
    (folder / f"{EMBEDDED_DETECTOR}.onnx").write_bytes(b"a detector")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n" for path in files
    ]
    (folder / CHECKSUMS).write_text("".join(lines))
    return folder
