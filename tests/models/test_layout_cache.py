"""What was measured is found again, by what it holds for; whatever is damaged counts as not measured."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engine.models.layout import Bounds, Layout, Measured
from engine.models.layout_cache import LayoutCache, layout_key

TABLE = [Measured(Layout(2, 1), 113.0, 0.017), Measured(Layout(1, 2, 4), 61.0, 0.016)]


def test_a_table_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "layouts.json"
    LayoutCache(path).store("key", TABLE)
    LayoutCache(path).store("other", TABLE[:1])
    assert LayoutCache(path).find("key") == TABLE
    assert LayoutCache(path).find("other") == TABLE[:1]
    assert LayoutCache(path).find("third") == []
    assert os.listdir(path.parent) == ["layouts.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff\xfe", b'{"key": 1}', b'{"key": [[1, 2]]}', b'{"key": [[1, 2, 1, "x", 1.0]]}',
        b'{"key": [[0, 1, 1, 1.0, 1.0]]}', b'{"key": [["a", 1, 1, 1.0, 1.0]]}', b'{"key": [[1.5, 1, 1, 1.0, 1.0]]}',
        b'{"key": [[true, 1, 1, 1.0, 1.0]]}', b'{"key": [null]}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_file_is_measured_again_and_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "layouts.json"
    path.write_bytes(content)
    assert LayoutCache(path).find("key") == []
    LayoutCache(path).store("key", TABLE)
    assert LayoutCache(path).find("key") == TABLE


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = LayoutCache(tmp_path / "file" / "layouts.json")
    cache.store("key", TABLE)
    assert cache.find("key") == []
    LayoutCache(None).store("key", TABLE)
    assert LayoutCache(None).find("key") == []


def test_the_file_is_replaced_and_never_half_written(tmp_path: Path) -> None:
    path = tmp_path / "layouts.json"
    LayoutCache(path).store("key", TABLE)
    with path.open("rb") as reader:
        before = path.read_bytes()
        LayoutCache(path).store("other", TABLE)
        assert reader.read() == before  # who reads meanwhile has the whole old file


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "layouts.json"
    path.write_text(json.dumps({f"old {number}": [] for number in range(1000)}))
    LayoutCache(path).store("key", TABLE)
    assert len(json.loads(path.read_text())) <= 200
    assert LayoutCache(path).find("key") == TABLE


def test_a_key_holds_for_one_file_runtime_and_choice(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"one")
    os.utime(model, ns=(1, 1))
    key = layout_key(model, "ort-cpu", "ONNX Runtime 1", Bounds(cores=2))
    assert key == layout_key(model, "ort-cpu", "ONNX Runtime 1", Bounds(cores=2))
    others = [
        layout_key(model, "ort-openvino", "ONNX Runtime 1", Bounds(cores=2)),
        layout_key(model, "ort-cpu", "ONNX Runtime 2", Bounds(cores=2)),
        layout_key(model, "ort-cpu", "ONNX Runtime 1", Bounds(cores=4)),
        layout_key(model, "ort-cpu", "ONNX Runtime 1", Bounds(cores=2, frames=8)),
    ]
    os.utime(model, ns=(1, 2))
    others.append(layout_key(model, "ort-cpu", "ONNX Runtime 1", Bounds(cores=2)))
    assert len({key, *others}) == 6
    assert layout_key(tmp_path / "nowhere.onnx", "ort-cpu", "ONNX Runtime 1", Bounds()) == ""
