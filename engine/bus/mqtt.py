"""MQTT 3.1.1. The only file that imports aiomqtt.

Events and what is retained go with quality of service 1: the broker confirms each. Frame records go with 0.
Sources: MQTT 3.1.1 (OASIS); codes of refused connections: section 3.2.2.3, as paho numbers them in version 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from engine.bus.base import MOST_BATCH, Bus, Message, register
from engine.bus.topics import Topic, levels_of, mqtt_topic
from engine.config.bus import tls_context
from engine.errors import BusError, BusMissing, BusUnauthorized, BusUnreachable

if TYPE_CHECKING:
    import aiomqtt

KEEPALIVE_S = 10
"""A broker that has not answered for one and a half times as long is taken for gone, by either side."""
QUIET_S = 0.3
"""A broker that tells what it keeps has told all of it once nothing has come for so long."""
_MOST_RETAINED = 50_000
_REFUSED = frozenset({4, 5, 134, 135})
"""Bad user name or password, not authorized: in MQTT 3.1.1 and in 5."""


@register
class MqttBus(Bus):
    """A client of an MQTT broker, with a last will."""

    schemes: ClassVar[tuple[str, ...]] = ("mqtt", "mqtts")
    extra: ClassVar[str] = "mqtt"
    tells_retained: ClassVar[bool] = True

    _client: aiomqtt.Client | None = None
    _listening: asyncio.Task[None] | None = None
    _found: set[str] | None = None

    @classmethod
    def check_installed(cls) -> None:
        """Raise `BusMissing` without aiomqtt."""
        try:
            import aiomqtt  # noqa: F401  # whether it is there is the question
        except ImportError:
            raise BusMissing("MQTT needs aiomqtt: pip install 'camring[mqtt]'") from None

    async def connect(self) -> None:
        """Log in and leave the last will. Raises `BusUnreachable`, `BusUnauthorized`."""
        self.check_installed()
        import aiomqtt

        address, options = self.address, self.options
        will = None
        if options.will is not None:
            will = aiomqtt.Will(mqtt_topic(options.will.topic), options.will.payload, 1, options.will.retain)
        client = aiomqtt.Client(
            address.host,
            address.port,
            username=address.user or None,
            password=address.password or None,
            identifier=options.name,
            will=will,
            timeout=options.patience_s,
            keepalive=KEEPALIVE_S,
            tls_context=tls_context(options.tls_ca) if address.tls else None,
        )
        client.pending_calls_threshold = 2 * MOST_BATCH  # a batch is no reason for warnings
        try:
            async with asyncio.timeout(options.patience_s):
                await client.__aenter__()
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise self._failure(error) from None
        self._client = client
        self._listening = asyncio.create_task(self._listen(client), name="mqtt-listening")

    async def publish(self, topic: Topic, payload: bytes, retain: bool = False) -> None:
        """Hand over one message with quality of service 1. Raises a `BusError`."""
        await self.publish_all([Message(topic, payload, retain, lasting=True)])

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Hand over several; they travel in this order. Raises a `BusError`."""
        import aiomqtt

        client = self._connected()
        pending = [
            client.publish(
                mqtt_topic(message.topic),
                message.payload,
                qos=1 if message.retain or message.lasting else 0,
                retain=message.retain,
            )
            for message in messages
        ]
        for outcome in await asyncio.gather(*pending, return_exceptions=True):
            if isinstance(outcome, aiomqtt.MqttError | OSError | ValueError):
                raise self._failure(outcome)
            if isinstance(outcome, BaseException):
                raise outcome

    async def lost(self) -> None:
        """Raise `BusUnreachable` as soon as the connection has ended."""
        assert self._listening is not None, "not connected"
        await asyncio.shield(self._listening)

    async def retained(self, pattern: tuple[str | None, ...]) -> list[tuple[str, ...]]:
        """What the broker keeps: it sends all of that to a new subscriber."""
        import aiomqtt

        client, self._found = self._connected(), set()
        topics = "/".join("+" if level is None else quote(level, safe="") for level in pattern)
        try:
            await client.subscribe(topics, qos=0)
            told = -1
            while told != len(self._found):
                told = len(self._found)
                await asyncio.sleep(QUIET_S)
            await client.unsubscribe(topics)
        except aiomqtt.MqttError as error:
            raise self._failure(error) from None
        found, self._found = self._found, None
        return sorted(levels_of(topic, "/") for topic in found)

    async def close(self) -> None:
        """Log out. A broker that does not answer is left: its socket is closed when it stays silent."""
        import aiomqtt

        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._client is not None:
            with suppress(aiomqtt.MqttError, OSError, TimeoutError):
                async with asyncio.timeout(self.options.patience_s):
                    await self._client.__aexit__(None, None, None)
            self._client = None

    async def _listen(self, client: aiomqtt.Client) -> None:
        """Take what comes, until the connection ends, which raises."""
        import aiomqtt

        try:
            async for message in client.messages:
                found = self._found
                if found is not None and message.retain and message.payload and len(found) < _MOST_RETAINED:
                    found.add(str(message.topic))
        except aiomqtt.MqttError as error:
            raise self._failure(error) from None

    def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            raise BusUnreachable(f"{self.address.shown}: not connected")
        return self._client

    def _failure(self, error: BaseException) -> BusError:
        code = getattr(getattr(error, "rc", None), "value", getattr(error, "rc", None))
        reason = " ".join(str(error).split()) or "no answer in time"
        if code in _REFUSED:
            return BusUnauthorized(f"{self.address.shown}: refused the user name or password ({reason})")
        return BusUnreachable(f"{self.address.shown}: {reason}")
