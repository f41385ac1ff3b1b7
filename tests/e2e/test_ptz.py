"""Heads in a real run: a simulated plaza is followed, an operator wins, and a killed worker leaves no head turning."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.e2e.engine import EngineRun, model, until

pytestmark = [pytest.mark.data, pytest.mark.slow]

PLAZA = "scene://plaza?cameras=2&width=640&height=360"


def ask(run: EngineRun, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """GET, or POST where there is a body: status and answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{run.port}{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=6) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def head(run: EngineRun) -> dict[str, Any]:
    """What /health says of the head, {} before it says anything."""
    health = run.health() or {}
    told: dict[str, Any] = (health.get("ptz") or {}).get("ptz", {})
    return told


def pan_deg(port: int) -> float:
    """Where the simulated head points, as it tells anybody who asks (ISAPI, hundredths of a degree)."""
    url = f"http://127.0.0.1:{port}/ISAPI/PTZCtrl/channels/1/absoluteEx"
    with urllib.request.urlopen(url, timeout=2) as answer:
        root = ElementTree.fromstring(answer.read())
    return next(float(node.text or "nan") for node in root.iter() if node.tag.endswith("azimuth"))


def rests(port: int) -> bool:
    """It did not turn for 0.2 s."""
    before = pan_deg(port)
    time.sleep(0.2)
    return pan_deg(port) == before


def wrong_by_deg(run: EngineRun, port: int) -> float:
    """How far the pan of the camera's newest line is from where its head is; more than a turn where it has none."""
    pose = run.lines("ptz")[-1].get("pose")
    return 999.0 if pose is None else abs((pose["pan"] - pan_deg(port) + 180) % 360 - 180)


def children_of(name: bytes) -> list[int]:
    """Processes with this in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if name in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_plaza_is_followed_and_an_operator_wins_and_a_kill_leaves_no_head_turning(
    engine_run: Callable[..., EngineRun], data_dir: Path
) -> None:
    others = set(children_of(b"ptz.watchdog"))
    run = engine_run("--source", PLAZA, "--model", model(data_dir, "yolox_nano_416_f32"), "--no-overlay")
    until(lambda: head(run).get("state") == "ok", 60, "the head is tried and well")
    until(lambda: head(run)["following"] == "following" and head(run)["counts"]["sent"], 40, "it follows")
    found = re.search(r"head \S+ at port (\d+)", run.text())
    assert found is not None
    port = int(found[1])
    status, told = ask(run, "/ptz/ptz")
    assert status == 200 and told["watchdog"] == "ready" and told["why"]

    # An operator's hand.
    status, told = ask(run, "/ptz/ptz/move", {"pan_deg_s": 15, "ttl_s": 5})
    assert status == 200 and told["following"] == "manual"
    until(lambda: not rests(port), 3, "it turns by hand")
    assert ask(run, "/ptz/ptz/stop", {})[0] == 200
    until(lambda: rests(port), 3, "it stands")
    until(lambda: wrong_by_deg(run, port) < 0.5, 5, "its frames say where it looks")
    assert all("pose" not in line for line in run.lines("overview")), (
        "nobody knows where a fixed camera looks"
    )

    # What cannot be.
    assert ask(run, "/ptz/overview")[0] == 404
    assert ask(run, "/ptz/ptz/select", {"track_id": 10**9})[0] == 422
    assert ask(run, "/ptz/ptz/select", {"point": [-5, -5]})[0] == 404
    assert ask(run, "/ptz/ptz/policy", {"policy": "zone", "options": {"colour": 3}})[0] == 422

    # The worker dies while the head turns.
    assert ask(run, "/ptz/ptz/move", {"pan_deg_s": 15, "ttl_s": 5})[0] == 200
    until(lambda: not rests(port), 3, "it turns by hand")
    (pid,) = (pid for pid, kind in run.workers().items() if kind == "ptz")
    os.kill(pid, signal.SIGKILL)
    until(lambda: rests(port), 2, "somebody has stopped it")
    until(lambda: (run.health() or {})["processes"]["ptz"]["restarts"] == 1, 10, "the worker is back")
    until(lambda: head(run).get("state") == "ok", 20, "and well")
    until(lambda: "pose" in run.lines("ptz")[-1], 5, "and frames have poses again")

    assert run.stop() == 0, run.text()
    until(lambda: set(children_of(b"ptz.watchdog")) <= others, 6, "no watchdog is left")
