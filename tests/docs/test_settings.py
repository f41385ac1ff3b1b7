"""Settings in the documents: every one that is named exists, every block of TOML loads, every block of JSON is JSON."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from engine.config import load_run_config
from engine.config.settings import SETTINGS
from tests.docs.reading import Block, documents, fences

SECTIONS = {key.partition(".")[0] for key in SETTINGS if "." in key}

TOLD = {"bus.lost", "events.lost", "reid.held_ms", "reid.queue"}
"""Figures of `/health` that are written like settings."""


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    pattern = rf"`((?:{'|'.join(SECTIONS)})\.[a-z]\w*)(?: = [^`]*)?`"
    named = set(re.findall(pattern, page.read_text()))
    files = {name for name in named if name.endswith((".py", ".json", ".md", ".toml", ".proto"))}
    assert named - files - TOLD - set(SETTINGS) == set()


@pytest.mark.parametrize("block", fences("toml"), ids=lambda block: f"{block.file}:{block.line}")
def test_a_block_of_toml_is_loaded(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the profile or the cameras file that it is part of, put beside what it refers to."""
    monkeypatch.chdir(tmp_path)
    text = "\n".join(block.lines)
    for name in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(name, "a-secret-of-the-reader")
    keys = tomllib.loads(text)
    is_profile = not {"camera", "link"} & set(keys)
    cameras = tmp_path / "cameras.toml"
    named = {end for link in keys.get("link", ()) for end in (link["from"], link["to"])}
    named -= {camera["name"] for camera in keys.get("camera", ())}
    tables = [f'[[camera]]\nname = "{name}"\nsource = "test://"\n' for name in sorted(named)]
    cameras.write_text("\n".join([text, *tables]))
    profile = tmp_path / "profile.toml"
    profile.write_text(text if is_profile else "")
    flags = {"source": ["test://"]} if is_profile else {}
    load_run_config(str(profile), None if is_profile else cameras, flags)


@pytest.mark.parametrize("block", fences("json"), ids=lambda block: f"{block.file}:{block.line}")
def test_a_block_of_json_is_json(block: Block) -> None:
    text = "\n".join(block.lines)
    assert json.loads(text) or text
