"""RTMP: publish to a media server or platform (`rtmp://`, `rtmps://`).

Commands: Adobe's Real-Time Messaging Protocol, section 7.2; pictures: Video File Format Specification 10.1, E.4.3.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from contextlib import suppress

from engine.errors import PublishError, PublishRefused, PublishUnreachable
from engine.publish import amf0
from engine.publish.base import GOODBYE_S, Destination, Sink, serves
from engine.publish.connection import Connection
from engine.publish.h264 import ParameterSets, length_prefixed, picture_units
from engine.publish.rtmp_messages import (
    ACKNOWLEDGEMENT,
    CHUNK_BYTES,
    COMMAND,
    DATA,
    SET_CHUNK_SIZE,
    USER_CONTROL,
    VIDEO,
    WINDOW_SIZE,
    ChunkReader,
    Message,
    chunks,
    handshake,
)
from engine.types.packet import Packet

WINDOW_BYTES = 32 * 1024
"""After so many bytes a server acknowledges: how a server that has stopped is told from a slow one."""

_CONTROL_CHUNKS, _COMMAND_CHUNKS, _VIDEO_CHUNKS = 2, 3, 6
_PING_REQUEST, _PING_RESPONSE = 6, 7
_KEY_AVC, _DIFFERENCE_AVC = 0x17, 0x27
_SEQUENCE_HEADER, _PICTURE = b"\x00\x00\x00\x00", b"\x01\x00\x00\x00"
_AVC_CODEC = 7.0
_REFUSED_WORDS = ("unauthorized", "denied", "reject", "auth", "invalid")
"""How servers say that name, key or password are wrong. Not BadName: that is mostly our own connection from before,
which the server has not given up yet."""


@serves("rtmp", "rtmps")
class RtmpSink(Sink):
    """One publication. The URL is `rtmp://HOST[:PORT]/APP/STREAM[?QUERY]`; all after the last slash is the stream."""

    def __init__(self, destination: Destination, timeout_s: float = 5.0) -> None:
        super().__init__(destination, timeout_s)
        self._connection = Connection(destination.label, timeout_s)
        self._reader = ChunkReader(self._connection)
        self._stream = 0
        self._key = ""
        self._parameters: ParameterSets | None = None
        self._first_ns = 0
        self._sent_bytes = 0
        self._acknowledges = False
        self._unanswered_since_s: float | None = None
        self._acknowledged_at_bytes = 0

    def open(self, first: Packet) -> None:
        """Connect, and ask for leave to publish; see `Sink.open`."""
        address = self.destination.address()
        app, _, self._key = address.path.lstrip("/").rpartition("/")
        if address.query:
            self._key += f"?{address.query}"
        self._connection.connect(address.host, address.port, tls=address.scheme == "rtmps")
        handshake(self._connection)
        self._control(SET_CHUNK_SIZE, CHUNK_BYTES)
        self._control(WINDOW_SIZE, WINDOW_BYTES)
        self._connect(app, f"{address.scheme}://{address.place}/{app}")
        self._publish()
        self._first_ns = first.meta.captured_ns
        self._send_metadata(first)

    def write(self, packet: Packet) -> None:
        """Send one picture; before the first, and where they change, what a decoder must know."""
        self._listen()
        meta = packet.meta
        time_ms = (meta.captured_ns - self._first_ns) // 1_000_000 & 0xFFFFFFFF
        if meta.keyframe:
            parameters = ParameterSets.of(packet.data)
            if parameters != self._parameters:
                self._parameters = parameters
                header = bytes((_KEY_AVC,)) + _SEQUENCE_HEADER + parameters.decoder_configuration
                self._send(Message(VIDEO, header, self._stream, time_ms), _VIDEO_CHUNKS)
        kind = bytes((_KEY_AVC if meta.keyframe else _DIFFERENCE_AVC,))
        body = kind + _PICTURE + length_prefixed(picture_units(packet.data))
        self._send(Message(VIDEO, body, self._stream, time_ms), _VIDEO_CHUNKS)
        self._expect_acknowledgement()

    def close(self) -> None:
        """Say goodbye in what room there is, and hang up."""
        if self._stream:
            self._connection.hurry(GOODBYE_S)
            with suppress(PublishUnreachable):  # then it need not be told
                self._command("FCUnpublish", 6.0, None, self._key)
                self._command("deleteStream", 7.0, None, float(self._stream))
            self._stream = 0
        self._connection.close()

    def interrupt(self) -> None:
        """See `Sink.interrupt`."""
        self._connection.interrupt()

    def _connect(self, app: str, address: str) -> None:
        self._command("connect", 1.0, {
            "app": app, "type": "nonprivate", "flashVer": "FMLE/3.0 (compatible; camring)", "tcUrl": address,
        })  # fmt: skip
        self._result(1.0, "to connect")

    def _publish(self) -> None:
        self._command("releaseStream", 2.0, None, self._key)
        self._command("FCPublish", 3.0, None, self._key)
        self._command("createStream", 4.0, None)
        values = self._result(4.0, "for a stream")
        number = values[3] if len(values) > 3 else None
        if not isinstance(number, float):
            raise PublishError(f"publish {self._connection.label}: the server gave no stream to publish on")
        self._stream = int(number)
        self._command("publish", 5.0, None, self._key, "live", stream=self._stream)
        self._published()

    def _published(self) -> None:
        """Wait for leave to publish."""
        deadline_s = self._connection.deadline_s()
        while True:
            name, values = self._next_command(deadline_s)
            told = values[3] if len(values) > 3 else None
            if name != "onStatus" or not isinstance(told, Mapping):
                continue
            code = str(told.get("code", ""))
            if code == "NetStream.Publish.Start":
                return
            if told.get("level") == "error" or "Publish." in code:
                raise self._refused("to publish", told)

    def _result(self, number: float, asked: str) -> list[amf0.Value]:
        """The answer to a command. Raises `PublishRefused` or `PublishError` for an error."""
        deadline_s = self._connection.deadline_s()
        while True:
            name, values = self._next_command(deadline_s)
            if len(values) < 2 or values[1] != number:
                continue
            if name == "_result":
                return values
            if name == "_error":
                raise self._refused(asked, values[3] if len(values) > 3 else None)

    def _refused(self, asked: str, told: amf0.Value) -> PublishError:
        said = "no reason given"
        if isinstance(told, Mapping):
            said = " ".join(str(told[key]) for key in ("code", "description") if told.get(key)) or said
        if self._key:
            said = said.replace(self._key, "***")
        line = " ".join(f"publish {self._connection.label}: asked {asked}, the server says: {said}".split())
        refusal = any(word in said.lower() for word in _REFUSED_WORDS)
        return PublishRefused(line) if refusal else PublishError(line)

    def _next_command(self, deadline_s: float) -> tuple[str, list[amf0.Value]]:
        while True:
            message = self._reader.next()
            if message is None:
                self._connection.receive(deadline_s)
                continue
            self._tend(message)
            if message.kind == COMMAND and (values := amf0.decode(message.body)):
                return str(values[0]), values

    def _listen(self) -> None:
        """Take up what the server has said meanwhile; a status that is an error ends the publication."""
        more = True
        while more:
            more = self._connection.receive_now()
            while (message := self._reader.next()) is not None:
                self._tend(message)
                if message.kind != COMMAND:
                    continue
                values = amf0.decode(message.body)
                told = values[3] if len(values) > 3 else None
                if isinstance(told, Mapping) and told.get("level") == "error":
                    raise self._refused("to go on", told)

    def _tend(self, message: Message) -> None:
        """Answer what is not about publishing."""
        if message.kind == ACKNOWLEDGEMENT:
            self._acknowledges, self._unanswered_since_s = True, None
            self._acknowledged_at_bytes = self._sent_bytes
        elif message.kind == USER_CONTROL and message.body[:2] == struct.pack(">H", _PING_REQUEST):
            body = struct.pack(">H", _PING_RESPONSE) + message.body[2:6]
            self._send(Message(USER_CONTROL, body), _CONTROL_CHUNKS)

    def _expect_acknowledgement(self) -> None:
        """A server that acknowledged before and does so no more has stopped, though its system still takes data."""
        if not self._acknowledges or self._sent_bytes - self._acknowledged_at_bytes < 2 * WINDOW_BYTES:
            return
        now_s = time.monotonic()
        if self._unanswered_since_s is None:
            self._unanswered_since_s = now_s
        elif now_s - self._unanswered_since_s > self.timeout_s:
            raise PublishUnreachable(
                f"publish {self._connection.label}: the server has taken nothing for {self.timeout_s:g} s"
            )

    def _send_metadata(self, first: Packet) -> None:
        meta = first.meta
        known: dict[str, amf0.Value] = {
            "width": float(meta.width), "height": float(meta.height), "videocodecid": _AVC_CODEC,
            "encoder": "camring",
        }  # fmt: skip
        body = amf0.encode("@setDataFrame", "onMetaData", known)
        self._send(Message(DATA, body, self._stream), _COMMAND_CHUNKS)

    def _command(self, *values: amf0.Value, stream: int = 0) -> None:
        self._send(Message(COMMAND, amf0.encode(*values), stream), _COMMAND_CHUNKS)

    def _control(self, kind: int, value: int) -> None:
        # The first one still travels in chunks of the size that every connection begins with: it fits.
        self._send(Message(kind, struct.pack(">I", value)), _CONTROL_CHUNKS)

    def _send(self, message: Message, chunk_stream: int) -> None:
        data = chunks(message, chunk_stream, CHUNK_BYTES)
        self._connection.send(data)
        self._sent_bytes += len(data)
