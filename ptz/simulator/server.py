"""A simulated camera on a socket, with everything that goes wrong on wires. Loopback unless told otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ptz.simulator.camera import SimulatedCamera


@dataclass(frozen=True, slots=True)
class Served:
    """Where a camera can be reached."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """http://host:port"""
        return f"http://{self.host}:{self.port}"


@asynccontextmanager
async def serve(
    camera: SimulatedCamera,
    host: str = "127.0.0.1",
    port: int = 0,
    now: Callable[[], float] | None = None,
) -> AsyncIterator[Served]:
    """Serve a camera as long as the context is open. Port 0 takes a free one. `now` is the loop's time by default.

    Raises `OSError` where the address cannot be had.
    """
    raise NotImplementedError
    yield Served(host, port)
