"""Both kinds of segment do the same: memory that is there in full, or a clear refusal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.segment import PAGE_BYTES, create_segment, map_segment, page_aligned
from ipc.segment_shm import create_shm_segment

ROOT = Path(__file__).parents[2]
Create = Callable[[str, int], int]
both = pytest.mark.parametrize("create", [create_segment, create_shm_segment])
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="memfd, /proc and namespaces are Linux's")


@both
def test_two_mappings_are_the_same_zeroed_memory(create: Create) -> None:
    fd = create("two-maps", 3 * PAGE_BYTES)
    one = map_segment(fd, 3 * PAGE_BYTES, writable=True)
    two = map_segment(fd, 3 * PAGE_BYTES, writable=False)
    os.close(fd)
    assert two[:] == bytes(3 * PAGE_BYTES)
    one[PAGE_BYTES : PAGE_BYTES + 5] = b"hello"
    assert two[PAGE_BYTES : PAGE_BYTES + 5] == b"hello"


@both
def test_a_read_only_mapping_refuses_writes(create: Create) -> None:
    fd = create("read-only", PAGE_BYTES)
    mapping = map_segment(fd, PAGE_BYTES, writable=False)
    os.close(fd)
    with pytest.raises(TypeError, match="read-only"):
        memoryview(mapping)[0] = 1


@both
@linux_only
def test_nothing_is_left_in_the_file_system_and_children_do_not_inherit(create: Create) -> None:
    before = os.listdir("/dev/shm")
    fd = create("no-name", PAGE_BYTES)
    assert os.listdir("/dev/shm") == before
    assert not os.get_inheritable(fd)
    os.close(fd)


@both
@linux_only
def test_all_memory_is_allocated_at_creation(create: Create) -> None:
    fd = create("in-full", 50 * PAGE_BYTES)
    assert os.fstat(fd).st_blocks * 512 == os.fstat(fd).st_size == 50 * PAGE_BYTES
    os.close(fd)


@linux_only
def test_a_memfd_segment_cannot_be_resized() -> None:
    fd = create_segment("sealed", 4 * PAGE_BYTES)
    for nbytes in (PAGE_BYTES, 8 * PAGE_BYTES):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, nbytes)
    os.close(fd)


TOO_MUCH = """
import os, sys
from pathlib import Path
from ipc.memory import available_bytes
from ipc.segment import SegmentError, create_segment
from ipc.segment_shm import create_shm_segment
Path("/proc/self/oom_score_adj").write_text("1000")  # if the check is broken, this process is to pay for it
available = available_bytes()
before = os.listdir("/dev/fd")
try:
    globals()[sys.argv[1]]("cam7", 4 * available)
except SegmentError as error:
    print(f"{4 * available / 2**20:,.0f}")
    print(error)
assert os.listdir("/dev/fd") == before
"""


@both
@linux_only
def test_more_than_the_machine_has_is_refused_with_figures(create: Create) -> None:
    command = [sys.executable, "-c", TOO_MUCH, create.__name__]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    needed, message = done.stdout.splitlines()
    assert message.startswith(f"shared memory for cam7: {needed} MiB needed, ")
    assert " MiB available; use fewer cameras" in message


TINY_DEV_SHM = """
mount -t tmpfs -o size=1m tmpfs /dev/shm || exit 77
exec "$0" -c '
from ipc.segment import SegmentError
from ipc.segment_shm import create_shm_segment
try:
    create_shm_segment("cam7", 8 * 2**20)
except SegmentError as error:
    print(error)
'
"""


@linux_only
def test_a_small_dev_shm_is_an_error_at_creation_and_no_later_sigbus() -> None:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("needs root and unshare (apt-get install util-linux) to make a small /dev/shm")
    command = [unshare, "--mount", "sh", "-c", TINY_DEV_SHM, sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)
    if done.returncode == 77:
        pytest.skip("a mount namespace is not allowed here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("shared memory for cam7: 8 MiB needed, 1 MiB available; ")


def test_page_aligned_rounds_up() -> None:
    assert [page_aligned(n) for n in (0, 1, PAGE_BYTES, PAGE_BYTES + 1)] == [
        0,
        PAGE_BYTES,
        PAGE_BYTES,
        2 * PAGE_BYTES,
    ]
