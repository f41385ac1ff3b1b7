"""How much memory a process may take, from the files of control groups as they look in practice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipc.memory import available_bytes, cgroup_available


def group_v2(folder: Path, limit: str, used: int, cache: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    stat = f"anon 5\nfile {cache + 9}\ninactive_file {cache - 1}\nactive_file 1\n"
    (folder / "memory.stat").write_text(stat)


def group_v1(folder: Path, limit: int, used: int, cache: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    stat = f"cache 5\ninactive_file 3\ntotal_inactive_file {cache}\ntotal_active_file 0\n"
    (folder / "memory.stat").write_text(stat)


def test_the_tightest_group_of_the_chain_counts(tmp_path: Path) -> None:
    group_v2(tmp_path / "box", "1000", used=300, cache=100)
    group_v2(tmp_path / "box" / "engine", "max", used=200, cache=100)
    assert cgroup_available("0::/box/engine\n", tmp_path) == 1000 - 300 + 100


def test_version_1_is_understood(tmp_path: Path) -> None:
    group_v1(tmp_path / "memory", limit=2**63 - 4096, used=10, cache=0)
    group_v1(tmp_path / "memory" / "box", limit=5000, used=4900, cache=200)
    assert cgroup_available("4:cpu,memory:/box\n0::/\n", tmp_path) == 300


def test_a_container_that_sees_only_its_own_group(tmp_path: Path) -> None:
    group_v2(tmp_path, "800", used=700, cache=50)
    assert cgroup_available("0::/system.slice/docker-abc.scope\n", tmp_path) == 150


@pytest.mark.parametrize("memberships", ["", "0::/\n", "3:cpu:/box\n0::/\n"])
def test_no_limit_is_none(tmp_path: Path, memberships: str) -> None:
    assert cgroup_available(memberships, tmp_path) is None


def test_an_overdrawn_group_has_nothing_left(tmp_path: Path) -> None:
    group_v2(tmp_path, "100", used=500, cache=50)
    assert cgroup_available("0::/\n", tmp_path) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/meminfo is Linux's")
def test_this_machine_has_some_memory() -> None:
    available = available_bytes()
    assert available is not None
    assert 2**20 < available < 2**46


IN_GROUP = """
import os, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
from ipc.segment import SegmentError, create_segment
os.close(create_segment("fits", 16 * 2**20))
try:
    create_segment("cam7", 512 * 2**20)
except SegmentError as error:
    print(error)
"""


def test_a_real_limit_gives_an_error_and_not_the_out_of_memory_killer() -> None:
    group, limit_name = memory_group()
    try:
        (group / limit_name).write_text(str(256 * 2**20))
        done = subprocess.run(
            [sys.executable, "-c", IN_GROUP, str(group)],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            timeout=60,
        )
    finally:
        group.rmdir()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("shared memory for cam7: 512 MiB needed, ")


def memory_group() -> tuple[Path, str]:
    """A new memory control group below our own and the name of its limit; skips where that is not allowed."""
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                top, limit_name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
            elif controllers == "":
                top, limit_name = Path("/sys/fs/cgroup"), "memory.max"
            else:
                continue
            group = top / path.lstrip("/") / f"camring-test-{os.getpid()}"
            group.mkdir()
            if (group / limit_name).exists():
                return group, limit_name
            group.rmdir()
    except OSError:
        pass
    pytest.skip("needs root and a memory control group")
