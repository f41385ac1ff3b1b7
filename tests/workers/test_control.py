"""The control worker: serves the newest status there is, from the socket that it was handed."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from engine.config import CameraConfig, RunConfig
from engine.control.roles import Role
from engine.control.security import Security
from engine.control.status import EngineStatus
from engine.control.tokens import new_token
from engine.errors import ConfigError
from engine.workers import control
from engine.workers.control import NewestStatus
from engine.workers.feed import layout_to_json
from ipc.pool import PoolLayout, PoolMemory, Producer
from tests.control.statuses import make_status
from tests.workers.house import House, Worker, until

CONFIG = RunConfig("m3-cpu", (CameraConfig("a", "test://"),))


class RunStatus:
    """The status of the run, as the supervisor publishes it."""

    def __init__(self) -> None:
        self.memory = PoolMemory("run-status", PoolLayout((1,), 2**20, 1))
        self.writer = Producer(self.memory.layout, self.memory.control_fd, self.memory.data_fd)

    def announce_to(self, worker: Worker) -> None:
        memory = self.memory
        message = {
            "type": "pool", "name": "run-status", "role": "consumer", "row": 0,
            "layout": layout_to_json(memory.layout), "lock_path": None,
        }  # fmt: skip
        worker.send(message, [memory.control_fd, memory.data_fd])

    def publish(self, uptime_s: float) -> EngineStatus:
        status = make_status()
        status["uptime_s"] = uptime_s
        body = orjson.dumps(status)
        with self.writer.write() as slot:
            slot.meta[:4] = len(body).to_bytes(4, "little")
            slot.data[: len(body)] = body
        return status


@pytest.fixture
def run_status() -> Iterator[RunStatus]:
    run_status = RunStatus()
    yield run_status
    run_status.writer.close()
    run_status.memory.close()


@pytest.fixture
def worker(open_house: Callable[[RunConfig], House], run_status: RunStatus) -> Worker:
    worker = open_house(CONFIG).start("control")
    run_status.announce_to(worker)
    worker.context.tend()
    return worker


def test_the_newest_status_and_again_while_there_is_no_newer_one(
    worker: Worker, run_status: RunStatus
) -> None:
    newest = NewestStatus(worker.context.feeds["run-status"])
    with pytest.raises(RuntimeError, match="before there was one"):
        newest()
    run_status.publish(1.0)
    second = run_status.publish(2.0)
    assert newest() == newest() == second
    assert newest() != run_status.publish(3.0)
    assert newest()["uptime_s"] == 3.0
    for uptime_s in range(20):
        run_status.publish(uptime_s)
    assert run_status.memory.statistics().leased == (0,), "the supervisor would find no slot"


def test_a_worker_that_is_stopped_before_the_first_status_ends(worker: Worker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        worker.send({"type": "descriptors"}, [listening.fileno()])
    worker.send({"type": "stop"})
    worker.context.tend()
    control.run(worker.context)


def test_it_answers_until_told_to_stop(worker: Worker, run_status: RunStatus) -> None:
    run_status.publish(1.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        worker.send({"type": "descriptors"}, [listening.fileno()])
    worker.context.tend()
    thread = threading.Thread(target=control.run, args=(worker.context,))
    thread.start()
    answers = []
    for uptime_s in (5.0, 6.0):
        run_status.publish(uptime_s)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            answers.append(json.load(answer)["uptime_s"])
    worker.send({"type": "stop"})
    thread.join(20)
    assert not thread.is_alive() and answers == [5.0, 6.0]


def test_a_file_of_tokens_that_becomes_wrong_while_the_engine_runs_ends_nothing(
    open_house: Callable[[RunConfig], House], tmp_path: Path
) -> None:
    path = tmp_path / "tokens"
    path.write_text("admin:ann")
    path.chmod(0o600)
    config = replace(CONFIG, control=replace(CONFIG.control, tokens=str(path)))
    context = open_house(config).start("control").context
    with pytest.raises(ConfigError, match="after the name comes the SHA-256"):
        control.security_of(context)
    context.incarnation = 1
    found: list[Security | None] = []
    thread = threading.Thread(target=lambda: found.append(control.security_of(context)))
    thread.start()
    until(lambda: "degraded" in context.status, "the reason")
    path.write_text(new_token(Role.ADMIN, "ann")[1].line)
    thread.join(5)
    assert found[0] is not None and found[0].login_required and "degraded" not in context.status
