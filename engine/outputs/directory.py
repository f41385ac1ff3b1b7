"""The folder that output files go to: checked and claimed before anything is started."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from engine.errors import OutputError


def claim_directory(directory: Path) -> int:
    """Make the folder, try to write into it and lock it against other runs.

    Returns the descriptor that holds the lock; it is free again when the process ends, however it ends.
    Raises `OutputError` that says why the folder cannot be used.
    """
    where = f"output folder {os.fspath(directory)}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"x")
            probe.flush()
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise OutputError(f"{where}: {error.strerror}; choose another one with --out") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise OutputError(f"{where}: another run writes here; give this one its own with --out") from None
    except OSError:
        # NFS locks only what is open for writing, which a folder cannot be. Files of lines have their own locks.
        return fd
    return fd
