"""Redis and what speaks its protocol. The only file that imports redis.

Events and frame records are entries of streams (`XADD`, one field `data`), so that a reader that was away goes on
where it was, alone or in a group; a stream is cut to about `MOST_ENTRIES`, so that a server that nobody reads does not
fill up. What is retained is a key of the same name (`SET`, `GET`), and is published on the channel of that name.

Source: Redis streams, redis.io/docs/latest/develop/data-types/streams.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from engine.bus.base import Bus, Message, register
from engine.bus.topics import Topic, redis_key
from engine.config.bus import SYSTEM
from engine.errors import BusError, BusMissing, BusUnauthorized, BusUnreachable

if TYPE_CHECKING:
    from redis.asyncio import Redis

MOST_ENTRIES = 10_000
"""Entries of a stream that are kept, about."""


@register
class RedisBus(Bus):
    """A client of a Redis server."""

    schemes: ClassVar[tuple[str, ...]] = ("redis", "rediss")
    extra: ClassVar[str] = "redis"

    _client: Redis | None = None

    @classmethod
    def check_installed(cls) -> None:
        """Raise `BusMissing` without redis."""
        try:
            import redis  # noqa: F401  # whether it is there is the question
        except ImportError:
            raise BusMissing("Redis needs redis: pip install 'camring[redis]'") from None

    async def connect(self) -> None:
        """Log in. Raises `BusUnreachable`, `BusUnauthorized`."""
        self.check_installed()
        from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError

        address, options = self.address, self.options
        pool = ConnectionPool(
            connection_class=SSLConnection if address.tls else Connection,
            **self._tls_settings(),
            max_connections=1,
            host=address.host,
            port=address.port,
            username=address.user or None,
            password=address.password or None,
            client_name=options.name,
            socket_timeout=options.patience_s,
            socket_connect_timeout=options.patience_s,
            # Tries again by the delivery only: then everything is counted.
            retry=Retry(NoBackoff(), 0),
        )
        client = Redis(connection_pool=pool)
        try:
            async with asyncio.timeout(options.patience_s):
                await client.ping()
        except (RedisError, OSError) as error:
            await self._let_go(client)
            raise self._failure(error) from None
        self._client = client

    async def publish(self, topic: Topic, payload: bytes, retain: bool = False) -> None:
        """Hand over one message. Raises a `BusError`."""
        await self.publish_all([Message(topic, payload, retain)])

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Hand over several in one round trip. Raises a `BusError`."""
        from redis.exceptions import RedisError

        if self._client is None:
            raise BusUnreachable(f"{self.address.shown}: not connected")
        try:
            async with asyncio.timeout(self.options.patience_s):
                commands = self._client.pipeline(transaction=False)
                for message in messages:
                    key = redis_key(message.topic)
                    if not message.retain:
                        commands.xadd(key, {"data": message.payload}, maxlen=MOST_ENTRIES, approximate=True)
                    elif message.payload:
                        commands.set(key, message.payload)
                    else:
                        commands.delete(key)
                    if message.retain:
                        commands.publish(key, message.payload)
                await commands.execute()
        except (RedisError, OSError) as error:
            raise self._failure(error) from None

    async def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            await self._let_go(self._client)
            self._client = None

    def _tls_settings(self) -> dict[str, Any]:
        if not self.address.tls or self.options.tls_ca == SYSTEM:
            return {}
        return {"ssl_ca_certs": os.path.expanduser(self.options.tls_ca)}

    async def _let_go(self, client: Redis) -> None:
        from redis.exceptions import RedisError

        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(self.options.patience_s):
                await client.aclose()
                await client.connection_pool.disconnect()

    def _failure(self, error: BaseException) -> BusError:
        from redis.exceptions import AuthenticationError, NoPermissionError

        reason = " ".join(str(error).split()) or "no answer in time"
        if isinstance(error, AuthenticationError | NoPermissionError):
            return BusUnauthorized(f"{self.address.shown}: refused the user name or password ({reason})")
        return BusUnreachable(f"{self.address.shown}: {reason}")
