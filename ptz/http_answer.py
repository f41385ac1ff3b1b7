"""Answers of HTTP/1.1 out of a stream of bytes: heads, bodies, chunks, with limits for all of them.

Knows neither sockets nor logins.
"""

from __future__ import annotations

import re
from typing import Protocol

from engine.errors import PtzProtocolError, PtzUnreachable
from ptz.http import Response

MOST_HEAD_BYTES = 32 << 10
MOST_BODY_BYTES = 8 << 20

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: .*)?")
_CHUNK = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
WITHOUT_BODY = frozenset({204, 304})


class NoAnswerYet(PtzUnreachable):
    """The connection ended before anything of an answer came."""


class Stream(Protocol):
    """Where bytes come from.

    buffer  what has arrived and was not taken yet
    """

    buffer: bytearray

    async def more(self) -> bool:
        """Wait for bytes; False where no more will come."""


class AnswerReader:
    """Takes one answer out of a connection."""

    def __init__(self, stream: Stream, label: str) -> None:
        self._stream = stream
        self._label = label
        self._began = False

    async def response(self, method: str) -> tuple[Response, bool]:
        """The answer, and whether the connection may be used again."""
        while True:
            version, status, headers = await self._head()
            # 100 Continue and its kind come before the answer.
            if status >= 200:
                break
        response = Response(status, headers)
        tokens = ",".join(response.all_headers("Connection")).lower()
        keep = "close" not in tokens and (version == "1" or "keep-alive" in tokens)
        if method == "HEAD" or status in WITHOUT_BODY:
            return response, keep
        body, delimited = await self._body(response)
        return Response(status, headers, body), keep and delimited

    async def _body(self, response: Response) -> tuple[bytes, bool]:
        """The body, and whether its end was told otherwise than by the end of the connection."""
        coding = ",".join(response.all_headers("Transfer-Encoding")).lower()
        lengths = {
            part.strip() for text in response.all_headers("Content-Length") for part in text.split(",")
        }
        if "chunked" in coding:
            return await self._chunks(), True
        if not lengths:
            return await self._rest(), False
        if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,12}", next(iter(lengths)), re.ASCII):
            raise self._wrong(f"a Content-Length that makes no sense: {' / '.join(sorted(lengths))[:40]!r}")
        return await self._exactly(int(lengths.pop())), True

    async def _head(self) -> tuple[str, int, tuple[tuple[str, str], ...]]:
        buffer = self._stream.buffer
        while True:
            while buffer[:1].isspace():
                del buffer[:1]
            if buffer and not b"HTTP/1.".startswith(bytes(buffer[:7])):
                raise self._wrong(f"it does not speak HTTP here: {bytes(buffer[:20])!r}")
            end = _END_OF_HEAD.search(buffer)
            if end and end.start() <= MOST_HEAD_BYTES:
                break
            if len(buffer) > MOST_HEAD_BYTES:
                raise self._wrong(f"a head of more than {MOST_HEAD_BYTES} bytes")
            if not await self._stream.more():
                raise self._cut_off()
        lines = bytes(buffer[: end.start()]).decode("latin-1").replace("\r\n", "\n").split("\n")
        del buffer[: end.end()]
        self._began = True
        status = _STATUS.fullmatch(lines[0].rstrip())
        if status is None:
            raise self._wrong(f"a first line that is no HTTP: {lines[0][:40]!r}")
        return status[1], int(status[2]), _headers(lines[1:])

    async def _exactly(self, count: int) -> bytes:
        if count > MOST_BODY_BYTES:
            raise self._wrong(f"an answer of {count} bytes, at most {MOST_BODY_BYTES} are read")
        buffer = self._stream.buffer
        while len(buffer) < count:
            if not await self._stream.more():
                raise self._cut_off()
        data = bytes(buffer[:count])
        del buffer[:count]
        return data

    async def _rest(self) -> bytes:
        while len(self._stream.buffer) <= MOST_BODY_BYTES:
            if not await self._stream.more():
                data = bytes(self._stream.buffer)
                self._stream.buffer.clear()
                return data
        raise self._wrong(f"an answer of more than {MOST_BODY_BYTES} bytes")

    async def _line(self) -> bytes:
        buffer = self._stream.buffer
        while (end := buffer.find(b"\n")) < 0:
            if len(buffer) > MOST_HEAD_BYTES:
                raise self._wrong("a chunk without its size")
            if not await self._stream.more():
                raise self._cut_off()
        line = bytes(buffer[:end]).rstrip(b"\r")
        del buffer[: end + 1]
        return line

    async def _chunks(self) -> bytes:
        data = bytearray()
        while True:
            size = _CHUNK.fullmatch(await self._line())
            if size is None:
                raise self._wrong("a chunk without its size")
            count = int(size[1], 16)
            if len(data) + count > MOST_BODY_BYTES:
                raise self._wrong(f"an answer of more than {MOST_BODY_BYTES} bytes")
            if not count:
                break
            data += await self._exactly(count)
            if await self._line():
                raise self._wrong("a chunk that is longer than its size")
        trailers = 0
        while line := await self._line():
            trailers += len(line)
            if trailers > MOST_HEAD_BYTES:
                raise self._wrong("an answer that does not end")
        return bytes(data)

    def _cut_off(self) -> PtzUnreachable:
        if self._stream.buffer or self._began:
            return PtzUnreachable(f"{self._label}: the answer was cut off")
        return NoAnswerYet(f"{self._label}: the connection was closed without an answer")

    def _wrong(self, what: str) -> PtzProtocolError:
        return PtzProtocolError(f"{self._label}: {what}")


def _headers(lines: list[str]) -> tuple[tuple[str, str], ...]:
    """Names and values; continued lines are joined, and lines without a colon left out."""
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and headers:
            key, value = headers[-1]
            headers[-1] = key, f"{value} {line.strip()}"
        elif ":" in line:
            key, _, value = line.partition(":")
            headers.append((key.strip(), value.strip()))
    return tuple(headers)
