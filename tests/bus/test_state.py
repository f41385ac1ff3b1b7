"""The state of a camera: what it says, that it is what the schema says, and when it is due."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from engine.bus.state import CameraState, state_schema
from engine.config.regions import Zone
from engine.control.status import CAMERA_STATES
from tests.control.statuses import make_camera

LEFT = Zone("left half", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
CARS = Zone("cars", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), classes=("car",))
SIZE = (200, 100)


def thing(label: str, left: float, velocity: tuple[float, float] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"id": 1, "label": label, "confidence": 0.9, "bbox": [left, 20.0, 10.0, 40.0]}
    return found if velocity is None else {**found, "velocity": list(velocity)}


def record(*objects: dict[str, Any], frame: int = 1, **more: Any) -> dict[str, Any]:
    return {"frame": frame, "objects": list(objects), **more}


def document(state: CameraState) -> dict[str, Any]:
    found = state.document(1700000000.1234)
    jsonschema.validate(found, state_schema())
    return found


def test_before_anything_is_known() -> None:
    found = document(CameraState("gate", (LEFT,)))
    assert found["connected"] is False and found["state"] == "connecting" and found["frame"] is None
    assert found["zones"] == {"left half": {"count": 0, "labels": {}, "motion": False}}


def test_objects_by_label_and_zone() -> None:
    state = CameraState("gate", (LEFT, CARS))
    state.observe(
        record(thing("person", 10, (4.0, 0.0)), thing("person", 150), thing("car", 120, (0.0, 3.9))), SIZE
    )
    found = document(state)
    assert found["objects"] == {"count": 3, "labels": {"car": 1, "person": 2}, "motion": True}
    # The car moves by less than a tenth of its height a second.
    assert found["zones"] == {
        "left half": {"count": 1, "labels": {"person": 1}, "motion": True},
        "cars": {"count": 1, "labels": {"car": 1}, "motion": False},
    }


def test_zones_without_classes_take_those_of_events() -> None:
    state = CameraState("gate", (LEFT,), classes=("car",))
    state.observe(record(thing("person", 10), thing("car", 20)), SIZE)
    assert document(state)["zones"]["left half"]["labels"] == {"car": 1}


def test_counts_are_those_of_the_events() -> None:
    """They wait before they believe; the status of the run corrects what was missed."""
    state = CameraState("gate", (LEFT,))
    state.observe(
        record(thing("person", 10), events=[{"kind": "count", "zone": "left half", "count": 3}]), SIZE
    )
    assert document(state)["zones"]["left half"]["count"] == 3
    status = make_camera()
    assert status["events"] is not None
    status["events"]["zones"] = {"left half": {"entries": 9, "exits": 7, "dwells": 0, "present": 2}}
    state.note(status)
    assert document(state)["zones"]["left half"]["count"] == 2


def test_the_status_of_the_camera() -> None:
    state = CameraState("gate", ())
    state.note(make_camera())
    found = document(state)
    assert found["connected"] is True and found["size"] == [1920, 1080]
    assert found["fps"] == {"in": 25.0, "inferred": 12.25, "out": 12.0}
    assert found["latency_ms"] == {"p50": 80.0, "p95": 120.0}
    assert (found["frames_dropped"], found["results_lost"]) == (507, 5)


@pytest.mark.parametrize("name", CAMERA_STATES)
def test_every_state_is_in_the_schema(name: str) -> None:
    state = CameraState("gate", ())
    state.note({**make_camera(), "state": name})
    assert document(state)["connected"] == (name == "streaming")


def test_it_is_due_when_it_changes_once_a_second_and_now_and_then() -> None:
    state = CameraState("gate", (), every_s=30.0)
    assert state.due(0.0)
    state.say(0.0, 0.0)
    assert not state.due(0.1)
    state.observe(record(thing("person", 10)), SIZE)
    assert not state.due(0.9) and state.due(1.0)
    state.say(1.0, 0.0)
    state.observe(record(thing("person", 12), frame=2), SIZE)
    assert not state.due(20.0) and state.due(31.0)
    state.say(31.0, 0.0)
    state.note({**make_camera(), "state": "reconnecting"})
    assert state.due(32.0)
