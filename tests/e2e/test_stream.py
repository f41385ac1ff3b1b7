"""Live video of a whole run: pictures for who asks, a recording in segments, and a stream process that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from tests.e2e.engine import EngineRun, until

pytestmark = pytest.mark.slow

MOTION = ("--source", "gate=test://", "--model", "motion")


def video(run: EngineRun) -> dict[str, Any]:
    """The camera's video in /health, {} while there is none."""
    health = run.health()
    found = health["cameras"]["gate"]["video"] if health else None
    return found or {}


def recorded(run: EngineRun) -> int:
    frames: int = video(run).get("recording", {}).get("frames", 0)
    return frames


def packets(run: EngineRun, rendition: str) -> int:
    number: int = video(run).get("renditions", {}).get(rendition, {}).get("packets", -1)
    return number


def snapshot(run: EngineRun, view: str) -> np.ndarray[Any, Any]:
    url = f"http://127.0.0.1:{run.port}/snapshot/gate.jpg?view={view}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return np.asarray(cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR))


def test_a_killed_stream_costs_a_segment_and_no_viewer(
    engine_run: Callable[..., EngineRun], ffprobe: str
) -> None:
    run = engine_run(*MOTION, environ={"ENGINE_OUTPUT_SEGMENT_S": "4"})
    until(lambda: recorded(run) > 60, 40, f"a recording\n{run.text()}")
    clean, drawn = snapshot(run, "clean"), snapshot(run, "overlay")
    assert clean.shape == drawn.shape == (720, 1280, 3)
    until(lambda: packets(run, "clean_jpeg") == packets(run, "overlay_jpeg") == 1, 5, "they are counted")
    overlay = video(run)["renditions"]["overlay"]
    assert overlay["running"] and overlay["keyframes"] >= 1
    (pid,) = (pid for pid, kind in run.workers().items() if kind == "stream")
    before = recorded(run)
    os.kill(pid, signal.SIGKILL)
    until(lambda: recorded(run) > before + 30, 20, f"a recording again\n{run.text()}")
    assert snapshot(run, "clean").shape == (720, 1280, 3)
    until(lambda: packets(run, "clean_jpeg") == 2, 5, "numbers that go on")
    assert run.stop() == 0, run.text()
    segments = sorted(run.out.glob("gate.*Z*.mp4"))
    assert len(segments) >= 2
    for path in segments:
        told = subprocess.run([ffprobe, "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames",
                               "-of", "csv=p=0", path], capture_output=True, text=True, check=True)  # fmt: skip
        assert told.stderr == "" and int(told.stdout) > 0, path


def test_a_frozen_source_is_no_signal_for_who_looks_and_nothing_for_the_file(
    engine_run: Callable[..., EngineRun],
) -> None:
    run = engine_run(*MOTION, environ={"ENGINE_STREAM_NO_SIGNAL_S": "0.5"})
    until(lambda: recorded(run) > 10, 40, f"a recording\n{run.text()}")
    bright = snapshot(run, "clean").mean()
    (pid,) = (pid for pid, kind in run.workers().items() if kind == "decode")
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: video(run).get("no_signal"), 10, "no signal")
        frames = recorded(run)
        assert snapshot(run, "clean").mean() < 0.6 * bright
        time.sleep(1.0)
        assert recorded(run) == frames
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: not video(run).get("no_signal", True), 10, "a signal again")
    assert snapshot(run, "clean").mean() > 0.7 * bright
    assert run.stop() == 0, run.text()
