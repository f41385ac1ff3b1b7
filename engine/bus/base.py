"""The contract of a bus: a connection to one broker that takes messages. Schemes find their implementation here."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.bus.topics import Topic
from engine.config.bus import SYSTEM, BusAddress
from engine.errors import BusError
from engine.registry import import_siblings, nearest

PATIENCE_S = 5.0
"""How long a broker may take to accept a connection, or a message."""
MOST_BATCH = 32
"""Messages that are handed to a broker at once: it confirms them together."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message on its way to a broker.

    retain   it replaces what was said before under this topic, and who asks later is told it
    lasting  worth keeping for a broker that is away; otherwise a newer one is worth more
    """

    topic: Topic
    payload: bytes
    retain: bool = False
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class BusOptions:
    """What a connection needs besides the address.

    name    by which the broker may know this client
    will    what the broker says by itself when the connection is lost, where it can (MQTT)
    tls_ca  what its certificate is checked against, as `bus.tls_ca`
    """

    name: str
    will: Message | None = None
    tls_ca: str = SYSTEM
    patience_s: float = PATIENCE_S


class Bus(ABC):
    """A connection to one broker: connected once, closed once. All calls belong to one event loop.

    schemes  of the URLs that it serves
    extra    what to install for it
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""
    tells_retained: ClassVar[bool] = False
    """Whether `retained` can tell what the broker keeps."""

    def __init__(self, address: BusAddress, options: BusOptions) -> None:
        self.address = address
        self.options = options

    @classmethod
    @abstractmethod
    def check_installed(cls) -> None:
        """Raise `BusMissing`, which names the extra, where the package is not there."""

    @abstractmethod
    async def connect(self) -> None:
        """Log in. Raises `BusUnreachable`, `BusUnauthorized`; nothing is left open then."""

    @abstractmethod
    async def publish(self, topic: Topic, payload: bytes, retain: bool = False) -> None:
        """Hand over one message; returns when the broker has it. Raises a `BusError`."""

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Hand over several, in order. Raises a `BusError`; how many the broker has taken is not known then."""
        for message in messages:
            await self.publish(message.topic, message.payload, message.retain)

    async def lost(self) -> None:
        """Raise a `BusError` as soon as the connection is known to be lost; by default only publishing tells."""
        await asyncio.Event().wait()

    async def retained(self, pattern: tuple[str | None, ...]) -> list[tuple[str, ...]]:
        """Levels of the topics of which the broker keeps a message; None in the pattern is any level.

        Only where `tells_retained`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not tell")

    @abstractmethod
    async def close(self) -> None:
        """Log out, or hang up where the broker does not answer. Never raises, takes `patience_s` at most."""


_BUSES: dict[str, type[Bus]] = {}


def register(bus: type[Bus]) -> type[Bus]:
    """Class decorator: this bus serves its schemes."""
    for scheme in bus.schemes:
        _BUSES[scheme] = bus
    return bus


def bus_class(scheme: str) -> type[Bus]:
    """The implementation that serves a scheme. Raises `BusError` for an unknown one."""
    import_siblings("engine.bus")
    if scheme not in _BUSES:
        raise BusError(f"no bus for {scheme}://{nearest(scheme, _BUSES)}")
    return _BUSES[scheme]
