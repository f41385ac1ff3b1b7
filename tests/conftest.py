"""Shared fixtures: where the real data and the real peers are, or a reason to skip."""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

os.environ.setdefault(
    "ORT_DISABLE_TELEMETRY", "1"
)  # tests that import onnxruntime themselves send nothing either

# How long an example takes says more of the machine than of the code. CI judges the change and not the day's luck: it
# takes the same examples every time; runs by hand look for new ones.
hypothesis.settings.register_profile("camring", deadline=None, derandomize=bool(os.environ.get("STRICT")))
hypothesis.settings.load_profile("camring")

# Refused logins are remembered for half an hour, for every camera on 127.0.0.1: each test begins with none.
LOGINS = Path(tempfile.mkdtemp(prefix="camring-logins-"))
atexit.register(shutil.rmtree, LOGINS, ignore_errors=True)
os.environ["ENGINE_LOGINS"] = str(LOGINS)

MUST_BE_THERE = frozenset(
    {
        "data_dir", "ffprobe", "rtsp_server", "start_rtsp_server", "rtmp_url", "rtmp_server",
        "start_rtsp_recorder", "rtsp_recorder", "browser", "mosquitto", "broker", "guarded",
        "secure_broker",
    }
)  # fmt: skip
"""Fixtures that stand for real data and real peers."""
MAY_BE_ABSENT = frozenset({"small_disk", "load_on_device", "nvdec_here", "gpu_here"})
"""Fixtures that stand for what a machine cannot do at all."""
EXPORTED = frozenset({"sam2_folder", "edgetam_folder", "nano_sam_folder"})
"""Fixtures that export a model, once."""
WITHOUT_EFFECT_ON_GRAPHS = frozenset(
    f"{name}.py"
    for name in ("checkpoint", "command", "half", "loop_parity", "official", "parity", "quantize", "work")
)
"""Files of tools/sam2 that a change of leaves exported graphs as they are."""


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


@pytest.fixture
def signals_heard() -> Iterator[None]:
    """SIGINT and SIGHUP do what they do in a terminal, also where the tests run in the background or under nohup.

    Those are ignored there, and so they are in every process that is started.
    """
    numbers = (signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def ffprobe() -> str:
    """Path of ffprobe; skips with the command that installs it."""
    path = shutil.which("ffprobe")
    if path is None:
        pytest.skip("ffprobe is missing: apt-get install ffmpeg (or: brew install ffmpeg)")
    return path


@pytest.fixture(scope="session")
def sam2_folder(request: pytest.FixtureRequest) -> Path:
    """A SAM 2 of four graphs at 256 × 256, with random weights under which memories and pointers matter.

    Exported once, kept in pytest's cache until the exporting code changes; not to be written into.
    """
    return exported_segmenter(request.config, "tiny")


@pytest.fixture(scope="session")
def edgetam_folder(request: pytest.FixtureRequest) -> Path:
    """The same of EdgeTAM, whose memories have 512 tokens."""
    return exported_segmenter(request.config, "edgetam")


@pytest.fixture(scope="session")
def nano_sam_folder(request: pytest.FixtureRequest) -> Path:
    """The same of nano-sam: narrower, masks of 128 × 128, weights that lie in the files as float16."""
    return exported_segmenter(request.config, "nano")


def exported_segmenter(config: pytest.Config, variant: str) -> Path:
    """The folder of a variant with random weights at 256 × 256; skips without the packages that export."""
    if find_spec("torch") is None or find_spec("sam2") is None:
        pytest.skip("torch or sam2 is missing: make test installs them (docs/export.md)")
    code = hashlib.sha256()
    for path in sorted((REPOSITORY / "tools/sam2").glob("*.py")):
        anothers = any(family in path.name for family in ("edgetam", "nano") if family != variant)
        stored = variant == "nano" and path.name == "half.py"
        if stored or not (anothers or path.name in WITHOUT_EFFECT_ON_GRAPHS):
            code.update(path.read_bytes())
    assert config.cache is not None
    folder = config.cache.mkdir("sam2") / f"{variant}-{code.hexdigest()[:16]}"
    # Two runs at once: one exports, the other waits.
    with open(folder.parent / f"{variant}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "segmenter.json").is_file():
            for old in [*folder.parent.glob(f"{variant}-*/"), *folder.parent.glob(f".{variant}-*/")]:
                # A run that goes on beside this one may still read what it found.
                if time.time() - old.stat().st_mtime > 3600:
                    shutil.rmtree(old)
            tool = REPOSITORY / "tools/export_onnx.py"
            options = ["--random", variant, "--size", "256", "--parity", "none", "--out", str(folder)]
            done = subprocess.run(
                [sys.executable, str(tool), "sam2", *options], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A folder of refused logins for each test; it is made when something is written."""
    os.environ["ENGINE_LOGINS"] = str(LOGINS / hashlib.sha256(item.nodeid.encode()).hexdigest()[:16])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whichever test comes first waits for the export: half a minute, or minutes where much else is computed."""
    for item in items:
        if not EXPORTED.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(600))


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
