"""NATS. The only file that imports nats (the package nats-py).

A server has a message once it has answered the ping that follows it; whether somebody listened is not told. Core NATS
retains nothing, so the state of a camera is said again every `bus.state_s`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from engine.bus.base import Bus, Message, register
from engine.bus.topics import Topic, nats_subject
from engine.config.bus import tls_context
from engine.errors import BusError, BusMissing, BusUnauthorized, BusUnreachable

if TYPE_CHECKING:
    from nats.aio.client import Client

_LARGEST_PENDING_BYTES = 8 * 2**20


@register
class NatsBus(Bus):
    """A client of a NATS server. It reconnects by the delivery, not by itself: then everything is counted."""

    schemes: ClassVar[tuple[str, ...]] = ("nats", "nats+tls")
    extra: ClassVar[str] = "nats"

    _client: Client | None = None
    _ended: asyncio.Future[str] | None = None

    @classmethod
    def check_installed(cls) -> None:
        """Raise `BusMissing` without nats-py."""
        try:
            import nats  # noqa: F401  # whether it is there is the question
        except ImportError:
            raise BusMissing("NATS needs nats-py: pip install 'camring[nats]'") from None

    async def connect(self) -> None:
        """Log in. Raises `BusUnreachable`, `BusUnauthorized`."""
        self.check_installed()
        from nats.aio.client import Client
        from nats.errors import Error

        address, options, client = self.address, self.options, Client()
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def closed() -> None:
            if not ended.done():
                ended.set_result("connection ended")

        async def failed(error: Exception) -> None:
            if not ended.done() and not isinstance(error, asyncio.TimeoutError):
                ended.set_result(_words(error))

        host = f"[{address.host}]" if ":" in address.host else address.host
        try:
            async with asyncio.timeout(options.patience_s):
                await client.connect(
                    f"{'tls' if address.tls else 'nats'}://{host}:{address.port}",
                    name=options.name,
                    user=address.user or None,
                    password=address.password or None,
                    tls=tls_context(options.tls_ca) if address.tls else None,
                    allow_reconnect=False,
                    # It would wait two seconds to find out once more that a port is closed.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0.05,  # type: ignore[arg-type]  # slept, so that parts of a second do
                    connect_timeout=max(1, round(options.patience_s)),
                    pending_size=_LARGEST_PENDING_BYTES,
                    closed_cb=closed,
                    disconnected_cb=closed,
                    error_cb=failed,
                )
        except (Error, OSError) as error:
            await self._let_go(client)
            raise self._failure(ended.result() if ended.done() else _words(error)) from None
        self._client, self._ended = client, ended

    async def publish(self, topic: Topic, payload: bytes, retain: bool = False) -> None:
        """Hand over one message. Raises a `BusError`."""
        await self.publish_all([Message(topic, payload, retain)])

    async def publish_all(self, messages: Sequence[Message]) -> None:
        """Hand over several and wait for the answer to the ping behind them. Raises a `BusError`."""
        from nats.errors import Error

        if self._client is None:
            raise self._failure("not connected")
        try:
            async with asyncio.timeout(self.options.patience_s):
                for message in messages:
                    await self._client.publish(nats_subject(message.topic), message.payload)
                await self._client.flush(max(1, round(self.options.patience_s)))
        except (Error, OSError) as error:
            raise self._failure(_words(error)) from None

    async def lost(self) -> None:
        """Raise `BusUnreachable` as soon as the connection has ended."""
        assert self._ended is not None, "not connected"
        raise self._failure(await asyncio.shield(self._ended))

    async def close(self) -> None:
        """Hang up."""
        if self._client is not None:
            await self._let_go(self._client)
            self._client = None

    async def _let_go(self, client: Client) -> None:
        """It waits for a TLS connection to be closed properly, which a server that has gone never does."""
        from nats.errors import Error

        with suppress(Error, OSError, TimeoutError):
            async with asyncio.timeout(self.options.patience_s):
                await client.close()

    def _failure(self, reason: str) -> BusError:
        if "uthorization" in reason or "uthentication" in reason:
            return BusUnauthorized(f"{self.address.shown}: refused the user name or password ({reason})")
        return BusUnreachable(f"{self.address.shown}: {reason}")


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no answer in time"
