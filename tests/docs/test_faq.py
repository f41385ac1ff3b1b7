"""docs/faq.md against the code: every line explained is one that the program can say, and the usual ones are there.

What a command line alone can bring about is brought about; every other text is looked up in the code.
"""

from __future__ import annotations

import ast
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from engine import cli
from engine.outputs.directory import claim_directory
from tests.docs.reading import ROOT

PAGE = (ROOT / "docs" / "faq.md").read_text()
KEYS = re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)
VARIES = "…"

ASKED_FOR = (
    "connection refused", "refused the user name", "neither a file nor a known name", "embedded model",
    "in use by another program", "disk full", "another run writes here", "encoder", "this token is not known",
    "segmenter", "WebRTC needs", "unknown key", "camring[trt,gpu]", "is not set, but", "there is no file",
    "shared memory for", "needs a token", "could not be fetched", "no window", "has no … (it has",
)  # fmt: skip
"""What a beginner meets."""


@cache
def sayable() -> tuple[str, ...]:
    """Every text in the code, with `…` for what is filled in."""
    return tuple(text for folder in ("engine", "ipc", "ptz", "tools") for text in texts_below(ROOT / folder))


def texts_below(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else VARIES for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%\w", VARIES, node.value)


def test_the_usual_ones_are_there() -> None:
    assert [words for words in ASKED_FOR if not any(words in key for key in KEYS)] == []


def test_no_line_is_explained_twice() -> None:
    assert len(KEYS) == len(set(KEYS)) > 40


@pytest.mark.parametrize("key", KEYS)
def test_a_line_that_is_explained_can_be_said(key: str) -> None:
    """Each of its fixed parts is in a text of the code."""
    if key in PROVOKED:
        return  # looked up where it is said, below
    pieces = [piece.strip(" :;,()") for piece in re.split(f"{VARIES}|; |: ", key)]
    telling = [piece for piece in pieces if len(piece) > 3]
    assert telling, key
    for piece in telling:
        assert any(piece in text for text in sayable()), piece


def pattern(key: str) -> str:
    """The line as a pattern: `…` is anything."""
    return ".+".join(re.escape(part) for part in key.split(VARIES))


TEST = ["--source", "test://", "--model", "motion"]
PROVOKED = {
    "…: unknown key …": ["--cameras", "wrong_key.toml"],
    "environment: unknown variable …": TEST,
    "… must be …, found …": [*TEST, "--segment", "purple"],
    "engine-run: error: unrecognized arguments: …": [*TEST, "--sorce", "test://"],
    "…: there is no file … (looked from …)": ["--source", "nothing.mp4"],
    "…: there is no such file": ["--cameras", "nothing.toml"],
    "environment variable … is not set, but … refers to it": ["--source", "rtsp://${NOT_SET}@192.0.2.1/live"],
    "port … on … is in use by another program; use --port": [*TEST, "--port", "TAKEN"],
    "control.host …: others can reach this address, so it needs a token: …": [*TEST, "--host", "0.0.0.0"],
    "…: others may read or change it (mode …); chmod 600 it": [*TEST, "--tokens", "open.txt"],
    "output folder …: another run writes here; give this one its own with --out": [*TEST, "--out", "held"],
    "output folder …: …; choose another one with --out": [*TEST, "--out", "wrong_key.toml/out"],
    "model … is neither a file nor a known name…": ["--source", "test://", "--model", "yolov9000"],
    "model …: there is no such file …": ["--source", "test://", "--model", "nothing.onnx"],
    "segmenter … is neither a folder nor in …; …": [*TEST, "--segment", "track", "--segment-model", "nothing"],
    "… must be a reference such as ${CAMERA_PASSWORD}, not the password itself": ["--cameras", "password.toml"],
}  # fmt: skip


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Another run writes there."""
    lock_fd = claim_directory(folder)
    try:
        yield
    finally:
        os.close(lock_fd)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where things are wrong in every way that is needed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong_key.toml").write_text('[[camera]]\nname = "a"\nsource = "test://"\nfsp = 3\n')
    (tmp_path / "password.toml").write_text(
        '[[camera]]\nname = "a"\nsource = "test://"\n[camera.ptz]\ndriver = "onvif"\nurl = "http://192.0.2.1"\n'
        'hfov_deg = 60\nuser = "me"\npassword = "secret"\n'
    )
    (tmp_path / "open.txt").write_text(f"admin:me:{'0' * 64}\n")
    (tmp_path / "open.txt").chmod(0o644)
    return tmp_path


@pytest.mark.parametrize("key", PROVOKED)
def test_a_line_is_said(
    key: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert key in KEYS
    if key.startswith("environment:"):
        monkeypatch.setenv("ENGINE_INFER_MODLE", "x")
    with socket.create_server(("127.0.0.1", 0)) as taken, held_folder(folder / "held"):
        words = [str(taken.getsockname()[1]) if word == "TAKEN" else word for word in PROVOKED[key]]
        try:
            status = cli.main(words)
        except SystemExit as end:
            status = int(end.code or 0)
    said = capsys.readouterr().err
    assert status in (1, 2)
    assert re.search(pattern(key), said), said
