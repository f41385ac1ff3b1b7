"""Routes and answers, asked for without a socket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from engine.control.answers import PROBLEM_TYPES
from engine.control.app import create_app
from engine.control.commands import Commands
from engine.control.status import EngineStatus
from tests.control.statuses import make_process, make_status


@dataclass
class Run:
    """A run whose status the test may change, and a client that looks at it."""

    status: EngineStatus = field(default_factory=make_status)

    def __post_init__(self) -> None:
        self._app = create_app(lambda: self.status, Commands(lambda message: None, "0"))

    def request(self, method: str, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                return await client.request(method, path)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)


@pytest.fixture
def run() -> Run:
    return Run()


def assert_problem(response: httpx.Response, http_status: int) -> str:
    """The answer is a problem document (RFC 9457); returns its detail."""
    assert response.status_code == http_status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) - {"errors"} == {"type", "title", "status", "detail"}
    assert body["type"] == f"urn:camring:problem:{PROBLEM_TYPES[http_status]}"
    assert body["status"] == http_status
    assert isinstance(body["title"], str) and body["title"]
    detail: str = body["detail"]
    return detail


@pytest.mark.parametrize(("status", "http_status"), [("ok", 200), ("degraded", 200), ("failing", 503)])
def test_health_tells_machines_by_code_and_people_by_reason(run: Run, status: Any, http_status: int) -> None:
    run.status["status"] = status
    run.status["reasons"] = ["camera gate: reconnecting: no answer"]
    response = run.get("/health")
    assert response.status_code == http_status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body["status"] == status
    assert body["reasons"] == ["camera gate: reconnecting: no answer"]
    assert (body["version"], body["uptime_s"]) == ("1.2.3", 61.5)


def test_health_tells_all_of_processes_and_cameras_but_the_histograms(run: Run) -> None:
    body = run.get("/health").json()
    assert body["processes"] == run.status["processes"]
    assert body["inference"] == run.status["inference"]
    assert set(body["cameras"]) == set(run.status["cameras"])
    for name, camera in run.status["cameras"].items():
        expected = {key: value for key, value in camera.items() if key != "latency_histogram"}
        assert body["cameras"][name] == expected


def test_every_answer_is_of_now(run: Run) -> None:
    assert len(run.get("/health").json()["processes"]) == 2
    run.status = make_status()  # another object, as whoever gives it does
    run.status["processes"]["track"] = make_process("track")
    assert len(run.get("/health").json()["processes"]) == 3
    assert 'camring_process_up{process="track"} 1.0' in run.get("/metrics").text


def test_no_secret_leaves_the_house(run: Run) -> None:
    secret = "rtsp://admin:hunter2@camera.example/live?token=abc123"
    run.status["reasons"] = [f"cannot open {secret}"]
    run.status["cameras"]["gate"]["source"] = secret
    run.status["cameras"]["gate"]["reason"] = f"{secret}: no answer"
    run.status["processes"]["infer"]["detail"] = secret
    run.status["run"]["model"] = secret
    for path in ("/health", "/metrics", "/nothing?url=" + secret):
        text = run.get(path).text
        assert "hunter2" not in text and "abc123" not in text
    assert "camera.example" in run.get("/health").text


def test_the_index_names_every_route(run: Run) -> None:
    response = run.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    assert "/health" in response.text and "/metrics" in response.text


def test_an_unknown_route_is_a_problem_that_says_where_to_look(run: Run) -> None:
    assert "/nowhere" in assert_problem(run.get("/nowhere"), 404)
    assert "GET /" in assert_problem(run.get("/health/"), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/health", "/metrics"])
def test_nothing_can_be_changed(run: Run, method: str, path: str) -> None:
    response = run.request(method, path)
    assert "GET" in assert_problem(response, 405)
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/", "/health", "/metrics"])
def test_head_answers_like_get_without_a_body(run: Run, path: str) -> None:
    response = run.request("HEAD", path)
    assert response.status_code == 200
    assert response.headers["content-type"] == run.get(path).headers["content-type"]


def test_a_fault_inside_is_a_problem_without_details(run: Run) -> None:
    del run.status["processes"]["infer"]["state"]  # type: ignore[misc]  # a broken status is the point
    detail = assert_problem(run.get("/metrics"), 500)
    assert "state" not in detail and "Traceback" not in detail
