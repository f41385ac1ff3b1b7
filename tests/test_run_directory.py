"""Lock files go with their run, and those of a killed run with the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.run_directory import RunDirectory, remove_stale
from ipc.lock import KernelLock

OWNER = """
import sys, time
from pathlib import Path
from engine.run_directory import RunDirectory
directory = RunDirectory(Path(sys.argv[1]))
directory.new_lock_file("frames:cam0")
print(directory.path, flush=True)
time.sleep(600)
"""


def start_owner(base: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another run, in a process of its own; returns it and its directory."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(base)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        return process, Path(process.stdout.readline().strip())


def test_a_living_run_keeps_its_directory_and_a_killed_one_loses_it(tmp_path: Path) -> None:
    base = tmp_path / "camring"
    process, theirs = start_owner(base)
    try:
        first = RunDirectory(base)
        assert theirs.is_dir() and len(list(theirs.iterdir())) == 2
    finally:
        process.kill()
        process.wait()
    second = RunDirectory(base)
    assert not theirs.exists()
    assert first.path.is_dir()
    first.remove()
    second.remove()
    assert list(base.iterdir()) == []


def test_a_run_that_died_before_it_locked_its_directory_is_stale_too(tmp_path: Path) -> None:
    mine = RunDirectory(tmp_path)
    (tmp_path / "run-half").mkdir()
    (tmp_path / "notes").mkdir()
    assert remove_stale(tmp_path) == [tmp_path / "run-half"]
    assert {path.name for path in tmp_path.iterdir()} == {mine.path.name, "notes"}
    mine.remove()


def test_runs_that_start_together_do_not_remove_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as executor:
        directories = list(executor.map(RunDirectory, [tmp_path] * 40))
    assert all(directory.path.is_dir() for directory in directories)
    for directory in directories:
        directory.remove()


def test_lock_files_are_private_different_and_lockable(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "new" / "base")
    paths = [directory.new_lock_file("frames:cam0"), directory.new_lock_file("frames:cam0")]
    assert len(set(paths)) == 2
    odd = directory.new_lock_file("status-decode:../../a b")
    assert Path(odd).parent == directory.path
    for path in (*paths, odd):
        assert Path(path).stat().st_mode & 0o077 == 0
        with KernelLock(path):
            pass
    assert directory.path.stat().st_mode & 0o077 == 0
    directory.remove()


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "base").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="belongs to another user; set TMPDIR"):
        RunDirectory(tmp_path / "base")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    os.chown(tmp_path / "base", 12345, 12345)
    with pytest.raises(ConfigError, match="belongs to another user"):
        RunDirectory(tmp_path / "base")


def test_each_user_has_a_base() -> None:
    assert RunDirectory.default_base().name == f"camring-{os.getuid()}"
