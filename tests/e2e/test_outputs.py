"""Files that users keep: on a disk that fills up, after a kill, and when two runs want the same ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from engine.outputs.mp4 import whole_bytes
from tests.conftest import MountDisk
from tests.e2e.engine import EngineRun, clip, model, until

pytestmark = [pytest.mark.data, pytest.mark.slow]

Start = Callable[..., EngineRun]


def pictures_in(video: Path) -> int:
    """How many pictures a player gets out of a file."""
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def assert_whole_lines(path: Path, run: EngineRun) -> int:
    """Nothing but whole lines, frames in order; returns how many."""
    assert path.read_bytes()[-1:] in (b"\n", b"")
    frames = [line["frame"] for line in run.lines(path.stem)]
    assert frames == sorted(set(frames))
    return len(frames)


def reasons(run: EngineRun) -> str:
    """Why the run is not ok, by /health; "" when it is."""
    return " ".join((run.health() or {"reasons": ["no answer"]})["reasons"])


def lost(run: EngineRun, camera: str, place: str) -> dict[str, int]:
    """Results that did not reach an output, by reason."""
    health: dict[str, Any] = until(run.health, 5, "health")
    found: dict[str, int] = health["cameras"][camera]["results_lost"].get(place, {})
    return found


@pytest.mark.parametrize(
    ("size", "file", "flags"),
    [(8 * 1024, "cam0.jsonl", ["--no-overlay"]), (256 * 1024, "cam0.mp4", [])],
    ids=["lines", "video"],
)
def test_offline_a_full_disk_ends_the_run_with_one_line(
    engine_run: Start, data_dir: Path, small_disk: MountDisk, size: int, file: str, flags: list[str]
) -> None:
    disk = small_disk(size)
    run = engine_run(
        "--source", clip(data_dir, "et_08_driving"), "--offline", "--model", model(data_dir), *flags,
        "--out", str(disk),
    )  # fmt: skip
    run.out = disk
    assert run.wait(60) == 1, run.text()
    errors = [line for line in run.text().splitlines() if " error " in line]
    assert len(errors) == 1, run.text()
    assert f"{disk / file}: disk full after" in errors[0]
    assert errors[0].endswith("free space there or choose another folder with --out")
    count = assert_whole_lines(disk / "cam0.jsonl", run)
    assert 0 < count < 124
    if file == "cam0.jsonl":
        assert f"after {count} lines" in errors[0]
    for video in disk.glob("*.mp4"):
        assert pictures_in(video) > 0
    assert not run.workers()


def test_live_a_full_disk_of_one_camera_is_its_own_trouble(
    engine_run: Start, data_dir: Path, small_disk: MountDisk, tmp_path: Path
) -> None:
    disk = small_disk(64 * 1024)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(48 * 1024))
    out = tmp_path / "out0"
    out.mkdir()
    (out / "full.jsonl").symlink_to(disk / "full.jsonl")
    source = clip(data_dir, "et_08_driving")
    run = engine_run(
        "--source", f"full={source}", "--source", f"free={source}", "--loop", "--no-overlay",
        "--model", model(data_dir),
    )  # fmt: skip
    until(lambda: "full.jsonl: disk full" in reasons(run), 30, f"trouble\n{run.text()}")
    health = until(run.health, 5, "health")
    assert health["status"] == "degraded" and "free.jsonl" not in reasons(run)
    count = len(run.lines("free"))
    until(lambda: len(run.lines("free")) > count + 40, 10, "results of the other camera")
    written = assert_whole_lines(disk / "full.jsonl", run)
    ballast.unlink()
    until(lambda: len(run.lines("full")) > written + 10, 10, f"lines again\n{run.text()}")
    until(lambda: not reasons(run), 5, "all is well again")
    assert lost(run, "full", "jsonl")["output_failed"] >= 1 and not lost(run, "free", "jsonl")
    assert run.stop() == 0, run.text()
    assert_nothing_unaccounted(run, "full")
    assert_nothing_unaccounted(run, "free")


def assert_nothing_unaccounted(run: EngineRun, camera: str) -> None:
    """Every processed frame is a line or is said to be lost; every frame is a line or is said to be skipped."""
    found = re.search(
        rf"^  {camera}: \d+ frames in, (\d+) processed, .* dropped, (\d+) results written(.*), latency",
        run.text(),
        re.MULTILINE,
    )
    assert found, run.text()
    lines = run.lines(camera)
    assert_whole_lines(run.out / f"{camera}.jsonl", run)
    assert len(lines) == int(found[2])
    assert int(found[1]) == len(lines) + sum(int(number) for number in re.findall(r"\d+", found[3]))
    assert lines[-1]["frame"] + 1 == len(lines) + sum(line["skipped"] for line in lines)


def test_live_video_goes_on_in_a_new_part_when_there_is_space_again(
    engine_run: Start, data_dir: Path, small_disk: MountDisk
) -> None:
    disk = small_disk(8 * 2**20)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(8 * 2**20 - 160 * 1024))
    run = engine_run(
        "--source", clip(data_dir, "et_08_driving"), "--loop", "--model", model(data_dir), "--out", str(disk)
    )  # fmt: skip
    run.out = disk
    until(lambda: "cam0.mp4: disk full" in reasons(run), 30, f"trouble\n{run.text()}")
    ballast.unlink()
    until(lambda: not reasons(run), 10, "all is well again")
    assert lost(run, "cam0", "video")["output_failed"] >= 1
    count = len(run.lines())
    until(lambda: len(run.lines()) > count + 30, 10, "results")
    assert run.stop() == 0, run.text()
    videos = sorted(disk.glob("*.mp4"))
    assert videos and all(pictures_in(video) > 0 for video in videos)
    assert pictures_in(videos[-1]) >= 25
    assert_whole_lines(disk / "cam0.jsonl", run)


def test_a_killed_run_leaves_a_video_that_plays_and_whole_lines(engine_run: Start, data_dir: Path) -> None:
    run = engine_run("--source", clip(data_dir, "et_08_driving"), "--loop", "--model", model(data_dir))
    video = run.out / "cam0.mp4"
    until(lambda: len(run.lines()) > 72, 30, f"three seconds of results\n{run.text()}")
    # Encoding may be behind the lines on a busy machine, so what the file itself has is what counts.
    until(lambda: video.exists() and whole_bytes(video) > 0, 30, "a whole fragment")
    whole = whole_bytes(video)
    run.process.kill()
    run.process.wait()
    until(lambda: not run.workers(), 3, "workers are gone")
    # The fragment that was being written and what the encoder looked ahead are lost, nothing of those before.
    assert whole_bytes(video) >= whole
    assert pictures_in(video) > 0
    assert assert_whole_lines(run.out / "cam0.jsonl", run) > 72


def test_two_runs_into_one_folder_are_one_too_many(engine_run: Start, data_dir: Path) -> None:
    flags = ("--source", clip(data_dir, "et_08_driving"), "--loop", "--model", model(data_dir))
    first = engine_run(*flags)
    until(lambda: len(first.lines()) > 30, 30, f"results\n{first.text()}")
    video = (first.out / "cam0.mp4").stat().st_ino
    second = engine_run(*flags, "--out", str(first.out))
    assert second.wait(20) == 1
    (line,) = second.text().splitlines()
    assert str(first.out) in line and "another run" in line and "--out" in line
    count = len(first.lines())
    until(lambda: len(first.lines()) > count + 10, 10, "the first run goes on")
    assert (first.out / "cam0.mp4").stat().st_ino == video
    assert first.stop() == 0
    third = engine_run(*flags, "--out", str(first.out), "--duration", "3")
    assert third.wait(30) == 0, third.text()
