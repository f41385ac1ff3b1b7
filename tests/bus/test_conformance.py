"""What holds for every bus, against real brokers: what was confirmed is there, what fails fails with its own error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.bus.base import Message
from engine.bus.topics import EVENTS, RESULTS, STATE, Topic
from engine.errors import BusError, BusUnauthorized, BusUnreachable
from tests.bus.listeners import listening, make_bus, run, topic, until
from tests.peers.brokers import BROKERS, LOGIN, Broker, make_broker
from tests.peers.fixtures import free_port

SEPARATORS = {"mqtt": "/", "nats": ".", "redis": ":"}
pytestmark = pytest.mark.peer


def named(broker: Broker, *levels: str) -> str:
    return SEPARATORS[broker.scheme].join(levels)


def test_what_is_published_arrives_in_order(broker: Broker) -> None:
    async def body() -> None:
        bus = make_bus(broker.url())
        await bus.connect()
        async with listening(broker) as heard:
            sent = [Message(topic(EVENTS, "gate"), b"%d" % n, lasting=True) for n in range(100)]
            await bus.publish_all(sent)
            await bus.publish(topic(RESULTS, "gate"), b"record")
            await until(lambda: len(heard) == 101, "everything")
        name = named(broker, "camring", "gate", "events")
        assert [each for each in heard if each[0] == name] == [(name, b"%d" % n) for n in range(100)]
        assert (named(broker, "camring", "gate", "results"), b"record") in heard
        await bus.close()
        await bus.close()

    run(body())


@pytest.mark.parametrize("camera", ["front door", "Straße 7", "a.b+c#d>e*f:g%h$"])
def test_any_camera_has_a_topic_of_its_own(broker: Broker, camera: str) -> None:
    from engine.bus.topics import levels_of

    async def body() -> None:
        bus = make_bus(broker.url())
        await bus.connect()
        async with listening(broker) as heard:
            await bus.publish(topic(EVENTS, camera), b"x")
            await until(lambda: bool(heard), "the message")
        assert levels_of(heard[0][0], SEPARATORS[broker.scheme]) == ("camring", camera, "events")
        await bus.close()

    run(body())


def test_a_closed_port_is_told_at_once(broker: Broker) -> None:
    async def body() -> None:
        bus = make_bus(f"{broker.scheme}://127.0.0.1:{free_port()}")
        began_s = time.monotonic()
        with pytest.raises(BusUnreachable, match=rf"^{broker.scheme}://127.0.0.1"):
            await bus.connect()
        assert time.monotonic() - began_s < 2
        await bus.close()

    run(body())


def test_a_frozen_broker_is_given_up_in_time(broker: Broker) -> None:
    async def body() -> None:
        connected, late = make_bus(broker.url(), patience_s=0.5), make_bus(broker.url(), patience_s=0.5)
        await connected.connect()
        broker.freeze()
        began_s = time.monotonic()
        with pytest.raises(BusUnreachable):
            await late.connect()
        with pytest.raises(BusUnreachable):
            await connected.publish(topic(EVENTS, "gate"), b"x")
        await connected.close()
        await late.close()
        assert time.monotonic() - began_s < 4

    run(body())


def test_a_killed_broker_is_noticed(broker: Broker) -> None:
    async def body() -> None:
        bus = make_bus(broker.url())
        await bus.connect()
        broker.kill()
        with pytest.raises(BusUnreachable):
            await bus.publish(topic(EVENTS, "gate"), b"x")
            await bus.publish(topic(EVENTS, "gate"), b"x")
        if broker.scheme != "redis":
            with pytest.raises(BusError):
                await asyncio.wait_for(bus.lost(), 3)
        await bus.close()

    run(body())


@pytest.fixture(params=sorted(BROKERS))
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    found = make_broker(request.param, tmp_path / request.param, login=True)
    found.start()
    yield found
    found.kill()


def test_a_login(guarded: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUS_PASSWORD", LOGIN[1])

    async def body() -> None:
        bus = make_bus(guarded.url(f"{LOGIN[0]}:${{BUS_PASSWORD}}@"))
        await bus.connect()
        await bus.publish(topic(EVENTS, "gate"), b"x")
        await bus.close()
        for login in ("gate:wrong@", ""):
            refused = make_bus(guarded.url(login))
            with pytest.raises(BusUnauthorized) as error:
                await refused.connect()
                # A server that lets everybody connect refuses the first message.
                await refused.publish(topic(EVENTS, "gate"), b"x")
            assert "wrong" not in str(error.value)
            await refused.close()

    run(body())


@pytest.mark.parametrize("broker", ["mqtt", "redis"], indirect=True)
def test_what_is_retained_is_told_to_who_comes_later(broker: Broker) -> None:
    """Core NATS retains nothing."""

    async def body() -> None:
        bus = make_bus(broker.url())
        await bus.connect()
        await bus.publish(topic(STATE, "gate"), b"old", retain=True)
        await bus.publish(topic(STATE, "gate"), b"new", retain=True)
        async with listening(broker) as heard:
            await until(lambda: bool(heard), "the state")
        assert heard == [(named(broker, "camring", "gate", "state"), b"new")]
        await bus.publish(topic(STATE, "gate"), b"", retain=True)
        async with listening(broker) as heard:
            await asyncio.sleep(0.2)
        assert heard == []
        await bus.close()

    run(body())


def test_mqtt_tells_what_it_keeps(mosquitto: Broker) -> None:
    async def body() -> None:
        bus = make_bus(mosquitto.url())
        await bus.connect()
        for camera in ("gate", "yard 2"):
            await bus.publish(Topic(("camring",), STATE, camera), b"x", retain=True)
        await bus.publish(Topic(("other",), STATE, "gate"), b"x", retain=True)
        found = await bus.retained(("camring", None, STATE))
        assert found == [("camring", "gate", "state"), ("camring", "yard 2", "state")]
        assert await bus.retained(("nothing", None)) == []
        await bus.close()

    run(body())


def test_the_last_will(mosquitto: Broker) -> None:
    """Said by the broker for who is gone without a farewell, not for who has logged out."""

    async def body() -> None:
        will = Message(topic("status"), b"offline", retain=True)
        polite, gone = make_bus(mosquitto.url(), will), make_bus(mosquitto.url("", "/camring"), will)
        async with listening(mosquitto) as heard:
            await polite.connect()
            await polite.close()
            await asyncio.sleep(0.2)
            assert heard == []
            await gone.connect()
            client = gone._client  # type: ignore[attr-defined]  # its socket is closed behind its back
            client._client.socket().shutdown(2)
            await until(lambda: heard == [("camring/status", b"offline")], "the will")
        await gone.close()

    run(body())
