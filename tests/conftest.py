"""Shared fixtures: where the real data and the real peers are, or a reason to skip."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def find_data_dir() -> Path | None:
    """The folder with real weights and clips: $ENGINE_TEST_DATA, or `shared/data` beside the checkout."""
    named = os.environ.get("ENGINE_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if (folder / "MANIFEST.toml").is_file() else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real weights and clips; skips where it is absent."""
    folder = find_data_dir()
    if folder is None:
        pytest.skip("no test data: set ENGINE_TEST_DATA to the folder that holds MANIFEST.toml")
    return folder


@pytest.fixture(scope="session")
def ffprobe() -> str:
    """Path of ffprobe; skips with the command that installs it."""
    path = shutil.which("ffprobe")
    if path is None:
        pytest.skip("ffprobe is missing: apt-get install ffmpeg (or: brew install ffmpeg)")
    return path
