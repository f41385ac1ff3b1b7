"""Heads over HTTP: what reaches the worker, and what is refused before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.control.test_app import assert_problem
from tests.control.test_segmentation import Worker, request, worker

__all__ = ["worker"]

TURN = {"pan_deg_s": 20.0, "tilt_deg_s": -5.0, "zoom_octaves_s": 0.0, "ttl_s": 0.5}


@pytest.mark.parametrize(
    ("method", "path", "body", "heard"),
    [
        ("GET", "/ptz/yard", None, {"command": "ptz-state"}),
        ("GET", "/ptz/yard/presets", None, {"command": "ptz-presets"}),
        ("POST", "/ptz/yard/stop", None, {"command": "ptz-stop"}),
        ("POST", "/ptz/yard/resume", None, {"command": "ptz-resume"}),
        ("POST", "/ptz/yard/move", {"pan_deg_s": 20, "tilt_deg_s": -5}, {"command": "ptz-move", **TURN}),
        ("POST", "/ptz/yard/move", {"pan_deg": 90, "zoom": 2}, {"command": "ptz-go-to", "pan_deg": 90, "zoom": 2}),
        (
            "POST", "/ptz/yard/preset", {"store": 3, "name": "gate"},
            {"command": "ptz-preset", "action": "store", "preset": "3", "name": "gate"},
        ),
        (
            "POST", "/ptz/yard/policy", {"policy": "runner"},
            {"command": "ptz-policy", "policy": "runner", "options": {}},
        ),
        ("POST", "/ptz/yard/select", {"gid": 3}, {"command": "ptz-select", "gid": 3}),
        ("POST", "/ptz/yard/select", {"point": [3.5, 7]}, {"command": "ptz-select", "point": [3.5, 7]}),
    ],
)  # fmt: skip
def test_requests_reach_the_head(
    worker: Worker, method: str, path: str, body: dict[str, Any] | None, heard: dict[str, Any]
) -> None:
    assert request(worker, method, path, json=body).status_code == 200
    assert worker.heard == [{"id": "3-1", "to": "ptz", "camera": "yard", **heard}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("move", {"pan_deg_s": 1000}),
        ("move", {"pan_deg_s": True}),
        ("move", {"ttl_s": 60}),
        ("move", {"pan_deg": 90, "pan_deg_s": 5}),
        ("move", {"zoom": 0}),
        ("move", {"speed": 5}),
        ("preset", {}),
        ("preset", {"goto": "3", "store": "4"}),
        ("preset", {"goto": ""}),
        ("preset", {"goto": "1\n2"}),
        ("preset", {"store": "3", "name": 7}),
        ("policy", {"policy": "biggest"}),
        ("policy", {"policy": "group", "options": [1]}),
        ("select", {}),
        ("select", {"track_id": 0}),
        ("select", {"track_id": 1, "gid": 2}),
        ("select", {"point": [1]}),
        ("select", {"point": [1, "2"]}),
    ],
)
def test_what_makes_no_sense_is_refused(worker: Worker, path: str, body: dict[str, Any]) -> None:
    assert_problem(request(worker, "POST", f"/ptz/yard/{path}", json=body), 422)
    assert worker.heard == []


def test_a_page_of_another_site_moves_no_camera(worker: Worker) -> None:
    headers = {"origin": "https://elsewhere.example"}
    assert_problem(request(worker, "POST", "/ptz/yard/stop", headers=headers), 403)
    assert worker.heard == []
