"""Control worker: answers over HTTP from the status that the supervisor publishes, and hands commands to workers."""

from __future__ import annotations

import socket
import threading

import orjson

from engine.control.app import create_app
from engine.control.commands import Commands
from engine.control.server import ControlServer
from engine.control.status import EngineStatus
from engine.control.stream import Streams
from engine.workers.control_streams import StreamReader
from engine.workers.feed import Feed
from engine.workers.runtime import Context


class NewestStatus:
    """The newest status of the run, read when somebody asks."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._seq = 0
        self._status: EngineStatus | None = None

    def __call__(self) -> EngineStatus:
        """The status; the one before, if there is no newer one."""
        lease = self._feed.lease_newest(self._seq)
        if lease is not None:
            with lease:
                self._seq = lease.seq
                length = int.from_bytes(lease.meta[:4], "little")
                self._status = orjson.loads(lease.data[:length])
        if self._status is None:
            raise RuntimeError("asked for a status before there was one")
        return self._status


def run(context: Context) -> None:
    """Wait for the first status, then serve until told to stop."""
    feed = context.feeds["run-status"]
    while not feed.newest_seq() and not context.stopping:
        context.wait(0.25)

    def tick() -> bool:
        context.tend()  # the reader of streams sleeps on what wakes this worker
        return not context.stopping

    (listening_fd,) = context.descriptors
    commands = Commands(lambda message: context.send("command", **message), str(context.incarnation))
    context.on_answer = commands.answered
    streams = Streams()
    context.before_status = lambda: context.status.update(streams=streams.statistics())
    reader = StreamReader(context, streams)
    reading = threading.Thread(target=reader.run, name="streams", daemon=True)
    reading.start()
    try:
        app = create_app(NewestStatus(feed), commands, streams)
        ControlServer(app, socket.socket(fileno=listening_fd)).run(tick)
    finally:
        reader.stop()
        reading.join(1.0)
