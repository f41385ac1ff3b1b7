"""A whole engine with a real broker: messages arrive, and neither the broker's death nor the bus worker's slows it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.engine import EngineRun, until
from tests.peers.brokers import Mosquitto, mosquitto
from tests.peers.mqtt_subscriber import subscriber

__all__ = ["mosquitto"]

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def frames(heard: list[tuple[str, bytes]]) -> list[int]:
    return [json.loads(payload)["frame"] for name, payload in list(heard) if name.endswith("/results")]


def broker_of(run: EngineRun) -> dict[str, Any]:
    told: dict[str, Any] = ((run.health() or {}).get("bus") or {}).get("brokers", {})
    return next(iter(told.values()), {"state": "", "reconnects": 0})


def test_broker_and_worker_die_and_the_run_goes_on(
    engine_run: Callable[..., EngineRun], mosquitto: Mosquitto
) -> None:
    run = engine_run(
        "--source", "test://", "--model", "motion", "--no-overlay", "--bus", mosquitto.url(),
        environ={"ENGINE_BUS_RECORDS": "results"},
    )  # fmt: skip
    until(lambda: broker_of(run)["state"] == "connected", 60, "a connected broker")
    with subscriber(mosquitto.port) as heard:
        until(lambda: len(frames(heard)) > 20, 20, "records")
        until(lambda: any(name == "camring/cam0/state" for name, _ in heard), 20, "a state")
        (pid,) = (pid for pid, found in run.workers().items() if found == "bus")
        os.kill(pid, signal.SIGKILL)
        until(lambda: ("camring/status", b"offline") in heard, 10, "the last will")
        until(lambda: heard[-1][1] and heard.count(("camring/status", b"online")) > 1, 20, "its successor")
        seen = len(frames(heard))
        until(lambda: len(frames(heard)) > seen + 10, 20, "records of the successor")
    before = len(run.lines())
    mosquitto.kill()
    until(lambda: broker_of(run)["state"] in ("waiting", "connecting"), 10, "the loss in /health")
    until(lambda: run.results_after(before + 25), 20, "results without a broker")
    health = until(run.health, 5, "health")
    assert health["status"] == "degraded" and any("bus mqtt://" in reason for reason in health["reasons"])
    mosquitto.start()
    until(lambda: broker_of(run)["state"] == "connected", 40, "the broker again")
    with subscriber(mosquitto.port) as heard:
        until(lambda: len(frames(heard)) > 10, 20, "records again")
        assert run.stop() == 0
        assert heard[-1] == ("camring/status", b"offline")
    lines = run.lines()
    numbers = [line["frame"] for line in lines]
    assert numbers == sorted(set(numbers)) and sum(line["skipped"] for line in lines[1:]) < len(lines)
