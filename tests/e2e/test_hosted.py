"""Cameras decoded in the process of inference: the same results, and the same care when something dies."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import EngineRun, clip, model, until
from tests.peers.fixtures import RtspServer

pytestmark = [pytest.mark.data, pytest.mark.slow]

HOSTED = {"ENGINE_DECODE_PLACE": "inference"}

Start = Callable[..., EngineRun]


def pid_of(run: EngineRun, kind: str) -> int:
    """Number of the one process of this kind."""
    (pid,) = (pid for pid, found in run.workers().items() if found == kind)
    return pid


def processes(run: EngineRun) -> dict[str, Any]:
    """What /health says of each worker; {} while nobody answers."""
    found: dict[str, Any] = (run.health() or {}).get("processes", {})
    return found


def camera(run: EngineRun) -> dict[str, Any]:
    """What /health says of the only camera."""
    health = until(run.health, 5, "health")
    (found,) = health["cameras"].values()
    return dict(found)


def accounts_hold(run: EngineRun) -> bool:
    """For every camera frames_in = processed + pending + Σ dropped, while it runs."""
    health = until(run.health, 5, "health")
    return all(
        one["frames_in"] == one["frames_processed"] + one["frames_pending"] + sum(one["dropped"].values())
        for one in health["cameras"].values()
    )


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_the_place_does_not_change_the_results(engine_run: Start, data_dir: Path) -> None:
    names = ("et_08_driving", "et_12_hideandseek")
    sources = [argument for name in names for argument in ("--source", clip(data_dir, name))]
    found = []
    for environ in ({}, HOSTED):
        run = engine_run(*sources, "--offline", "--no-overlay", "--model", model(data_dir), environ=environ)
        assert run.wait(120) == 0, run.text()
        assert "workers restarted: 0" in run.text()
        lines = [run.lines(f"cam{index}") for index in range(len(names))]
        found.append(
            [[{**line, "time": 0, "latency_ms": 0, "trace_ms": 0} for line in camera] for camera in lines]
        )
        assert [len(camera) for camera in lines] == [124, 200]
    assert [json.dumps(lines) for lines in found[0]] == [json.dumps(lines) for lines in found[1]]


def test_hosted_cameras_are_shown_as_any_other(engine_run: Start, data_dir: Path) -> None:
    run = engine_run(
        "--source", clip(data_dir, "et_08_driving"), "--loop", "--no-overlay", "--model", model(data_dir),
        environ=HOSTED,
    )  # fmt: skip
    until(lambda: len(run.lines()) > 5, 20, f"results\n{run.text()}")
    assert sorted(run.workers().values()) == ["control", "infer", "output", "stream", "track"]
    row = until(
        lambda: (r := processes(run).get("decode:cam0")) and r["state"] == "running" and r, 5, "running"
    )
    assert row["pid"] == pid_of(run, "infer") and row["restarts"] == 0 and row["heartbeat_age_s"] < 2
    until(lambda: camera(run)["fps_in"] > 15 and camera(run)["width"] == 1280, 5, f"a picture: {camera(run)}")
    assert camera(run)["state"] == "streaming" and accounts_hold(run)
    assert run.stop() == 0, run.text()
    assert "warning" not in run.text() and "error" not in run.text()


def test_the_host_is_killed_and_comes_back_with_its_cameras(engine_run: Start, data_dir: Path) -> None:
    run = engine_run(
        "--source", clip(data_dir, "et_08_driving"), "--source", clip(data_dir, "et_12_hideandseek"),
        "--loop", "--no-overlay", "--model", model(data_dir), environ=HOSTED,
    )  # fmt: skip
    for deaths in range(1, 3):
        count = len(run.lines())
        until(partial(run.results_after, count + 5), 20, f"results\n{run.text()}")
        os.kill(pid_of(run, "infer"), signal.SIGKILL)
        count = len(run.lines())
        until(partial(run.results_after, count + 5), 10, f"results after the death\n{run.text()}")
        rows = until(
            lambda: (
                (found := processes(run))
                and all(row["state"] == "running" for row in found.values())
                and found
            ),
            5,
            "everybody runs again",
        )
        restarts = {name: row["restarts"] for name, row in rows.items()}
        assert restarts == {
            "control": 0, "results": 0, "track": 0,
            "infer": deaths, "decode:cam0": deaths, "decode:cam1": deaths, "stream:cam0": 0, "stream:cam1": 0,
        }  # fmt: skip
        assert accounts_hold(run)
    assert run.stop() == 0, run.text()
    assert "warning decode" not in run.text(), "deaths of the host were counted as their own"
    for name in ("cam0", "cam1"):
        frames = [line["frame"] for line in run.lines(name)]
        assert frames == sorted(set(frames)), "a frame came twice or out of order"


def test_an_offline_run_is_complete_although_the_host_is_killed(engine_run: Start, data_dir: Path) -> None:
    run = engine_run(
        "--source", clip(data_dir, "et_01_dog"), "--offline", "--no-overlay",
        "--model", model(data_dir, "yolox_nano_416_f32"), environ=HOSTED,
    )  # fmt: skip
    for _ in range(2):
        count = len(run.lines())
        until(partial(run.results_after, count + 5), 30, f"progress\n{run.text()}")
        os.kill(pid_of(run, "infer"), signal.SIGKILL)
    assert run.wait(90) == 0, run.text()
    assert [line["frame"] for line in run.lines()] == list(range(289))


def test_a_camera_that_fails_does_not_take_the_host_with_it(
    engine_run: Start, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "junk.mp4").write_bytes(os.urandom(3000))
    run = engine_run(
        "--source", f"good={clip(data_dir, 'et_08_driving')}", "--source", f"bad={tmp_path / 'junk.mp4'}",
        "--offline", "--no-overlay", "--model", model(data_dir), environ=HOSTED,
    )  # fmt: skip
    assert run.wait(60) == 1, run.text()
    assert [line["frame"] for line in run.lines("good")] == list(range(124))
    assert "workers restarted: 0" in run.text() and "junk.mp4" in run.text()


@pytest.mark.peer
def test_a_camera_that_dies_is_opened_again_and_leaves_nothing_open(
    engine_run: Start, rtsp_server: RtspServer, data_dir: Path
) -> None:
    run = engine_run(
        "--source", f"gate={rtsp_server.url()}", "--no-overlay", "--model", model(data_dir),
        environ={**HOSTED, "ENGINE_DECODE_TIMEOUT_S": "2"},
    )  # fmt: skip
    until(lambda: len(run.lines("gate")) > 5, 20, f"results\n{run.text()}")
    infer, before = pid_of(run, "infer"), []
    for _ in range(3):
        before.append(open_files(infer))
        rtsp_server.kill()
        until(lambda: camera(run)["state"] == "reconnecting", 6, f"reconnecting\n{run.text()}")
        rtsp_server.start()
        until(lambda: camera(run)["state"] == "streaming", 10, f"streaming\n{run.text()}")
        count = len(run.lines("gate"))
        until(lambda: len(run.lines("gate")) > count + 5, 5, f"results\n{run.text()}")  # noqa: B023 - at once
    assert pid_of(run, "infer") == infer
    until(lambda: open_files(infer) <= max(before), 5, f"as few files as before: {before}")
    assert run.stop() == 0, run.text()


def test_a_camera_that_hangs_does_not_hold_up_the_end(
    engine_run: Start, data_dir: Path, tmp_path: Path
) -> None:
    """A pipe that nobody writes to is a file that opens never; a thread cannot be killed."""
    os.mkfifo(tmp_path / "stuck.mp4")
    run = engine_run(
        "--source", f"stuck={tmp_path / 'stuck.mp4'}", "--source", f"good={clip(data_dir, 'et_08_driving')}",
        "--loop", "--no-overlay", "--model", model(data_dir), environ=HOSTED,
    )  # fmt: skip
    until(lambda: len(run.lines("good")) > 5, 20, f"results\n{run.text()}")
    started_s = time.monotonic()
    assert run.stop() == 0, run.text()
    assert time.monotonic() - started_s < 5 and not run.workers()
    assert "warning" not in run.text()


def test_a_camera_that_hangs_is_started_again_with_its_host(
    engine_run: Start, data_dir: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "stuck.mp4")
    environ = {**HOSTED, "ENGINE_SUPERVISOR_HANG_TIMEOUT_S": "4", "ENGINE_SUPERVISOR_START_TIMEOUT_S": "4"}
    run = engine_run(
        "--source", f"stuck={tmp_path / 'stuck.mp4'}", "--source", f"cam0={clip(data_dir, 'et_08_driving')}",
        "--loop", "--no-overlay", "--model", model(data_dir), environ=environ,
    )  # fmt: skip
    until(lambda: len(run.lines()) > 5, 20, f"results\n{run.text()}")
    until(lambda: "decode:stuck: no sign of life for 4 s" in run.text(), 15, run.text())
    count = len(run.lines())
    until(lambda: run.results_after(count + 20), 10, f"results of the other camera\n{run.text()}")
    assert accounts_hold(run)
    assert run.stop() == 0, run.text()
