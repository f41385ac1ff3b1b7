"""The door of a run for one program of the same user: a Unix socket at which it becomes the worker `api`.

Who is let in gets what every worker gets, the descriptors of the pools among it, over the very connection that was
accepted (`ipc.channel`). Knows sockets; what a visitor reads is its own business (`engine.api_reader`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path

from engine.errors import ConfigError
from ipc.channel import Channel, ChannelClosed

WELCOME = "welcome"
REFUSED = "refused"
_ANSWER_TIMEOUT_S = 2.0


class Door:
    """A socket that listens for as long as the run goes on."""

    def __init__(self, path: str) -> None:
        """Open it for this user alone. Raises `ConfigError` where that cannot be, or another run has it."""
        self._path = Path(path).expanduser().absolute()
        self._where = f"output.attach {path}"
        self._remove_what_a_dead_run_has_left()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        umask = os.umask(0o177)
        try:
            self._socket.bind(os.fspath(self._path))
        except OSError as error:
            self._socket.close()
            raise ConfigError(f"{self._where}: cannot listen there: {error.strerror or error}") from error
        finally:
            os.umask(umask)
        self._socket.listen(4)
        self._socket.setblocking(False)

    def _remove_what_a_dead_run_has_left(self) -> None:
        if not self._path.is_socket():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(os.fspath(self._path))
            except ConnectionRefusedError:
                self._path.unlink(missing_ok=True)
            except OSError as error:
                raise ConfigError(f"{self._where}: {error.strerror or error}") from error
            else:
                raise ConfigError(f"{self._where}: another run listens there; give this one its own")

    def fileno(self) -> int:
        """The descriptor to select on: readable where somebody knocks."""
        return self._socket.fileno()

    def let_in(self, *, taken: bool) -> tuple[Channel, int] | None:
        """The channel to who knocks, and its process (0 where the system does not tell). None: it was sent away.

        taken  somebody else is in
        """
        try:
            connection, _ = self._socket.accept()
        except OSError:  # it has gone again
            return None
        connection.settimeout(_ANSWER_TIMEOUT_S)
        channel = Channel(connection)
        user, pid = _peer(connection)
        reason = ""
        if user not in (os.getuid(), 0):
            reason = "this run belongs to another user"
        elif taken:
            reason = "another program is attached to this run; one at a time"
        with contextlib.suppress(ChannelClosed):
            channel.send({"type": REFUSED, "reason": reason} if reason else {"type": WELCOME})
            if not reason:
                return channel, pid
        channel.close()
        return None

    def close(self) -> None:
        """Let nobody in any more."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


def _peer(connection: socket.socket) -> tuple[int, int]:
    """User and process at the other end; where the system does not tell, the socket's mode has kept others out."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid(), 0
    pid, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user, pid
