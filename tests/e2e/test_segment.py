"""Segmentation as a user meets it: real runs with a SAM 2 of random weights, over HTTP, through kills, offline."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from pycocotools import mask as coco

from engine.outputs.jsonl import frame_schema
from tests.e2e.engine import EngineRun, clip, model, until

pytestmark = [pytest.mark.data, pytest.mark.slow]

Start = Callable[..., EngineRun]
DETECTOR = "yolox_nano_416_f32"


def ask(
    run: EngineRun, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """(status, document) of a request."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{run.port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def masks_in(lines: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(frame, object) for every mask in these lines."""
    for line in lines:
        for thing in line["objects"]:
            if thing.get("mask_source"):
                yield line["frame"], thing


def square(side: int) -> dict[str, Any]:
    """A square in the middle of a picture of 1280 × 720 as COCO's run lengths: a mask is its own answer."""
    picture = np.zeros((720, 1280), np.uint8, order="F")
    picture[360 - side : 360 + side, 640 - side : 640 + side] = 1
    return {"size": [720, 1280], "counts": coco.encode(picture)["counts"].decode()}


def segment_worker(run: EngineRun) -> int | None:
    return next((pid for pid, kind in run.workers().items() if kind == "segment"), None)


def has_mask(run: EngineRun, object_id: int, after: int, *sources: str) -> bool:
    """Whether there is a mask of this object, behind so many lines, that came from one of these."""
    found = masks_in(run.lines()[after:])
    return any(thing["id"] == object_id and thing["mask_source"] in sources for _, thing in found)


@pytest.mark.timeout(600)
def test_modes_prompts_and_a_kill_in_a_live_run(engine_run: Start, data_dir: Path, sam2_folder: Path) -> None:
    run = engine_run(
        "--source", clip(data_dir, "et_12_hideandseek"), "--loop", "--no-overlay",
        "--model", model(data_dir, DETECTOR), "--segment-model", str(sam2_folder),
        # A detector that takes every core leaves a slow machine none for masks, as it should; here they are waited for.
        environ={"ENGINE_SEGMENT_STANDBY": "yes", "ENGINE_OUTPUT_MASKS": "rle", "ENGINE_INFER_FPS": "4"},
    )  # fmt: skip
    until(lambda: run.results_after(3), 30, f"results\n{run.text()}")
    assert not list(masks_in(run.lines())), "segmentation is off"

    status, answer = ask(run, "PUT", "/cameras/cam0/segmentation", {"mode": "prompt"})
    assert (status, answer["mode"], answer["before"]) == (200, "prompt", "off")
    status, answer = ask(run, "POST", "/cameras/cam0/prompts", {"mask": square(60)})
    assert status == 201, answer
    pointed = answer["object"]
    until(lambda: has_mask(run, pointed, 0, "prompt", "memory"), 150, f"a mask of {pointed}\n{run.text()}")
    first = next(thing for _, thing in masks_in(run.lines()) if thing["id"] == pointed)
    assert first["mask_age_ms"] >= 0 and first["mask_id"] == pointed
    area = int(coco.area({**first["mask"], "counts": first["mask"]["counts"].encode()}))
    assert 60 * 60 < area < 240 * 240, "what was pointed at, moved to where it is when the answer comes"

    count, killed = len(run.lines()), segment_worker(run)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: run.results_after(count + 3), 15, f"results after the kill\n{run.text()}")
    until(lambda: segment_worker(run) not in (None, killed), 10, "another worker")

    def goes_on() -> bool:
        status, state = ask(run, "GET", "/cameras/cam0/segmentation")
        return status == 200 and state["mode"] == "prompt" and pointed in state["object_ids"]

    until(goes_on, 120, f"the object under its ID\n{run.text()}")
    status, answer = ask(run, "POST", "/cameras/cam0/prompts", {"mask": square(60), "object": pointed})
    assert (status, answer.get("object")) == (201, pointed), answer
    count = len(run.lines())
    until(lambda: has_mask(run, pointed, count, "prompt", "memory"), 120, "its mask again")

    status, answer = ask(run, "POST", "/cameras/cam0/prompts", {"points": [[5000, 1, 1]]})
    assert status == 422 and "outside" in answer["detail"]
    assert ask(run, "DELETE", f"/cameras/cam0/objects/{pointed}")[0] == 200
    status, answer = ask(run, "DELETE", "/cameras/cam0/objects/4711")
    assert status == 404 and "left or never was" in answer["detail"]
    assert ask(run, "PUT", "/cameras/cam0/segmentation", {"mode": "off"})[0] == 200

    def told() -> Any:
        return (run.health() or {})["segmentation"]["cameras"]["cam0"]

    until(lambda: told()["mode"] == "off", 15, "the mode in /health")
    assert told()["events"]["added"] >= 1 and told()["events"]["mode changed"] >= 2
    assert told()["events"]["restarted"] == 1 and "memories went with" in run.text()
    assert run.stop() == 0
    lines = run.lines()
    frames = [line["frame"] for line in lines]
    assert frames == sorted(set(frames)), "a frame came twice or out of order"
    validator = jsonschema.Draft202012Validator(frame_schema())
    for line in (lines[0], lines[len(lines) // 2], lines[-1]):
        validator.validate(line)


def offline(engine_run: Start, data_dir: Path, folder: Path, pictures: Path) -> list[Any]:
    run = engine_run(
        "--source", str(pictures), "--offline", "--no-overlay", "--model", model(data_dir, DETECTOR),
        "--segment", "track", "--segment-model", str(folder),
        environ={"ENGINE_SEGMENT_EVERY": "8", "ENGINE_OUTPUT_MASKS": "rle"},
    )  # fmt: skip
    assert run.wait(120) == 0, run.text()
    assert "segmentation: 3 keyframes" in run.text()
    return [(line["frame"], line["objects"]) for line in run.lines()]


def test_offline_every_frame_is_there_and_two_runs_are_the_same(
    engine_run: Start, data_dir: Path, sam2_folder: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for picture in sorted((data_dir / "davis" / "car-shadow" / "img").iterdir())[:20]:
        (pictures / picture.name).symlink_to(picture)
    first = offline(engine_run, data_dir, sam2_folder, pictures)
    assert [frame for frame, _ in first] == list(range(20))
    assert any(thing.get("mask_source") for _, objects in first for thing in objects)
    assert first == offline(engine_run, data_dir, sam2_folder, pictures)


def test_the_detectors_masks_come_through_the_stage_unchanged(engine_run: Start, data_dir: Path) -> None:
    found = []
    for more in ((), ("--segment", "boxes", "--segment-model", "detector")):
        run = engine_run(
            "--source", str(data_dir / "images" / "bus.jpg"), "--offline", "--no-overlay",
            "--model", model(data_dir, "yolov8n-seg_320_f32_dynbatch"), *more,
        )  # fmt: skip
        assert run.wait(60) == 0, run.text()
        found.append([line["objects"] for line in run.lines()])
    assert found[0] == found[1]
    assert {thing["mask_source"] for thing in found[1][0]} == {"detector"}


def test_a_segmenter_that_is_not_there_ends_the_run_before_it_begins(
    engine_run: Start, data_dir: Path
) -> None:
    run = engine_run(
        "--source", clip(data_dir, "et_01_dog"), "--segment", "track", "--segment-model", "nothere_512"
    )
    assert run.wait(20) == 1
    (line,) = run.text().splitlines()
    assert "'nothere_512'" in line and "tools/export_onnx.py sam2 CHECKPOINT --size 512" in line
