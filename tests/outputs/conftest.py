"""The real clip, the real ffprobe, and a disk that is really full."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CountFrames = Callable[[Path], int]


@pytest.fixture(scope="session")
def pets_clip(data_dir: Path) -> Path:
    """Frames 1 to 320 of PETS09-S2L1, 768x576, 7 fps."""
    return data_dir / "clips" / "pets09_s2l1_0001-0320.mp4"


@pytest.fixture
def count_frames(ffprobe: str) -> CountFrames:
    """Number of frames that ffprobe decodes from a file."""

    def count(path: Path) -> int:
        out = subprocess.run(
            [ffprobe, "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries",
             "stream=nb_read_frames", "-of", "csv=p=0", str(path)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(out.stdout)

    return count
