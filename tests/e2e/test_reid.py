"""Re-identification in a whole run: embeddings arrive, killed processes are replaced, a run can be repeated."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import EngineRun, clip, model, until

pytestmark = [pytest.mark.data, pytest.mark.slow]

NETWORK = "osnet_x0_25_msmt17_dynbatch"


def reid_of(run: EngineRun) -> dict[str, Any]:
    """What /health says of it; {} while nobody answers."""
    return (run.health() or {}).get("reid") or {}


def embedded(told: dict[str, Any]) -> int:
    return sum(sum(camera["embedded"].values()) for camera in told.get("cameras", {}).values())


def live_run(engine_run: Callable[..., EngineRun], data_dir: Path, *more: str) -> EngineRun:
    run = engine_run(
        "--source", clip(data_dir, "pets09_s2l1_0001-0320"), "--loop", "--no-overlay", "--model", model(data_dir),
        "--reid", model(data_dir, NETWORK), *more,
    )  # fmt: skip
    until(lambda: embedded(reid_of(run)) > 20, 30, f"embeddings\n{run.text()}")
    return run


def test_live_embeddings_arrive_and_outlive_a_killed_process(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    run = live_run(engine_run, data_dir)
    told = reid_of(run)
    assert told["model"].startswith(NETWORK) and told["dims"] == 512 and told["degraded"] == []
    assert {choice["what"] for choice in told["choices"]} >= {"backend", "layout"}
    assert told["ms_per_crop"] > 0 and told["held_ms"]["p95"] > 0
    (pid,) = (pid for pid, kind in run.workers().items() if kind == "infer")
    wall_s = time.time()
    os.kill(pid, signal.SIGKILL)
    until(lambda: run.result_newer_than(wall_s), 10, f"results after the kill\n{run.text()}")
    until(lambda: embedded(reid_of(run)) > embedded(told), 10, "more embeddings than before")
    health = until(run.health, 5, "health")
    camera = health["cameras"]["cam0"]
    spent = camera["frames_processed"] + camera["frames_pending"] + sum(camera["dropped"].values())
    assert spent == camera["frames_in"]
    assert run.stop() == 0
    frames = [line["frame"] for line in run.lines()]
    assert frames == sorted(set(frames)), "a frame came twice or out of order"


def test_offline_the_same_input_gives_the_same_bytes(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    """Two cameras, and a budget that is too small: what is left out must not depend on who was first."""
    texts = []
    for _ in range(2):
        run = engine_run(
            "--source", clip(data_dir, "et_12_hideandseek"), "--source", clip(data_dir, "et_01_dog"), "--offline",
            "--no-overlay", "--model", model(data_dir), "--reid", model(data_dir, NETWORK),
            environ={"ENGINE_REID_CROPS_PER_S": "3", "ENGINE_REID_REFRESH_FRAMES": "2"},
        )  # fmt: skip
        assert run.wait(120) == 0, run.text()
        lines = [run.lines(camera) for camera in ("cam0", "cam1")]
        assert [len(of_camera) for of_camera in lines] == [200, 289]
        for line in lines[0] + lines[1]:
            del line["time"], line["latency_ms"]  # when it was, and how long it took
        texts.append(json.dumps(lines))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("network", ["light_person_detector_192_f32", "../MANIFEST"])
def test_what_is_no_such_network_is_one_line(
    engine_run: Callable[..., EngineRun], data_dir: Path, network: str
) -> None:
    run = engine_run("--source", "test://", "--model", model(data_dir), "--reid", model(data_dir, network))
    assert run.wait(30) == 1
    said = [
        line for line in run.text().splitlines() if network.removeprefix("../") in line and "re-id" in line
    ]
    assert said or "no such file" in run.text(), run.text()


def test_a_detector_without_people_says_that_nothing_is_embedded(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    run = engine_run(
        "--source", clip(data_dir, "et_08_driving"), "--no-overlay", "--loop", "--model", "motion",
        "--reid", model(data_dir, NETWORK),
    )  # fmt: skip
    health = until(lambda: (run.health() or {}).get("status") == "degraded" and run.health(), 20, "degraded")
    assert "reid.classes" in health["reasons"][0] and len(health["reasons"]) == 1
    until(lambda: len(run.lines()) > 5, 20, "results all the same")
    assert run.stop() == 0
