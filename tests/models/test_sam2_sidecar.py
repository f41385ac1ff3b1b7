"""The file that describes a segmenter: what is read of it, and what is refused and why."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ModelCorrupt, ModelError, ModelNotFound, ModelUnsupported
from engine.models.sam2_sidecar import FILE_NAME, GRAPHS, SCHEMA, SET_ID_KEY, Sidecar, is_segmenter, load

CONTENT: dict[str, Any] = {
    "schema": SCHEMA, "family": "sam2.1", "variant": "tiny", "image_size": 256, "grid": 16, "memory_tokens": 256,
    "memory_slots": 7, "pointer_slots": 16, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
    "no_mem_embed": [0.5] * 256, "mask_downsample": {"weight": [[0.1] * 4] * 4, "bias": -0.5},
    "no_object_score": -1024.0, "precision": dict.fromkeys(GRAPHS, "fp32"), "weights": "random:0",
    "weights_licence": "none: random numbers", "set_id": "abc", "parity": {"clip": 1.0}, "made_by": "a test",
    "graphs": {graph: hashlib.sha256(graph.encode()).hexdigest() for graph in GRAPHS},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sound sidecar, and files that are what it says."""
    return write(tmp_path / "model", CONTENT)


def write(folder: Path, content: Any) -> Path:
    folder.mkdir()
    for graph in GRAPHS:
        (folder / f"{graph}.onnx").write_bytes(graph.encode())
    (folder / FILE_NAME).write_text(json.dumps(content))
    return folder


def test_what_it_says_is_read(folder: Path) -> None:
    sidecar = load(folder, checksums=True)
    assert (sidecar.family, sidecar.variant, sidecar.image_size, sidecar.grid) == ("sam2.1", "tiny", 256, 16)
    assert sidecar.mask_side == 64 and sidecar.path("mask_decoder") == folder / "mask_decoder.onnx"
    assert sidecar.no_mem_embed.shape == (256,) and sidecar.no_mem_embed.dtype == np.float32
    assert sidecar.mask_weight.shape == (4, 4) and sidecar.mask_bias == -0.5
    assert sidecar.parity == {"clip": 1.0} and sidecar.precision["image_encoder"] == "fp32"
    assert is_segmenter(folder) and not is_segmenter(folder.parent)


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("schema", "camring.segmenter/2", ModelUnsupported, "this version reads"),
        ("schema", None, ModelUnsupported, "schema None"),
        ("family", "sam3", ModelUnsupported, "known are sam2.1, sam2, edgetam"),
        ("family", 3, ModelCorrupt, "family is 3"),
        ("image_size", 512, ModelCorrupt, "a picture of 512 has 32"),
        ("image_size", "256", ModelCorrupt, "image_size is '256'"),
        ("image_size", True, ModelCorrupt, "no count"),
        ("memory_tokens", 512, ModelCorrupt, "a grid of 16 has 256"),
        ("memory_slots", 0, ModelCorrupt, "memory_slots is 0"),
        ("mean", [0.5, 0.5], ModelCorrupt, "mean is not of shape (3,)"),
        ("mean", [0.5, 0.5, float("nan")], ModelCorrupt, "not finite"),
        ("mean", ["a", "b", "c"], ModelCorrupt, "holds what is no number"),
        ("std", [0.2, 0.0, 0.2], ModelCorrupt, "has to be positive"),
        ("width", 0, ModelCorrupt, "width is 0"),
        ("width", 128, ModelCorrupt, "no_mem_embed is not of shape (128,)"),
        ("memory_width", 48, ModelCorrupt, "is 48, of which no pointer of 256 is made"),
        ("mask_scale", 3, ModelCorrupt, "mask_scale is 3, no divisor of 16"),
        ("mask_scale", 32, ModelCorrupt, "mask_scale is 32, no divisor of 16"),
        ("mask_scale", 8, ModelCorrupt, "mask_downsample.weight is not of shape (2, 2)"),
        ("no_mem_embed", [0.0] * 255, ModelCorrupt, "no_mem_embed is not of shape (256,)"),
        ("no_mem_embed", [[0.0] * 255, 1], ModelCorrupt, "no_mem_embed holds what is no number"),
        ("mask_downsample", {"weight": [[0.1] * 4] * 4}, ModelCorrupt, "mask_downsample.bias"),
        ("mask_downsample", [1], ModelCorrupt, "no object"),
        ("precision", dict.fromkeys(GRAPHS, "fp8"), ModelCorrupt, "precision.image_encoder is 'fp8'"),
        ("precision", {"image_encoder": "fp32"}, ModelCorrupt, "has to name exactly"),
        ("graphs", {}, ModelCorrupt, "graphs has to name exactly"),
        ("set_id", "", ModelCorrupt, "set_id is ''"),
        ("weights", None, ModelCorrupt, "weights is None"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, name: str, value: Any, error: type[ModelError], says: str
) -> None:
    content = copy.deepcopy(CONTENT)
    content[name] = value
    folder = write(tmp_path / "model", content)
    with pytest.raises(error) as caught:
        load(folder)
    message = str(caught.value)
    assert says in message and str(folder / FILE_NAME) in message and "\n" not in message


def test_folders_of_official_models_need_not_name_their_widths(folder: Path, tmp_path: Path) -> None:
    plain = load(folder)
    assert (plain.width, plain.memory_width, plain.mask_scale, plain.pointer_tokens) == (256, 64, 4, 4)
    changes: dict[str, Any] = {
        "width": 128, "memory_width": 64, "mask_scale": 8, "no_mem_embed": [0.5] * 128,
        "mask_downsample": {"weight": [[0.1] * 2] * 2, "bias": -0.5},
    }  # fmt: skip
    nano = load(write(tmp_path / "nano", copy.deepcopy(CONTENT) | changes))
    assert (nano.mask_side, nano.pointer_tokens, nano.no_mem_embed.shape) == (128, 2, (128,))


def test_edgetam_remembers_the_same_number_of_tokens_at_any_size(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT) | {"family": "edgetam", "memory_tokens": 512}
    assert load(write(tmp_path / "model", content)).memory_tokens == 512


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "<html>", "[" * 100_000])
def test_a_file_that_is_no_sidecar(folder: Path, text: str) -> None:
    (folder / FILE_NAME).write_text(text)
    with pytest.raises(ModelCorrupt, match=r"no JSON|holds no object"):
        load(folder)


def test_a_file_that_is_too_large(folder: Path) -> None:
    (folder / FILE_NAME).write_bytes(b" " * (9 << 20))
    with pytest.raises(ModelCorrupt, match="larger than"):
        load(folder)


def without_sidecar(folder: Path) -> Path:
    (folder / FILE_NAME).unlink()
    return folder


def without_graph(folder: Path) -> Path:
    (folder / "memory_encoder.onnx").unlink()
    return folder


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: folder / "nowhere", "no such folder"),
        (lambda folder: folder / FILE_NAME, "is a file; name the folder"),
        (without_sidecar, "is no segmenter"),
        (without_graph, "memory_encoder.onnx: missing; a segmenter is whole"),
    ],
)
def test_what_is_not_there(folder: Path, spoil: Callable[[Path], Path], says: str) -> None:
    with pytest.raises(ModelNotFound, match=says):
        load(spoil(folder))


def test_a_changed_graph_is_found_where_checksums_are_wanted(folder: Path) -> None:
    (folder / "mask_decoder.onnx").write_bytes(b"another")
    load(folder)
    with pytest.raises(
        ModelCorrupt, match=r"mask_decoder\.onnx: its SHA-256 is .*damaged, or of another export"
    ):
        load(folder, checksums=True)


def test_graphs_of_another_set_are_refused(folder: Path) -> None:
    sidecar: Sidecar = load(folder)
    sidecar.check_set_id("mask_decoder", {SET_ID_KEY: "abc", "other": "x"})
    with pytest.raises(ModelCorrupt, match="belongs to set xyz, the folder's is abc"):
        sidecar.check_set_id("mask_decoder", {SET_ID_KEY: "xyz"})
    with pytest.raises(ModelCorrupt, match="says of no set"):
        sidecar.check_set_id("mask_decoder", {})
