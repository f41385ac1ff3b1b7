"""Discovery as Home Assistant reads it: its templates are rendered by Jinja over real states and events."""

from __future__ import annotations

import json
import re
from typing import Any

import jinja2
import pytest

from engine.bus.home_assistant import Home, HomeCamera, identifier
from engine.bus.state import CameraState
from engine.bus.topics import Topic, mqtt_topic
from engine.config.regions import Zone
from tests.control.statuses import make_camera

HOME = Home(("homeassistant",), ("site", "camring"), "1.2.3", snapshots=True)
WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
ODD = 'odd "zone" }} {% \\'
# What Home Assistant requires of each, from its documentation.
REQUIRED = {
    "binary_sensor": {"state_topic"}, "sensor": {"state_topic"}, "event": {"state_topic", "event_types"},
    "image": {"url_topic"},
}  # fmt: skip


def entities(*cameras: HomeCamera, home: Home = HOME) -> dict[str, dict[str, Any]]:
    return {mqtt_topic(topic): json.loads(text) for topic, text in home.entities(cameras).items()}


def rendered(template: str, value_json: dict[str, Any]) -> str:
    """As Home Assistant does it: undefined names are empty, `tojson` there is plain JSON."""
    environment = jinja2.Environment(autoescape=False)  # no HTML
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment.from_string(template).render(value_json=value_json)


def state_of(zone: str) -> dict[str, Any]:
    state = CameraState("gate", (Zone(zone, WHOLE),))
    person = {"label": "person", "bbox": [10, 10, 10, 20], "velocity": [9.0, 0.0]}
    state.observe({"frame": 1, "objects": [person, {"label": "dog", "bbox": [1, 1, 5, 5]}]}, (100, 100))
    state.note({**make_camera(), "events": None})
    return state.document(1.0)


def test_every_entity_has_what_home_assistant_requires() -> None:
    found = entities(HomeCamera("gate", ("yard",)), HomeCamera("back door"))
    assert len(found) == 1 + 2 * 11 + 4
    for topic, document in found.items():
        discovery, platform, node, name, config = topic.split("/")
        assert (discovery, config) == ("homeassistant", "config")
        assert re.fullmatch(r"[a-zA-Z0-9_-]+", node) and re.fullmatch(r"[a-zA-Z0-9_-]+", name)
        assert REQUIRED[platform] <= set(document)
        assert {"name", "unique_id", "device", "origin"} <= set(document)
    assert len({each["unique_id"] for each in found.values()}) == len(found)
    devices = {json.dumps(each["device"], sort_keys=True) for each in found.values()}
    assert len(devices) == 3


@pytest.mark.parametrize("zone", ["yard", ODD])
def test_templates_give_what_the_entity_expects(zone: str) -> None:
    found = {topic.split("/")[3]: each for topic, each in entities(HomeCamera("gate", (zone,))).items()}
    state, key = state_of(zone), f"gate-zone_{identifier(zone)}"

    def value(entity: str) -> str:
        return rendered(found[entity]["value_template"], state)

    assert value("gate-connected") == "ON" and value("gate-state") == "streaming"
    assert value("gate-motion") == "ON" and value("gate-objects") == "2" and value("gate-persons") == "1"
    assert value("gate-fps_in") == "25.0" and value("gate-latency_p95") == "120.0"
    assert value(f"{key}-occupancy") == "ON" and value(f"{key}-motion") == "ON"
    assert value(f"{key}-objects") == "2" and value(f"{key}-persons") == "1"
    attributes = rendered(found["gate-objects"]["json_attributes_template"], state)
    assert json.loads(attributes) == {"dog": 1, "person": 1}
    empty = CameraState("gate", (Zone(zone, WHOLE),)).document(1.0)
    assert rendered(found[f"{key}-persons"]["value_template"], empty) == "0"
    assert rendered(found[f"{key}-occupancy"]["value_template"], empty) == "OFF"


def test_events_say_their_type() -> None:
    document = entities(HomeCamera("gate"))[
        "homeassistant/event/camring-" + HOME.node + "/gate-events/config"
    ]
    event = {"schema": "camring.event/1", "camera": "gate", "kind": "crossed", "line": 'a "b"', "id": 7}
    told = json.loads(rendered(document["value_template"], event))
    assert told == {**event, "event_type": "crossed"}
    assert "crossed" in document["event_types"] and document["state_topic"] == "site/camring/gate/events"


def test_availability_is_that_of_the_engine_and_of_the_camera() -> None:
    found = {topic.split("/")[3]: each for topic, each in entities(HomeCamera("gate")).items()}
    engine, camera = found["gate-objects"]["availability"]
    assert engine == {"topic": "site/camring/status"} and camera["topic"] == "site/camring/gate/state"
    assert rendered(camera["value_template"], state_of("yard")) == "online"
    assert rendered(camera["value_template"], CameraState("gate", ()).document(1.0)) == "offline"
    assert found["gate-connected"]["availability"] == [engine]
    assert found["gate-events"]["device"]["via_device"] in found["engine"]["device"]["identifiers"]


def test_names_that_look_alike_stay_apart() -> None:
    cameras = [
        HomeCamera(name, ("yard", "yard motion")) for name in ("a b", "a_b", "a-b", "ä", "a_b-zone_yard")
    ]
    found = entities(*cameras)
    assert len(found) == 1 + 5 * (11 + 8)
    assert identifier("a_b") == "a_b" and len({identifier(each.name) for each in cameras}) == 5


def test_the_same_cameras_are_the_same_entities_in_any_order() -> None:
    one, other = HomeCamera("gate", ("yard",)), HomeCamera("back")
    assert HOME.entities([one, other]) == HOME.entities([other, one])


def test_the_pattern_finds_all_of_them() -> None:
    pattern = HOME.pattern()
    for topic in HOME.entities([HomeCamera("gate", ("yard",))]):
        assert isinstance(topic, Topic)
        assert len(topic.levels) == len(pattern)
        assert all(want is None or want == level for want, level in zip(pattern, topic.levels, strict=True))
