"""Messages with file descriptors between a parent and its child, over a socket pair.

A message is a JSON object of at most 4 MiB with up to 32 descriptors. The child holds one end; when either
side dies the other reads end-of-file. No pickle: what arrives is data, never code.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final

_HEADER: Final = struct.Struct("<I")
_MAX_MESSAGE_BYTES: Final = 4 * 2**20
_MAX_DESCRIPTORS: Final = 32

Message = dict[str, Any]


class ChannelClosed(Exception):
    """The other side is gone."""


class Channel:
    """One end of a message channel. `send` and `receive` may be used by different threads, one each."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two connected ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(ours), cls(theirs)

    @classmethod
    def from_descriptor(cls, fd: int) -> Channel:
        """The end that this process inherited."""
        return cls(socket.socket(fileno=fd))

    def set_timeout(self, seconds: float) -> None:
        """Longest wait for a partner that stands still in the middle of a message; then `ChannelClosed`."""
        self._connection.settimeout(seconds)

    def fileno(self) -> int:
        """The descriptor to select on for reading."""
        return self._connection.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send one message; descriptors arrive as duplicates. Raises `ChannelClosed`."""
        body = json.dumps(message, separators=(",", ":")).encode()
        packet = _HEADER.pack(len(body)) + body
        try:
            sent = socket.send_fds(self._connection, [packet], list(descriptors)) if descriptors else 0
            self._connection.sendall(packet[sent:])
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self) -> tuple[Message, list[int]]:
        """Wait for one message. Raises `ChannelClosed` at end-of-file."""
        try:
            header, descriptors, _, _ = socket.recv_fds(self._connection, _HEADER.size, _MAX_DESCRIPTORS)
            header += self._exactly(_HEADER.size - len(header))
            (length,) = _HEADER.unpack(header)
            if length > _MAX_MESSAGE_BYTES:
                raise ChannelClosed(f"message of {length} bytes")
            message: Message = json.loads(self._exactly(length))
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        return message, descriptors

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _exactly(self, nbytes: int) -> bytes:
        parts = []
        while nbytes:
            part = self._connection.recv(nbytes)
            if not part:
                raise ChannelClosed("end of file")
            parts.append(part)
            nbytes -= len(part)
        return b"".join(parts)
