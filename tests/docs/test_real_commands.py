"""Commands of the documents that are really run, with clips, weights, cameras and models in place of the reader's.

The others are read by their parsers (test_commands.py). Which ones these are stands here in words; a test fails where
the page has no such command any more.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, commands
from tests.e2e.engine import EngineRun, clip, free_port, model, until
from tests.peers.fixtures import RtspServer


def command(page: str, beginning: str) -> list[str]:
    """The words of the first command of a page that begins so."""
    for each in commands():
        if each.file == page and each.text.startswith(beginning):
            return each.steps[0]
    raise AssertionError(f"{page} has no command that begins with {beginning!r}")


def replaced(words: list[str], instead: dict[str, str]) -> list[str]:
    """Each word, and what stands in it behind `=`, with what is instead."""
    found = []
    for word in words:
        for old, new in instead.items():
            word = word.replace(old, new)
        found.append(word)
    return found


def ran(words: list[str], folder: Path) -> str:
    """Run it with the interpreter's own programs in a folder; returns what it printed."""
    program = words[0]
    ours = program in ("python", "pip") or program.startswith("engine-")
    start = [str(Path(sys.executable).with_name(program))] if ours else [program]
    if program == "engine-view":
        start = [sys.executable, "-m", "engine.view_cli"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "ENGINE_CONTROL_PORT": str(free_port())}
    done = subprocess.run(
        [*start, *words[1:]], capture_output=True, text=True, cwd=folder, env=environ, timeout=110
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
    return done.stdout + done.stderr


def lived(words: list[str], folder: Path, cameras: tuple[str, ...]) -> EngineRun:
    """Run a live command until each camera has some results and some video, then end it as a service manager would."""
    run = EngineRun(folder / "out", *words[1:], environ={"PYTHONUNBUFFERED": "1"})
    try:
        until(lambda: all(has_written(run, name) for name in cameras), 100, "lines and video of each camera")
    finally:
        run.process.terminate()
        status = run.wait()
    assert status == 0, run.text()
    return run


def has_written(run: EngineRun, camera: str) -> bool:
    lines, video = run.out / f"{camera}.jsonl", run.out / f"{camera}.mp4"
    if not lines.exists() or not video.exists():
        return False
    return lines.read_bytes().count(b"\n") > 5 and video.stat().st_size > 10_000


@pytest.mark.slow
def test_make_run(tmp_path: Path) -> None:
    """Both commands of the README start the engine so; here it is started without the installation before it."""
    started = []
    for beginning in ("make run", "make run SOURCE"):
        words = command("README.md", beginning)
        done = subprocess.run([*words, "-n"], cwd=ROOT, capture_output=True, text=True)
        started += [shlex.split(line) for line in done.stdout.splitlines() if "/engine-run " in line]
    assert [words[1:] for words in started] == [
        ["--profile", "m3-cpu"], ["--profile", "m3-cpu", "--source", "rtsp://camera/stream"]
    ]  # fmt: skip
    run = lived(started[0], tmp_path, ("overview", "ptz"))
    assert "dashboard" in run.text() and "built-in scene" in run.text()


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.data
def test_a_camera_and_a_file(rtsp_server: RtspServer, data_dir: Path, tmp_path: Path) -> None:
    words = command("README.md", "engine-run --source front=")
    instead = {
        "rtsp://10.0.0.5/live": rtsp_server.url(),
        "yard.mp4": clip(data_dir, "et_01_dog"),
        "yolox_nano": model(data_dir),
        "track": "boxes",  # which needs no keyframes
    }
    more = ("--loop", "--segment-model", "detector")
    lived([*replaced(words, instead), *more], tmp_path, ("front", "cam1"))


@pytest.mark.slow
@pytest.mark.data
def test_masks_of_pictures(segmenter: Path, data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "bus.jpg").write_bytes((data_dir / "images" / "bus.jpg").read_bytes())
    words = command("README.md", "engine-segment photos/")
    ran(replaced(words, {"nano_sam": str(segmenter)}), tmp_path)
    assert any(tmp_path.rglob("bus*.png"))


@pytest.mark.slow
def test_tokens(tmp_path: Path) -> None:
    words = command("docs/security.md", "engine-run --new-token admin")
    said = ran(words, tmp_path)
    assert (tmp_path / "tokens.txt").stat().st_mode & 0o777 == 0o600 and "ann (admin) added" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "beginning", "words"),
    [
        ("docs/configuration.md", "engine-models list", "yolox_nano"),
        ("docs/export.md", "python tools/fetch_models.py --list", "yolov8n"),
        ("docs/export.md", "engine-segment --help", "--point"),
        ("docs/deploy_guide.md", "engine-run --cameras cameras.toml --print-config", "[infer]"),
    ],
)
def test_what_only_prints(page: str, beginning: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "cameras.toml").write_text('[[camera]]\nname = "gate"\nsource = "test://"\n')
    assert words in ran(replaced(command(page, beginning), {"tools/": f"{ROOT}/tools/"}), tmp_path)
