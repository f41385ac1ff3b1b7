"""A simulated camera on a socket, with everything that goes wrong on wires. Loopback unless told otherwise.

Reads HTTP/1.1 with limits; what cannot be read is answered with 400 and the end of the connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ptz.http import Request, Response
from ptz.simulator.answer import Answer, Wire, bytes_of
from ptz.simulator.camera import MOST_REQUEST_BYTES, SimulatedCamera

MOST_HEAD_BYTES = 32_768
MOST_HEADERS = 100
IDLE_S = 60.0
GUARD_S = 0.05
"""How often is looked whether the camera is still there."""

Handler = Callable[[Request, str], Answer]
"""(request, "host:port" of the other side) → answer."""


@dataclass(frozen=True, slots=True)
class Served:
    """Where something can be reached."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """http://host:port"""
        return f"http://{self.host}:{self.port}"


class BadRequest(Exception):
    """What came is no request that is answered; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


@asynccontextmanager
async def serve(
    camera: SimulatedCamera,
    host: str = "127.0.0.1",
    port: int = 0,
    now: Callable[[], float] | None = None,
) -> AsyncIterator[Served]:
    """Serve a camera as long as the context is open. Port 0 takes a free one.

    now  the device's time in seconds; by default it goes on from the device's present with the loop's clock

    While the camera is down its address refuses connections. Raises `OSError` where the address cannot be had.
    """
    time_of = now or device_time(camera)
    handler: Handler = lambda request, peer: camera.handle(request, time_of(), peer)  # noqa: E731 - one line
    async with serve_handler(handler, host, port, lambda: camera.reachable(time_of())) as served:
        yield served


def device_time(camera: SimulatedCamera) -> Callable[[], float]:
    """The device's time, going on from its present with the running loop's clock."""
    loop = asyncio.get_running_loop()
    offset_s = camera.device.now_s - loop.time()
    return lambda: loop.time() + offset_s


@asynccontextmanager
async def serve_handler(
    handler: Handler, host: str, port: int, reachable: Callable[[], bool] | None = None
) -> AsyncIterator[Served]:
    """Serve whatever answers requests. While `reachable` is false nobody is at the address."""
    door = _Door(handler, host, port)
    await door.open()
    guard = asyncio.create_task(door.guard(reachable)) if reachable is not None else None
    try:
        yield Served(host, door.port)
    finally:
        if guard is not None:
            guard.cancel()
            with suppress(asyncio.CancelledError):
                await guard
        await door.close()


class _Door:
    """A listening socket and the connections that came through it."""

    def __init__(self, handler: Handler, host: str, port: int) -> None:
        self._handler = handler
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, self._host, self.port, limit=MOST_HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def guard(self, reachable: Callable[[], bool]) -> None:
        while True:
            if reachable() != (self._server is not None):
                if self._server is not None:
                    await self.close()
                else:
                    await self.open()
            await asyncio.sleep(GUARD_S)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the other side went away: there is nobody to tell
        except asyncio.CancelledError:
            reset(writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("peername") or ("", 0)
        peer = f"{name[0]}:{name[1]}"
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    request = await read_request(reader, writer)
            except BadRequest as bad:
                writer.write(bytes_of(Answer(Response(bad.status), wire=Wire.CLOSE)))
                await writer.drain()
                return
            if request is None:
                return
            answer = self._handler(request, peer)
            if not await send(answer, request, reader, writer):
                return


async def send(
    answer: Answer, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Send an answer the way it travels. False where the connection is over then."""
    if answer.wire is not Wire.REFUSED:
        await asyncio.sleep(answer.delay_s)
    if answer.wire in (Wire.RESET, Wire.REFUSED):
        reset(writer)
        return False
    writer.write(bytes_of(answer, head_only=request.method == "HEAD"))
    await writer.drain()
    if answer.wire in (Wire.HANG, Wire.HALF_THEN_HANG):
        while await reader.read(65_536):
            pass
        return False
    if answer.stream is not None:
        await _pour(answer, writer)
        return False
    wants_close = (request.header("Connection") or "").lower() == "close"
    return not wants_close and answer.wire not in (Wire.CLOSE, Wire.HALF_THEN_CLOSE, Wire.GARBAGE)


async def _pour(answer: Answer, writer: asyncio.StreamWriter) -> None:
    """Pieces until the other side has gone."""
    assert answer.stream is not None
    for wait_s, piece in answer.stream:
        await asyncio.sleep(wait_s)
        if writer.is_closing():
            return
        writer.write(piece)
        await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST and not with FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request of a connection, None at its end. Raises `BadRequest`."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequest(431) from error
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BadRequest(400) from error
        return None
    request = parse_head(head)
    if (request.header("Expect") or "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(request.method, request.path, request.headers, await _read_body(reader, request))


def parse_head(head: bytes) -> Request:
    """A request line and headers. Raises `BadRequest`."""
    lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[0].isalpha():
        raise BadRequest(400)
    if len(lines) > MOST_HEADERS:
        raise BadRequest(431)
    method, target, _ = words
    if "://" in target:
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    if not target.startswith("/"):
        raise BadRequest(400)
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequest(400)
        headers.append((name, value.strip()))
    return Request(method.upper(), target, tuple(headers))


async def _read_body(reader: asyncio.StreamReader, request: Request) -> bytes:
    if (request.header("Transfer-Encoding") or "").lower() == "chunked":
        return await _read_chunks(reader)
    length = request.header("Content-Length") or "0"
    if not (length.isascii() and length.isdecimal() and len(length) < 12):
        raise BadRequest(400)
    if int(length) > MOST_REQUEST_BYTES:
        raise BadRequest(413)
    return await reader.readexactly(int(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        try:
            line = await reader.readuntil(b"\r\n")
            size = int(line.partition(b";")[0].strip() or b"x", 16)
        except (ValueError, asyncio.LimitOverrunError) as error:
            raise BadRequest(400) from error
        if not 0 <= size <= MOST_REQUEST_BYTES - len(body):
            raise BadRequest(413)
        piece = await reader.readexactly(size + 2)
        body += piece[:-2]
        if size == 0:
            return body
