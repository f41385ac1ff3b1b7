"""The folder that output files go to, checked before anything is started."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from engine.errors import OutputError


def prepare_directory(directory: Path) -> None:
    """Make the folder and try to write into it. Raises `OutputError` that says why it cannot be used."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        raise OutputError(
            f"output folder {os.fspath(directory)}: {error.strerror}; choose another one with --out"
        ) from error
