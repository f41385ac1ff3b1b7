"""The control port: state, faults, clock and log of a simulated camera, over JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptz.http import Request
from ptz.simulator.camera import SimulatedCamera
from ptz.simulator.control_port import ControlPort
from tests.ptz.simulator.visitor import PTZ, Visitor, camera


class Remote:
    """Somebody at the control port, at a time of the test's choosing."""

    def __init__(self, host: SimulatedCamera) -> None:
        self.now_s = 0.0
        self._port = ControlPort(host, lambda: self.now_s)

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        response = self._port.handle(Request(method, f"/__sim/{path}", (), body)).response
        return response.status, json.loads(response.body)

    def get(self, path: str) -> Any:
        status, told = self.ask("GET", path)
        assert status == 200
        return told

    def put(self, path: str, content: object) -> int:
        return self.ask("PUT", path, json.dumps(content).encode())[0]


def test_the_state_is_told_and_set() -> None:
    host = camera()
    remote = Remote(host)
    assert remote.put("state", {"pose": {"pan_deg": 30, "tilt_deg": -10}}) == 200
    remote.now_s = 5.0
    state = remote.get("state")
    assert state["profile"] == "hik-8425ix"
    assert state["pose"]["pan_deg"] == pytest.approx(30, abs=0.3)
    assert state["pose"]["tilt_deg"] == pytest.approx(-10, abs=0.3)
    assert state["velocity"]["pan_deg_s"] == 0
    assert state["logins"] == {"credentialed": 0, "refused": 0}
    assert remote.put("state", {"reboot": True}) == 200
    assert remote.get("state")["down"]


def test_faults_are_set_and_replaced_and_start_now() -> None:
    host = camera()
    remote, visitor = Remote(host), Visitor(host)
    remote.now_s = visitor.now_s = 3.0
    assert remote.put("faults", [{"kind": "busy", "duration_s": 2, "path": "status"}]) == 200
    assert remote.get("faults")[0] | {"probability": 1.0} == {
        "kind": "busy", "start_s": 3.0, "duration_s": 2.0, "probability": 1.0, "path": "status", "value": 0.0,
    }  # fmt: skip
    assert visitor.ask("GET", f"{PTZ}/status").response.status == 503
    assert remote.put("faults", []) == 200
    assert visitor.ask("GET", f"{PTZ}/status").response.status == 200


def test_the_clock_jumps_once_however_often_it_is_told() -> None:
    host = camera()
    remote = Remote(host)
    before = remote.get("clock")["clock_s"]
    for jump_s in (100, 3600):
        assert remote.put("clock", {"jump_s": jump_s}) == 200
    assert remote.get("clock")["clock_s"] == before + 3600


def test_the_log_tells_the_last_requests() -> None:
    host = camera()
    Visitor(host).get(f"{PTZ}/status")
    log = Remote(host).get("log")
    assert [(entry["status"], entry["wire"]) for entry in log] == [(401, "plain"), (200, "plain")]
    assert len(Remote(host).get("log?last=1")) == 1


@pytest.mark.parametrize(
    ("path", "content"),
    [("faults", {"kind": "busy"}), ("faults", [{"kind": "bussy"}]), ("faults", [{"kind": "busy", "valeu": 1}]),
     ("faults", [{"kind": "busy", "value": "x"}]), ("faults", [{"kind": "busy", "value": float("nan")}]),
     ("faults", ["busy"]), ("faults", [{}] * 200), ("state", []), ("state", {"pose": 3}), ("clock", {}),
     ("state", {"pose": {"pan_deg": "x"}}), ("clock", {"jump_s": 10**400}), ("clock", {"jump_s": True})],
)  # fmt: skip
def test_nonsense_is_told_with_400_and_changes_nothing(path: str, content: object) -> None:
    host = camera()
    remote = Remote(host)
    status, told = remote.ask("PUT", path, json.dumps(content).encode())
    assert (status, list(told)) == (400, ["error"])
    assert list(host.device.faults) == []


def test_a_near_miss_is_hinted_at() -> None:
    _, told = Remote(camera()).ask("PUT", "faults", b'[{"kind": "bussy"}]')
    assert "did you mean 'busy'?" in told["error"]


def test_other_paths_and_methods() -> None:
    assert Remote(camera()).ask("GET", "nothing")[0] == 404
    assert Remote(camera()).ask("DELETE", "state")[0] == 404
    assert Remote(camera()).ask("PUT", "log")[0] in (400, 404)


@given(st.binary(max_size=60), st.sampled_from(["state", "faults", "clock", "log"]))
def test_no_body_breaks_it(body: bytes, path: str) -> None:
    assert Remote(camera()).ask("PUT", path, body)[0] in (200, 400)
