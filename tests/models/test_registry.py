"""Finding a model: which place wins, and what is said where there is none."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import ModelCorrupt, ModelNotFound, ModelUnsupported
from engine.models.registry import (
    DETECTION,
    REIDENTIFICATION,
    ModelEntry,
    cache_dir,
    model_folders,
    registered_file,
    resolve_model,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.models.conftest import Site


@pytest.fixture
def entry(site: Site) -> ModelEntry:
    wanted = site.wanted
    return ModelEntry(
        "tiny", "plain", wanted.url, wanted.sha256, wanted.size_bytes, "MIT", "for tests", (4, 4), "", "", ("a",)
    )  # fmt: skip


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "mine").mkdir()
    (tmp_path / "yours").mkdir()
    folders = os.pathsep.join([str(tmp_path / "mine"), "", str(tmp_path / "yours"), str(tmp_path / "none")])
    return {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "ENGINE_MODELS": folders}


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_motion_needs_no_file() -> None:
    resolved = resolve_model("motion", {}, {})
    assert (resolved.path, resolved.entry) == (None, None)


def test_a_path_is_taken_as_it_is(tmp_path: Path, environ: dict[str, str], entry: ModelEntry) -> None:
    path = put(tmp_path / "my.onnx", b"anything")
    resolved = resolve_model(str(path), environ, {"tiny": entry})
    assert (resolved.path, resolved.name, resolved.entry) == (path, "my", None)


def test_a_path_to_a_registered_file_is_recognised_by_its_checksum(
    tmp_path: Path, environ: dict[str, str], entry: ModelEntry, site: Site
) -> None:
    path = put(tmp_path / "renamed.onnx", site.body)
    assert resolve_model(str(path), environ, {"tiny": entry}).entry is entry
    path.write_bytes(bytes(len(site.body)))
    assert resolve_model(str(path), environ, {"tiny": entry}).entry is None


def test_engine_models_comes_before_the_cache_before_the_network(
    tmp_path: Path, environ: dict[str, str], entry: ModelEntry, site: Site
) -> None:
    registry = {"tiny": entry}
    cached = tmp_path / "cache" / "camring" / "models" / "tiny.onnx"
    resolved = resolve_model("tiny", environ, registry)
    assert (resolved.path, resolved.entry, resolved.reason) == (cached, entry, f"fetched from {site.url}")
    assert cached.read_bytes() == site.body
    resolved = resolve_model("tiny", environ, registry)
    assert (resolved.path, resolved.entry, resolved.reason) == (cached, entry, "found in the cache")
    assert len(site.requests) == 1
    second = put(tmp_path / "yours" / "tiny.onnx", site.body)
    resolved = resolve_model("tiny", environ, registry)
    assert (resolved.path, resolved.reason) == (second, "found in $ENGINE_MODELS")
    first = put(tmp_path / "mine" / "tiny.onnx", b"own export")
    resolved = resolve_model("tiny", environ, registry)
    assert (resolved.path, resolved.entry) == (first, entry)
    assert resolved.reason == "found in $ENGINE_MODELS; it is not the file of the registry, but used as it is"


def test_a_name_that_is_not_registered_is_found_where_someone_put_it(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = put(tmp_path / "yours" / "own-model.onnx", b"x")
    resolved = resolve_model("own-model", environ, {})
    assert (resolved.path, resolved.name, resolved.entry) == (path, "own-model", None)


def test_a_damaged_file_in_the_cache_is_fetched_again(
    environ: dict[str, str], entry: ModelEntry, site: Site
) -> None:
    damaged = put(cache_dir(environ) / "tiny.onnx", site.body[:-1])
    assert resolve_model("tiny", environ, {"tiny": entry}).path == damaged
    assert damaged.read_bytes() == site.body


def test_where_the_network_says_no_it_is_said_what_to_put_where(
    tmp_path: Path, environ: dict[str, str], entry: ModelEntry, site: Site
) -> None:
    site.statuses = [403]
    with pytest.raises(ModelNotFound) as caught:
        resolve_model("tiny", environ, {"tiny": entry})
    assert str(caught.value) == (
        "model tiny could not be fetched (127.0.0.1: the server answers 403 Forbidden): put tiny.onnx "
        f"(300000 bytes, sha256 {entry.sha256}) from {site.url} into {tmp_path}/cache/camring/models, or into "
        "a folder that ENGINE_MODELS names"
    )


def test_another_file_behind_the_url_is_not_taken(
    environ: dict[str, str], entry: ModelEntry, site: Site
) -> None:
    site.body = bytes(len(site.body))
    with pytest.raises(ModelCorrupt, match="nothing was kept"):
        resolve_model("tiny", environ, {"tiny": entry})
    assert list(cache_dir(environ).iterdir()) == []


def test_unknown_names_hint_at_the_nearest(environ: dict[str, str], entry: ModelEntry) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve_model("tinny", environ, {"tiny": entry})
    assert str(caught.value) == (
        "model 'tinny' is neither a file nor a known name (did you mean 'tiny'?); known: motion, nano_det, tiny"
    )


def test_a_path_that_is_no_file_is_not_taken_for_a_name(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("gone.onnx", "a/b", "x" * 300 + ".onnx"):
        with pytest.raises(ModelNotFound) as caught:
            resolve_model(name, environ, {})
        assert str(caught.value) == f"model {name}: there is no such file (looked from {tmp_path})"
    with pytest.raises(ModelNotFound, match="it is a folder"):
        resolve_model(str(tmp_path), environ, {})


@pytest.mark.parametrize(
    ("environ", "platform", "folder"),
    [
        ({"HOME": "/home/me"}, "linux", "/home/me/.cache/camring/models"),
        ({"HOME": "/Users/me"}, "darwin", "/Users/me/Library/Caches/camring/models"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "/big"}, "linux", "/big/camring/models"),
        ({"HOME": "/Users/me", "XDG_CACHE_HOME": "/big"}, "darwin", "/big/camring/models"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "relative"}, "linux", "/home/me/.cache/camring/models"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": ""}, "linux", "/home/me/.cache/camring/models"),
    ],
)
def test_the_cache_is_where_the_system_keeps_caches(
    environ: dict[str, str], platform: str, folder: str
) -> None:
    assert cache_dir(environ, platform) == Path(folder)


def test_engine_models_may_be_unset() -> None:
    assert model_folders({}) == []


def test_models_for_something_else_are_kept_apart(tmp_path: Path) -> None:
    path, environ = tmp_path / "one" / "looks.onnx", {"ENGINE_MODELS": str(tmp_path / "one")}
    path.parent.mkdir()
    path.write_bytes(b"looks")
    digest = hashlib.sha256(b"looks").hexdigest()
    looks = ModelEntry(
        "looks", "f", "https://example.org/looks.onnx", digest, 5, "MIT", "w", (128, 256), "", "",
        kind=REIDENTIFICATION, pixels="bgr-255",
    )  # fmt: skip
    registry = {"looks": looks}
    for name_or_path in ("looks", str(path)):
        resolved = resolve_model(name_or_path, environ, registry, kind=REIDENTIFICATION)
        assert resolved.path == path and resolved.entry is looks
        with pytest.raises(
            ModelUnsupported, match="is for re-identification, not for detection; it belongs under reid"
        ):
            resolve_model(name_or_path, environ, registry)
    detector = replace(looks, kind=DETECTION)
    with pytest.raises(
        ModelUnsupported, match="is for detection, not for re-identification; it belongs under infer"
    ):
        resolve_model("looks", environ, {"looks": detector}, kind=REIDENTIFICATION)
    for name in ("motion", "lokks"):
        with pytest.raises(ModelNotFound, match=r"known: looks$"):
            resolve_model(name, environ, registry, kind=REIDENTIFICATION)
    assert registered_file(path, registry) is looks and registered_file(tmp_path / "none", registry) is None
