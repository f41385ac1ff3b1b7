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
from pathlib import Path

PAGE_BYTES = mmap.PAGESIZE

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
    available = available_bytes()
    if available is not None and nbytes > available:
        raise SegmentError(_too_little_memory(label, nbytes, available))
    if sys.platform != "linux":
        from ipc.segment_shm import create_shm_segment

        return create_shm_segment(nbytes)
    fd = os.memfd_create(label, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(fd, 0, nbytes)
        fcntl.fcntl(fd, _F_ADD_SEALS, _F_SEAL_SHRINK | _F_SEAL_GROW | _F_SEAL_SEAL)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise SegmentError(_too_little_memory(label, nbytes, available)) from error
        raise
    return fd


def map_segment(fd: int, nbytes: int, *, writable: bool) -> mmap.mmap:
    """Map a segment; with `writable=False` a stray write through the mapping raises `TypeError`.

    Pages are mapped at once where the system can, so that the first frame does not pay for page faults.
    """
    populate = getattr(mmap, "MAP_POPULATE", 0)
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return mmap.mmap(fd, nbytes, flags=mmap.MAP_SHARED | populate, prot=prot)


def available_bytes() -> int | None:
    """Memory that can still be taken without swapping, by the machine and by our cgroup; None if unknown."""
    limits = [value for value in (_meminfo_available(), _cgroup_available()) if value is not None]
    return min(limits, default=None)


def _meminfo_available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def _cgroup_available() -> int | None:
    root = Path("/sys/fs/cgroup")
    try:
        limit = (root / "memory.max").read_text().strip()
        used = (root / "memory.current").read_text().strip()
    except OSError:
        return None
    return None if limit == "max" else max(0, int(limit) - int(used))


def _too_little_memory(label: str, nbytes: int, available: int | None) -> str:
    have = "less is free" if available is None else f"{available / 2**20:,.0f} MiB are free"
    return (
        f"shared memory for {label}: {nbytes / 2**20:,.0f} MiB needed, {have}; "
        "use fewer cameras, a lower camera resolution or a smaller [pool] history"
    )
