"""Shared memory for systems without `memfd_create` (macOS): `shm_open`, unlinked before anyone sees the name.

The descriptor keeps the memory alive; the name exists for microseconds. Works on Linux too, which is where
the tests run it beside the memfd twin. Not verified on macOS hardware.
"""

from __future__ import annotations

import _posixshmem
import os
import secrets

from ipc.segment import allocate, check_memory


def create_shm_segment(label: str, nbytes: int) -> int:
    """Allocate `nbytes` of zeroed shared memory; returns a close-on-exec file descriptor.

    macOS allows names of 31 bytes at most, one `ftruncate` per object, and has no `posix_fallocate`. Raises
    `ipc.segment.SegmentError`.
    """
    check_memory(label, nbytes)
    name = f"/e{secrets.token_hex(6)}"
    fd: int = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    _posixshmem.shm_unlink(name)
    allocate(fd, label, nbytes)
    return fd
