"""What every worker has: its configuration, its pools, a wake-up, a status line to the supervisor.

`python -m engine.workers.runtime KIND FD` is what the supervisor starts. The worker's own module supplies
`run(context)`, a loop that reads top to bottom. A worker ends when it is told to, when its work is done, or
when the supervisor is gone. It may host others: each runs in a thread of the host's process, on a channel of its own.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import orjson

from engine import topology
from engine.clock import Clock, SystemClock
from engine.config import CameraConfig, RunConfig
from engine.errors import EngineError
from engine.types import FrameFlag
from engine.workers.feed import Feed, Writer, layout_from_json
from engine.workers.regions import Regions
from engine.workers.surfaces import Surfaces
from ipc.channel import Channel, ChannelClosed, Message
from ipc.notify import Notifier
from ipc.pool import Consumer, Producer

STATUS_INTERVAL_S = 0.25
USAGE_INTERVAL_S = 1.0
"""The kernel is asked less often: it lists every descriptor, which is most of what an idle worker costs."""
STOP_GRACE_S = 1.5
EXIT_FATAL = 3
"""Exit status of a worker that has reported why it cannot work; it is not restarted."""
EXIT_STUCK = 4
"""Exit status of a worker that was told to stop and could not within `Context.stop_grace_s`."""
EXIT_ORPHANED = 5
"""Exit status of a worker that has lost its supervisor. 0 is for work that is done."""


class Context:
    """The worker's view of the run. Owned by the thread that does the worker's work.

    name, camera, incarnation   who this is, and how many predecessors it has had
    config                      the run's configuration; another one once cameras come, go or change (`on_config`)
    past                        cameras that were in this run before and have come back, by name: number of the next
                                `frame`, ID of the next `track`
    before                      the last status of the predecessor, {} for the first incarnation
    feeds, writers              pools by name; filled as the supervisor hands them over
    labels                      class names of the detector, None until it is known
    degraded                    a line for each model that stands in for the one that was asked for
    status, before_status       what this worker tells of itself, and a hook that brings it up to date
    stop_grace_s                how long it may go on once it is told to stop; None: until the supervisor kills it
    on_answer                   what takes answers to commands of this worker's own; called by the listening thread
    on_config                   what takes over another configuration: (before, after), in the worker's own thread, when
                                `config` is the one after and pools of new cameras are there. Pools that the worker does
                                not get any more are closed behind it. It may raise an `EngineError`: then it has left
                                everything as it was, and the change is undone for everybody
    hosted                      whether it is a thread in another worker's process
    surfaces                    pictures in GPU memory, shared by everybody in this process
    """

    def __init__(
        self, channel: Channel, start: Message, wake: Notifier, clock: Clock, host: Context | None = None
    ) -> None:
        self.name: str = start["name"]
        self.camera: str = start["camera"]
        self.incarnation: int = start["incarnation"]
        self.config = RunConfig.from_json(start["config"])
        self.params: dict[str, Any] = start["params"]
        self.past: dict[str, dict[str, int]] = start.get("past", {})
        self._regions = Regions(self.config, start.get("regions", {}))
        self.before: dict[str, Any] = start["before"]
        self.clock = clock
        self.wake = wake
        self.feeds: dict[str, Feed] = {}
        self.writers: dict[str, Writer] = {}
        self.labels: tuple[str, ...] | None = None
        self.degraded: tuple[str, ...] = ()
        self.descriptors: list[int] = []
        self.stopping = False
        self.status: dict[str, Any] = {}
        self.before_status: Callable[[], None] = lambda: None
        self.on_answer: Callable[[Message], None] = lambda _: None
        self.on_config: Callable[[RunConfig, RunConfig], None] = _ignore
        self.hosted = host is not None
        self.surfaces: Surfaces = Surfaces() if host is None else host.surfaces
        # The process may not leave for the sake of one thread.
        self.stop_grace_s: float | None = None if self.hosted else STOP_GRACE_S
        self._channel = channel
        self._closing = False
        self._send_lock = threading.Lock()
        self._inbox: queue.SimpleQueue[tuple[Message, list[int]]] = queue.SimpleQueue()
        self._commands: list[Message] = []
        self._status_writer: Producer | None = None
        self._status_due_ns = 0
        self._usage: dict[str, float] = {}
        self._usage_due_ns = 0

    def listen(self) -> None:
        """Receive messages until `close` (runs in a thread of its own); the process ends with the supervisor."""
        while True:
            try:
                message, descriptors = self._channel.receive()
            except ChannelClosed:
                if self._closing:
                    return
                os._exit(EXIT_ORPHANED)
            if message["type"] == "host":
                # Here, because the main thread may be busy for long, with loading a model.
                arguments = (self, message["kind"], Channel.from_descriptor(descriptors[0]))
                threading.Thread(target=run_hosted, args=arguments, name=message["name"], daemon=True).start()
                continue
            if message["type"] == "answer":
                self.on_answer(message)
                continue
            self.deliver(message, descriptors)
            if message["type"] == "stop":
                threading.Thread(target=self._leave_soon, daemon=True).start()

    def deliver(self, message: Message, descriptors: list[int]) -> None:
        """Keep a message for the main thread and wake it. May be called by any thread."""
        self._inbox.put((message, descriptors))
        self.wake.notify()

    def _leave_soon(self) -> None:
        """A main thread that is stuck in a library must not use up the time that others need to stop."""
        if self.stop_grace_s is not None:
            time.sleep(self.stop_grace_s)
            os._exit(EXIT_STUCK)

    def handle_messages(self) -> None:
        """Take over what the supervisor has sent: pools, labels, the order to stop."""
        while True:
            try:
                message, descriptors = self._inbox.get_nowait()
            except queue.Empty:
                return
            kind = message["type"]
            if kind == "stop":
                self.stopping = True
            elif kind == "labels":
                self.labels = tuple(message["labels"])
            elif kind == "pool":
                self._attach(message, descriptors)
            elif kind == "descriptors":
                self.descriptors += descriptors
            elif kind == "command":
                self._commands.append(message)
            else:
                self._change(message, descriptors)

    def _change(self, message: Message, descriptors: list[int]) -> None:
        """What has been there since the start is another now."""
        if message["type"] == "config":
            self._take_over(message)
        elif message["type"] == "degraded":
            self.degraded = tuple(message["lines"])
        elif message["type"] == "wakes":
            self.writers[message["name"]].wake_instead(self._notifiers(descriptors))
        else:  # from a supervisor that knows more than this worker
            for fd in descriptors:
                os.close(fd)

    def _take_over(self, message: Message) -> None:
        """Another configuration: hand it on, let go of what is not ours any more, say that it is done."""
        before, after = self.config, RunConfig.from_json(message["config"])
        past, self.past, self.config = self.past, message["past"], after
        regions, self._regions = self._regions, self._regions.followed_by(after, message["regions"])
        error = ""
        try:
            if after != before:
                self._forget_predecessor()
                self.on_config(before, after)
        except EngineError as refused:
            self.past, self.config, self._regions, error = past, before, regions, str(refused)
        self._let_go_of_others()
        self.publish_status()  # who looks after the change sees what came of it
        self.send("configured", revision=message["revision"], error=error)

    def _forget_predecessor(self) -> None:
        """What it said was of cameras that were there then, not of one that comes back under the same name."""
        if self.on_config is not _ignore:
            self.before = {}

    def _let_go_of_others(self) -> None:
        """Close what the present configuration does not give to this worker."""
        ours = topology.pools_of(self.config, self.name)
        for ends in (self.feeds, self.writers):
            for name in [name for name in ends if ":" in name and name not in ours]:
                ends.pop(name).close()

    def _notifiers(self, descriptors: list[int]) -> list[Notifier]:
        width = len(self.wake.descriptors)
        return [Notifier(tuple(descriptors[i : i + width])) for i in range(0, len(descriptors), width)]

    def regions_flag(self, camera: str) -> FrameFlag:
        """What a record says of how its events number a camera's zones and lines."""
        return FrameFlag.REGIONS if self._regions.revision_of(camera) % 2 else FrameFlag.NONE

    def regions_of(self, camera: str, flags: FrameFlag) -> CameraConfig | None:
        """The camera with the zones and lines that a record's events number; None for one that is gone."""
        return self._regions.of_record(camera, flags)

    def goes_on(self, camera: str) -> bool:
        """Whether files of this camera are of this run: the worker, or the camera, was there before."""
        return self.incarnation > 0 or camera in self.past

    def _attach(self, message: Message, descriptors: list[int]) -> None:
        layout = layout_from_json(message["layout"])
        control_fd, data_fd, *wake_fds = descriptors
        wakes = self._notifiers(wake_fds)
        lock_path = message["lock_path"]
        name = message["name"]
        if message["role"] == "producer":
            producer = Producer(layout, control_fd, data_fd, lock_path)
            if name == "status":
                self._status_writer = producer
            else:
                self.writers[name] = Writer(producer, wakes, self.writers.get(name))
        else:
            consumer = Consumer(layout, control_fd, data_fd, message["row"], lock_path=lock_path)
            self.feeds.setdefault(name, Feed()).add(consumer, wakes)
        os.close(data_fd)
        os.close(control_fd)

    def wait(self, timeout_s: float) -> None:
        """Sleep until something may have happened, at most `timeout_s`; then tend messages and status."""
        self.wake.wait(min(timeout_s, STATUS_INTERVAL_S))
        self.tend()

    def work_through(self, step: Callable[[], bool]) -> None:
        """Call `step` again and again until told to stop and it has nothing left to do; wait while it has not.

        `step` says whether it has done anything.
        """
        while True:
            if step():
                self.tend()
            elif self.stopping:
                return
            else:
                self.wait(STATUS_INTERVAL_S)

    def tend(self) -> None:
        """Handle messages and publish the status when it is due. Call it in every round of the loop."""
        self.handle_messages()
        if self.clock.now_ns() >= self._status_due_ns:
            self.publish_status()

    def publish_status(self) -> None:
        """Write the status where the supervisor reads it; its age is this worker's heartbeat."""
        now_ns = self.clock.now_ns()
        self._status_due_ns = now_ns + round(STATUS_INTERVAL_S * 1e9)
        if self._status_writer is None:
            return
        self.before_status()
        if now_ns >= self._usage_due_ns:
            self._usage_due_ns = now_ns + round(USAGE_INTERVAL_S * 1e9)
            self._usage = self._look_at_usage()
        body = orjson.dumps({**self.status, **self._usage, "heartbeat_ns": now_ns})
        with self._status_writer.write() as slot:
            slot.meta[:4] = len(body).to_bytes(4, "little")
            slot.data[: len(body)] = body

    def _look_at_usage(self) -> dict[str, float]:
        """Memory, processor time, descriptors and threads of this process."""
        if self.hosted:  # its host tells, for both
            return {"rss_bytes": 0, "cpu_s": 0.0, "fds": 0, "threads": 0}
        return {"rss_bytes": resident_bytes(), "cpu_s": time.process_time(), **open_handles()}

    def send(self, kind: str, **fields: Any) -> None:
        """Tell the supervisor something."""
        with self._send_lock:
            self._channel.send({"type": kind, **fields})

    def log(self, level: str, text: str) -> None:
        """One line for the user (`info`, `warning`, `error`) or for developers (`debug`)."""
        self.send("log", level=level, text=text)

    def commands(self) -> list[Message]:
        """Commands that have come since the last call, oldest first. Each is to be answered once."""
        commands, self._commands = self._commands, []
        return commands

    def answer(
        self,
        command: Message,
        result: dict[str, Any] | None = None,
        error: str = "",
        failure: str = "invalid",
    ) -> None:
        """Answer a command: with a result, or with one line of why not.

        failure  `invalid` (what was asked for makes no sense), `not-found` (of something that is not there), `conflict`
                 (not in the present state), `unavailable` (not now)
        """
        self.send("answer", id=command["id"], ok=not error, result=result or {}, error=error, failure=failure)

    def wait_for_start(self) -> None:
        """Wait until the supervisor has handed over everything that was there at the start."""
        while not self.stopping and self._status_writer is None:
            self.wake.wait(1.0)
            self.handle_messages()

    def close(self, listener: threading.Thread) -> None:
        """Hang up, and give back all that the end of a process would give back."""
        self._closing = True
        self._channel.hang_up()
        listener.join()
        self._channel.close()
        while not self._inbox.empty():
            for fd in self._inbox.get()[1]:
                os.close(fd)
        for end in (*self.feeds.values(), *self.writers.values(), self._status_writer, self.wake):
            if end is not None:
                end.close()
        # The mappings go with the last reference to them, not with a garbage collection some time later.
        self.feeds.clear()
        self.writers.clear()
        self._status_writer, self.before_status = None, lambda: None


def _ignore(before: RunConfig, after: RunConfig) -> None:
    """What a worker does with another configuration unless it says something else."""


class LogHandler(logging.Handler):
    """Hands what the engine's modules log to the user: they know no context."""

    def __init__(self, context: Context) -> None:
        super().__init__(logging.INFO)
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        """One line, at the nearest of our levels."""
        severe, worth_a_look = record.levelno >= logging.ERROR, record.levelno >= logging.WARNING
        self._context.log("error" if severe else "warning" if worth_a_look else "info", record.getMessage())


def resident_bytes() -> int:
    """Memory of this process that is in RAM now; the peak where the system does not tell."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def open_handles() -> dict[str, int]:
    """File descriptors that this process has open, and its threads, those of libraries included where that is told."""
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError:
        threads = threading.active_count()
    try:
        return {"fds": len(os.listdir("/dev/fd")), "threads": threads}
    except OSError:
        return {"fds": 0, "threads": threads}


def die_with_parent() -> None:
    """Ask Linux to kill this process when the supervisor dies, even while a library holds the GIL."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(EXIT_ORPHANED)


def main(argv: list[str]) -> int:
    """Run one worker: connect, receive the start message, hand over to the worker's module."""
    kind, fd = argv
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    channel = Channel.from_descriptor(int(fd))
    try:
        start, wake_fds = channel.receive()
        context = Context(channel, start, Notifier(tuple(wake_fds)), SystemClock())
        logger = logging.getLogger("engine")
        logger.setLevel(logging.INFO)
        logger.addHandler(LogHandler(context))
        threading.Thread(target=context.listen, name="supervisor-link", daemon=True).start()
        return work(context, kind)
    except ChannelClosed:
        return EXIT_ORPHANED


def run_hosted(host: Context, kind: str, channel: Channel) -> None:
    """Run one worker in this thread of the host's process.

    What a worker says on purpose ends this worker alone. Anything unforeseen ends the process, as it does in one of
    its own: what state it has left behind nobody knows.
    """
    try:
        start, wake_fds = channel.receive()
        context = Context(channel, start, Notifier(tuple(wake_fds)), SystemClock(), host)
        listener = threading.Thread(target=context.listen, name=f"{context.name}-link", daemon=True)
        listener.start()
        work(context, kind)
        context.send("ended")
        context.close(listener)
    except ChannelClosed:
        os._exit(EXIT_ORPHANED)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def work(context: Context, kind: str) -> int:
    """Do the work of a `kind` of worker; returns the exit status."""
    module = importlib.import_module(f"engine.workers.{kind}")
    context.wait_for_start()
    try:
        module.run(context)
    except EngineError as error:
        context.status["fatal"] = True
        context.publish_status()
        context.send("fatal", message=str(error), exit_code=error.exit_code, error=type(error).__name__)
        return EXIT_FATAL
    context.publish_status()
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stderr.flush()
    # Library threads (FFmpeg, ONNX Runtime) may still run; there is nothing left to wait for.
    os._exit(status)
