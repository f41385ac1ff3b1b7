"""The registry file: what ships is whole, and every mistake in one is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.models import entries
from engine.models.entries import REIDENTIFICATION, load_registry
from engine.models.reid_heads import PIXELS

GOOD = """
[labels]
two = ["person", "car"]

[family.plain]
licence = "MIT"
labels = "two"
pre = "in"
post = "out"

[model.tiny]
family = "plain"
what = "for tests"
input = [640, 384]
url = "https://example.org/tiny.onnx"
sha256 = "{sha256}"
bytes = 12
""".replace("{sha256}", "ab" * 32)


def test_the_registry_that_ships_is_whole() -> None:
    registry = load_registry()
    assert {"yolox_nano", "yolox_tiny", "yolox_s", "yolov8n", "yolo11n", "yolo26n"} <= registry.keys()
    for name, entry in registry.items():
        assert entry.name == name
        assert entry.file_name == f"{name}.onnx"
        if entry.kind == REIDENTIFICATION:
            assert entry.pixels in PIXELS and entry.labels == () and entry.licence == "Apache-2.0"
            continue
        assert entry.url.endswith(f"/{name}.onnx")
        assert len(entry.labels) == len(set(entry.labels)) == 80
        assert entry.labels[0] == "person"
        assert entry.licence in ("Apache-2.0", "AGPL-3.0")
    assert len({entry.sha256 for entry in registry.values()}) == len(registry)
    nano = registry["yolox_nano"]
    assert (nano.size_bytes, nano.input_size, nano.licence) == (3659407, (416, 416), "Apache-2.0")


def test_an_entry_takes_what_its_family_has(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(GOOD)
    entry = load_registry(path)["tiny"]
    assert entry.labels == ("person", "car")
    assert (entry.family, entry.licence, entry.pre, entry.post) == ("plain", "MIT", "in", "out")
    assert (entry.input_size, entry.size_bytes) == ((640, 384), 12)


BAD = [
    ("[model.tiny]", "[modle.tiny]", "unknown section 'modle' (did you mean 'model'?)"),
    ("bytes = 12", "byte = 12", "model.tiny: unknown key 'byte' (did you mean 'bytes'?)"),
    ("bytes = 12", "", "model.tiny.bytes is missing"),
    ("bytes = 12", "bytes = 0", "model.tiny.bytes must be a whole number from 1 to 1e+12, found 0"),
    ("bytes = 12", "bytes = '12'", "model.tiny.bytes must be a whole number from 1 to 1e+12, found '12'"),
    ("input = [640, 384]", "", "model.tiny.input must be [width, height] in pixels, found None"),
    ("[640, 384]", "[640]", "model.tiny.input must be [width, height] in pixels, found [640]"),
    ("[640, 384]", "[640, -1]", "model.tiny.input must be [width, height] in pixels, found [640, -1]"),
    ("ab" * 32, "AB" * 32, f"model.tiny.sha256 must be 64 small hexadecimal digits, found '{'AB' * 32}'"),
    ("ab" * 32, "", "model.tiny.sha256 must be a line of text, not empty, found ''"),
    ("https://ex", "http://ex", "model.tiny.url must be an https URL, found 'http://example.org/tiny.onnx'"),
    ('"plain"', '"plane"', "model.tiny: unknown family 'plane' (did you mean 'plain'?)"),
    ('labels = "two"', 'labels = "tow"', "family.plain: unknown list of labels 'tow' (did you mean 'two'?)"),
    ('["person", "car"]', '["person", 1]', "labels.two must be a list of texts, found ['person', 1]"),
    ('pre = "in"', "", "family.plain.pre is missing"),
    ("[model.tiny]", "[model.motion]",
     "model.motion: 'motion' cannot name a model; use small letters, digits and '_.-'"),
    ("[model.tiny]", '[model."a/b"]', "model.a/b: 'a/b' cannot name a model; use small letters, digits and '_.-'"),
    ("[model.tiny]", "[model]\ntiny = 3\n[other]", "unknown section 'other'; use one of: family, labels, model"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "message"), BAD)
def test_a_mistake_is_named_with_file_entry_and_key(
    tmp_path: Path, good: str, bad: str, message: str
) -> None:
    assert good in GOOD
    path = tmp_path / "models.toml"
    path.write_text(GOOD.replace(good, bad))
    with pytest.raises(ConfigError) as caught:
        load_registry(path)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = 3", "model must be a section, found 3"),
        ("[model]\ntiny = 3", "model.tiny must be a section, found 3"),
    ],
)
def test_something_else_than_a_section_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_registry(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_family_for_reidentification_says_how_pixels_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    other = GOOD.replace('labels = "two"', 'kind = "re-identification"\npixels = "bgr-255"')
    path.write_text(other)
    entry = load_registry(path)["tiny"]
    assert (entry.kind, entry.pixels, entry.labels) == (REIDENTIFICATION, "bgr-255", ())
    for wrong, right, complaint in (
        ('pixels = "bgr-255"', "", "family.plain.pixels is missing"),
        ('"bgr-255"', '"bgr"', "family.plain.pixels must be one of 'rgb-imagenet'"),
        ('"re-identification"', '"reid"', "family.plain.kind must be one of 'detection'"),
    ):
        path.write_text(other.replace(wrong, right))
        with pytest.raises(ConfigError, match=re.escape(complaint)):
            load_registry(path)


def test_every_way_of_scaling_has_a_name() -> None:
    assert tuple(PIXELS) == entries.PIXELS
