"""Modes, prompts and objects over HTTP: what reaches the worker, what is refused before, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from engine.control.app import create_app
from engine.control.commands import Commands, Message
from engine.control.operations import MOST_BODY_BYTES
from tests.control.statuses import make_status
from tests.control.test_app import assert_problem

CAMERA = next(iter(make_status()["cameras"]))


class Worker:
    """The other end of the commands: notes what comes and answers at once, or not at all."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.reply: Callable[[Message], dict[str, Any]] | None = lambda _: {
            "ok": True,
            "result": {"object": 7},
        }
        self.commands = Commands(self.take, "3", timeout_s=0.05)

    def take(self, message: Message) -> None:
        self.heard.append(message)
        if self.reply is not None:
            self.commands.answered({"type": "answer", "id": message["id"], **self.reply(message)})


@pytest.fixture
def worker() -> Worker:
    return Worker()


def request(worker: Worker, method: str, path: str, **kwargs: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(make_status, worker.commands), raise_app_exceptions=False)
        base = kwargs.pop("base_url", "http://127.0.0.1:8080")
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **kwargs)

    return asyncio.run(ask())


def test_a_mode_is_switched(worker: Worker) -> None:
    worker.reply = lambda _: {"ok": True, "result": {"mode": "track"}}
    response = request(worker, "PUT", f"/cameras/{CAMERA}/segmentation", json={"mode": "track"})
    assert (response.status_code, response.json()) == (200, {"mode": "track"})
    (heard,) = worker.heard
    assert heard == {
        "id": "3-1",
        "to": "segment",
        "command": "segment-mode",
        "camera": CAMERA,
        "mode": "track",
    }


def test_a_prompt_gets_the_number_of_its_object(worker: Worker) -> None:
    body = {"points": [[10, 20.5, 1], [30, 40, 0]], "object": 5}
    response = request(worker, "POST", f"/cameras/{CAMERA}/prompts", json=body)
    assert (response.status_code, response.json()) == (201, {"object": 7})
    (heard,) = worker.heard
    assert (heard["command"], heard["points"], heard["box"], heard["object"]) == (
        "prompt",
        body["points"],
        None,
        5,
    )


def test_an_object_is_protected(worker: Worker) -> None:
    path = f"/cameras/{CAMERA}/objects/12"
    assert request(worker, "PUT", path, json={"protected": True}).status_code == 200
    assert (worker.heard[0]["command"], worker.heard[0]["protected"]) == ("protect-object", True)
    assert_problem(request(worker, "PUT", path, json={"protected": 1}), 422)


def test_an_object_is_removed(worker: Worker) -> None:
    assert request(worker, "DELETE", f"/cameras/{CAMERA}/objects/12").status_code == 200
    assert (worker.heard[0]["command"], worker.heard[0]["object"]) == ("remove-object", 12)


def test_the_state_is_asked_for(worker: Worker) -> None:
    assert request(worker, "GET", f"/cameras/{CAMERA}/segmentation").status_code == 200
    assert worker.heard[0]["command"] == "segment-state"


@pytest.mark.parametrize(
    ("failure", "http_status"),
    [("invalid", 422), ("not-found", 404), ("conflict", 409), ("unavailable", 503)],
)
def test_what_the_worker_refuses_says_why(worker: Worker, failure: str, http_status: int) -> None:
    worker.reply = lambda _: {"ok": False, "failure": failure, "error": "object 12 has left"}
    response = request(worker, "DELETE", f"/cameras/{CAMERA}/objects/12")
    assert assert_problem(response, http_status) == "object 12 has left"


def test_a_worker_that_says_nothing_is_not_waited_for(worker: Worker) -> None:
    worker.reply = None
    response = request(worker, "DELETE", f"/cameras/{CAMERA}/objects/12")
    assert "did not answer within" in assert_problem(response, 504)


def test_an_unknown_camera_is_named_with_those_there_are(worker: Worker) -> None:
    detail = assert_problem(request(worker, "GET", "/cameras/nowhere/segmentation"), 404)
    assert "'nowhere'" in detail and CAMERA in detail
    assert not worker.heard


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "a prompt needs"),
        ({"points": []}, "points must be"),
        ({"points": [[1, 2]]}, "points must be"),
        ({"points": [[1, 2, 3]]}, "points must be"),
        ({"points": [[1, True, 1]]}, "points must be"),
        ({"points": [[1, 2, 1]] * 65}, "points must be"),
        ({"box": [1, 2, 3]}, "box must be"),
        ({"box": [1, 2, 3, "4"]}, "box must be"),
        ({"mask": {"size": [2, 2]}}, "mask must be"),
        ({"points": [[1, 2, 1]], "object": "5"}, "object must be"),
        ({"points": [[1, 2, 1]], "frame": -1}, "frame must be"),
        ({"point": [[1, 2, 1]]}, "unknown key 'point'"),
    ],
)
def test_a_prompt_of_another_form_is_refused(worker: Worker, body: dict[str, Any], words: str) -> None:
    response = request(worker, "POST", f"/cameras/{CAMERA}/prompts", json=body)
    assert words in assert_problem(response, 422)
    assert not worker.heard


@pytest.mark.parametrize(
    ("content", "headers", "http_status"),
    [
        (b"{", {"content-type": "application/json"}, 400),
        (b"[]", {"content-type": "application/json"}, 400),
        (b'{"mode": "off"}', {"content-type": "text/plain"}, 415),
        (b" " * (MOST_BODY_BYTES + 1), {"content-type": "application/json"}, 413),
        (b'{"mode": "off"}', {"content-type": "application/json", "origin": "http://elsewhere.example"}, 403),
        (b'{"mode": "of"}', {"content-type": "application/json"}, 422),
    ],
)
def test_a_body_that_is_none_is_refused(
    worker: Worker, content: bytes, headers: dict[str, str], http_status: int
) -> None:
    response = request(worker, "PUT", f"/cameras/{CAMERA}/segmentation", content=content, headers=headers)
    assert_problem(response, http_status)
    assert not worker.heard


def test_a_name_that_was_rebound_to_this_machine_is_refused(worker: Worker) -> None:
    response = request(worker, "DELETE", f"/cameras/{CAMERA}/objects/1", base_url="http://evil.example:8080")
    assert "evil.example" in assert_problem(response, 403)
    assert (
        request(
            worker, "DELETE", f"/cameras/{CAMERA}/objects/1", base_url="http://localhost:8080"
        ).status_code
        == 200
    )
