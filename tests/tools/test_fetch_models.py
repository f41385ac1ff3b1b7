"""The tool around `engine-models fetch`; fetching itself is tested in tests/models."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models.registry import load_registry
from tools.fetch_models import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and a network on which nobody answers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ENGINE_MODELS", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def test_the_list_names_every_model(capsys: Capture) -> None:
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in load_registry())


def test_without_a_network_it_says_what_to_put_where(tmp_path: Path, capsys: Capture) -> None:
    assert main(["yolox_nano", "--to", str(tmp_path / "models")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    entry = load_registry()["yolox_nano"]
    for part in ("could not be fetched", entry.url, entry.sha256, str(tmp_path / "models"), "ENGINE_MODELS"):
        assert part in lines[0]
    assert not list((tmp_path / "models").iterdir())


def test_all_of_them_are_tried(capsys: Capture) -> None:
    assert main(["--all"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == len(load_registry())


@pytest.mark.parametrize("arguments", [[], ["--list", "--all"], ["yolov8n", "--all"], ["yolov8m"]])
def test_a_wrong_command_is_one_line(arguments: list[str], capsys: Capture) -> None:
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
