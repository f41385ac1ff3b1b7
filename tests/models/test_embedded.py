"""The models that come with the package: whole, or one line of what is broken."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.errors import ModelCorrupt, ModelError, ModelNotFound
from engine.models import sam2_sidecar
from engine.models.embedded import (
    CHECKSUMS,
    EMBEDDED,
    embedded_bytes,
    embedded_detector,
    embedded_folder,
    embedded_model,
    embedded_segmenter,
)
from tests.models.embedded_models import write_embedded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_embedded(tmp_path / "embedded")


def test_whole_models_are_found(folder: Path) -> None:
    assert embedded_detector(folder) == folder / "nano_det.onnx"
    assert embedded_segmenter(folder) == folder / "nano_sam"
    assert embedded_bytes("nano_det", folder) == len(b"a detector")
    assert embedded_bytes("nano_sam", folder) > 500


@pytest.mark.parametrize(
    ("name", "damage", "error", "said"),
    [
        ("nano_det", lambda folder: (folder / "nano_det.onnx").unlink(), ModelNotFound, "nano_det.onnx: No such file"),
        ("nano_det", lambda folder: (folder / "nano_det.onnx").write_text("x"), ModelCorrupt, "sha256"),
        ("nano_sam", lambda folder: (folder / "nano_sam" / "mask_decoder.onnx").unlink(), ModelNotFound, "decoder"),
        ("nano_sam", lambda folder: (folder / "nano_sam" / "segmenter.json").write_text("{}"), ModelCorrupt, "sha256"),
        ("nano_sam", lambda folder: (folder / CHECKSUMS).unlink(), ModelNotFound, "SHA256SUMS: No such file"),
        ("nano_det", lambda folder: (folder / CHECKSUMS).write_text(""), ModelCorrupt, "lists no file of it"),
        ("nano_det", lambda folder: (folder / CHECKSUMS).write_bytes(b"\xff\xfe"), ModelNotFound, "no text"),
    ],
)  # fmt: skip
def test_a_broken_installation_is_one_line(
    folder: Path, name: str, damage: object, error: type[ModelError], said: str
) -> None:
    assert callable(damage)
    damage(folder)
    with pytest.raises(error) as caught:
        embedded_model(name, folder)
    line = str(caught.value)
    assert line.startswith(f"embedded model {name}: ") and said in line and "\n" not in line
    assert line.endswith("the installation is broken; install camring again")


def test_damage_of_one_is_none_of_the_other(folder: Path) -> None:
    (folder / "nano_det.onnx").unlink()
    assert embedded_segmenter(folder) == folder / "nano_sam"


def test_what_is_committed_is_whole_listed_and_small() -> None:
    folder = embedded_folder()
    for name in EMBEDDED:
        embedded_model(name)
    sam2_sidecar.load(embedded_segmenter(), checksums=True)
    listed = {line.split(maxsplit=1)[1] for line in (folder / CHECKSUMS).read_text().splitlines()}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert listed == there - {CHECKSUMS}
    assert sum(embedded_bytes(name) for name in EMBEDDED) <= 10e6
    # As people check it.
    subprocess.run(["sha256sum", "--check", "--quiet", CHECKSUMS], cwd=folder, check=True)
