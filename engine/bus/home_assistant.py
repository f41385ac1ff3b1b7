"""Cameras as devices of Home Assistant: the documents of its MQTT discovery, one an entity.

Pure: names go in, topics and documents come out. The same cameras always give the same topics and identifiers, so
that Home Assistant keeps what it knows of them over restarts of either side.

Source: Home Assistant, MQTT integration: discovery, sensor, binary_sensor, event, image (documentation of 2024.11; the
one document an entity that is used here is understood by all versions).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.bus.topics import EVENTS, OFFLINE, ONLINE, SNAPSHOT, STATE, STATUS, Topic, mqtt_topic
from engine.types.events import EventKind

CONFIG = "config"
_CAMERA_STATES = ("connecting", "streaming", "reconnecting", "unauthorized", "ended", "failed", "stopped")
_NOT_FOR_IDS = re.compile(r"[^A-Za-z0-9_]")
_PERSON = "person"


@dataclass(frozen=True, slots=True)
class HomeCamera:
    """What Home Assistant is to know of a camera: its name and the names of its zones."""

    name: str
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Home:
    """Where things are: `discovery` where Home Assistant looks, `prefix` of our own topics.

    version    of this engine
    snapshots  whether there are messages with the address of a picture
    """

    discovery: tuple[str, ...]
    prefix: tuple[str, ...]
    version: str
    snapshots: bool = False

    @property
    def node(self) -> str:
        """What all entities of this engine share in their topics. Engines with the same prefix would be one."""
        return identifier("_".join(self.prefix))

    def entities(self, cameras: Sequence[HomeCamera]) -> dict[Topic, bytes]:
        """Every entity's document under its topic; to be retained."""
        found: dict[Topic, bytes] = {}
        entities = [*self._of_engine(), *(each for camera in cameras for each in self._of_camera(camera))]
        for platform, name, document in entities:
            unique = f"camring-{self.node}-{name}"
            whole = {**document, "unique_id": unique, "origin": {"name": "camring", "sw": self.version}}
            topic = Topic((*self.discovery, platform, f"camring-{self.node}"), CONFIG, name)
            found[topic] = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        return found

    def pattern(self) -> tuple[str | None, ...]:
        """Levels of all topics that `entities` may ever have had; None is any level."""
        return (*self.discovery, None, f"camring-{self.node}", None, CONFIG)

    def _of_engine(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        yield "binary_sensor", "engine", {
            "name": "Running",
            "device_class": "running",
            "entity_category": "diagnostic",
            "state_topic": mqtt_topic(Topic(self.prefix, STATUS)),
            "payload_on": ONLINE.decode(),
            "payload_off": OFFLINE.decode(),
            "device": self._engine_device(),
        }  # fmt: skip

    def _of_camera(self, camera: HomeCamera) -> Iterator[tuple[str, str, dict[str, Any]]]:
        name = identifier(camera.name)
        for platform, entity, document in (
            *self._connection(camera),
            *self._objects(camera),
            *self._diagnostics(),
            *(each for zone in camera.zones for each in self._zone(zone)),
            *self._events(camera),
        ):
            head: dict[str, Any] = {
                "device": self._camera_device(camera),
                "availability_mode": "all",
                "availability": self._availability(camera, entity),
            }
            if "state_topic" not in document and platform != "image":
                head["state_topic"] = mqtt_topic(Topic(self.prefix, STATE, camera.name))
            yield platform, f"{name}-{entity}", {**head, **document}

    def _connection(self, camera: HomeCamera) -> Iterator[tuple[str, str, dict[str, Any]]]:
        yield (
            "binary_sensor",
            "connected",
            {
                **_binary("Connected", "connectivity", "value_json.connected"),
                "entity_category": "diagnostic",
                "json_attributes_topic": mqtt_topic(Topic(self.prefix, STATE, camera.name)),
                "json_attributes_template": "{{ {'state': value_json.state, 'reason': value_json.reason} | tojson }}",
            },
        )
        yield "sensor", "state", {
            "name": "State", "device_class": "enum", "options": list(_CAMERA_STATES),
            "value_template": "{{ value_json.state }}", "entity_category": "diagnostic",
        }  # fmt: skip

    def _objects(self, camera: HomeCamera) -> Iterator[tuple[str, str, dict[str, Any]]]:
        yield "binary_sensor", "motion", _binary("Motion", "motion", "value_json.objects.motion")
        yield (
            "sensor",
            "objects",
            {
                **_count("Objects", "value_json.objects.count", "mdi:shape"),
                "json_attributes_topic": mqtt_topic(Topic(self.prefix, STATE, camera.name)),
                "json_attributes_template": "{{ value_json.objects.labels | tojson }}",
            },
        )
        yield "sensor", "persons", _count("Persons", _persons("value_json.objects"), "mdi:account-multiple")

    def _zone(self, zone: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        # A name may hold quotes; JSON's are also those of a template.
        here = f"value_json.zones[{json.dumps(zone, ensure_ascii=False)}]"
        key = f"zone_{identifier(zone)}"
        yield (
            "binary_sensor",
            f"{key}-occupancy",
            _binary(f"{zone} occupied", "occupancy", f"{here}.count > 0"),
        )
        yield "binary_sensor", f"{key}-motion", _binary(f"{zone} motion", "motion", f"{here}.motion")
        yield "sensor", f"{key}-objects", _count(f"{zone} objects", f"{here}.count", "mdi:shape")
        yield "sensor", f"{key}-persons", _count(f"{zone} persons", _persons(here), "mdi:account-multiple")

    def _diagnostics(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        figures = (
            ("fps_in", "Frames in", "value_json.fps.in", "fps", "mdi:camera"),
            ("fps_inferred", "Frames inferred", "value_json.fps.inferred", "fps", "mdi:brain"),
            ("latency_p50", "Latency p50", "value_json.latency_ms.p50", "ms", "mdi:timer-outline"),
            ("latency_p95", "Latency p95", "value_json.latency_ms.p95", "ms", "mdi:timer-alert-outline"),
        )  # fmt: skip
        for key, name, value, unit, icon in figures:
            yield "sensor", key, {
                "name": name, "value_template": f"{{{{ {value} }}}}", "unit_of_measurement": unit,
                "state_class": "measurement", "entity_category": "diagnostic", "icon": icon,
            }  # fmt: skip

    def _events(self, camera: HomeCamera) -> Iterator[tuple[str, str, dict[str, Any]]]:
        yield "event", "events", {
            "name": "Events",
            "state_topic": mqtt_topic(Topic(self.prefix, EVENTS, camera.name)),
            "event_types": [kind.name.lower() for kind in EventKind],
            "value_template": "{{ dict(value_json, event_type=value_json.kind) | tojson }}",
            "device_class": "motion",
        }  # fmt: skip
        if self.snapshots:
            yield (
                "image",
                "snapshot",
                {
                    "name": "Snapshot",
                    "url_topic": mqtt_topic(Topic(self.prefix, SNAPSHOT, camera.name)),
                },
            )

    def _availability(self, camera: HomeCamera, entity: str) -> list[dict[str, str]]:
        engine = {"topic": mqtt_topic(Topic(self.prefix, STATUS))}
        if entity in ("connected", "state"):
            return [engine]
        template = "{{ 'online' if value_json.connected else 'offline' }}"
        state = mqtt_topic(Topic(self.prefix, STATE, camera.name))
        return [engine, {"topic": state, "value_template": template}]

    def _engine_device(self) -> dict[str, Any]:
        return {
            "identifiers": [f"camring-{self.node}"], "name": f"camring {'/'.join(self.prefix)}",
            "manufacturer": "camring", "model": "video engine", "sw_version": self.version,
        }  # fmt: skip

    def _camera_device(self, camera: HomeCamera) -> dict[str, Any]:
        return {
            "identifiers": [f"camring-{self.node}-{identifier(camera.name)}"], "name": camera.name,
            "manufacturer": "camring", "model": "camera", "sw_version": self.version,
            "via_device": f"camring-{self.node}",
        }  # fmt: skip


def identifier(name: str) -> str:
    """A name in the letters that Home Assistant allows in topics, another for every name."""
    plain = _NOT_FOR_IDS.sub("_", name)
    if plain == name:
        return name
    return f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _binary(name: str, device_class: str, condition: str) -> dict[str, Any]:
    return {
        "name": name, "device_class": device_class,
        "value_template": f"{{{{ 'ON' if {condition} else 'OFF' }}}}",
    }  # fmt: skip


def _count(name: str, value: str, icon: str) -> dict[str, Any]:
    return {
        "name": name, "value_template": f"{{{{ {value} }}}}", "state_class": "measurement", "icon": icon,
    }  # fmt: skip


def _persons(where: str) -> str:
    return f"{where}.labels.{_PERSON} | default(0)"
