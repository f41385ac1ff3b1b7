"""A program attaches itself to a run in another process: results, frames in place, one at a time, no trace left."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import topology
from engine.api import Engine
from engine.attach import Door
from engine.config import load_run_config
from engine.errors import CommandError, ConfigError
from tests.e2e.engine import EngineRun, until

PROGRAM = """
import sys
from engine import Engine
with Engine.attach(sys.argv[1]) as engine:
    for result in engine.results():
        print(result.frame_number, flush=True)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineRun]:
    """Two cameras, nothing written."""
    folder = tmp_path_factory.mktemp("attach")
    sources = ("--source", "a=test://?width=320&height=240", "--source", "b=test://?width=640&height=360")
    environ = {"ENGINE_OUTPUT_ATTACH": str(folder / "run.sock"), "ENGINE_OUTPUT_JSONL": "false"}
    started = EngineRun(folder / "out", *sources, "--model", "motion", "--no-overlay", environ=environ)
    try:
        until(lambda: (health(started) or {}).get("status") == "ok", 60, "two cameras")
        yield started
    finally:
        started.process.terminate()
        status = started.wait()
    assert status == 0
    assert not (folder / "run.sock").exists()


def health(run: EngineRun) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{run.port}/health", timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
    except OSError:
        return None
    return told if all(camera["frames_in"] > 5 for camera in told["cameras"].values()) else None


def program_of(run: EngineRun) -> Any:
    return (health(run) or {}).get("processes", {}).get("api", {}).get("pid")


def door_of(run: EngineRun) -> str:
    return str(run.out.parent / "run.sock")


def test_results_and_frames_of_another_process(run: EngineRun) -> None:
    seen: dict[str, list[int]] = {"a": [], "b": []}
    with Engine.attach(door_of(run)) as engine:
        assert engine.cameras == ["a", "b"]
        for result in engine.results(timeout_s=20):
            seen[result.camera].append(result.frame_number)
            assert result.lost == 0 or len(seen[result.camera]) > 1, "what was before is no loss"
            if result.frame is not None:
                shape = (240, 320) if result.camera == "a" else (360, 640)
                assert result.frame.y.shape == shape and not result.frame.y.flags.writeable
                assert result.frame.y.mean() > 20 and result.frame.meta.index == result.frame_number
            if min(map(len, seen.values())) >= 10:
                break
        assert engine.running
        with pytest.raises(CommandError, match="segment"):
            engine.prompt("a", points=[(1, 1)])
    assert all(numbers == sorted(set(numbers)) for numbers in seen.values())
    until(lambda: program_of(run) is None, 10, "nobody is attached any more")
    told = health(run)
    assert told is not None and told["status"] == "ok" and told["processes"]["api"]["restarts"] == 0


def test_one_at_a_time(run: EngineRun) -> None:
    with Engine.attach(door_of(run), frames=False) as engine:
        with (
            pytest.raises(CommandError, match="another program is attached to this run; one at a time"),
            Engine.attach(door_of(run)),
        ):
            pass
        assert next(engine.results(timeout_s=20)).frame is None
    until(lambda: program_of(run) is None, 10, "nobody is attached any more")


def test_a_killed_program_harms_nobody(run: EngineRun) -> None:
    command = [sys.executable, "-c", PROGRAM, door_of(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert int(program.stdout.readline()) > 0
        assert program_of(run) in (program.pid, None)  # what is told is half a second old
        os.kill(program.pid, signal.SIGKILL)
    until(lambda: program_of(run) is None, 10, "the dead one is gone")
    with Engine.attach(door_of(run)) as engine:
        assert next(engine.results(timeout_s=20)).frame_number > 0
    told = health(run)
    assert told is not None and told["status"] == "ok" and told["cameras"]["a"]["frames_pending"] < 20


def test_the_end_of_the_run_ends_the_iteration(tmp_path: Path) -> None:
    environ = {"ENGINE_OUTPUT_ATTACH": str(tmp_path / "run.sock")}
    short = ("--source", "test://?width=320&height=240", "--model", "motion", "--no-overlay")
    started = EngineRun(tmp_path / "out", *short, environ=environ)
    until(lambda: health(started), 30, "a camera")
    numbers = []
    with Engine.attach(tmp_path / "run.sock") as engine:
        for result in engine.results(timeout_s=30):
            numbers.append(result.frame_number)
            if len(numbers) == 3:
                started.process.send_signal(signal.SIGTERM)
        until(lambda: not engine.running, 10, "the end")
    assert numbers == sorted(set(numbers)) and started.wait() == 0


def test_nobody_opens(tmp_path: Path) -> None:
    with (
        pytest.raises(CommandError, match=r"No such file.*does a run with output.attach listen there\?"),
        Engine.attach(tmp_path / "nobody.sock"),
    ):
        pass


def test_a_door_is_for_this_user_and_for_one_run(tmp_path: Path) -> None:
    path = tmp_path / "run.sock"
    door = Door(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="another run listens there"):
        Door(str(path))
    door.close()
    assert not path.exists()
    with pytest.raises(ConfigError, match="cannot listen there"):
        Door(str(tmp_path / "nowhere" / "run.sock"))


def test_what_a_dead_run_has_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    Door(str(path)).close()
    path.write_text("a file of somebody's")
    with pytest.raises(ConfigError, match="cannot listen there"):
        Door(str(path))
    assert path.read_text() == "a file of somebody's"


def test_who_attaches_itself_is_never_waited_for() -> None:
    flags = {"source": ["test://"], "output.attach": "run.sock"}
    config = load_run_config("m3-cpu", None, flags).config
    assert "api" in [worker.name for worker in topology.workers(config)]
    with pytest.raises(ConfigError, match="nobody can attach to an offline run"):
        load_run_config("m3-cpu", None, {**flags, "offline": True})
