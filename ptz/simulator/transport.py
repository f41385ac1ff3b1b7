"""A connection to a simulated camera in the same process: no sockets, and no time but that of the event loop.

In the loop of `ptz.virtual_time` minutes pass in seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from engine.errors import PtzProtocolError, PtzUnreachable
from ptz.http import NotSent, Request, Response, Transport
from ptz.simulator.answer import Answer, Wire
from ptz.simulator.camera import SimulatedCamera

_PORTS = count(40_000)

ENDLESS = (Wire.HANG, Wire.HALF_THEN_HANG, Wire.LONG_LENGTH)
"""Answers whose end never comes."""


class DeviceTransport(Transport):
    """Hands requests to `camera.handle`, waits as long as the answer takes, and fails as a socket would.

    now   seconds of the event loop; the camera's times are these
    host  what the camera sees as the address of the other side
    """

    def __init__(self, camera: SimulatedCamera, now: Callable[[], float], host: str = "127.0.0.1") -> None:
        self.camera = camera
        self.now = now
        self.host = host
        self.connections = 0
        self._peer = ""

    async def exchange(self, request: Request, timeout_s: float) -> Response:
        """See `Transport.exchange`. A camera that is down raises `NotSent` at once."""
        if not self._peer:
            self._peer = f"{self.host}:{next(_PORTS)}"
            self.connections += 1
        answer = self.camera.handle(_as_sent(request), self.now(), self._peer)
        try:
            response = await self._received(answer, timeout_s)
        except BaseException:  # cancelled too: what would come on this connection is not wanted any more
            self._peer = ""
            raise
        if answer.wire in (Wire.CLOSE, Wire.TRAILING, Wire.SHORT_LENGTH):
            self._peer = ""
        return response

    async def _received(self, answer: Answer, timeout_s: float) -> Response:
        where = f"simulated camera {self.camera.device.profile.name}"
        if answer.wire is Wire.REFUSED:
            raise NotSent(f"{where}: connection refused")
        if answer.delay_s > timeout_s or answer.wire in ENDLESS or answer.stream is not None:
            await asyncio.sleep(timeout_s)
            raise PtzUnreachable(f"{where}: no whole answer within {timeout_s:g} s")
        await asyncio.sleep(answer.delay_s)
        if answer.wire in (Wire.RESET, Wire.HALF_THEN_CLOSE):
            raise PtzUnreachable(f"{where}: the connection was cut off")
        if answer.wire is Wire.GARBAGE:
            raise PtzProtocolError(f"{where}: the answer is no HTTP")
        body = answer.response.body
        if answer.wire is Wire.SHORT_LENGTH:
            body = body[: -min(8, len(body))] if body else body
        headers = (*answer.response.headers, ("Content-Length", str(len(body))))
        return replace(answer.response, headers=headers, body=body)

    async def close(self) -> None:
        """See `Transport.close`."""
        self._peer = ""


def _as_sent(request: Request) -> Request:
    """The request with the headers that a socket's client adds."""
    headers = request.headers
    if request.header("Host") is None:
        headers = (("Host", "127.0.0.1"), *headers)
    if request.header("Content-Length") is None and (request.body or request.method in ("PUT", "POST")):
        headers = (*headers, ("Content-Length", str(len(request.body))))
    return replace(request, headers=headers)
