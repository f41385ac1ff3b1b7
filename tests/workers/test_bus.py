"""The bus worker over real pools and a real broker: every message fits its schema, cameras come and go."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest

from engine.bus.state import state_schema
from engine.config import BusConfig, CameraConfig, PoolConfig, RunConfig
from engine.config.regions import Zone
from engine.outputs.events import event_schema
from engine.outputs.jsonl import frame_schema
from engine.topology import pool_of_outputs
from engine.types import EventKind, Events, ResultMeta, Tracks
from engine.workers import bus
from engine.workers.bus_deliveries import Deliveries
from tests.control.statuses import make_camera
from tests.peers.brokers import Mosquitto, mosquitto
from tests.peers.fixtures import free_port
from tests.peers.mqtt_subscriber import Heard, subscriber
from tests.workers.house import House, Worker, detections_of, until

__all__ = ["mosquitto"]

YARD = Zone("yard", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
GATE = CameraConfig("gate", "test://", zones=(YARD,))


def config_of(*urls: str, cameras: tuple[CameraConfig, ...] = (GATE,), **settings: Any) -> RunConfig:
    return RunConfig("m3-cpu", cameras, bus=BusConfig(urls, **settings), pool=PoolConfig(result_history=8))


def publish(house: House, index: int, camera: str = "gate") -> None:
    """One person in the picture, and an event."""
    producer = house.producer(pool_of_outputs(house.config, camera))
    slot = producer.begin()
    assert slot is not None
    tracks = Tracks.of(detections_of((1, 1, 9, 9)), np.array([7]))
    one = np.zeros(1, np.int64)
    events = Events(
        one, one, one, np.array([EventKind.COUNT], np.int32), np.zeros(1, np.int32), np.full(1, -1, np.int32),
        np.array([1], np.float32), np.zeros((1, 2), np.float32),
    )  # fmt: skip
    events.write_at_end(slot.array())
    count = tracks.write_into(slot.array()).count
    ResultMeta(index + 1, index, 10**18, 64, 48, pts_ns=index, count=count, event_count=1).pack_into(
        slot.meta
    )
    producer.publish(slot)
    house.wakes["bus"].notify()


@contextmanager
def working(house: House) -> Iterator[Worker]:
    """The worker in a thread."""
    worker = house.start("bus")
    worker.send({"type": "labels", "labels": ["person"]})
    thread = threading.Thread(target=bus.run, args=(worker.context,))
    thread.start()
    try:
        yield worker
    finally:
        worker.send({"type": "stop"})
        thread.join(10)
        assert not thread.is_alive()


def of(heard: Heard, topic: str) -> list[Any]:
    return [json.loads(payload) for name, payload in list(heard) if name == topic and payload]


def broker_status(house: House) -> dict[str, Any]:
    """What the worker tells of its broker; its next status is due at once."""
    house.clock.advance(0.3)
    house.wakes["bus"].notify()
    told: dict[str, Any] = house.workers["bus"].context.status.get("bus", {}).get("brokers", {})
    return next(iter(told.values()), {"state": "", "sent": {}, "queue": {}, "dropped": {}, "reconnects": 0})


@pytest.mark.peer
def test_everything_arrives_and_fits_its_schema(
    mosquitto: Mosquitto, open_house: Callable[..., House]
) -> None:
    house = open_house(config_of(mosquitto.url(), records="results", snapshot_url="http://engine.lan:8080/"))
    with subscriber(mosquitto.port) as heard, working(house) as worker:
        for index in range(5):
            publish(house, index)
        until(lambda: len(of(heard, "camring/gate/events")) == 5, "the events", worker)
        until(lambda: len(of(heard, "camring/gate/results")) == 5, "the records", worker)
        until(lambda: bool(of(heard, "camring/gate/state")), "the state", worker)
        house.clock.advance(2)
        house.wakes["bus"].notify()
        until(lambda: of(heard, "camring/gate/state")[-1]["frame"] == 4, "the state of now", worker)
        assert [each["frame"] for each in of(heard, "camring/gate/results")] == list(range(5))
        for kind, schema in (
            ("results", frame_schema()),
            ("events", event_schema()),
            ("state", state_schema()),
        ):
            for document in of(heard, f"camring/gate/{kind}"):
                jsonschema.validate(document, schema)
        state = of(heard, "camring/gate/state")[-1]
        assert state["objects"]["labels"] == {"person": 1} and state["zones"]["yard"]["count"] == 1
        assert ("camring/status", b"online") in heard
        assert any(name.startswith("homeassistant/sensor/camring-camring/gate-") for name, _ in heard)
        until(lambda: broker_status(house)["sent"].get("results") == 5, "its status", worker)
        assert worker.context.status["bus"]["lost"] == {"gate": 0}
    assert heard[-1] == ("camring/status", b"offline")
    assert not any(house.memory("tracks:gate").statistics().leased)


@pytest.mark.peer
def test_cameras_come_and_go(mosquitto: Mosquitto, open_house: Callable[..., House]) -> None:
    """Who subscribes later finds nothing of a camera that is gone: neither its state nor its entities."""
    back = CameraConfig("back", "test://", zones=(YARD,))
    house = open_house(config_of(mosquitto.url(), cameras=(GATE, back)))
    with working(house) as worker:
        publish(house, 0, "back")
        until(lambda: broker_status(house)["sent"].get("state", 0) >= 2, "states", worker)
        after = replace(house.config, cameras=(GATE,))
        house.change(after)
        worker.context.wake.notify()
        until(lambda: bool(worker.heard("configured")), "the change", worker)
        until(lambda: broker_status(house)["queue"].get("state") == 0, "it to be told", worker)
        publish(house, 0, "gate")
        until(lambda: broker_status(house)["sent"].get("events", 0) == 2, "what comes after it", worker)
        with subscriber(mosquitto.port) as heard:
            until(lambda: any("gate-events" in name for name, _ in heard), "what is retained", worker)
            until(lambda: any(name == "camring/gate/state" for name, _ in heard), "the state", worker)
            assert not [name for name, _ in heard if "back" in name]
        assert [each["error"] for each in worker.heard("configured")] == [""]


@pytest.mark.peer
def test_what_another_run_has_left_is_cleared_away(
    mosquitto: Mosquitto, open_house: Callable[..., House]
) -> None:
    before = open_house(config_of(mosquitto.url(), cameras=(GATE, CameraConfig("old 1", "test://"))))
    with working(before) as worker:
        until(lambda: broker_status(before)["sent"].get("state", 0) >= 2, "states", worker)
    house = open_house(config_of(mosquitto.url()))
    with working(house) as worker:
        publish(house, 0)
        until(lambda: broker_status(house)["sent"].get("events", 0) == 1, "an event", worker)
        with subscriber(mosquitto.port) as heard:
            until(lambda: any(name == "camring/gate/state" for name, _ in heard), "what is retained", worker)
            assert not [name for name, _ in heard if "old" in name]


@pytest.mark.peer
def test_a_broker_that_is_killed_is_told_everything_when_it_is_back(
    mosquitto: Mosquitto, open_house: Callable[..., House]
) -> None:
    house = open_house(config_of(mosquitto.url()))
    with working(house) as worker:
        until(lambda: broker_status(house)["state"] == "connected", "connected", worker)
        mosquitto.kill()
        until(lambda: broker_status(house)["state"] != "connected", "the loss", worker)
        for index in range(5):
            publish(house, index)
        until(lambda: broker_status(house)["queue"].get("events") == 5, "events that wait", worker)
        assert "refused" in worker.context.status["degraded"][0] or "isconnected" in str(
            worker.context.status
        )
        mosquitto.start()
        with subscriber(mosquitto.port) as heard:
            until(lambda: len(of(heard, "camring/gate/events")) == 5, "the events", worker)
            until(lambda: bool(of(heard, "camring/gate/state")), "the state", worker)
            until(lambda: any("gate-events/config" in name for name, _ in heard), "the entities", worker)
        until(lambda: broker_status(house)["reconnects"] == 1, "its status", worker)
    texts = [message["text"] for message in worker.heard("log")]
    assert sum(text.endswith(": connected") for text in texts) == 2


def test_without_a_broker_records_are_read_all_the_same(open_house: Callable[..., House]) -> None:
    house = open_house(config_of(f"mqtt://127.0.0.1:{free_port()}", queue_events=10))
    with working(house) as worker:
        for index in range(40):
            publish(house, index)
            until(lambda: house.memory("tracks:gate").statistics() is not None, "a slot", worker)
        until(lambda: broker_status(house)["queue"].get("events") == 10, "a full queue", worker)
        lost = worker.context.status["bus"]["lost"]["gate"]
        until(lambda: broker_status(house)["dropped"].get("overflow", 0) + lost >= 30, "the rest", worker)


def test_the_status_of_the_run_is_read(
    open_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the supervisor publishes it, in a pool of its own."""
    from engine.topology import PoolSpec
    from ipc.pool import PoolLayout, Producer

    house = open_house(config_of(f"mqtt://127.0.0.1:{free_port()}"))
    live = house.pools.create(
        PoolSpec("run-status", "", "supervisor", {"control": 0, "bus": 1}, PoolLayout((1, 1), 65536, 1))
    )
    writer = Producer(live.memory.layout, live.memory.control_fd, live.memory.data_fd)
    worker = house.start("bus")
    deliveries = Deliveries(worker.context.config.bus, worker.context.clock)
    reader = bus.Reader(worker.context, deliveries)
    body = orjson.dumps({"cameras": {"gate": {**make_camera(), "state": "unauthorized"}}})
    with writer.write() as slot:
        slot.meta[:4] = len(body).to_bytes(4, "little")
        slot.data[: len(body)] = body
    reader.step()
    assert reader.cameras["gate"].state.document(1.0)["state"] == "unauthorized"
    assert (
        deliveries.statuses()[f"mqtt://127.0.0.1:{deliveries.brokers[0].address.port}/camring"]["queue"][
            "state"
        ]
        > 10
    )
