"""Several cameras before one detector: a frozen one, target rates, a model that is too slow, and the accounts."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import EngineRun, clip, model, until

pytestmark = [pytest.mark.data, pytest.mark.slow]

SMALL = "test://?width=320&height=240&fps=10&objects=2"


def cameras(count: int, source: str = SMALL) -> list[str]:
    return [argument for number in range(count) for argument in ("--source", f"c{number}={source}")]


def health(run: EngineRun) -> dict[str, Any]:
    found: dict[str, Any] = until(run.health, 10, "health")
    return found


def accounts_hold(camera: dict[str, Any]) -> bool:
    """frames_in = processed + pending + Σ dropped."""
    spent: int = camera["frames_processed"] + camera["frames_pending"] + sum(camera["dropped"].values())
    return bool(spent == camera["frames_in"] and camera["frames_pending"] >= 0)


def processed(run: EngineRun) -> dict[str, int]:
    return {name: camera["frames_processed"] for name, camera in health(run)["cameras"].items()}


def rates(run: EngineRun, seconds: float) -> dict[str, float]:
    """Frames processed per second of each camera, from now on."""
    before, start_s = processed(run), time.monotonic()
    time.sleep(seconds)
    after, took_s = processed(run), time.monotonic() - start_s
    return {name: (after[name] - before[name]) / took_s for name in before}


def until_all_give(run: EngineRun, frames: int = 10) -> None:
    def all_do() -> bool:
        found = run.health()
        counts = [camera["frames_processed"] for camera in found["cameras"].values()] if found else []
        return bool(counts) and min(counts) > frames

    until(all_do, 40, f"{frames} frames of each camera\n{run.text()}")


def test_a_frozen_camera_does_not_slow_the_others(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    environ = {"ENGINE_INFER_BATCH": "4"}
    run = engine_run(*cameras(4), "--no-overlay", "--model", model(data_dir), environ=environ)
    until_all_give(run)
    normal = rates(run, 4)
    pid = health(run)["processes"]["decode:c3"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        frozen = rates(run, 4)
    finally:
        os.kill(pid, signal.SIGCONT)
    others = ("c0", "c1", "c2")
    assert sum(frozen[name] for name in others) > 0.85 * sum(normal[name] for name in others), (
        normal,
        frozen,
    )
    # Frames from before the signal are still counted: health is up to half a second old.
    assert frozen["c3"] < 0.25 * normal["c3"]
    back = until(lambda: rates(run, 1)["c3"] > 5, 10, "the frozen camera goes on")
    assert back and all(accounts_hold(camera) for camera in health(run)["cameras"].values())
    assert run.stop() == 0


def test_batches_are_told_of(engine_run: Callable[..., EngineRun], data_dir: Path) -> None:
    environ = {"ENGINE_INFER_BATCH": "3"}
    run = engine_run(*cameras(3), "--no-overlay", "--model", model(data_dir), environ=environ)
    until_all_give(run, frames=30)
    inference = health(run)["inference"]
    assert inference["collect"] == "adaptive" and inference["live_cameras"] == 3
    assert inference["lanes"] >= 1 and inference["calls"] >= inference["lanes"]
    assert 80 < inference["window_ms"] <= 100
    assert inference["frames"] >= inference["batches"] > 20
    assert {choice["what"] for choice in inference["choices"]} >= {"cores", "backend"}
    assert run.stop() == 0
    assert "inference: " in run.text()


@pytest.mark.parametrize(("fps", "count"), [("10", 96), ("1", 10)])
def test_offline_a_file_is_thinned_by_its_own_time(
    engine_run: Callable[..., EngineRun], data_dir: Path, fps: str, count: int
) -> None:
    """289 frames at 29.97 frames/s. At one a second there are more frames between than a pool has slots."""
    run = engine_run(
        "--source", clip(data_dir, "et_01_dog"), "--offline", "--model", model(data_dir),
        environ={"ENGINE_INFER_FPS": fps},
    )  # fmt: skip
    assert run.wait(90) == 0, run.text()
    frames = [line["frame"] for line in run.lines()]
    assert len(frames) == pytest.approx(count, abs=1)
    gaps = {after - before for before, after in itertools.pairwise(frames)}
    step = 29.97 / float(fps)
    assert min(gaps) >= step - 1 and max(gaps) <= step + 1
    assert f"{289 - len(frames)} rate dropped" in run.text()
    assert f"{len(frames)} results written" in run.text()


def test_live_cameras_have_rates_of_their_own(
    engine_run: Callable[..., EngineRun], data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(
        f'[[camera]]\nname = "c0"\nsource = "{SMALL}"\ninfer_fps = 4.0\n'
        f'[[camera]]\nname = "c1"\nsource = "{SMALL}"\n'
    )
    run = engine_run("--cameras", str(file), "--no-overlay", "--model", model(data_dir))
    until_all_give(run)
    found = rates(run, 5)
    assert found["c0"] == pytest.approx(4, abs=0.7) and found["c1"] > 8
    told = health(run)["cameras"]
    assert told["c0"]["dropped"]["rate"] > 20 and told["c1"]["dropped"]["rate"] == 0
    assert all(accounts_hold(camera) for camera in told.values())
    (pid,) = (pid for pid, kind in run.workers().items() if kind == "infer")
    os.kill(pid, signal.SIGKILL)
    until(lambda: health(run)["processes"]["infer"]["restarts"] == 1, 5, "a new detector")
    before = processed(run)["c0"]
    until(lambda: processed(run)["c0"] > before + 3, 10, "results again")
    after = health(run)["cameras"]
    assert all(accounts_hold(camera) for camera in after.values())
    assert after["c0"]["dropped"]["rate"] >= told["c0"]["dropped"]["rate"], "a counter went backwards"
    assert run.stop() == 0


def test_a_camera_of_which_every_frame_is_too_old_is_counted(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    environ = {"ENGINE_INFER_MAX_AGE_MS": "1", "ENGINE_INFER_BATCH": "1"}
    source = "test://?width=1920&height=1080&fps=10"  # takes longer than a millisecond to draw
    run = engine_run(*cameras(1, source), "--no-overlay", "--model", model(data_dir), environ=environ)
    until(lambda: (h := run.health()) and h["cameras"]["c0"]["dropped"]["stale"] > 15, 40, "stale frames")
    assert accounts_hold(health(run)["cameras"]["c0"])
    assert run.stop() == 0


def test_a_model_slower_than_every_camera_drops_and_keeps_its_lag(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    source = "test://?width=640&height=480&fps=25"
    slow = model(data_dir, "yolov8n_640_f32_dynbatch")
    environ = {"ENGINE_INFER_BATCH": "2", "ENGINE_INFER_LANES": "1", "ENGINE_INFER_THREADS": "1"}
    run = engine_run(*cameras(2, source), "--no-overlay", "--model", slow, environ=environ)
    until_all_give(run, frames=15)
    told = health(run)["cameras"]
    for camera in told.values():
        assert camera["dropped"]["superseded"] > camera["frames_processed"]
        assert camera["frames_pending"] < 60 and accounts_hold(camera)
    lines = run.lines("c0")[-8:]
    assert max(line["latency_ms"]["queue"] for line in lines) < 500
    infer_ms = max(line["latency_ms"]["infer"] for line in lines)
    assert max(line["latency_ms"]["total"] for line in lines) < 2 * infer_ms + 300
    assert run.stop() == 0
