"""Messages with file descriptors between a parent and its child, over a socket pair.

A message is a JSON object of at most 4 MiB with up to 32 descriptors. The child holds one end; when either
side dies the other reads end-of-file. No pickle: what arrives is data, never code.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
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
        """Send one message; descriptors arrive as duplicates.

        Raises `ChannelClosed` when the partner is gone or did not take the message in time. Nothing can be sent
        after that, since the rest of the message is missing; the partner reads end-of-file. Raises `ValueError`
        for a message beyond the limits.
        """
        body = json.dumps(message, separators=(",", ":")).encode()
        if len(body) > _MAX_MESSAGE_BYTES or len(descriptors) > _MAX_DESCRIPTORS:
            raise ValueError(f"message of {len(body)} bytes with {len(descriptors)} descriptors")
        packet = _HEADER.pack(len(body)) + body
        try:
            sent = socket.send_fds(self._connection, [packet], list(descriptors)) if descriptors else 0
            self._connection.sendall(packet[sent:])
        except OSError as error:
            with contextlib.suppress(OSError):  # not connected any more: as it should be
                self._connection.shutdown(socket.SHUT_WR)
            raise ChannelClosed(str(error)) from error

    def receive(self) -> tuple[Message, list[int]]:
        """Wait for one message; its descriptors belong to the caller and are closed on exec.

        Raises `ChannelClosed` at end-of-file and for what is no whole message.
        """
        try:
            start, descriptors, flags, _ = socket.recv_fds(self._connection, _HEADER.size, _MAX_DESCRIPTORS)
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        for fd in descriptors:
            os.set_inheritable(fd, False)
        try:
            if flags & socket.MSG_CTRUNC:
                raise ChannelClosed("descriptors were lost: this process has too many files open")
            return self._rest_of_message(start), descriptors
        except ChannelClosed:
            for fd in descriptors:
                os.close(fd)
            raise

    def hung_up(self, timeout_s: float) -> bool:
        """Wait until the partner has hung up; what it said before can still be received. False: it has not."""
        poll = select.poll()
        poll.register(self._connection, 0)  # a hang-up is reported without being asked for
        return bool(poll.poll(timeout_s * 1000.0))

    def hang_up(self) -> None:
        """End the conversation: both sides read end-of-file, also a thread that waits in `receive`."""
        with contextlib.suppress(OSError):  # the partner was first
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up and give the descriptor back."""
        self._connection.close()

    def _rest_of_message(self, start: bytes) -> Message:
        (length,) = _HEADER.unpack(start + self._exactly(_HEADER.size - len(start)))
        if length > _MAX_MESSAGE_BYTES:
            raise ChannelClosed(f"message of {length} bytes")
        try:
            message: Message = json.loads(self._exactly(length))
        except ValueError as error:
            raise ChannelClosed(f"no message: {error}") from error
        return message

    def _exactly(self, nbytes: int) -> bytes:
        parts = []
        while nbytes:
            try:
                part = self._connection.recv(nbytes)
            except OSError as error:
                raise ChannelClosed(str(error)) from error
            if not part:
                raise ChannelClosed("end of file")
            parts.append(part)
            nbytes -= len(part)
        return b"".join(parts)
