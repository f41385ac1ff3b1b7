"""Events of a real run: in the JSON lines, over WebSocket, in the numbers, and past a killed tracking process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from websockets.sync.client import connect

from engine.outputs.jsonl import frame_schema
from tests.e2e.engine import EngineRun, clip, model, until

pytestmark = [pytest.mark.data, pytest.mark.slow]

REGIONS = """
[[camera.zone]]
name = "ground"
polygon = [[0.0, 0.3], [1.0, 0.3], [1.0, 1.0], [0.0, 1.0]]
dwell_s = 0.5

[[camera.line]]
name = "middle"
points = [[0.5, 0.0], [0.5, 1.0]]
"""


def cameras_file(folder: Path, source: str, more: str = "") -> str:
    path = folder / "cameras.toml"
    path.write_text(f'[[camera]]\nname = "cam0"\nsource = {json.dumps(source)}\n{more}\n{REGIONS}')
    return str(path)


def strict_validator() -> Any:
    schema = frame_schema()
    schema["additionalProperties"] = False
    for name in ("object", "event"):
        schema["$defs"][name]["additionalProperties"] = False
    return jsonschema.Draft202012Validator(schema)


def events_in(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every event, as it would be a message of its own."""
    return [
        {"schema": "camring.event/1", **{key: line[key] for key in ("camera", "frame", "time")}, **event}
        for line in lines
        for event in line.get("events", ())
    ]


def test_the_lines_of_an_offline_run_tell_what_happened(
    engine_run: Callable[..., EngineRun], data_dir: Path, tmp_path: Path
) -> None:
    run = engine_run(
        "--cameras", cameras_file(tmp_path, clip(data_dir, "pets09_s2l1_0001-0320")), "--offline", "--no-overlay",
        "--model", model(data_dir),
    )  # fmt: skip
    assert run.wait(60) == 0, run.text()
    lines = run.lines()
    validator = strict_validator()
    for line in lines:
        validator.validate(line)
    kinds = Counter(event["kind"] for event in events_in(lines))
    assert kinds["appeared"] >= 5 and kinds["entered"] >= 5 and kinds["crossed"] >= 3, kinds
    assert kinds["left"] >= 1 and kinds["exited"] >= 1 and kinds["dwelled"] >= 3, kinds
    shown = {each["id"] for line in lines for each in line["objects"] if each["id"]}
    appeared = [event["id"] for event in events_in(lines) if event["kind"] == "appeared"]
    assert set(appeared) == shown and len(appeared) == len(shown), "each once, and all"
    inside, count = set(), 0
    for event in events_in(lines):
        if event["kind"] == "entered":
            assert event["id"] not in inside
            inside.add(event["id"])
        elif event["kind"] == "exited":
            inside.remove(event["id"])
        elif event["kind"] == "count":
            count = event["count"]
    assert count == len(inside)


def read_messages(run: EngineRun, path: str, seconds: float) -> list[dict[str, Any]]:
    """What a client hears in so many seconds."""
    messages = []
    with connect(f"ws://127.0.0.1:{run.port}{path}", open_timeout=5, close_timeout=1) as client:
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                messages.append(json.loads(client.recv(timeout=left_s)))
            except TimeoutError:
                break
    return messages


def counters(run: EngineRun) -> dict[str, Any]:
    health = until(run.health, 5, "health")
    found: dict[str, Any] = health["cameras"]["cam0"]["events"]
    return found


def test_a_client_hears_what_the_lines_say_and_counters_survive_a_kill(
    engine_run: Callable[..., EngineRun], data_dir: Path, tmp_path: Path
) -> None:
    source = cameras_file(tmp_path, clip(data_dir, "et_12_hideandseek"), "loop = true")
    run = engine_run(
        "--cameras", source, "--no-overlay", "--model", model(data_dir),
        environ={"ENGINE_EVENTS_SPEED_EVERY_S": "0.4"},
    )  # fmt: skip
    until(lambda: events_in(run.lines()), 20, f"an event\n{run.text()}")
    begin, *heard = read_messages(run, "/events?camera=cam0", 4.0)
    assert begin["type"] == "begin" and heard, run.text()
    until(lambda: run.lines()[-1]["frame"] > heard[-1]["frame"], 5, "the lines catch up")
    span = range(heard[0]["frame"], heard[-1]["frame"] + 1)
    written = [event for event in events_in(run.lines()) if event["frame"] in span]
    assert heard == written, "the same events in the same order"
    begin, *records = read_messages(run, "/results", 0.6)
    assert begin["stream"] == "results" and len(records) >= 2
    for record in (each for each in records if each.get("type") != "lost"):  # by a machine that is busy
        strict_validator().validate(record)
    before = counters(run)
    assert before["kinds"]["appeared"] >= 1 and before["zones"]["ground"]["entries"] >= 1
    (pid,) = (pid for pid, kind in run.workers().items() if kind == "track")
    wall_s = time.time()
    os.kill(pid, signal.SIGKILL)
    until(lambda: run.result_newer_than(wall_s), 20, f"results after the kill\n{run.text()}")
    until(lambda: counters(run)["kinds"]["appeared"] > before["kinds"]["appeared"], 10, "it counts on")
    after = counters(run)
    ground = after["zones"]["ground"]
    assert ground["entries"] >= before["zones"]["ground"]["entries"]
    assert ground["entries"] == ground["exits"] + ground["present"]
    assert run.stop() == 0
    for line in run.lines():
        strict_validator().validate(line)
