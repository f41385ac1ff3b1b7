"""Cameras, rates, modes and prompts over HTTP: what reaches the engine, and what comes back."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
import pytest

from engine.config.settings import CAMERA_SETTINGS, TABLE_KEYS
from engine.control.cameras import CameraChange, NewCamera
from engine.control.status import EngineStatus
from tests.control.asking import Site
from tests.control.statuses import make_camera
from tests.control.test_app import assert_problem
from tests.control.workers import refused

ODD = 'odd "name"\\'


@pytest.fixture
def site() -> Site:
    return Site()


def heard(site: Site) -> list[dict[str, Any]]:
    return [{key: value for key, value in each.items() if key != "id"} for each in site.engine.heard]


def test_the_keys_of_a_camera_are_those_of_a_cameras_file() -> None:
    assert set(NewCamera.__struct_fields__) == {*CAMERA_SETTINGS, *TABLE_KEYS}
    assert set(CameraChange.__struct_fields__) == set(NewCamera.__struct_fields__) - {"name"}


def test_a_camera_comes_changes_and_goes(site: Site) -> None:
    name = "Hof früh 100% ?#&"
    camera = {"name": name, "source": "rtsp://camera/live", "infer_fps": 5, "zone": [
        {"name": "yard", "polygon": [[0, 0], [1, 0], [1, 1]], "dwell_s": 3}]}  # fmt: skip
    added = site.ask("POST", "/cameras", json=camera)
    assert added.status_code == 201 and added.json()["camera"]["name"] == name
    assert orjson.loads(orjson.dumps(heard(site))) == [
        {"to": "engine", "command": "engine-add", "camera": camera}
    ]
    assert added.headers["location"] == f"/cameras/{quote(name, safe='')}"


@pytest.mark.parametrize("name", ["gate", ODD, "früh 100% ?#&=+", "日本 1", "a.b..c"])
def test_a_camera_of_any_name_has_an_address(site: Site, name: str) -> None:
    site.ask("POST", "/cameras", json={"name": name, "source": "test://"})
    address = f"/cameras/{quote(name, safe='')}"
    assert site.ask("GET", address).json()["camera"]["name"] == name
    site.engine.heard.clear()
    changed = site.ask("PATCH", address, json={"loop": True, "ptz": None})
    assert changed.json()["camera"]["settings"]["loop"] is True
    assert site.ask("DELETE", address).json() == {"camera": name, "removed": True}
    assert heard(site) == [
        {"to": "engine", "command": "engine-change", "camera": name, "changes": {"loop": True, "ptz": None}},
        {"to": "engine", "command": "engine-remove", "camera": name},
    ]
    assert repr(name) in assert_problem(site.ask("GET", address), 404)


def test_cameras_are_stopped_and_started_some_or_all(site: Site) -> None:
    stopped = site.ask("POST", "/stop", json={"cameras": ["gate"]}).json()["cameras"]
    assert [(each["name"], each["state"]) for each in stopped] == [("gate", "stopped")]
    bodies: list[dict[str, Any]] = [{}, {"json": {}}, {"json": {"cameras": None}}]
    for more in bodies:
        answer = site.ask("POST", "/start", **more)
        assert {each["state"] for each in answer.json()["cameras"]} == {"running"} and len(
            answer.json()["cameras"]
        ) == 2
    assert_problem(site.ask("POST", "/stop", json={"cameras": ["nowhere"]}), 404)
    assert "cameras must be" in assert_problem(site.ask("POST", "/stop", json={"cameras": "gate"}), 422)


def test_a_rate_is_set_for_one_or_all(site: Site) -> None:
    (one,) = site.ask("POST", "/fps", json={"camera": "gate", "fps": 5}).json()["cameras"]
    assert one["settings"] == {"infer_fps": 5.0}
    assert len(site.ask("POST", "/fps", json={"fps": 2.5}).json()["cameras"]) == 2
    assert [each["camera"] for each in heard(site)] == ["gate", None]
    assert "from 0 to 1000" in assert_problem(site.ask("POST", "/fps", json={"fps": -1}), 422)


def test_a_mode_is_switched_for_one_or_all(site: Site) -> None:
    (one,) = site.ask("POST", "/mode", json={"camera": ODD, "mode": "track"}).json()["cameras"]
    assert one == {"camera": ODD, "mode": "track", "before": "off", "loading": False}
    both = site.ask("POST", "/mode", json={"mode": "auto"}).json()["cameras"]
    assert [(each["camera"], each["before"]) for each in both] == [("gate", "off"), (ODD, "track")]


def test_a_mode_that_one_camera_cannot_have_no_camera_gets(site: Site) -> None:
    right = site.engine.do_segment_mode

    def one_cannot(message: dict[str, Any]) -> dict[str, Any]:
        full = message["camera"] == ODD and message["mode"] == "auto"
        return refused("unavailable", "no segmenter") if full else right(message)

    site.engine.do_segment_mode = one_cannot  # type: ignore[method-assign]  # a worker that says no
    assert assert_problem(site.ask("POST", "/mode", json={"mode": "auto"}), 503) == "no segmenter"
    assert site.engine.modes == {"gate": "off", ODD: "off"}


def test_prompts_add_remove_and_clear(site: Site) -> None:
    added = site.ask("POST", "/prompt", json={"camera": "gate", "points": [[5, 6, 1]], "frame": 9})
    assert added.json() == {"action": "add", "camera": "gate", "object": 7, "frame": 12}
    removed = site.ask("POST", "/prompt", json={"camera": "gate", "action": "remove", "object": 3})
    assert removed.json() == {"camera": "gate", "action": "remove", "removed": [3]}
    cleared = site.ask("POST", "/prompt", json={"camera": "gate", "action": "clear"})
    assert cleared.json() == {"camera": "gate", "action": "clear", "removed": [3, 4]}
    assert [each["command"] for each in heard(site)] == [
        "prompt", "remove-object", "segment-state", "remove-object", "remove-object",
    ]  # fmt: skip


def test_an_object_that_has_left_meanwhile_is_gone(site: Site) -> None:
    site.engine.do_remove_object = lambda message: refused("not-found", "gone")  # type: ignore[method-assign]  # it left
    assert site.ask("POST", "/prompt", json={"camera": "gate", "action": "clear"}).json()["removed"] == [3, 4]
    assert_problem(site.ask("POST", "/prompt", json={"camera": "gate", "action": "remove", "object": 3}), 404)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "a prompt needs"),
        ({"action": "remove"}, "object is missing"),
        ({"action": "remove", "object": 3, "box": [1, 2, 3, 4]}, "box does not go with remove"),
        ({"action": "clear", "object": 3}, "object does not go with clear"),
        ({"action": "erase"}, "action must be one of add, remove, clear"),
    ],
)
def test_prompts_that_make_no_sense(site: Site, body: dict[str, Any], words: str) -> None:
    assert words in assert_problem(site.ask("POST", "/prompt", json={"camera": "gate", **body}), 422)
    assert site.engine.heard == []


@pytest.mark.parametrize(
    ("failure", "status"), [("invalid", 422), ("not-found", 404), ("conflict", 409), ("unavailable", 503)]
)
def test_what_the_engine_refuses_says_why(site: Site, failure: str, status: int) -> None:
    site.engine.do_engine_add = lambda message: refused(failure, "cannot be")  # type: ignore[method-assign]  # it says no
    answer = site.ask("POST", "/cameras", json={"name": "x", "source": "test://"})
    assert assert_problem(answer, status) == "cannot be"


def test_health_and_metrics_are_made_once_for_each_status(site: Site) -> None:
    asked = []

    class Status(dict[str, Any]):
        def items(self) -> Any:
            asked.append(1)
            return super().items()

    status: Any = Status(site.engine.status)
    site.engine.status = status
    bodies = {site.ask("GET", "/health").content for _ in range(3)}
    assert len(bodies) == 1 and len(asked) == 1
    other: EngineStatus = {**site.engine.status, "cameras": {"new": make_camera()}}
    site.engine.status = other
    assert list(site.ask("GET", "/health").json()["cameras"]) == ["new"]
    assert 'camera="new"' in site.ask("GET", "/metrics").text


def test_whether_it_lives_needs_no_more_than_a_word(site: Site) -> None:
    assert site.ask("GET", "/health/live").json() == {"status": "ok"}
    site.engine.status["status"] = "failing"
    assert site.ask("GET", "/health/live").status_code == 503
