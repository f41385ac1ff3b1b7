"""A program that reads a run which somebody else has started: the other side of `engine.attach`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from engine.attach import REFUSED
from engine.errors import CommandError, EngineError
from ipc.channel import Channel, ChannelClosed


class AttachedRun:
    """What `engine.api` needs of a run, for one that lives in another process and goes on without us."""

    url = ""
    error: EngineError | None = None

    def __init__(
        self, path: str | Path, take: Callable[[Channel], None], ended: Callable[[float], bool]
    ) -> None:
        """take   is given the channel
        ended  waits so long for the end of the reading, and says whether it has come
        """
        self._path = os.fspath(Path(path).expanduser())
        self._take = take
        self._ended = ended

    def start(self) -> None:
        """Knock. Raises `CommandError` where nobody opens."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            raise CommandError(
                f"attach {self._path}: {error.strerror or error}; does a run with output.attach listen there?",
                "unavailable",
            ) from error
        channel = Channel(connection)
        try:
            answer, _ = channel.receive()
        except ChannelClosed as error:
            channel.close()
            raise CommandError(f"attach {self._path}: the run has ended", "unavailable") from error
        if answer["type"] == REFUSED:
            channel.close()
            raise CommandError(f"attach {self._path}: {answer['reason']}", "conflict")
        self._take(channel)

    @property
    def running(self) -> bool:
        """Whether we are still attached."""
        return not self._ended(0.0)

    def stop(self) -> None:
        """Nothing: the run is not ours."""

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until we are not attached any more; False where that took longer."""
        return self._ended(1e9 if timeout_s is None else timeout_s)
