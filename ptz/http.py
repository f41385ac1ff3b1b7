"""HTTP as far as cameras need it: a request, its answer, and the one seam through which they travel.

`ptz.http_socket` sends them over a socket, `ptz.simulator.transport` hands them to a simulated camera in the same
process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from engine.errors import PtzUnreachable


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `path` begins with a slash and includes the query. `repr` shows neither headers nor body."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """The first header of this name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of this name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all_headers(self, name: str) -> tuple[str, ...]:
        """Every header of this name, in order: a camera may send two challenges."""
        return tuple(value for key, value in self.headers if key.lower() == name.lower())


class NotSent(PtzUnreachable):
    """There was no connection, so nothing of the request left: a login in it was not tried."""


class Transport(ABC):
    """A connection to one camera. One request at a time; it connects by itself and again after a failure."""

    @abstractmethod
    async def exchange(self, request: Request, timeout_s: float) -> Response:
        """Send, and wait for the whole answer.

        Raises `PtzUnreachable` (no answer within `timeout_s`, cut off; `NotSent` where there was no connection) or
        `PtzProtocolError` (what came back is no HTTP, or too long). After either the next request goes over a new
        connection.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of the connection; may be called twice."""
