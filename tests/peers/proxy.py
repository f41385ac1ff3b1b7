"""A TCP proxy on the loopback that counts what passes through it: a witness between the engine and a peer.

Knows bytes only. Does not change, delay or lose any.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.peers.fixtures import free_port

_CHUNK_BYTES = 65536


class CountingProxy:
    """Hands connections on to `127.0.0.1:target_port`; `connections` and `sent` are what clients did."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.connections = 0
        self.sent = bytearray()
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def requests(self, method: str) -> int:
        """How many requests of this RTSP method (`DESCRIBE`) clients have sent."""
        return self.sent.count(f"{method} rtsp".encode())

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:
                return
            self.connections += 1
            self._open += [client, server]
            threading.Thread(target=self._pump, args=(client, server, self.sent), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, bytearray()), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, seen: bytearray) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                seen += data
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
