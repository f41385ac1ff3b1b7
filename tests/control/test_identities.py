"""Identities over HTTP: what reaches the worker, and what is refused before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.control.test_app import assert_problem
from tests.control.test_segmentation import Worker, request, worker

__all__ = ["worker"]


@pytest.mark.parametrize(
    ("method", "path", "heard"),
    [
        ("GET", "/identities", {"command": "identities", "after": 0, "limit": 100}),
        ("GET", "/identities?after=7&limit=500", {"command": "identities", "after": 7, "limit": 500}),
        ("GET", "/identities/12", {"command": "identity", "gid": 12}),
        ("DELETE", "/identities/12", {"command": "forget-identity", "gid": 12}),
        ("DELETE", "/identities", {"command": "forget-identities"}),
    ],
)
def test_requests_reach_the_tracker(worker: Worker, method: str, path: str, heard: dict[str, Any]) -> None:
    assert request(worker, method, path).status_code == 200
    assert worker.heard == [{"id": "3-1", "to": "track", **heard}]


@pytest.mark.parametrize("scope", ["off", "camera", "global"])
def test_the_scope_is_switched(worker: Worker, scope: str) -> None:
    worker.reply = lambda message: {"ok": True, "result": {"scope": message["scope"]}}
    response = request(worker, "PUT", "/identities", json={"scope": scope})
    assert (response.status_code, response.json()) == (200, {"scope": scope})


@pytest.mark.parametrize(
    "body", [{}, {"scope": "on"}, {"scope": None}, {"scope": ["off"]}, {"scope": "off", "more": 1}]
)
def test_another_scope_is_refused(worker: Worker, body: dict[str, Any]) -> None:
    assert_problem(request(worker, "PUT", "/identities", json=body), 422)
    assert worker.heard == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "after=-1", "after=1.5", "after=99999999999999999999", "after=²"],
)
def test_numbers_that_make_no_page_are_refused(worker: Worker, query: str) -> None:
    assert_problem(request(worker, "GET", f"/identities?{query}"), 422)
    assert worker.heard == []


@pytest.mark.parametrize("gid", ["0x1", "-1", "ann", "1/looks"])
def test_what_is_no_number_is_no_identity(worker: Worker, gid: str) -> None:
    assert_problem(request(worker, "GET", f"/identities/{gid}"), 404)


def test_a_number_too_large_to_be_one_is_not_known(worker: Worker) -> None:
    assert_problem(request(worker, "DELETE", f"/identities/{10**30}"), 404)
    assert worker.heard == []


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/identities"), ("DELETE", "/identities/1"), ("PUT", "/identities")]
)
def test_no_page_of_another_site_forgets_anybody(worker: Worker, method: str, path: str) -> None:
    more = {"json": {"scope": "off"}} if method == "PUT" else {}
    response = request(worker, method, path, headers={"Origin": "https://evil.example"}, **more)
    assert_problem(response, 403)
    assert worker.heard == []


def test_what_the_tracker_refuses_says_why(worker: Worker) -> None:
    worker.reply = lambda _: {"ok": False, "failure": "not-found", "error": "no identity 12"}
    assert assert_problem(request(worker, "DELETE", "/identities/12"), 404) == "no identity 12"
    worker.reply = lambda _: {
        "ok": False,
        "failure": "unavailable",
        "error": "forgotten, but: the file is still there",
    }
    assert "still there" in assert_problem(request(worker, "DELETE", "/identities/12"), 503)
