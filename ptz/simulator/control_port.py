"""The control port of a simulated camera, for tests and demonstrations: state, faults, clock and log as JSON.

It is off unless asked for, listens on an address of its own, and needs no login: keep it on loopback.

    GET /__sim/state            PUT {"pose": {"pan_deg": 10, "tilt_deg": -5, "zoom": 2}} or {"reboot": true}
    GET /__sim/faults           PUT [{"kind": "busy", "duration_s": 5}]: instead of those before
    GET /__sim/clock            PUT {"jump_s": 3600}
    GET /__sim/log?last=20
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

from engine.errors import PtzRefused
from engine.registry import nearest
from ptz.http import Request, Response
from ptz.simulator.answer import Answer
from ptz.simulator.camera import SimulatedCamera
from ptz.simulator.fault_kinds import KINDS
from ptz.simulator.faults import FOREVER_S, Fault

JSON_HEADERS = (("Content-Type", "application/json"),)
MOST_FAULTS = 100
REFUSED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, PtzRefused)
"""What telling it nonsense leads to."""


class ControlPort:
    """Answers the requests of one camera's control port."""

    def __init__(self, camera: SimulatedCamera, now: Callable[[], float]) -> None:
        self._camera = camera
        self._now = now

    def handle(self, request: Request, _peer: str = "") -> Answer:
        """Never raises; what is wrong is told with 400."""
        path, _, query = request.path.partition("?")
        getters: dict[str, Callable[[str], Any]] = {
            "/__sim/state": self._state, "/__sim/faults": self._faults, "/__sim/clock": self._clock,
            "/__sim/log": self._log,
        }  # fmt: skip
        setters: dict[str, Callable[[Any], None]] = {
            "/__sim/state": self._set_state, "/__sim/faults": self._set_faults, "/__sim/clock": self._set_clock,
        }  # fmt: skip
        if path not in getters or request.method not in ("GET", "PUT"):
            return _told(404, {"error": f"there are: {', '.join(getters)}"})
        try:
            if request.method == "PUT":
                setters[path](json.loads(request.body))
            return _told(200, getters[path](query))
        except REFUSED as error:
            return _told(400, {"error": f"{type(error).__name__}: {error}"})

    def _state(self, _query: str) -> dict[str, Any]:
        camera, device, now_s = self._camera, self._camera.device, self._now()
        accounts = camera.accounts
        return {
            "now_s": now_s,
            "profile": device.profile.name,
            "pose": asdict(device.true_pose(now_s)),
            "velocity": asdict(device.velocity(now_s)),
            "report": asdict(device.report(now_s)),
            "down": device.down(now_s),
            "uptime_s": device.uptime_s(now_s),
            "presets": [asdict(preset) for preset in device.presets.values()],
            "requests": camera.requests,
            "commands": device.commands,
            "logins": {"credentialed": accounts.credentialed, "refused": accounts.refused_since(-math.inf)},
        }

    def _set_state(self, told: Any) -> None:
        if told.get("reboot"):
            self._camera.device.reboot(self._now())
        if "pose" in told:
            pose = told["pose"]
            pan_deg, tilt_deg, zoom = (number_of(pose.get(name)) for name in ("pan_deg", "tilt_deg", "zoom"))
            self._camera.device.go_to(pan_deg, tilt_deg, zoom, None, self._now())

    def _faults(self, _query: str) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._camera.device.faults]

    def _set_faults(self, told: Any) -> None:
        if not isinstance(told, list) or len(told) > MOST_FAULTS:
            raise ValueError(f"a list of at most {MOST_FAULTS} faults is wanted")
        faults = [fault_of(one, self._now()) for one in told]
        self._camera.device.faults.clear()
        for fault in faults:
            self._camera.device.faults.add(fault)

    def _clock(self, _query: str) -> dict[str, float]:
        now_s = self._now()
        return {"now_s": now_s, "clock_s": self._camera.clock_s(now_s)}

    def _set_clock(self, told: Any) -> None:
        faults, now_s = self._camera.device.faults, self._now()
        jump = Fault("clock_jump", start_s=now_s, value=float(number_of(told["jump_s"]) or 0.0))
        others = [fault for fault in faults if fault.kind != "clock_jump"]
        faults.clear()
        for fault in (*others, jump):
            faults.add(fault)

    def _log(self, query: str) -> list[dict[str, Any]]:
        last = int(parse_qs(query).get("last", ["100"])[-1])
        return [asdict(entry) for entry in list(self._camera.log)[-max(last, 1) :]]


def fault_of(told: Any, now_s: float) -> Fault:
    """A fault from JSON; it starts now where no start is given. Raises ValueError or TypeError for what is none."""
    if not isinstance(told, dict):
        raise TypeError(f"a fault is an object, not {told!r}")
    kind = told.get("kind")
    if kind not in KINDS:
        raise ValueError(f"no fault {kind!r}{nearest(str(kind), KINDS)}")
    unknown = set(told) - {"kind", "start_s", "duration_s", "probability", "path", "value"}
    if unknown:
        raise ValueError(f"fault {kind}: unknown {', '.join(sorted(map(str, unknown)))}")
    return Fault(
        kind,
        start_s=_number(told, "start_s", now_s),
        duration_s=_number(told, "duration_s", FOREVER_S),
        probability=_number(told, "probability", 1.0),
        path=str(told.get("path", "")),
        value=_number(told, "value", 0.0),
    )


def _number(told: dict[str, Any], key: str, default: float) -> float:
    value = number_of(told.get(key))
    return default if value is None else value


def number_of(value: Any) -> float | None:
    """A finite number, None for none. Raises ValueError or TypeError for anything else."""
    if value is None:
        return None
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError(f"not a number: {value!r}")
    return float(value)


def _told(status: int, content: Any) -> Answer:
    return Answer(Response(status, JSON_HEADERS, json.dumps(content, default=str).encode()))
