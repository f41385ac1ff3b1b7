"""`engine-models`, as typed: what it prints and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.models.cli import fetch_models, list_models, main, verify_embedded, verify_models
from engine.models.registry import ModelEntry
from tests.models.embedded_models import write_embedded

if TYPE_CHECKING:
    from tests.models.conftest import Site


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no other place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("ENGINE_MODELS", raising=False)
    return tmp_path / "camring" / "models"


def entry_of(site: Site, name: str) -> ModelEntry:
    return ModelEntry(
        name, "plain", site.url, site.wanted.sha256, len(site.body), "MIT", "for tests", (8, 4), "", "", ("a",)
    )  # fmt: skip


def test_list_fetch_verify_in_turn(
    tmp_path: Path, cache: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = {"tiny": entry_of(site, "tiny")}
    path = cache / "tiny.onnx"

    def printed() -> list[str]:
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    embedded = write_embedded(tmp_path / "embedded")
    assert list_models(registry, embedded) == 0
    assert printed() == [
        "NAME FOR MB LICENCE INPUT FILE WHAT",
        f"nano_det detection 0.0 Apache-2.0 448x256 embedded: {embedded}/nano_det.onnx finds persons only; comes with "
        "the package",
        f"nano_sam segmentation 0.0 Apache-2.0 256x256 embedded: {embedded}/nano_sam SAM 2 in small, follows persons; "
        "comes with the package",
        "tiny detection 0.3 MIT 8x4 not fetched for tests",
    ]
    assert verify_models(registry, []) == 0
    assert printed() == ["no model has been fetched"]
    assert verify_models(registry, ["tiny"]) == 1
    assert printed() == ["tiny: not fetched; engine-models fetch tiny"]
    assert fetch_models(list(registry.values()), cache) == 0
    assert printed() == [f"tiny: {path} (300000 bytes, checksum right, licence MIT)"]
    assert list_models(registry, embedded) == 0
    assert printed()[3] == f"tiny detection 0.3 MIT 8x4 {path} for tests"
    assert verify_models(registry, []) == 0
    assert printed() == [f"tiny: {path}: right"]
    path.write_bytes(b"damaged")
    assert verify_models(registry, []) == 1
    assert printed() == [f"tiny: {path}: not the file of the registry, or damaged"]


def test_one_that_fails_does_not_keep_the_others(
    cache: Path, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.statuses = [404]
    assert fetch_models([entry_of(site, "first"), entry_of(site, "second")], cache) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("second: ")
    assert captured.err.startswith("engine-models: model first could not be fetched (127.0.0.1: ")
    assert len(captured.err.splitlines()) == 1


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.models.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environ, timeout=60)


def test_without_network_the_command_says_what_to_put_where(cache: Path) -> None:
    # A proxy that nobody serves is a network that says no, on every machine.
    done = run("fetch", "yolox_nano", "yolox_s", https_proxy="http://127.0.0.1:9", no_proxy="")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("engine-models: model yolox_nano could not be fetched (github.com: ")
    assert lines[0].endswith(
        "put yolox_nano.onnx (3659407 bytes, sha256 c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d) "
        "from https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_nano.onnx "
        f"into {cache}, or into a folder that ENGINE_MODELS names"
    )
    assert list(cache.iterdir()) == []


def test_names_that_do_not_exist_end_with_2(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "yolox_nan"]) == 2
    assert (
        capsys.readouterr().err == "engine-models: unknown model 'yolox_nan' (did you mean 'yolox_nano'?)\n"
    )
    assert main(["verify", "qqq"]) == 2
    assert capsys.readouterr().err.startswith(
        "engine-models: unknown model 'qqq'; known: nano_det, nano_sam, person_reid_retail_0248, yolo11n, "
    )


def test_embedded_models_are_verified_and_never_fetched(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fetch", "nano_det", "nano_sam"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "nano_det: comes with the package, there is nothing to fetch",
        "nano_sam: comes with the package, there is nothing to fetch",
    ]
    embedded = write_embedded(tmp_path / "embedded")
    assert verify_embedded(["nano_det", "nano_sam"], embedded) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"nano_det: {embedded}/nano_det.onnx: right (embedded)"
    (embedded / "nano_det.onnx").write_bytes(b"damaged")
    assert verify_embedded(["nano_det", "nano_sam"], embedded) == 1
    assert "the installation is broken" in capsys.readouterr().out


def test_a_broken_installation_is_listed_with_what_is_wrong(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_models({}, tmp_path / "empty") == 0
    assert capsys.readouterr().out.count("the installation is broken") == 2


@pytest.mark.parametrize("arguments", [[], ["fetch"], ["drop"], ["list", "extra"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: engine-models" in capsys.readouterr().err


def test_the_shipped_registry_is_listed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert any(line.startswith("yolox_nano ") for line in capsys.readouterr().out.splitlines())


def test_help_is_quick() -> None:
    durations_s = []
    for _ in range(3):
        began_s = time.perf_counter()
        assert run("--help").returncode == 0
        durations_s.append(time.perf_counter() - began_s)
    assert min(durations_s) < 0.15
