"""Kafka and what speaks its protocol. The only file that imports aiokafka.

A topic for each kind of message, `camring.events`; the key is the camera, so that its messages keep their order
within a partition. What is retained is a topic that wants `cleanup.policy=compact`: the newest of each key stays.
Topics are made by the brokers (`auto.create.topics.enable`) or beforehand. With TLS and a user name the login is
SCRAM-SHA-512, without TLS it is PLAIN.

Source: Kafka protocol guide, kafka.apache.org/protocol; the names of aiokafka 0.12.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from engine.bus.base import Bus, Message, register
from engine.bus.topics import Topic, kafka_place
from engine.config.bus import tls_context
from engine.errors import BusError, BusMissing, BusUnauthorized, BusUnreachable

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

_MOST_REQUEST_BYTES = 1024 * 1024
"""What a broker takes in one message unless it is told otherwise (`message.max.bytes`)."""


@register
class KafkaBus(Bus):
    """A producer for Kafka."""

    schemes: ClassVar[tuple[str, ...]] = ("kafka", "kafka+tls")
    extra: ClassVar[str] = "kafka"

    _producer: AIOKafkaProducer | None = None

    @classmethod
    def check_installed(cls) -> None:
        """Raise `BusMissing` without aiokafka."""
        try:
            import aiokafka  # noqa: F401  # whether it is there is the question
        except ImportError:
            raise BusMissing("Kafka needs aiokafka: pip install 'camring[kafka]'") from None

    async def connect(self) -> None:
        """Find the brokers and log in. Raises `BusUnreachable`, `BusUnauthorized`."""
        self.check_installed()
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        producer = AIOKafkaProducer(**self.producer_settings())
        try:
            async with asyncio.timeout(self.options.patience_s):
                await producer.start()
        except (KafkaError, OSError) as error:
            await self._let_go(producer)
            raise self._failure(error) from None
        self._producer = producer

    def producer_settings(self) -> dict[str, Any]:
        """The arguments of aiokafka's producer."""
        address, options = self.address, self.options
        host = f"[{address.host}]" if ":" in address.host else address.host
        settings: dict[str, Any] = {
            "bootstrap_servers": f"{host}:{address.port}",
            "client_id": options.name,
            "acks": "all",
            # Duplicates that the producer's own repetitions would make are told apart by the broker.
            "enable_idempotence": True,
            "request_timeout_ms": round(options.patience_s * 1e3),
            "max_request_size": _MOST_REQUEST_BYTES,
            "security_protocol": "PLAINTEXT",
        }
        if address.tls:
            settings |= {"security_protocol": "SSL", "ssl_context": tls_context(options.tls_ca)}
        if address.user:
            settings |= {
                "security_protocol": "SASL_SSL" if address.tls else "SASL_PLAINTEXT",
                "sasl_mechanism": "SCRAM-SHA-512" if address.tls else "PLAIN",
                "sasl_plain_username": address.user,
                "sasl_plain_password": address.password,
            }
        return settings

    async def publish(self, topic: Topic, payload: bytes, retain: bool = False) -> None:
        """Hand over one message. Raises a `BusError`."""
        await self.publish_all([Message(topic, payload, retain)])

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Hand over several and wait until the brokers have all of them. Raises a `BusError`."""
        from aiokafka.errors import KafkaError

        if self._producer is None:
            raise BusUnreachable(f"{self.address.shown}: not connected")
        try:
            async with asyncio.timeout(self.options.patience_s):
                confirmations = [await self._producer.send(**record_of(message)) for message in messages]
                await asyncio.gather(*confirmations)
        except (KafkaError, OSError) as error:
            raise self._failure(error) from None

    async def close(self) -> None:
        """Hang up."""
        if self._producer is not None:
            await self._let_go(self._producer)
            self._producer = None

    async def _let_go(self, producer: AIOKafkaProducer) -> None:
        from aiokafka.errors import KafkaError

        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(self.options.patience_s):
                await producer.stop()

    def _failure(self, error: BaseException) -> BusError:
        from aiokafka.errors import (
            AuthenticationFailedError,
            ClusterAuthorizationFailedError,
            SaslAuthenticationFailed,
            TopicAuthorizationFailedError,
        )

        refused = (
            AuthenticationFailedError,
            ClusterAuthorizationFailedError,
            SaslAuthenticationFailed,
            TopicAuthorizationFailedError,
        )
        reason = " ".join(str(error).split()) or "no answer in time"
        if isinstance(error, refused):
            return BusUnauthorized(f"{self.address.shown}: refused the user name or password ({reason})")
        return BusUnreachable(f"{self.address.shown}: {reason}")


def record_of(message: Message) -> dict[str, Any]:
    """A message as arguments of `send`. An empty retained one has no value: compaction forgets its key then."""
    topic, key = kafka_place(message.topic)
    value = None if message.retain and not message.payload else message.payload
    return {"topic": topic, "key": key.encode(), "value": value}
