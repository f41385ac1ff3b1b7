"""What a camera does, in one message: `camring.state/1` (state.schema.json beside this file).

Pure: frame records and the camera's part of the run's status go in, with a time; documents come out. Does not know
who asks nor how often.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from engine.config.regions import Point, Zone

STATE_SCHEMA = "camring.state/1"
"""Name and major version of the document. Within one major version keys are only added."""

MOVES_HEIGHTS_S = 0.1
"""Speed from which an object moves, in heights of its box a second: 0.18 m/s for a grown-up. A box trembles slower."""
LEAST_PAUSE_S = 1.0
"""A state that changes all the time is sent this often."""


def state_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every document satisfies."""
    text = resources.files("engine.bus").joinpath("state.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@dataclass
class _ZoneNow:
    zone: Zone
    counted: int | None = None
    labels: Counter[str] = field(default_factory=Counter)
    motion: bool = False

    def document(self) -> dict[str, Any]:
        count = sum(self.labels.values()) if self.counted is None else self.counted
        return {"count": count, "labels": dict(sorted(self.labels.items())), "motion": self.motion}


class CameraState:
    """One camera's state. `observe` for each record, `note` for each status of the run, `due` to hear what to send.

    classes  labels whose objects count in zones that name none themselves; empty = all
    every_s  it is due after this time at the latest
    """

    def __init__(
        self, camera: str, zones: Sequence[Zone], classes: Sequence[str] = (), every_s: float = 30.0
    ) -> None:
        self._camera = camera
        self._classes = frozenset(classes)
        self._every_s = every_s
        self._zones = {zone.name: _ZoneNow(zone) for zone in zones}
        self._frame: int | None = None
        self._labels: Counter[str] = Counter()
        self._motion = False
        self._status: dict[str, Any] = {"state": "connecting", "reason": ""}
        self._said: object = None
        self._said_at_s: float | None = None

    def observe(self, record: Mapping[str, Any], size_wh: tuple[int, int]) -> None:
        """Take a frame record (`camring.frame/1`; masks in it are not looked at) of a picture of this size."""
        objects: list[Mapping[str, Any]] = record["objects"]
        self._frame = record["frame"]
        self._labels = Counter(each["label"] for each in objects)
        self._motion = any(_moves(each) for each in objects)
        for now in self._zones.values():
            wanted = frozenset(now.zone.classes) or self._classes
            inside = [
                each
                for each in objects
                if (not wanted or each["label"] in wanted)
                and _contains(now.zone.polygon, _foot(each, size_wh))
            ]
            now.labels = Counter(each["label"] for each in inside)
            now.motion = any(_moves(each) for each in inside)
        for event in record.get("events", ()):
            if event["kind"] == "count" and event["zone"] in self._zones:
                self._zones[event["zone"]].counted = event["count"]

    def note(self, status: Mapping[str, Any]) -> None:
        """Take the camera's part of the run's status, as in `/health`."""
        self._status = dict(status)
        events: Mapping[str, Any] = status.get("events") or {}
        for name, told in events.get("zones", {}).items():
            if name in self._zones:
                self._zones[name].counted = told["present"]

    def due(self, now_s: float) -> bool:
        """Whether it has changed, or has not been said for long. `now_s` is of any clock that only goes forward."""
        if self._said_at_s is None:
            return True
        silent_s = now_s - self._said_at_s
        if silent_s >= self._every_s:
            return True
        return silent_s >= LEAST_PAUSE_S and self._notable() != self._said

    def say(self, now_s: float, wall_s: float) -> dict[str, Any]:
        """The document as of now; it counts as said."""
        self._said, self._said_at_s = self._notable(), now_s
        return self.document(wall_s)

    def document(self, wall_s: float) -> dict[str, Any]:
        """The document; `wall_s` is the time in it, seconds since the Unix epoch."""
        status = self._status
        latency_ms: Mapping[str, float | None] = status.get("latency_ms") or {}
        lost: Mapping[str, Mapping[str, int]] = status.get("results_lost") or {}
        return {
            "schema": STATE_SCHEMA,
            "camera": self._camera,
            "time": round(wall_s, 3),
            "state": status["state"],
            "reason": status.get("reason", ""),
            "connected": status["state"] == "streaming",
            "frame": self._frame,
            "size": [int(status.get("width", 0)), int(status.get("height", 0))],
            "fps": {key: round(float(status.get(f"fps_{key}", 0.0)), 2) for key in ("in", "inferred", "out")},
            "latency_ms": {quantile: _rounded(latency_ms.get(quantile)) for quantile in ("p50", "p95")},
            "frames_dropped": sum((status.get("dropped") or {}).values()),
            "results_lost": sum(sum(by_reason.values()) for by_reason in lost.values()),
            "objects": {
                "count": sum(self._labels.values()),
                "labels": dict(sorted(self._labels.items())),
                "motion": self._motion,
            },
            "zones": {name: now.document() for name, now in self._zones.items()},
        }

    def _notable(self) -> object:
        """What is worth a message when it changes; rates and latencies change all the time."""
        zones = [now.document() for now in self._zones.values()]
        return self._status["state"], self._status.get("reason", ""), dict(self._labels), self._motion, zones


def _moves(thing: Mapping[str, Any]) -> bool:
    x, y = thing.get("velocity", (0.0, 0.0))
    return bool(x * x + y * y >= (MOVES_HEIGHTS_S * thing["bbox"][3]) ** 2 and (x or y))


def _foot(thing: Mapping[str, Any], size_wh: tuple[int, int]) -> Point:
    """The middle of the lower edge of its box, relative to the picture."""
    left, top, width, height = thing["bbox"]
    return (left + width / 2) / max(1, size_wh[0]), (top + height) / max(1, size_wh[1])


def _contains(polygon: Iterable[Point], point: Point) -> bool:
    """Even-odd: how often a ray to the right crosses the outline."""
    corners = list(polygon)
    x, y = point
    inside = False
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            inside = not inside
    return inside


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
