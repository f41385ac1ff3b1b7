"""The program's own end of a run: a worker of the run that lives in the program's process (`engine.api`).

A thread tends what every worker tends: messages, pools, status. Results are read by whoever calls `next`; both take
the same lock, because a reading end of a pool belongs to one thread at a time.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from engine.api_context import CallerContext
from engine.api_results import Frame, Result, own, own_events
from engine.config import CameraConfig, RunConfig
from engine.errors import CommandError, CommandTimeout
from engine.topology import FRAMES_OF_PROGRAM, pool_of_outputs
from engine.types import FrameFlag, FrameMeta, FrameNv12, ResultMeta
from engine.workers.results import result_in
from ipc.channel import Channel, ChannelClosed, Message
from ipc.notify import Notifier
from ipc.pool import Lease

_TEND_S = 0.25


@dataclass
class _Camera:
    """One camera as the program reads it.

    last_seq, last_index  newest result taken over, and the frame number it spoke of
    frame_seq             newest frame whose result was taken over, not acknowledged yet
    counts                what the program did not get, by reason
    held                  frames of it that are leased now
    """

    last_seq: int = 0
    last_index: int = -1
    frame_seq: int = 0
    ended: bool = False
    held: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class Reader:
    """Reads results, asks for things. `next`, `ask` and `close` may be called by any thread of the program."""

    def __init__(self, frames: bool, *, late: bool = False) -> None:
        """frames  whether results come with their frames
        late    the run is under way: what came before is none of our business
        """
        self._late = late
        self.news = threading.Condition(threading.RLock())
        self.ready = threading.Event()
        self.ended = threading.Event()
        self._frames = frames
        self._channels: queue.SimpleQueue[Channel | None] = queue.SimpleQueue()
        self._context: CallerContext | None = None
        self._cameras: dict[str, _Camera] = {}
        self._newest: Result | None = None
        self._turn = 0
        self._reading = 0
        self._leaving = False
        self._closed = False
        self._numbers = count(1)
        self._answers: dict[str, queue.SimpleQueue[Message]] = {}
        self._thread = threading.Thread(target=self._run, name="camring-reader", daemon=True)

    def take(self, channel: Channel) -> None:
        """The supervisor's channel to us, the first one only."""
        self._channels.put(channel)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def give_up(self) -> None:
        """There will be no channel: the run could not be started."""
        self._channels.put(None)

    def _run(self) -> None:
        channel = self._channels.get()
        try:
            if channel is not None:
                self._work(channel)
        finally:
            self.ended.set()
            self.ready.set()
            with self.news:
                self.news.notify_all()

    def _work(self, channel: Channel) -> None:
        try:
            start, wake_fds = channel.receive()
        except ChannelClosed:
            return
        context = CallerContext(channel, start, Notifier(tuple(wake_fds)))
        context.on_answer = self._answered
        context.on_config = self._configured
        listener = threading.Thread(target=context.listen, name="camring-link", daemon=True)
        listener.start()
        context.wait_for_start()
        with self.news:
            self._context = context
            self._cameras = {camera.name: _Camera() for camera in context.config.cameras}
        self.ready.set()
        while not self._is_over(context):
            context.wake.wait(_TEND_S)
            with self.news:
                context.tend()
                self.news.notify_all()
        with self.news:
            self._release_newest()
            self._closed = True
            context.close(listener)

    def _is_over(self, context: CallerContext) -> bool:
        """Told to stop, and nobody is reading what is left, or is to."""
        return context.hung_up or (context.stopping and (self._leaving or not self._reading))

    def _configured(self, before: RunConfig, after: RunConfig) -> None:
        """Cameras have come, gone or changed. Called while the lock is held."""
        names = [camera.name for camera in after.cameras]
        newest = self._newest
        if newest is not None and newest.camera not in names:
            self._release_newest()
        self._cameras = {name: self._cameras.get(name) or _Camera() for name in names}

    def begin(self) -> None:
        """Somebody reads from now on, so that what is in flight when the run ends is still handed out."""
        with self.news:
            self._reading += 1

    def end(self) -> None:
        """Nobody reads any more."""
        with self.news:
            self._reading -= 1
            self._release_newest()

    def next(self, cameras: Collection[str] | None, *, newest: bool) -> Result | None:
        """The next result of one of these cameras (None: of all), None if there is none now.

        Releases the frame of the result before. Cameras that are not wanted are read and forgotten, so that nobody
        waits for them. `newest` passes over what is older than the newest result.
        """
        with self.news:
            self._release_newest()
            context = self._context
            if context is None or self._closed or context.labels is None:
                return None
            names = list(self._cameras)
            for offset in range(len(names)):
                name = names[(self._turn + offset) % len(names)]
                wanted = cameras is None or name in cameras
                while (found := self._advance(context, name, wanted=wanted, newest=newest)) is not None:
                    if isinstance(found, Result):
                        self._turn = (self._turn + offset + 1) % len(names)
                        self._newest = found
                        return found
            return None

    def over(self, cameras: Collection[str] | None) -> bool:
        """True when nothing of these cameras is to come any more."""
        with self.news:
            if self._closed or self.stopping:
                return True
            wanted = [camera for name, camera in self._cameras.items() if cameras is None or name in cameras]
            return bool(wanted) and all(camera.ended for camera in wanted)

    def _advance(
        self, context: CallerContext, name: str, *, wanted: bool, newest: bool
    ) -> Result | bool | None:
        """A result, True for a record that is none, None where there is nothing."""
        camera, tracks = self._cameras[name], context.feeds.get(pool_of_outputs(context.config, name))
        if tracks is None:
            return None
        first = self._late and camera.last_seq == 0
        take = tracks.lease_newest if newest or first or not wanted else tracks.lease_next
        lease = take(camera.last_seq)
        if lease is None:
            return None
        result: Result | None = None
        with lease:
            meta = ResultMeta.unpack(lease.meta)
            frames = context.feeds.get(f"frames:{name}")
            announced = frames is not None and frames.has_come_to(meta.frame_seq)
            if wanted and self._frames and not announced:
                return None
            lost = 0 if newest or first else lease.gap
            if meta.flags & FrameFlag.END_OF_STREAM:
                camera.ended = True
                context.send("finished", camera=name)
            elif not meta.flags & FrameFlag.NOTICE and wanted:
                result = self._result(context, camera, name, meta, lease, lost)
        camera.counts["overrun" if not newest else "passed_over"] += lease.gap if wanted and not first else 0
        camera.last_seq, camera.frame_seq = lease.seq, meta.frame_seq
        tracks.acknowledge(lease.seq)
        if result is None or result.frame is None:
            self._acknowledge_frame(name)
        return True if result is None else result

    def _result(
        self, context: CallerContext, camera: _Camera, name: str, meta: ResultMeta, lease: Lease, lost: int
    ) -> Result:
        raw = result_in(context, name, meta, lease, camera.last_index)
        camera.last_index = meta.index
        raw = replace(raw, tracks=own(raw.tracks), events=own_events(raw.events))
        return Result(raw, self._frame(context, camera, name, meta.frame_seq) if self._frames else None, lost)

    def _frame(self, context: CallerContext, camera: _Camera, name: str, seq: int) -> Frame | None:
        lease = context.feeds[f"frames:{name}"].lease(seq) if camera.held < FRAMES_OF_PROGRAM else None
        if lease is None:
            camera.counts["frame_gone"] += 1
            return None
        camera.held += 1

        def let_go() -> None:
            with self.news:
                camera.held -= 1
                if not self._closed:
                    lease.release()
                    self._acknowledge_frame(name)

        return Frame(FrameNv12.view(FrameMeta.unpack(lease.meta), lease.array()), let_go)

    def _acknowledge_frame(self, name: str) -> None:
        """The frames of all results that were taken over are done with, unless one is still held."""
        assert self._context is not None
        camera, frames = self._cameras.get(name), self._context.feeds.get(f"frames:{name}")
        if camera is not None and frames is not None and frames.ready and not camera.held:
            frames.acknowledge(camera.frame_seq)

    def _release_newest(self) -> None:
        newest, self._newest = self._newest, None
        if newest is not None and newest.frame is not None:
            newest.frame.release()

    def leave(self) -> None:
        """Do not wait for whoever may be reading, once the run stops: the program itself has asked for the end.

        A run that is not the program's goes on, and is left at once.
        """
        with self.news:
            self._leaving = True
            if self._late and self._context is not None and not self._closed:
                self._context.stopping = True
                self._context.wake.notify()
            self.news.notify_all()

    @property
    def stopping(self) -> bool:
        """Whether the run has ended or is about to."""
        context = self._context
        return self.ended.is_set() or (context is not None and (context.stopping or context.hung_up))

    def counts(self) -> dict[str, dict[str, int]]:
        """By camera, what the program did not get: `overrun`, `passed_over`, `frame_gone`."""
        with self.news:
            return {
                name: {reason: number for reason, number in camera.counts.items() if number}
                for name, camera in self._cameras.items()
            }

    def cameras(self) -> list[str]:
        """Names of the run's cameras at present."""
        with self.news:
            return list(self._cameras)

    def camera_settings(self) -> tuple[CameraConfig, ...]:
        """The settings of the run's cameras at present."""
        context = self._context
        return () if context is None else context.config.cameras

    def _say(self, kind: str, **fields: Any) -> None:
        """Tell the supervisor something; nobody hears it once the run is over."""
        context = self._context
        if context is not None and not self._closed and not context.hung_up:
            try:
                context.send(kind, **fields)
            except ChannelClosed:
                context.hung_up = True

    def ask(self, worker: str, command: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """What a worker answers to a command. Raises `CommandError`, or `CommandTimeout` where it does not answer."""
        if self._context is None or self._closed:
            raise CommandError(f"{command}: the run is over, or was not started", "unavailable")
        number = f"{os.getpid()}-{next(self._numbers)}"
        answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._answers[number] = answers
        try:
            self._say("command", id=number, to=worker, command=command, **fields)
            answer = answers.get(timeout=timeout_s)
        except queue.Empty:
            raise CommandTimeout(
                f"{worker} did not answer within {timeout_s:g} s; whether it has done it is not known"
            ) from None
        finally:
            del self._answers[number]
        if not answer["ok"]:
            raise CommandError(str(answer["error"]), str(answer["failure"]))
        result: dict[str, Any] = answer["result"]
        return result

    def _answered(self, message: Message) -> None:
        waiting = self._answers.get(message["id"])
        if waiting is not None:
            waiting.put(message)

    def join(self, timeout_s: float) -> bool:
        """Wait until it has hung up; False where that took longer."""
        until = time.monotonic() + timeout_s
        while self._thread.is_alive() and time.monotonic() < until:
            self._thread.join(0.1)
        return not self._thread.is_alive()
