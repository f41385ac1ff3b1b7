"""Anonymous shared memory: allocated in full at creation, owned by file descriptor, gone with its last user.

Linux uses `memfd_create`; other systems use `ipc.segment_shm`. Neither leaves a name behind, so nothing leaks
when every process is killed. Creation fails with `SegmentError` instead of a later SIGBUS.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import sys

from ipc.memory import available_bytes

PAGE_BYTES = mmap.PAGESIZE

# From linux/fcntl.h; the fcntl module has no names for them.
_F_ADD_SEALS = 1033
_F_SEAL_SEAL, _F_SEAL_SHRINK, _F_SEAL_GROW = 1, 2, 4


class SegmentError(Exception):
    """The memory for a segment cannot be had; the message says how much is missing and what to do."""


def page_aligned(nbytes: int) -> int:
    """The smallest multiple of the page size that holds `nbytes`."""
    return -(-nbytes // PAGE_BYTES) * PAGE_BYTES


def create_segment(label: str, nbytes: int) -> int:
    """Allocate `nbytes` of zeroed shared memory and return its file descriptor (close-on-exec).

    `label` is shown in `/proc/<pid>/maps` and in errors. Raises `SegmentError` when the memory is not there.
    """
    if sys.platform == "linux":
        check_memory(label, nbytes)
        fd = os.memfd_create(label, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        allocate(fd, label, nbytes)
        fcntl.fcntl(fd, _F_ADD_SEALS, _F_SEAL_SHRINK | _F_SEAL_GROW | _F_SEAL_SEAL)
        return fd
    else:
        from ipc.segment_shm import create_shm_segment

        return create_shm_segment(label, nbytes)


def map_segment(fd: int, nbytes: int, *, writable: bool) -> mmap.mmap:
    """Map a segment; with `writable=False` a stray write through the mapping raises `TypeError`.

    Pages are mapped at once where the system can, so that the first frame does not pay for page faults.
    """
    populate = getattr(mmap, "MAP_POPULATE", 0)
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return mmap.mmap(fd, nbytes, flags=mmap.MAP_SHARED | populate, prot=prot)


def check_memory(label: str, nbytes: int) -> None:
    """Raise `SegmentError` if less than `nbytes` is free.

    A memfd has no size limit of its own: asking for too much would summon the out-of-memory killer.
    """
    available = available_bytes()
    if available is not None and nbytes > available:
        raise SegmentError(_too_little_memory(label, nbytes, available))


def allocate(fd: int, label: str, nbytes: int) -> None:
    """Give the file behind `fd` its memory now; where that fails, close it and raise `SegmentError`."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, nbytes)
        else:
            os.ftruncate(fd, nbytes)
    except OSError as error:
        filesystem = os.fstatvfs(fd)
        os.close(fd)
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            limited = filesystem.f_blocks > 0  # a memfd lives on a file system without a size
            available = filesystem.f_bavail * filesystem.f_frsize if limited else available_bytes()
            raise SegmentError(_too_little_memory(label, nbytes, available)) from error
        raise


def _too_little_memory(label: str, nbytes: int, available: int | None) -> str:
    have = "less" if available is None else f"{available / 2**20:,.0f} MiB"
    return (
        f"shared memory for {label}: {nbytes / 2**20:,.0f} MiB needed, {have} available; "
        "use fewer cameras, a lower camera resolution or a smaller [pool] history"
    )
