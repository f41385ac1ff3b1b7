"""What `--print-config` prints, and that the documentation is not older than the settings."""

from __future__ import annotations

import tomllib
from pathlib import Path

from engine.config import load_run_config, render_config
from engine.config.render import settings_table

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_the_effective_configuration_is_toml_with_origins_and_without_secrets() -> None:
    flags = {"source": ["front=rtsp://admin:hunter2@host/1?token=hunter2"], "infer.model": 'a"b\\c'}
    loaded = load_run_config("m3-cpu", None, flags, {"ENGINE_INFER_CLASSES": "person,car"})
    text = render_config(loaded)
    table = tomllib.loads(text)
    assert table["infer"]["model"] == 'a"b\\c'
    assert table["infer"]["classes"] == ["person", "car"]
    assert table["camera"][0]["source"] == "rtsp://***@host/1?token=***"
    assert "hunter2" not in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert r'model = "a\"b\\c" # flag --model' in lines
    assert 'classes = ["person", "car"] # environment variable ENGINE_INFER_CLASSES' in lines
    assert "# duration_s is not set # default" in lines
    assert "[[camera]] # flag --source" in lines


def test_what_is_printed_is_a_profile_again(tmp_path: Path) -> None:
    loaded = load_run_config("g5-trt", None, {"control.port": 99}, {})
    again = tmp_path / "again.toml"
    again.write_text(render_config(loaded))
    config = load_run_config(str(again), None, {}, {}).config
    assert config.to_json() == loaded.config.to_json() | {"profile": str(again)}


def test_the_documentation_lists_every_setting_as_it_is() -> None:
    assert settings_table() in DOCUMENTATION.read_text(encoding="utf-8")
