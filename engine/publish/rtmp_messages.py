"""RTMP messages in chunks, and the handshake before them (Adobe, Real-Time Messaging Protocol, sections 5.2 to 5.4)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from engine.errors import PublishError
from engine.publish.connection import Connection

SET_CHUNK_SIZE, ACKNOWLEDGEMENT, USER_CONTROL, WINDOW_SIZE, PEER_BANDWIDTH = 1, 3, 4, 5, 6
VIDEO, DATA, COMMAND = 9, 18, 20
"""Types of messages."""

CHUNK_BYTES = 60_000
"""What we send in one chunk: nearly always a whole picture."""
MOST_MESSAGE_BYTES = 1 << 20
"""A server that sends more than this in one message is none."""

_VERSION = 3
_HANDSHAKE_BYTES = 1536
_LATEST_TIME = 0xFFFFFF
"""Times from here on travel in a field of their own."""
_HEADER_BYTES = (11, 7, 3, 0)


@dataclass(slots=True)
class Message:
    """One message. `time_ms` counts modulo 2³²."""

    kind: int
    body: bytes
    stream: int = 0
    time_ms: int = 0


@dataclass(slots=True)
class _Incoming:
    """What is known of a chunk stream that the server sends on."""

    time_ms: int = 0
    length: int = 0
    kind: int = 0
    stream: int = 0
    extended: bool = False
    body: bytearray | None = None


def handshake(connection: Connection) -> None:
    """The simple handshake. Raises `PublishUnreachable` or `PublishError`."""
    connection.send(bytes((_VERSION,)) + bytes(8) + os.urandom(_HANDSHAKE_BYTES - 8))
    deadline_s = connection.deadline_s()
    while len(connection.received) < 1 + 2 * _HANDSHAKE_BYTES:
        connection.receive(deadline_s)
    answer = connection.take(1 + 2 * _HANDSHAKE_BYTES)
    if answer[0] != _VERSION:
        raise PublishError(f"publish {connection.label}: the server does not speak RTMP")
    connection.send(answer[1 : 1 + _HANDSHAKE_BYTES])


def chunks(message: Message, chunk_stream: int, chunk_bytes: int) -> bytes:
    """A message as it travels, with a full header and its time in it."""
    extended = struct.pack(">I", message.time_ms) if message.time_ms >= _LATEST_TIME else b""
    head = min(message.time_ms, _LATEST_TIME).to_bytes(3, "big") + len(message.body).to_bytes(3, "big")
    head += bytes((message.kind,)) + struct.pack("<I", message.stream)
    pieces = [bytes((chunk_stream,)), head, extended, message.body[:chunk_bytes]]
    for start in range(chunk_bytes, len(message.body), chunk_bytes):
        pieces += [
            bytes((0xC0 | chunk_stream,)),
            extended,
            message.body[start : start + chunk_bytes],
        ]
    return b"".join(pieces)


class ChunkReader:
    """Whole messages out of what a connection has received."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chunk_bytes = 128
        self._streams: dict[int, _Incoming] = {}

    def next(self) -> Message | None:
        """The next whole message, None while more must come. Raises `PublishError` for what is no RTMP."""
        while True:
            chunk = self._chunk()
            if chunk is None:
                return None
            if chunk.body is None or len(chunk.body) < chunk.length:
                continue
            message = Message(chunk.kind, bytes(chunk.body), chunk.stream, chunk.time_ms)
            chunk.body = None
            if message.kind == SET_CHUNK_SIZE and len(message.body) >= 4:
                self._chunk_bytes = max(1, int.from_bytes(message.body[:4], "big") & 0x7FFFFFFF)
            return message

    def _chunk(self) -> _Incoming | None:
        """Take one chunk out; None while it is not whole."""
        data = self._connection.received
        if not data:
            return None
        form, number, at = data[0] >> 6, data[0] & 63, 1
        if number < 2:
            at += 1 + number
            if len(data) < at:
                return None
            number = 64 + int.from_bytes(data[1:at], "little")
        known = self._streams.setdefault(number, _Incoming())
        header_bytes = _HEADER_BYTES[form]
        header = bytes(data[at : at + header_bytes])
        at += header_bytes
        extended = int.from_bytes(header[:3], "big") == _LATEST_TIME if header else known.extended
        at += 4 * extended
        length = int.from_bytes(header[3:6], "big") if header_bytes >= 7 else known.length
        if length > MOST_MESSAGE_BYTES:
            raise PublishError(f"publish {self._connection.label}: the server sends what is no RTMP")
        have = 0 if known.body is None else len(known.body)
        payload_bytes = min(self._chunk_bytes, length - have)
        if len(data) < at + payload_bytes:
            return None
        _take_header(known, header, extended)
        known.body = known.body or bytearray()
        known.body += data[at : at + payload_bytes]
        self._connection.take(at + payload_bytes)
        return known


def _take_header(known: _Incoming, header: bytes, extended: bool) -> None:
    """Times are not needed of what a server says to a publisher, and stay 0."""
    known.extended = extended
    if len(header) >= 7:
        known.length, known.kind = int.from_bytes(header[3:6], "big"), header[6]
    if len(header) == 11:
        known.stream = int.from_bytes(header[7:11], "little")
