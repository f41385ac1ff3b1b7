"""One TCP or TLS connection on which no call waits longer than it may.

FFmpeg's own output protocols cannot be used here: PyAV holds Python's lock while they connect and say goodbye, and has
no way to interrupt them, so that one server that hangs would stop everything else in the process.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import suppress

from engine.errors import PublishUnreachable

SEND_BUFFER_BYTES = 512 * 1024
"""What the system keeps for a slow server. Small, so that a server that takes nothing any more is noticed."""
_READ_BYTES = 65536


class Connection:
    """A connection to `host:port`. One thread uses it; `interrupt` may be called by any.

    label      how messages name the destination, masked
    timeout_s  longest wait of one call
    """

    def __init__(self, label: str, timeout_s: float) -> None:
        self.label = label
        self.timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._interrupted = False
        self._received = bytearray()

    def connect(self, host: str, port: int, *, tls: bool) -> None:
        """Connect. Raises `PublishUnreachable`."""
        try:
            plain = socket.create_connection((host, port), self.timeout_s)
        except OSError as error:
            raise self._failed("cannot connect", error) from None
        self._socket = plain
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        plain.settimeout(self.timeout_s)
        if tls:
            try:
                self._socket = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            except OSError as error:
                raise self._failed("no TLS connection", error) from None
        if self._interrupted:
            self.interrupt()

    def send(self, data: bytes) -> None:
        """Send all of it. Raises `PublishUnreachable`; the connection is of no use any more then."""
        try:
            self._connected().sendall(data)
        except OSError as error:
            raise self._failed("sending failed", error) from None

    def receive_now(self) -> bool:
        """Take up what has come, without waiting; False if nothing has. Raises `PublishUnreachable`: hung up."""
        connected = self._connected()
        connected.settimeout(0)
        try:
            return self._read(connected)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            raise self._failed("receiving failed", error) from None
        finally:
            # The other thread may have closed it meanwhile.
            with suppress(OSError):
                connected.settimeout(self.timeout_s)

    def receive(self, deadline_s: float) -> None:
        """Wait for more, up to a moment of `time.monotonic`. Raises `PublishUnreachable`."""
        connected = self._connected()
        try:
            connected.settimeout(max(0.001, deadline_s - time.monotonic()))
            self._read(connected)
            connected.settimeout(self.timeout_s)
        except OSError as error:
            raise self._failed("no answer", error) from None

    def hurry(self, timeout_s: float) -> None:
        """Wait no longer than this from now on: for what need not succeed."""
        self.timeout_s = timeout_s
        if self._socket is not None:
            with suppress(OSError):
                self._socket.settimeout(timeout_s)

    def deadline_s(self) -> float:
        """Until when an exchange that begins now may last."""
        return time.monotonic() + self.timeout_s

    @property
    def received(self) -> bytearray:
        """What has come and was not taken out yet."""
        return self._received

    def take(self, count: int) -> bytes:
        """Take so many received bytes out."""
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def interrupt(self) -> None:
        """Make every call fail at once, also one that waits in another thread."""
        self._interrupted = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hang up. May be called twice."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise PublishUnreachable(f"publish {self.label}: not connected")
        return self._socket

    def _read(self, connected: socket.socket) -> bool:
        data = connected.recv(_READ_BYTES)
        if not data:
            raise PublishUnreachable(f"publish {self.label}: the server has closed the connection")
        self._received += data
        return True

    def _failed(self, doing: str, error: OSError) -> PublishUnreachable:
        if isinstance(error, TimeoutError):
            return PublishUnreachable(f"publish {self.label}: {doing}: no answer in {self.timeout_s:g} s")
        reason = error.strerror or str(error) or type(error).__name__
        return PublishUnreachable(f"publish {self.label}: {doing}: {reason}")
