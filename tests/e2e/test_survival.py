"""Killed workers, a killed supervisor, signals, a full disk: the run goes on or ends well, and nothing is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import EngineRun, clip, model, until

pytestmark = [pytest.mark.data, pytest.mark.slow]


def live_run(engine_run: Callable[..., EngineRun], data_dir: Path, *more: str) -> EngineRun:
    run = engine_run("--source", clip(data_dir, "et_08_driving"), "--loop", "--model", model(data_dir), *more)
    until(lambda: len(run.lines()) > 5, 20, f"results\n{run.text()}")
    return run


def accounts_hold(camera: dict[str, Any]) -> bool:
    """frames_in = processed + pending + Σ dropped."""
    spent: int = camera["frames_processed"] + camera["frames_pending"] + sum(camera["dropped"].values())
    return bool(spent == camera["frames_in"])


def replace_killed(run: EngineRun, pid: int) -> None:
    """Kill one worker; results (or answers) are there again within three seconds, and so are all workers."""
    kind, wall_s = run.workers()[pid], time.time()
    os.kill(pid, signal.SIGKILL)
    if kind == "control":
        until(lambda: pid not in run.workers() and run.health(), 3, "an answer from control")
    else:
        until(lambda: run.result_newer_than(wall_s), 3, f"results after {kind} was killed\n{run.text()}")
    until(lambda: len(run.workers()) == 6, 5, "all six workers")


def test_every_worker_killed_in_turn_recovers_within_three_seconds(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    run = live_run(engine_run, data_dir)
    kinds = sorted(set(run.workers().values()))
    assert kinds == ["control", "decode", "infer", "output", "stream", "track"]
    for pid in run.workers():
        replace_killed(run, pid)
    health = until(run.health, 5, "health")
    assert all(accounts_hold(camera) for camera in health["cameras"].values()), health
    assert run.stop() == 0
    frames = [line["frame"] for line in run.lines()]
    assert frames == sorted(set(frames)), "a frame came twice or out of order"


def test_offline_run_is_complete_although_every_worker_is_killed(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    run = engine_run(
        "--source", clip(data_dir, "et_01_dog"), "--offline", "--no-overlay",
        "--model", model(data_dir, "yolox_nano_416_f32"),
    )  # fmt: skip
    for kind in ("decode", "infer", "track", "output"):
        count = len(run.lines())
        until(partial(run.results_after, count + 5), 30, f"progress\n{run.text()}")
        for pid, found in run.workers().items():
            if found == kind:
                os.kill(pid, signal.SIGKILL)
    assert run.wait(60) == 0, run.text()
    assert [line["frame"] for line in run.lines()] == list(range(289))


def test_nothing_is_left_when_the_supervisor_is_killed(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    before = set(os.listdir("/dev/shm"))
    run = live_run(engine_run, data_dir)
    workers = run.workers()
    run.process.kill()
    run.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 3, "workers are gone")
    assert set(os.listdir("/dev/shm")) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_run_within_five_seconds(
    engine_run: Callable[..., EngineRun], data_dir: Path, number: signal.Signals
) -> None:
    run = live_run(engine_run, data_dir)
    run.process.send_signal(number)
    start = time.monotonic()
    assert run.wait(10) == 0
    assert time.monotonic() - start < 5
    assert not run.workers()


def test_a_stopped_worker_is_killed_and_replaced(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    environ = {"ENGINE_SUPERVISOR_HANG_TIMEOUT_S": "2"}
    run = engine_run(
        "--source", clip(data_dir, "et_08_driving"), "--loop", "--no-overlay", "--model", model(data_dir),
        environ=environ,
    )  # fmt: skip
    until(lambda: len(run.lines()) > 5, 20, "results")
    (pid,) = (pid for pid, kind in run.workers().items() if kind == "infer")
    os.kill(pid, signal.SIGSTOP)
    until(lambda: pid not in run.workers(), 6, "the hung worker is killed")
    count = len(run.lines())
    until(lambda: len(run.lines()) > count + 5, 6, "results again")
    assert run.stop() == 0
    assert "no sign of life" in run.text()
