"""Clients of other makers that listen to a broker: what arrives there, as any program would see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import nats
from nats.aio.msg import Msg
from redis.asyncio import Redis

from engine.bus.base import Bus, BusOptions, Message, bus_class
from engine.bus.topics import Topic
from engine.config.bus import bus_address
from tests.peers.brokers import Broker

Heard = list[tuple[str, bytes]]
"""(name as the broker writes it, payload) of everything that came."""


def make_bus(url: str, will: Message | None = None, patience_s: float = 2.0) -> Bus:
    """A connection that is not made yet."""
    address = bus_address(url)
    return bus_class(address.scheme)(address, BusOptions("test", will, patience_s=patience_s))


def topic(kind: str, camera: str = "") -> Topic:
    return Topic(("camring",), kind, camera)


@asynccontextmanager
async def listening(broker: Broker) -> AsyncIterator[Heard]:
    """Hear everything below `camring` from here on."""
    heard: Heard = []
    if broker.scheme == "nats":
        client = await nats.connect(broker.url())

        async def take(message: Msg) -> None:
            heard.append((message.subject, message.data))

        await client.subscribe("camring.>", cb=take)
        await client.flush()
        yield heard
        await client.close()
        return
    reader = asyncio.create_task(_mqtt(broker, heard) if broker.scheme == "mqtt" else _redis(broker, heard))
    await asyncio.sleep(0.2)
    yield heard
    while not reader.done():  # a client may swallow a cancellation that comes together with an answer
        reader.cancel()
        await asyncio.wait([reader], timeout=0.2)


async def _mqtt(broker: Broker, heard: Heard) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("#", qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            heard.append((str(message.topic), message.payload))


async def _redis(broker: Broker, heard: Heard) -> None:
    """Streams and keys, looked at again and again."""
    places: dict[bytes, Any] = {}
    values: dict[bytes, bytes] = {}
    # Its answers have types for every version of the protocol at once.
    client: Any = Redis(port=broker.port)
    async with client:
        while True:
            for key in await client.keys("*"):
                if await client.type(key) == b"stream":
                    places.setdefault(key, b"0")
                elif values.get(key) != (value := await client.get(key)):
                    values[key] = value
                    heard.append((key.decode(), value))
            for key, entries in (await client.xread(dict(places), count=1000)) if places else []:
                for number, fields in entries:
                    places[key] = number
                    heard.append((key.decode(), fields[b"data"]))
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Ask again and again until it is so."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s:g} s: {what}") from None


def run(coroutine: Awaitable[None]) -> None:
    """Run one test in an event loop of its own."""

    async def whole() -> None:
        await coroutine

    asyncio.run(whole())
