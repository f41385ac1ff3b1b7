"""Every broker of a run behind one `put`: a thread with an event loop, a delivery each, what Home Assistant is told.

Nobody waits for a broker. What is said to one that is away waits in its own outbox.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine import __version__
from engine.bus.base import Bus, BusOptions, Message, bus_class
from engine.bus.delivery import BrokerStatus, Delivery
from engine.bus.home_assistant import Home, HomeCamera
from engine.bus.outbox import Outbox
from engine.bus.topics import OFFLINE, ONLINE, SNAPSHOT, STATE, STATUS, Topic
from engine.clock import Clock
from engine.config import BusConfig
from engine.config.bus import OFF, BusAddress, bus_address

STOP_GRACE_S = 1.0
"""How long brokers may take over what is left when the run ends."""


@dataclass
class Broker:
    """One broker: where it is, what is sent to it, and what Home Assistant finds there (None: it does not look there).

    told  entities that it has been told of
    """

    address: BusAddress
    delivery: Delivery
    home: Home | None
    told: set[Topic] = field(default_factory=set)
    reported: tuple[str, str] = ("", "")

    def topic(self, kind: str, camera: str = "") -> Topic:
        """A topic of ours as this broker's prefix makes it."""
        return Topic(self.address.prefix, kind, camera)


class Deliveries:
    """All brokers. `put`, `introduce` and `statuses` belong to one thread, which is not that of the event loop."""

    def __init__(self, config: BusConfig, clock: Clock) -> None:
        """Raises `ConfigError` for a URL that cannot be used, `BusMissing` where a package is not installed."""
        self._config = config
        self._clock = clock
        self._cameras: frozenset[str] = frozenset()
        self.brokers = [self._broker(url) for url in config.urls]
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="brokers", daemon=True
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ready = threading.Event()

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Say farewell, give brokers that are there a moment for what is left, and end."""
        self.put(STATUS, "", OFFLINE, retain=True)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_GRACE_S + 0.3)

    def put(
        self, kind: str, camera: str, payload: bytes, *, retain: bool = False, lasting: bool = False
    ) -> None:
        """Say something to every broker; never waits."""
        for broker in self.brokers:
            broker.delivery.put(Message(broker.topic(kind, camera), payload, retain, lasting))

    def introduce(self, cameras: Sequence[HomeCamera]) -> None:
        """Tell of the cameras there are: those that are new, and that others are no more."""
        names = frozenset(camera.name for camera in cameras)
        for gone in self._cameras - names:
            self.put(STATE, gone, b"", retain=True)
            self.put(SNAPSHOT, gone, b"", retain=True)
        self._cameras = names
        for broker in self.brokers:
            if broker.home is None:
                continue
            entities = broker.home.entities(cameras)
            for topic in broker.told - set(entities):
                broker.delivery.put(Message(topic, b"", retain=True))
            for topic, document in entities.items():
                broker.delivery.put(Message(topic, document, retain=True))
            broker.told = set(entities)

    def statuses(self) -> dict[str, BrokerStatus]:
        """How it goes, by broker."""
        return {broker.address.shown: broker.delivery.status() for broker in self.brokers}

    def _broker(self, url: str) -> Broker:
        address = bus_address(url)
        implementation = bus_class(address.scheme)
        implementation.check_installed()
        farewell = Message(Topic(address.prefix, STATUS), OFFLINE, retain=True)
        # The broker hangs up on a client that has the name of a newer one.
        name = f"camring-{socket.gethostname()[:32]}-{os.getpid()}-{secrets.token_hex(3)}"
        options = BusOptions(name, farewell, self._config.tls_ca)
        delivery = Delivery(
            lambda: implementation(address, options),
            Outbox(self._config.queue_events, self._config.queue_results),
            self._clock,
            lambda bus: self._forget_strangers(bus, broker),
        )
        home = None
        if implementation.tells_retained and self._config.home_assistant != OFF:
            discovery = tuple(self._config.home_assistant.split("/"))
            home = Home(discovery, address.prefix, __version__, self._config.snapshot_url != OFF)
        broker = Broker(address, delivery, home)
        delivery.put(Message(broker.topic(STATUS), ONLINE, retain=True))
        return broker

    async def _forget_strangers(self, bus: Bus, broker: Broker) -> None:
        """Clear away what runs before this one have left at the broker: cameras and entities that are no more."""
        if not bus.tells_retained:
            return
        patterns: list[tuple[str | None, ...]] = [
            (*broker.address.prefix, None, STATE), (*broker.address.prefix, None, SNAPSHOT),
        ]  # fmt: skip
        if broker.home is not None:
            patterns.append(broker.home.pattern())
        for pattern in patterns:
            for levels in await bus.retained(pattern):
                topic = Topic(levels[:-2], levels[-1], levels[-2])
                is_known = topic.camera in self._cameras if topic.kind in (STATE, SNAPSHOT) else False
                if not is_known and topic not in broker.delivery.retained():
                    broker.delivery.put(Message(topic, b"", retain=True))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(broker.delivery.run()) for broker in self.brokers]
        self._ready.set()
        await self._stop.wait()
        for broker, task in zip(self.brokers, tasks, strict=True):
            if broker.delivery.status()["state"] == "connected":
                broker.delivery.stop()
            else:
                task.cancel()
        _, late = await asyncio.wait(tasks, timeout=STOP_GRACE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
