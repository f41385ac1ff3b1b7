"""The lock excludes between processes, and a dead holder does not keep it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.lock import KernelLock
from ipc.segment import PAGE_BYTES, create_segment, map_segment

ROOT = Path(__file__).parents[2]

COUNT = """
import sys
from ipc.lock import KernelLock
from ipc.segment import PAGE_BYTES, map_segment
fd = int(sys.argv[1])
counter = memoryview(map_segment(fd, PAGE_BYTES, writable=True)).cast("Q")
lock = KernelLock.on_descriptor(fd)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3000):
    with lock:
        value = counter[0]
        counter[0] = value + 1
"""

TRY = """
import fcntl, os, sys
fd = int(sys.argv[1])
if sys.argv[2] == "opened":
    fd = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
try:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(1)
"""

HOLD = """
import sys, time
from ipc.lock import KernelLock
with KernelLock.on_descriptor(int(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/fd is Linux's")


@pytest.fixture
def segment() -> Iterator[int]:
    fd = create_segment("lock-test", PAGE_BYTES)
    yield fd
    os.close(fd)


def start(code: str, fd: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(fd)],
        pass_fds=[fd],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() in ("ready\n", "held\n")
    return process


def test_processes_exclude_each_other(segment: int) -> None:
    processes = [start(COUNT, segment) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert memoryview(map_segment(segment, PAGE_BYTES, writable=False)).cast("Q")[0] == 4 * 3000


@pytest.mark.parametrize(("path", "excluded"), [("inherited", False), ("opened", True)])
def test_only_a_descriptor_of_its_own_excludes(segment: int, path: str, excluded: bool) -> None:
    # This is why every handle opens the lock for itself.
    fcntl.flock(segment, fcntl.LOCK_EX)
    done = subprocess.run(
        [sys.executable, "-c", TRY, str(segment), path], pass_fds=[segment], cwd=ROOT, timeout=30, check=False
    )
    assert done.returncode == (1 if excluded else 0)


def test_a_killed_holder_lets_go_before_it_is_waited_for(segment: int) -> None:
    lock = KernelLock.on_descriptor(segment)
    for _ in range(5):
        holder = start(HOLD, segment)
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        killed_at = time.monotonic()
        os.kill(holder.pid, signal.SIGKILL)
        with lock:
            waited_s = time.monotonic() - killed_at
        assert waited_s < 0.5
        assert holder.returncode is None, "nobody has waited for it yet"
        holder.communicate()


def test_an_exception_in_the_block_frees_the_lock(segment: int) -> None:
    one, two = KernelLock.on_descriptor(segment), KernelLock.on_descriptor(segment)
    with pytest.raises(KeyError), one:
        raise KeyError
    fcntl.flock(two._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    one.close()
    two.close()


def test_closing_frees_the_lock_and_the_descriptor(segment: int, tmp_path: Path) -> None:
    path = tmp_path / "stream.lock"
    path.touch()
    before = len(os.listdir("/dev/fd"))
    one, two = KernelLock(path), KernelLock(path)
    one.__enter__()
    one.close()
    one.close()
    fcntl.flock(two._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    del two  # the last reference closes
    assert len(os.listdir("/dev/fd")) == before
    with pytest.raises(ValueError, match="negative"), one:
        pass


def test_a_missing_lock_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        KernelLock(tmp_path / "absent.lock")
