"""The models that come with the package, and what they may stand in for.

A detector for persons and a small SAM 2, trained by `tools/train_nano.py` from pictures that the project makes itself
(docs/model_card.md). Knows the files and their checksums; neither registries nor networks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import ModelCorrupt, ModelNotFound

EMBEDDED_DETECTOR = "nano_det"
EMBEDDED_SEGMENTER = "nano_sam"
EMBEDDED = (EMBEDDED_DETECTOR, EMBEDDED_SEGMENTER)
LICENCE = "Apache-2.0"
"""Of the weights, as of the code that has made them."""
CHECKSUMS = "SHA256SUMS"
"""Beside the models, as `sha256sum nano_det.onnx nano_sam/*` writes it."""
WHAT = {
    EMBEDDED_DETECTOR: "finds persons only; comes with the package",
    EMBEDDED_SEGMENTER: "SAM 2 in small, follows persons; comes with the package",
}
FOR = {EMBEDDED_DETECTOR: "detection", EMBEDDED_SEGMENTER: "segmentation"}
INPUT = {EMBEDDED_DETECTOR: "448x256", EMBEDDED_SEGMENTER: "256x256"}
LIMITS = {
    EMBEDDED_DETECTOR: "it finds persons only",
    EMBEDDED_SEGMENTER: "its masks are coarser, and it knows persons best",
}
"""What is to be said where one stands in for a better model."""


def embedded_folder() -> Path:
    """Where the models are, in the repository as in an installed package."""
    return Path(__file__).with_name("embedded")


@dataclass(frozen=True, slots=True)
class StandIn:
    """What may take the place of a known model that cannot be had.

    name    an embedded model, or `motion` for a detector; "" = nothing: that it cannot be had is an error then
    folder  of the embedded models
    """

    name: str = ""
    folder: Path = field(default_factory=embedded_folder)


def embedded_detector(folder: Path | None = None) -> Path:
    """The detector's ONNX file, checked. Raises `ModelNotFound` or `ModelCorrupt` for a broken installation."""
    return embedded_model(EMBEDDED_DETECTOR, folder)


def embedded_segmenter(folder: Path | None = None) -> Path:
    """The segmenter's folder, checked. Raises `ModelNotFound` or `ModelCorrupt` for a broken installation."""
    return embedded_model(EMBEDDED_SEGMENTER, folder)


def embedded_model(name: str, folder: Path | None = None) -> Path:
    """File or folder of an embedded model, every file of it compared with its checksum: some 20 ms.

    Raises `ModelNotFound` or `ModelCorrupt`, with what is wrong and what to do.
    """
    folder = folder or embedded_folder()
    for path, expected in _files(name, folder).items():
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelNotFound(_broken(name, f"{path}: {error.strerror}")) from error
        if found != expected:
            raise ModelCorrupt(_broken(name, f"{path}: sha256 {found[:12]}…, not {expected[:12]}…"))
    return folder / (f"{name}.onnx" if name == EMBEDDED_DETECTOR else name)


def embedded_bytes(name: str, folder: Path | None = None) -> int:
    """Size of all files of an embedded model that are there. Raises as `embedded_model` where they are not listed."""
    return sum(path.stat().st_size for path in _files(name, folder or embedded_folder()) if path.is_file())


def _files(name: str, folder: Path) -> dict[Path, str]:
    """The files of a model and their checksums, as listed. Raises `ModelNotFound`, `ModelCorrupt`."""
    path = folder / CHECKSUMS
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "no text"
        raise ModelNotFound(_broken(name, f"{path}: {what}")) from error
    files = {}
    for line in lines:
        expected, _, listed = line.partition(" ")
        listed = listed.lstrip(" *")
        if listed == f"{name}.onnx" or listed.startswith(f"{name}/"):
            files[folder / listed] = expected
    if not files:
        raise ModelCorrupt(_broken(name, f"{path}: lists no file of it"))
    return files


def _broken(name: str, what: str) -> str:
    return f"embedded model {name}: {what}: the installation is broken; install camring again"
