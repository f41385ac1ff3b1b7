"""docs/operations.md against the code: every message that it explains is one that the code can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import topology
from engine.config import CameraConfig, InferConfig, RunConfig
from engine.config.settings import SETTINGS, default_of
from engine.workers.runtime import STOP_GRACE_S

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "operations.md").read_text()
VARIES = "…"


def explained() -> list[str]:
    """The messages in the first columns of the tables below `What messages mean`."""
    section = TEXT.partition("## What messages mean")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def sayable() -> Iterator[str]:
    """Every text in the code, with `…` for what is filled in."""
    for package in ("engine", "ipc"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = (p.value if isinstance(p, ast.Constant) else VARIES for p in node.values)
                    yield "".join(str(part) for part in parts)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield re.sub(r"%\w", VARIES, node.value)


def test_something_is_explained() -> None:
    assert len(explained()) > 15


@pytest.mark.parametrize("message", explained())
def test_a_message_that_is_explained_exists(message: str) -> None:
    """Its fixed parts are those of the code: each of them longer than a few letters is in a text of the code."""
    pieces = [piece.strip(" :;,") for piece in re.split(f"{VARIES}|; |: ", message)]
    telling = [piece for piece in pieces if len(piece) > 3]
    texts = list(sayable())
    assert telling
    for piece in telling:
        assert any(piece in text for text in texts), piece


def test_the_table_of_memory_is_what_is_allocated() -> None:
    rows = re.findall(r"^\| (\d+) × (\d+) \| \S+ MiB \| (\d+) MiB \| (\d+) MiB \|", TEXT, re.MULTILINE)
    assert len(rows) == 3
    for width, height, *stated_mib in rows:
        for lanes, mib in zip((2, 8), stated_mib, strict=True):
            config = RunConfig("m3-cpu", (CameraConfig("gate", "test://"),), infer=InferConfig(lanes=lanes))
            layout = topology.frame_pool(config, "gate", int(width), int(height)).layout
            assert round(layout.data_bytes / 2**20) == int(mib)
            assert layout.slots == lanes + 7 + config.pool.history
            batches = replace(config, offline=True, infer=InferConfig(lanes=lanes, batch=4))
            layout = topology.frame_pool(batches, "gate", int(width), int(height)).layout
            assert layout.slots == (lanes + 1) * 4 + 6 + config.pool.history


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("supervisor.stop_timeout_s", "`supervisor.stop_timeout_s` (4 s)"),
        ("supervisor.start_timeout_s", "`supervisor.start_timeout_s` (120 s)"),
        ("supervisor.hang_timeout_s", "`supervisor.hang_timeout_s` (15 s)"),
        ("supervisor.restart_limit", "(5 in 60 s)"),
        ("pool.history", "With `pool.history` at 4"),
    ],
)
def test_stated_defaults_are_the_defaults(key: str, words: str) -> None:
    assert words in TEXT and f"{default_of(key):g}" in words


def test_every_setting_that_is_named_exists() -> None:
    sections = "|".join({key.partition(".")[0] for key in SETTINGS if "." in key})
    named = set(re.findall(rf"`((?:{sections})\.\w+)`", TEXT))
    assert named and named <= set(SETTINGS)
    assert f"leaves after {STOP_GRACE_S:g} s" in TEXT


def test_links_lead_somewhere() -> None:
    for target, _, anchor in re.findall(r"\]\(((?:\w+\.md)?)(#?)([\w-]*)\)", TEXT):
        text = (ROOT / "docs" / target).read_text() if target else TEXT
        if anchor:
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, anchor
