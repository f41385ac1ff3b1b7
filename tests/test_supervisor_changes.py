"""Changes applied to a run whose workers are not really there: what is created, told, undone and answered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from engine import topology
from engine.clock import ManualClock
from engine.config import CameraConfig, ControlConfig, OutputConfig, RunConfig, StreamConfig
from engine.pools import LivePool, Pools
from engine.process import WorkerProcess
from engine.supervisor import Supervisor
from engine.supervisor_changes import Refused
from ipc.channel import Message
from ipc.segment import SegmentError
from tests.test_status import create_frame_pool, producer, supervisor
from tests.workers.house import publish_frame

GATE, YARD = CameraConfig("gate", "rtsp://admin:secret@camera/1?token=abc"), CameraConfig("yard", "test://")
CONFIG = RunConfig(
    "m3-cpu", (GATE, YARD), control=ControlConfig(enabled=False), output=OutputConfig(overlay=False),
    stream=StreamConfig(enabled=False, publish=("rtsp://me:pass@server/{camera}",)),
)  # fmt: skip


@dataclass
class Asker:
    """Somebody who gives commands and hears the answers."""

    name: str = "control"
    heard: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        self.heard.append(message)


@dataclass
class Life:
    """A run, the workers that were started, and what was sent to whom."""

    run: Supervisor
    asker: Asker = field(default_factory=Asker)
    started: list[str] = field(default_factory=list)
    fails: dict[str, str] = field(default_factory=dict)

    def ask(self, command: str, **fields: Any) -> Message:
        """Give a command and work until it is answered."""
        message = {"type": "command", "to": "engine", "id": "1", "command": command, **fields}
        self.run._commands.take(message, self.asker)
        for _ in range(1000):
            if not self.run.changes.busy:
                return self.asker.heard[-1]
            self.run.changes.step()
            assert isinstance(self.run.clock, ManualClock)
            self.run.clock.advance(0.5)
        raise AssertionError(f"{command} is not answered")

    def names(self) -> tuple[set[str], set[str], set[str]]:
        """Cameras, workers and pools."""
        pools = {live.spec.name for name in self.run.cameras for live in self.run.pools.of_camera(name)}
        return set(self.run.cameras), set(self.run.processes), pools


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    """Workers count as running as soon as they are started, or as failed."""
    life = Life(supervisor(CONFIG))

    def start(run: Supervisor, process: WorkerProcess) -> None:
        life.started.append(process.name)
        process.incarnation += 1
        process.state = "running"
        if process.name in life.fails:
            run.fail(process, life.fails[process.name], 1)

    monkeypatch.setattr(Supervisor, "start", start)
    for process in life.run.processes.values():
        process.state, process.incarnation = "running", 0
    yield life
    life.run._close()


def test_a_camera_comes_and_goes(life: Life) -> None:
    before = life.names()
    answer = life.ask("engine-add", camera={"name": "roof", "source": "test://", "infer_fps": 3})
    assert answer["ok"] and answer["result"]["camera"]["settings"]["infer_fps"] == 3.0
    assert life.started == ["decode:roof"]
    assert life.names() == tuple(
        one | other
        for one, other in zip(
            before, ({"roof"}, {"decode:roof"}, {"detections:roof", "tracks:roof"}), strict=True
        )
    )
    assert life.run.cameras["roof"].outputs_left == {"results"}
    assert life.ask("engine-remove", camera="roof")["result"] == {"camera": "roof", "removed": True}
    assert life.names() == before and life.run.config.cameras == CONFIG.cameras


def test_without_memory_nothing_has_happened(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    before, descriptors = life.names(), len(os.listdir("/dev/fd"))
    create = Pools.create

    def no_room(pools: Pools, spec: topology.PoolSpec) -> LivePool:
        if spec.name == "tracks:roof":
            raise SegmentError("tracks:roof: 999 MiB needed, 3 MiB free")
        return create(pools, spec)

    monkeypatch.setattr(Pools, "create", no_room)
    answer = life.ask("engine-add", camera={"name": "roof", "source": "test://"})
    assert (answer["ok"], answer["failure"]) == (False, "unavailable") and "999 MiB" in answer["error"]
    assert life.names() == before and life.run.config.cameras == CONFIG.cameras and not life.started
    assert len(os.listdir("/dev/fd")) == descriptors


def test_a_source_that_cannot_be_read_is_taken_back(life: Life) -> None:
    before = life.names()
    life.fails["decode:roof"] = "source junk.mp4: not a video"
    answer = life.ask("engine-add", camera={"name": "roof", "source": "test://"})
    assert not answer["ok"] and "not a video" in answer["error"] and life.names() == before
    assert life.run.exit_code == 0 and not life.run._stop_reason, "it is no fault of the run"
    life.fails["decode:yard"] = "source junk.mp4: not a video"
    answer = life.ask("engine-change", camera="yard", changes={"loop": True})
    assert not answer["ok"] and life.run.config.cameras == CONFIG.cameras
    assert life.run.cameras["yard"].failed == "" and life.started.count("decode:yard") == 2, (
        "and the old one again"
    )


def test_a_file_goes_on_where_it_was_when_another_cannot_be_read(life: Life) -> None:
    create_frame_pool(life.run)
    writer = producer(life.run, "frames:gate")
    for index in range(5):
        publish_frame(writer, index)
    life.fails["decode:gate"] = "not a video"
    assert not life.ask("engine-change", camera="gate", changes={"source": "test://"})["ok"]
    assert life.run.cameras["gate"].first_frame == 0
    assert life.ask("engine-cameras")["result"]["cameras"][0]["state"] == "failed", (
        "here the old one fails as well"
    )
    life.fails.clear()
    life.run.processes["decode:gate"].state = "running"
    assert life.ask("engine-change", camera="gate", changes={"source": "test://"})["ok"]
    assert life.run.cameras["gate"].first_frame == 5


def test_numbers_go_on_when_a_camera_comes_back(life: Life) -> None:
    create_frame_pool(life.run)
    writer = producer(life.run, "frames:gate")
    for index in range(5):
        publish_frame(writer, index)
    assert life.ask("engine-remove", camera="gate")["ok"]
    assert (
        life.run.past["gate"] == {"frame": 5, "track": 1}
        and "gate" not in life.run.known_of_cameras()["past"]
    )
    assert life.ask("engine-add", camera={"name": "gate", "source": "test://"})["ok"]
    assert life.run.known_of_cameras()["past"] == {"gate": {"frame": 5, "track": 1}}
    assert life.run.cameras["gate"].first_frame == 5


def test_other_zones_are_another_revision(life: Life) -> None:
    zone = {"name": "all", "polygon": [[0, 0], [1, 0], [1, 1]]}
    steps: list[dict[str, Any]] = [{"zone": [zone]}, {"infer_fps": 2}, {"zone": []}]
    for changes in steps:
        assert life.ask("engine-change", camera="yard", changes=changes)["ok"]
    assert life.run.known_of_cameras()["regions"] == {"yard": 2} and not life.started


@pytest.mark.parametrize(
    ("command", "fields", "failure", "words"),
    [
        ("engine-add", {"camera": "yard"}, "invalid", "must be a table"),
        ("engine-add", {"camera": {"name": "yard", "source": "test://"}}, "conflict", "already"),
        ("engine-add", {"camera": {"name": "x", "source": "rtsp://***@host"}}, "invalid", "***"),
        (
            "engine-add",
            {"camera": {"name": "x", "source": "test://", "segment": "track"}},
            "invalid",
            "--segment",
        ),
        ("engine-change", {"camera": "no", "changes": {"loop": True}}, "not-found", "there are: gate, yard"),
        ("engine-change", {"camera": None, "changes": {"infer_fps": -1}}, "invalid", "infer_fps"),
        ("engine-change", {"camera": "yard", "changes": []}, "invalid", "must be a table"),
        ("engine-remove", {"camera": None}, "not-found", "no camera None"),
        ("engine-start", {"cameras": ["no"]}, "not-found", "no camera 'no'"),
        ("engine-stop", {"cameras": "yard"}, "invalid", "list of names"),
        ("engine-dance", {}, "invalid", "unknown command"),
    ],
)
def test_what_cannot_be_is_answered_in_a_line_and_changes_nothing(
    life: Life, command: str, fields: dict[str, Any], failure: str, words: str
) -> None:
    before = life.names()
    answer = life.ask(command, **fields)
    assert (answer["ok"], answer["failure"], answer["id"]) == (False, failure, "1")
    assert words in answer["error"] and "\n" not in answer["error"]
    assert life.names() == before and life.run.config.cameras == CONFIG.cameras


def test_nobody_is_shown_a_secret(life: Life) -> None:
    for command in ("engine-cameras", "engine-config"):
        told = str(life.ask(command)["result"])
        assert "secret" not in told and "abc" not in told and "me:pass" not in told, command
        assert "rtsp://***@camera/1" in told


def test_stopped_is_stopped_until_started(life: Life) -> None:
    assert life.ask("engine-stop", cameras=["yard"])["result"]["cameras"][0]["state"] == "stopped"
    assert life.ask("engine-change", camera="yard", changes={"loop": True})["ok"] and not life.started
    assert [each["state"] for each in life.ask("engine-cameras")["result"]["cameras"]] == [
        "running",
        "stopped",
    ]
    life.fails["decode:yard"] = "no such file"
    answer = life.ask("engine-start", cameras=None)
    assert not answer["ok"] and "no such file" in answer["error"]
    assert life.ask("engine-cameras")["result"]["cameras"][1]["state"] == "stopped"
    life.fails.clear()
    assert life.ask("engine-start", cameras=None)["result"]["cameras"][1]["state"] == "running"
    assert life.run.processes["decode:yard"].restarts == 0


def test_one_after_the_other_and_none_after_the_end(life: Life) -> None:
    for name in ("one", "two"):
        command = {"id": name, "command": "engine-add", "camera": {"name": name, "source": "test://"}}
        life.run._commands.take(command, life.asker)
    life.run.changes.step()
    assert life.started == ["decode:one"] and not life.asker.heard
    life.run.changes.give_up("the run is stopping")
    assert [(each["id"], each["failure"]) for each in life.asker.heard] == [
        ("one", "unavailable"), ("two", "unavailable"),
    ]  # fmt: skip
    assert not life.run.changes.busy


def test_an_offline_run_keeps_its_cameras() -> None:
    life = Life(supervisor(replace(CONFIG, offline=True)))
    answer = life.ask("engine-remove", camera="yard")
    assert answer["failure"] == "conflict" and "offline" in answer["error"]
    life.run._close()


def test_a_worker_that_cannot_take_it_over_has_it_undone(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    before, results = life.names(), life.run.processes["results"]
    told: list[Message] = []

    def send(process: WorkerProcess, message: Message, descriptors: list[int] | None = None) -> None:
        if process is results and message["type"] == "config":
            told.append(message)
            error = "roof.jsonl: cannot be opened" if len(message["config"]["cameras"]) == 3 else ""
            life.run.changes._telling.awaited["results"] = process.incarnation
            life.run.changes.configured(process, message["revision"], error)

    monkeypatch.setattr(WorkerProcess, "send", send)
    answer = life.ask("engine-add", camera={"name": "roof", "source": "test://"})
    assert answer["failure"] == "unavailable" and "roof.jsonl" in answer["error"]
    assert [len(message["config"]["cameras"]) for message in told] == [3, 2] and life.names() == before
    assert told[1]["revision"] > told[0]["revision"]


def test_refusals_say_what_kind_they_are() -> None:
    assert Refused("no", "conflict").failure == "conflict"
