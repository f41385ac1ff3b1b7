"""Shared fixtures: where the real data and the real peers are, or a reason to skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.setdefault(
    "ORT_DISABLE_TELEMETRY", "1"
)  # tests that import onnxruntime themselves send nothing either

MUST_BE_THERE = frozenset({"data_dir", "ffprobe", "rtsp_server", "start_rtsp_server", "rtmp_url"})
"""Fixtures that stand for real data and real peers."""
MAY_BE_ABSENT = frozenset({"small_disk", "load_on_device", "nvdec_here", "gpu_here"})
"""Fixtures that stand for what a machine cannot do at all."""


def find_data_dir() -> Path | None:
    """The folder with real weights and clips: $ENGINE_TEST_DATA, or `shared/data` beside the checkout."""
    named = os.environ.get("ENGINE_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if (folder / "MANIFEST.toml").is_file() else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real weights and clips; skips where it is absent."""
    folder = find_data_dir()
    if folder is None:
        pytest.skip("no test data: set ENGINE_TEST_DATA to the folder that holds MANIFEST.toml")
    return folder


@pytest.fixture(scope="session")
def ffprobe() -> str:
    """Path of ffprobe; skips with the command that installs it."""
    path = shutil.which("ffprobe")
    if path is None:
        pytest.skip("ffprobe is missing: apt-get install ffmpeg (or: brew install ffmpeg)")
    return path


MountDisk = Callable[[int], Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[MountDisk]:
    """Mounts a real file system of so many bytes; skips where that is not allowed. Open files at the end fail."""
    mounted: list[Path] = []

    def mount(nbytes: int) -> Path:
        folder = tmp_path / f"small-disk-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={nbytes}", "camring-test", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("no mount command on this system")
        if done.returncode:
            pytest.skip(f"needs root to mount a small file system: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        if subprocess.run(["umount", str(folder)], capture_output=True).returncode:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
            pytest.fail(f"a file on {folder} is still open")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With STRICT=1 (as in CI) a test has failed that skips for want of real data or of a real peer.

    What a machine cannot do at all (mount a disk, a GPU, IPv6) may be skipped there too.
    """
    report = yield
    wants_real_parts = not MUST_BE_THERE.isdisjoint(getattr(item, "fixturenames", ()))
    may_skip = not MAY_BE_ABSENT.isdisjoint(getattr(item, "fixturenames", ()))
    if os.environ.get("STRICT") and report.skipped and wants_real_parts and not may_skip:
        reason: Any = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped under STRICT: {reason[-1] if isinstance(reason, tuple) else reason}"
    return report
