"""Control worker: answers over HTTP from the status that the supervisor publishes, and hands commands to workers."""

from __future__ import annotations

import socket
import threading

import orjson

from engine.config import RunConfig
from engine.control.app import create_app
from engine.control.commands import Commands
from engine.control.security import Security, read_security
from engine.control.server import ControlServer
from engine.control.status import EngineStatus
from engine.control.stream import StreamLimits, Streams
from engine.control.video import VideoHub
from engine.control.video_routes import LiveVideo
from engine.errors import ConfigError
from engine.workers.control_streams import StreamReader
from engine.workers.control_video import VideoReader
from engine.workers.control_wake import SharedWake
from engine.workers.feed import Feed
from engine.workers.runtime import Context


class NewestStatus:
    """The newest status of the run, read when somebody asks."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._seq = 0
        self._status: EngineStatus | None = None

    def __call__(self) -> EngineStatus:
        """The status; the one before, and the very same object, if there is no newer one."""
        lease = self._feed.lease_newest(self._seq)
        if lease is not None:
            with lease:
                self._seq = lease.seq
                length = int.from_bytes(lease.meta[:4], "little")
                self._status = orjson.loads(lease.data[:length])
        if self._status is None:
            raise RuntimeError("asked for a status before there was one")
        return self._status


class Readers:
    """The threads that read for clients, and what they read for: results and events, and live video."""

    def __init__(self, context: Context, streams: Streams, hub: VideoHub) -> None:
        self._wake = SharedWake(context.wake)
        self.results = StreamReader(context, streams, self._wake.end())
        self.video = VideoReader(context, hub, self._wake.end())
        self._reading = threading.Thread(target=self.results.run, name="streams", daemon=True)

    def configured(self, before: RunConfig, after: RunConfig) -> None:
        """Cameras have come, gone or changed."""
        self.results.configured(before, after)
        self.video.configured(before, after)

    def start(self) -> None:
        """Begin to read."""
        self._wake.start()
        self._reading.start()
        self.video.start()

    def stop(self) -> None:
        """End the threads."""
        self.results.stop()
        self.video.stop()
        self._reading.join(1.0)
        self._wake.stop()


def run(context: Context) -> None:
    """Wait for the first status, then serve until told to stop."""
    settings = context.config.control
    commands = Commands(lambda message: context.send("command", **message), str(context.incarnation))
    context.on_answer = commands.answered
    # Numbers of events that no predecessor can have given away.
    streams = Streams(StreamLimits(clients=settings.clients), first_event=context.clock.wall_ns() // 1000)
    hub = VideoHub(commands)
    readers = Readers(context, streams, hub)
    context.on_config = readers.configured
    feed = context.feeds["run-status"]
    while not feed.newest_seq() and not context.stopping:
        context.wait(0.25)
    newest = NewestStatus(feed)
    video = LiveVideo(hub, lambda: cameras_with_video(context))

    def tick() -> bool:
        context.tend()  # the readers sleep on what wakes this worker
        return not (context.stopping and video.end())

    def tell() -> None:
        context.status.update(
            streams=streams.statistics(), video={**video.statistics(), "lost": readers.video.statistics()}
        )

    context.before_status = tell
    security = security_of(context)
    if security is None:
        return
    (listening_fd,) = context.descriptors
    readers.start()
    try:
        app = create_app(newest, commands, streams, security=security, more=video.operations())
        server = ControlServer(app, socket.socket(fileno=listening_fd), certificate=security.certificate)
        server.run(tick)
    finally:
        readers.stop()


def security_of(context: Context) -> Security | None:
    """What protects the HTTP side; None when told to stop. Raises `ConfigError` at the start of a run.

    Where a file has become wrong since, nobody is let in until it is right again, and the run goes on.
    """
    told = ""
    while not context.stopping:
        try:
            security = read_security(context.config.control)
        except ConfigError as error:
            if context.incarnation == 0:
                raise
            if str(error) != told:
                told = str(error)
                context.log("error", f"{error}; nobody is answered until this is right again")
            context.status["degraded"] = [told]
            context.wait(0.25)
        else:
            context.status.pop("degraded", None)
            return security
    return None


def cameras_with_video(context: Context) -> list[str]:
    """Cameras of which there is live video: none in offline runs, nor where it is switched off."""
    config = context.config
    if config.offline or not config.stream.enabled:
        return []
    return [camera.name for camera in config.cameras]
