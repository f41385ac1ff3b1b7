"""Shared memory for systems without `memfd_create` (macOS): `shm_open`, unlinked before anyone sees the name.

The descriptor keeps the memory alive; the name exists for microseconds. Works on Linux too, which is where
the tests run it beside the memfd twin. Not verified on macOS hardware.
"""

from __future__ import annotations

import errno
import os
import secrets

import _posixshmem

from ipc.segment import SegmentError


def create_shm_segment(nbytes: int) -> int:
    """Allocate `nbytes` of zeroed shared memory; returns a close-on-exec file descriptor.

    macOS allows names of 31 bytes at most and only one `ftruncate` per object. Raises `SegmentError`.
    """
    name = f"/e{secrets.token_hex(6)}"
    fd: int = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        _posixshmem.shm_unlink(name)
        os.ftruncate(fd, nbytes)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, nbytes)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise SegmentError(
                f"shared memory: {nbytes / 2**20:,.0f} MiB needed and not available; use fewer cameras, a "
                "lower camera resolution or a smaller [pool] history"
            ) from error
        raise
    return fd
