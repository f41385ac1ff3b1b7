"""Kafka as far as it goes without a broker: what is sent, how it logs in, what a closed port says.

No Kafka can be installed where these tests were written; docs/bus.md says so.
"""

from __future__ import annotations

import asyncio
import ssl
import time

import pytest

from engine.bus.base import BusOptions, Message
from engine.bus.kafka import KafkaBus, record_of
from engine.bus.topics import EVENTS, STATE, Topic
from engine.config.bus import bus_address
from engine.errors import BusUnreachable
from tests.bus.listeners import make_bus, run
from tests.peers.fixtures import free_port


def kafka(url: str) -> KafkaBus:
    return KafkaBus(bus_address(url), BusOptions("camring-1"))


def test_a_topic_for_each_kind_and_the_camera_as_key() -> None:
    event = Message(Topic(("site", "camring"), EVENTS, "front door"), b"{}", lasting=True)
    assert record_of(event) == {"topic": "site.camring.events", "key": b"front door", "value": b"{}"}
    gone = Message(Topic(("camring",), STATE, "gate"), b"", retain=True)
    assert record_of(gone) == {"topic": "camring.state", "key": b"gate", "value": None}


def test_how_it_logs_in() -> None:
    plain = kafka("kafka://broker.example").producer_settings()
    assert plain["security_protocol"] == "PLAINTEXT" and plain["bootstrap_servers"] == "broker.example:9092"
    assert plain["acks"] == "all" and plain["enable_idempotence"] is True
    login = kafka("kafka://u:p@[::1]:9999").producer_settings()
    assert (login["security_protocol"], login["sasl_mechanism"]) == ("SASL_PLAINTEXT", "PLAIN")
    assert login["bootstrap_servers"] == "[::1]:9999" and login["sasl_plain_password"] == "p"
    secure = kafka("kafka+tls://u:p@broker.example").producer_settings()
    assert (secure["security_protocol"], secure["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert isinstance(secure["ssl_context"], ssl.SSLContext) and secure["ssl_context"].check_hostname
    assert kafka("kafka+tls://broker.example").producer_settings()["security_protocol"] == "SSL"


def test_the_settings_are_aiokafkas() -> None:
    from aiokafka import AIOKafkaProducer

    async def body() -> None:
        for url in ("kafka://broker.example", "kafka+tls://u:p@broker.example"):
            producer = AIOKafkaProducer(**kafka(url).producer_settings())
            await producer.stop()

    run(body())


def test_a_closed_port_is_told_at_once_and_leaves_nothing_open() -> None:
    async def body() -> None:
        bus = make_bus(f"kafka://127.0.0.1:{free_port()}")
        began_s = time.monotonic()
        with pytest.raises(BusUnreachable, match=r"^kafka://127\.0\.0\.1"):
            await bus.connect()
        assert time.monotonic() - began_s < 2
        with pytest.raises(BusUnreachable, match="not connected"):
            await bus.publish(Topic(("camring",), EVENTS, "gate"), b"x")
        await bus.close()

    run(body())


def test_what_is_no_kafka_is_given_up_in_time() -> None:
    async def body() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        bus = make_bus(f"kafka://127.0.0.1:{server.sockets[0].getsockname()[1]}", patience_s=0.5)
        began_s = time.monotonic()
        with pytest.raises(BusUnreachable):
            await bus.connect()
        assert time.monotonic() - began_s < 3
        await asyncio.sleep(0.05)  # the server sees the end of the connection
        server.close()

    run(body())
