"""`engine-run` without a word about cameras, as on a fresh machine, and one video of all cameras."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import av

from tests.e2e.engine import EngineRun, until

Start = Callable[..., EngineRun]
QUICK = ("--model", "motion", "--segment", "off", "--no-overlay")
"""Whoever is found, and however well: this is about what there is to see."""


def pictures(path: Path) -> list[tuple[float, int, int]]:
    """Time, width and height of every picture that can be played."""
    with av.open(str(path)) as container:
        return [(frame.time or 0.0, frame.width, frame.height) for frame in container.decode(video=0)]


def since(run: EngineRun, camera: str, begin_s: float) -> float:
    """From a camera's first result after a moment to its newest, s."""
    times = [line["time"] for line in run.lines(camera) if line["time"] > begin_s]
    return float(times[-1] - times[0]) if times else 0.0


def test_the_scene_its_video_and_its_score_though_workers_are_killed(
    engine_run: Start, tmp_path: Path
) -> None:
    video = tmp_path / "demo.mp4"
    run = engine_run(*QUICK, "--record", str(video))
    until(lambda: run.lines("overview") and run.lines("ptz"), 60, "results of both cameras")
    until(lambda: video.exists() and video.stat().st_size > 20_000, 60, f"a video\n{run.text()}")
    kinds = {kind.split()[0]: pid for pid, kind in run.workers().items()}
    assert {"record", "decode", "infer"} <= set(kinds), kinds
    for kind in ("record", "decode", "infer"):
        os.kill(kinds[kind], signal.SIGKILL)
    killed_s = time.time()
    until(lambda: all(since(run, name, killed_s) > 17 for name in ("overview", "ptz")), 150, "results go on")
    run.process.send_signal(signal.SIGINT)
    assert run.wait(30) == 0, run.text()
    told = run.text()
    assert (
        "no --source: the built-in scene" in told and "dashboard, API, health and metrics at http://" in told
    )
    assert "score against ground truth" in told and "target in frame" in told, told
    for part in (video, tmp_path / "demo.part2.mp4"):
        shown = pictures(part)
        assert len(shown) > 5 and {shape[1:] for shape in shown} == {(1280, 360)}
    assert sorted(path.name for path in run.out.glob("*.jsonl")) == ["overview.jsonl", "ptz.jsonl"]
    assert sorted(path.name for path in (run.out / "truth").glob("*.truth")) == [
        "overview.truth",
        "ptz.truth",
    ]


def test_other_cameras_are_recorded_side_by_side_and_every_frame_offline(
    engine_run: Start, tmp_path: Path
) -> None:
    video = tmp_path / "all.mp4"
    sources = [f"{name}=test://?width={width}&height=90&fps=25&frames=20" for name, width in
               (("a", 160), ("b", 160), ("c", 120))]  # fmt: skip
    arguments = [argument for source in sources for argument in ("--source", source)]
    run = engine_run(*arguments, "--model", "motion", "--offline", "--no-overlay", "--record", str(video))
    assert run.wait(60) == 0, run.text()
    shown = pictures(video)
    assert len(shown) == 20 and shown[0][1:] == (320, 180)
    assert abs(shown[-1][0] - 19 / 25) < 0.01


def test_a_video_that_cannot_be_is_one_line(engine_run: Start, tmp_path: Path) -> None:
    for path, problem in (
        (tmp_path / "demo.avi", "must end in .mp4"),
        (tmp_path / "no" / "demo.mp4", "no folder"),
    ):
        run = engine_run("--source", "test://", "--model", "motion", "--record", str(path))
        assert run.wait(30) == 2
        (line,) = run.text().splitlines()
        assert line.startswith("engine-run: flag --record: ") and problem in line
