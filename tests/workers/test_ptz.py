"""The worker of heads: whom it hands over, how the picture moved, commands, and a camera that really turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.clock import SystemClock
from engine.config import CameraConfig, RunConfig
from engine.config.ptz import PtzConfig
from engine.errors import ConfigError, EngineError
from engine.types import FrameFlag, PictureShift, ResultMeta, Tracks, TrackState
from engine.workers.feed import Feed
from engine.workers.ptz import (
    Camera,
    advance,
    open_camera,
    picked_at,
    shift_since,
    sightings_of,
    source_time_s,
)
from engine.workers.ptz_commands import Commands
from engine.workers.ptz_heads import Heads
from tests.ptz.simulator.served import PASSWORD, USER, ServedCamera, served_camera
from tests.workers.house import House, Worker, publish_result

OpenHouse = Callable[[RunConfig], House]
LABELS = ("person", "bicycle", "car")


def tracks_of(*rows: tuple[int, int, float]) -> Tracks:
    """(track, class, left edge): boxes of 40 × 100."""
    n = len(rows)
    boxes = np.array([(left, 50, left + 40, 150) for _, _, left in rows], np.float32).reshape(n, 4)
    return Tracks(
        boxes, np.full(n, 0.9, np.float32), np.array([row[1] for row in rows], np.int32),
        np.array([row[0] for row in rows], np.int64), np.ones(n, np.int32), np.zeros((n, 2), np.float32),
        np.full(n, TrackState.CONFIRMED, np.int32), np.zeros(n, np.int64),
    )  # fmt: skip


def meta_of(seq: int = 1, shift: PictureShift | None = None) -> ResultMeta:
    return ResultMeta(seq, seq, 0, 640, 360, shift=shift)


def camera_with(tracks: Tracks, classes: frozenset[str] = frozenset({"person"})) -> Camera:
    return Camera("yard", Feed(), classes, newest=tracks)


def test_people_are_handed_over_and_others_only_when_they_were_picked() -> None:
    camera = camera_with(tracks_of((1, 0, 10), (2, 2, 100), (0, 0, 200), (4, 1, 300)))
    meta = meta_of()
    assert sightings_of(camera, meta, 5.0, LABELS, frozenset()).track_ids.tolist() == [1]
    assert sightings_of(camera, meta, 5.0, LABELS, frozenset({4})).track_ids.tolist() == [1, 4]
    camera.classes = frozenset()
    seen = sightings_of(camera, meta, 5.0, LABELS, frozenset())
    assert seen.track_ids.tolist() == [1, 2, 4] and (seen.time_s, seen.width, seen.height) == (5.0, 640, 360)


def test_who_coasts_is_not_seen() -> None:
    tracks = tracks_of((1, 0, 10), (2, 0, 100))
    states = np.array([TrackState.CONFIRMED, TrackState.COASTING], np.int32)
    seen = sightings_of(camera_with(replace(tracks, states=states)), meta_of(), 5.0, LABELS, frozenset())
    assert seen.seen.tolist() == [True, False]


def test_the_cameras_own_time_goes_along_unless_it_begins_anew() -> None:
    meta = replace(meta_of(), pts_ns=2_500_000_000)
    assert source_time_s(meta) == 2.5
    assert math.isnan(source_time_s(replace(meta, pts_ns=-1)))
    assert math.isnan(source_time_s(replace(meta, flags=FrameFlag.DISCONTINUITY)))


def test_a_click_means_the_smallest_box_around_it() -> None:
    tracks = tracks_of((1, 0, 10), (2, 0, 30))
    boxes = tracks.boxes_xyxy.copy()
    boxes[0] = (0, 0, 640, 360)
    tracks = replace(tracks, boxes_xyxy=boxes)
    assert picked_at(tracks, 40, 100) == 2
    assert picked_at(tracks, 500, 100) == 1
    with pytest.raises(EngineError, match=r"nobody is tracked at \(700, 100\)"):
        picked_at(tracks, 700, 100)


def test_a_shift_is_since_the_record_before_and_not_over_a_gap() -> None:
    shift = PictureShift(-6.0, 1.0)
    camera = camera_with(Tracks.empty())
    assert shift_since(camera, meta_of(shift=shift), 0) is None
    camera.arrived_s = 4.9
    assert shift_since(camera, meta_of(shift=shift), 0) == (4.9, shift)
    assert shift_since(camera, meta_of(shift=shift), 1) is None
    assert shift_since(camera, meta_of(), 0) is None


@pytest.fixture
def served() -> Iterator[ServedCamera]:
    with served_camera() as camera:
        yield camera


def config_of(url: str, monkeypatch: pytest.MonkeyPatch, password: str = PASSWORD, **more: Any) -> RunConfig:
    monkeypatch.setenv("YARD_PASSWORD", password)
    head = PtzConfig("hikvision", url, 59.8, user=USER, password="${YARD_PASSWORD}", **more)
    return RunConfig("m3-cpu", (CameraConfig("yard", "test://", ptz=head),))


class Steered:
    """The worker's parts, and the answers to commands."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.clock = SystemClock()  # type: ignore[assignment]  # a real camera answers in its own time
        self.worker: Worker = house.start("ptz")
        context = self.worker.context
        context.labels = LABELS
        self.heads = Heads(context)
        self.cameras = {"yard": open_camera(context, "yard")}
        self.commands = Commands(context, self.heads, self.cameras)
        self.heads.start()

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        command_id = f"{command}-{time.monotonic_ns()}"
        message = {"type": "command", "id": command_id, "command": command, "camera": "yard", **fields}
        self.worker.send(message)
        answer: dict[str, Any] = self.until(
            lambda: next((each for each in self.worker.heard("answer") if each["id"] == command_id), None),
            command,
        )
        return answer

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = 10.0) -> Any:
        """Work until something is so."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.worker.context.tend()
            self.commands.handle()
            self.heads.tend()
            if answer := condition():
                return answer
            time.sleep(0.01)
        raise AssertionError(f"not within {timeout_s} s: {what}: {self.heads.told()}")

    def state(self) -> str:
        told = self.heads.told().get("yard")
        return "" if told is None else told["state"]


@pytest.fixture
def steer(open_house: OpenHouse) -> Iterator[Callable[[RunConfig], Steered]]:
    made: list[Steered] = []

    def steer(config: RunConfig) -> Steered:
        made.append(Steered(open_house(config)))
        return made[-1]

    yield steer
    for each in made:
        each.heads.stop(patience_s=10.0)


def test_a_camera_is_opened_tried_and_turned_by_hand(
    served: ServedCamera, steer: Callable[[RunConfig], Steered], monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = steer(config_of(served.url, monkeypatch))
    steered.until(lambda: steered.state() == "ok", "the camera is well")
    before = served.device.true_pose(time.monotonic())
    answer = steered.ask("ptz-move", pan_deg_s=20.0, tilt_deg_s=0.0, zoom_octaves_s=0.0, ttl_s=1.0)
    assert answer["ok"] and answer["result"]["following"] == "manual"
    steered.until(lambda: served.speed_deg_s() > 5, "it turns")
    assert steered.ask("ptz-stop")["ok"]
    steered.until(lambda: served.speed_deg_s() == 0, "it stands")
    assert abs(served.device.true_pose(time.monotonic()).pan_deg - before.pan_deg) > 1
    assert steered.ask("ptz-resume")["ok"]
    steered.until(lambda: steered.heads.told()["yard"]["following"] != "manual", "it follows again")
    assert "s3cret" not in str(steered.heads.told())


def test_somebody_on_the_right_is_turned_to(
    served: ServedCamera, steer: Callable[[RunConfig], Steered], monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = steer(config_of(served.url, monkeypatch, probe=False))
    steered.until(lambda: steered.state() == "ok", "the camera is well")
    producer, seq = None, 0

    def see() -> bool:
        nonlocal producer, seq
        seq += 1
        context = steered.worker.context
        captured_ns = context.clock.now_ns()
        tracks = tracks_of((1, 0, 560), (0, 0, 100))
        producer = producer or steered.house.producer("tracks:yard")
        publish_result(producer, seq, tracks, size=(640, 360), captured_ns=captured_ns)
        while advance(context, steered.cameras["yard"], steered.heads):
            pass
        time.sleep(0.05)
        return served.device.velocity(time.monotonic()).pan_deg_s > 2

    steered.until(see, "it turns to the right", 5)

    def follows() -> bool:
        see()
        told = steered.heads.told()["yard"]
        return told["following"] == "following" and told["target"] == 1 and told["counts"]["sent"] > 0

    steered.until(follows, "it says so")


def test_what_cannot_be_is_answered_in_a_line(
    served: ServedCamera, steer: Callable[[RunConfig], Steered], monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = steer(config_of(served.url, monkeypatch, probe=False))
    steered.until(lambda: steered.state() == "ok", "the camera is well")
    for command, fields, failure in (
        ("ptz-select", {"point": [5, 5]}, "not-found"),
        ("ptz-select", {"track_id": 77}, "invalid"),
        ("ptz-policy", {"policy": "zone", "options": {}}, "invalid"),
        ("ptz-preset", {"action": "store", "preset": "94", "name": ""}, "invalid"),
        ("ptz-dance", {}, "invalid"),
    ):
        answer = steered.ask(command, **fields)
        assert not answer["ok"] and answer["failure"] == failure, answer
        assert answer["error"] and "\n" not in answer["error"]
    answer = steered.ask("ptz-state", camera="roof")
    assert answer["failure"] == "not-found" and "there are: yard" in answer["error"]


def test_presets_are_stored_listed_and_gone_to(
    served: ServedCamera, steer: Callable[[RunConfig], Steered], monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = steer(config_of(served.url, monkeypatch, probe=False))
    steered.until(lambda: steered.state() == "ok", "the camera is well")
    assert steered.ask("ptz-preset", action="store", preset="3", name="gate")["ok"]
    found = steered.ask("ptz-presets")["result"]["presets"]
    assert [(each["preset"], each["name"]) for each in found if each["preset"] == "3"] == [("3", "gate")]
    assert steered.ask("ptz-go-to", pan_deg=40.0, tilt_deg=-10.0)["ok"]
    near = served.device.true_pose
    steered.until(lambda: abs(near(time.monotonic()).pan_deg - 40) < 0.5, "it is there")
    assert steered.ask("ptz-preset", action="goto", preset="3", name="")["ok"]
    steered.until(
        lambda: abs(near(time.monotonic()).pan_deg - 40) > 5 or near(time.monotonic()).pan_deg == 0, "back"
    )
    assert steered.ask("ptz-preset", action="remove", preset="3", name="")["ok"]


def test_a_wrong_password_locks_and_is_told(
    served: ServedCamera, steer: Callable[[RunConfig], Steered], monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = steer(config_of(served.url, monkeypatch, password="wrong"))
    steered.until(lambda: steered.state() == "locked", "it is locked")
    assert steered.heads.degraded()[0].startswith("ptz yard: locked: ")
    assert "wrong" not in str(steered.heads.told()).replace("wrong password", "")


def test_speeds_that_are_none_end_the_worker_with_a_line(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    speeds = tmp_path / "speeds.json"
    speeds.write_text("[1, 2]")
    config = config_of("http://127.0.0.1:9", monkeypatch, speeds=str(speeds))
    worker = open_house(config).start("ptz")
    with pytest.raises(ConfigError, match=r"camera 'yard'|speeds .*: cannot be read"):
        Heads(worker.context)


def test_heads_come_change_and_go_and_another_goes_on(
    served: ServedCamera, steer: Callable[[RunConfig], Steered], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(served.url, monkeypatch, probe=False)
    steered = steer(config)
    heads = steered.heads
    steered.until(lambda: steered.state() == "ok", "the camera is well")
    yard = heads.stations["yard"]
    with served_camera() as other:
        roof = CameraConfig(
            "roof", "test://", ptz=config_of(other.url, monkeypatch, probe=False).cameras[0].ptz
        )
        both = replace(config, cameras=(*config.cameras, roof))
        heads.follow(config, both)
        steered.until(
            lambda: "roof" in heads.told() and heads.told()["roof"]["state"] == "ok", "the new one is well"
        )
        assert steered.ask(
            "ptz-move", camera="roof", pan_deg_s=9.0, tilt_deg_s=0.0, zoom_octaves_s=0.0, ttl_s=9.0
        )["ok"]
        steered.until(lambda: other.speed_deg_s() > 2, "it turns")

        assert roof.ptz is not None
        slower = replace(
            both, cameras=(*config.cameras, replace(roof, ptz=replace(roof.ptz, policy="runner")))
        )
        with pytest.raises(ConfigError):
            heads.follow(
                both, replace(both, cameras=(replace(roof, ptz=replace(roof.ptz, speeds="nowhere.json")),))
            )
        assert set(heads.stations) == {"yard", "roof"}
        heads.follow(both, slower)
        steered.until(lambda: other.speed_deg_s() == 0, "it was stopped before it begins anew")
        steered.until(lambda: heads.told()["roof"]["policy"] == "runner", "it is steered otherwise")
        steered.until(lambda: heads.told()["roof"]["state"] == "ok", "and is well")
        heads.follow(slower, config)
        steered.until(lambda: "roof" not in heads.told(), "it is gone")
    assert heads.stations["yard"] is yard and steered.state() == "ok"
    assert steered.ask("ptz-state")["ok"] and not heads.degraded()
