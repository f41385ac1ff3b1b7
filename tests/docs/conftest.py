"""What the tests of documents share: the real RTSP server, and a segmenter."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models.embedded import embedded_folder
from tests.peers.fixtures import rtsp_server, start_rtsp_server  # noqa: F401  # fixtures


@pytest.fixture(scope="session")
def segmenter(request: pytest.FixtureRequest) -> Path:
    """The embedded one; in a checkout that has none yet, one with random weights."""
    folder = embedded_folder() / "nano_sam"
    if (folder / "segmenter.json").is_file():
        return folder
    exported: Path = request.getfixturevalue("nano_sam_folder")
    return exported
