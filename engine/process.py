"""One worker as the supervisor sees it: start, listen, confirm death, decide on a restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from engine.control.status import ProcessState
from engine.secrets import mask_text
from engine.topology import STATUS_SLOT_BYTES, WorkerSpec
from engine.workers.feed import layout_to_json
from ipc.channel import Channel, ChannelClosed, Message
from ipc.notify import Notifier
from ipc.pool import Consumer, PoolLayout, PoolMemory

BACKOFF_S: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
STDERR_LINES_KEPT: Final = 20
_STDERR_READ_BYTES: Final = 65536
CHANNEL_TIMEOUT_S: Final = 2.0


@dataclass
class RestartPolicy:
    """When to start a dead worker again: at once the first time, then ever later, and not for ever.

    limit, window_s  it is given up when it dies more than `limit` times in so many seconds; None: never
    """

    limit: int | None
    window_s: float
    deaths_ns: deque[int] = field(default_factory=deque)

    def after_death(self, now_ns: int) -> float | None:
        """Seconds to wait before the next start; None when it is given up."""
        while self.deaths_ns and now_ns - self.deaths_ns[0] > self.window_s * 1e9:
            self.deaths_ns.popleft()
        self.deaths_ns.append(now_ns)
        if self.limit is not None and len(self.deaths_ns) > self.limit:
            return None
        return BACKOFF_S[min(len(self.deaths_ns), len(BACKOFF_S)) - 1]


@dataclass(frozen=True)
class HostedThread:
    """A worker's life as a thread in the process of another: what is used of `subprocess.Popen`, and nothing more.

    channel  ours, to the thread, which hangs up when it ends; so does the kernel when its process dies
    host     the process it runs in
    """

    channel: Channel
    host: subprocess.Popen[bytes]
    stderr: None = None

    @property
    def pid(self) -> int:
        """Number of the process it runs in."""
        return self.host.pid

    def wait(self, timeout: float) -> int:
        """Wait for the end. Raises `subprocess.TimeoutExpired`."""
        if not self.channel.hung_up(timeout):
            raise subprocess.TimeoutExpired("thread", timeout)
        return 0

    def kill(self) -> None:
        """A thread cannot be killed; its process can."""
        self.host.kill()


@dataclass(frozen=True)
class CallerThread:
    """A worker's life as a thread of the program that has started the run, in the supervisor's own process.

    channel  ours, to the thread, which hangs up when it ends
    """

    channel: Channel
    stderr: None = None

    @property
    def pid(self) -> int:
        """Number of this process."""
        return os.getpid()

    def wait(self, timeout: float) -> int:
        """Wait for the end. Raises `subprocess.TimeoutExpired`."""
        if not self.channel.hung_up(timeout):
            raise subprocess.TimeoutExpired("thread", timeout)
        return 0

    def kill(self) -> None:
        """A thread cannot be killed: it is not listened to any more, and hears so."""
        self.channel.hang_up()


@dataclass(frozen=True)
class Visitor:
    """A program that has attached itself: it is neither started nor killed by us.

    channel  ours, to the program
    pid      number of its process
    """

    channel: Channel
    pid: int
    stderr: None = None

    def wait(self, timeout: float) -> int:
        """Wait until it has hung up. Raises `subprocess.TimeoutExpired`."""
        if not self.channel.hung_up(timeout):
            raise subprocess.TimeoutExpired("visitor", timeout)
        return 0

    def kill(self) -> None:
        """It is not listened to any more, and hears so."""
        self.channel.hang_up()


class WorkerProcess:
    """A worker over all its incarnations, in a process of its own or hosted in another's.

    state  starting, running, backoff, failed, stopped
    fatal  what it has said of why it cannot work
    ended  a hosted worker has said that it is done, whether well or not: its host lives on
    wanted    False once it has been told to end while the run goes on: its death is no fault
    on_trial  True while the change that has started it may still be undone: that it fails ends nothing else
    ordered   how often it was started again because somebody wanted it, not because it had died
    """

    def __init__(self, spec: WorkerSpec, policy: RestartPolicy, lock_path: str | None = None) -> None:
        self.spec = spec
        self.policy = policy
        self.wake = Notifier.create()
        self.state: ProcessState = "stopped"
        self.detail = ""
        self.incarnation = -1
        self.started_ns = 0
        self.restart_due_ns = 0
        self.fatal: Message | None = None
        self.ended = False
        self.wanted = True
        self.on_trial = False
        self.ordered = 0
        self.channel: Channel | None = None
        self.stderr_tail: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._stderr_rest = b""
        self._life: subprocess.Popen[bytes] | HostedThread | CallerThread | Visitor | None = None
        self._status_memory = PoolMemory(
            f"status:{spec.name}", PoolLayout((1,), STATUS_SLOT_BYTES, 1), lock_path
        )
        self._status = Consumer(
            self._status_memory.layout,
            self._status_memory.control_fd,
            self._status_memory.data_fd,
            0,
            lock_path=lock_path,
        )
        self._status_seq = 0
        self.snapshot: dict[str, Any] = {}
        self._cpu_s_before = 0.0

    @property
    def name(self) -> str:
        """The worker's, unique in a run."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Number of the process while it runs."""
        return self._life.pid if self._life else None

    @property
    def restarts(self) -> int:
        """How often it was started again after a death."""
        return max(0, self.incarnation - self.ordered)

    @property
    def stderr_fd(self) -> int:
        """Descriptor to read the worker's error output from."""
        if self._life is None or self._life.stderr is None:
            raise ValueError(f"{self.spec.name} has no process of its own that runs")
        return self._life.stderr.fileno()

    @property
    def has_stderr(self) -> bool:
        """Whether there is error output of its own: a hosted worker's is that of its host."""
        return self._life is not None and self._life.stderr is not None

    def announce_status_pool(self) -> None:
        """Hand over the pool that the worker writes its status into; this also tells it to begin."""
        memory = self._status_memory
        message: Message = {
            "type": "pool",
            "name": "status",
            "role": "producer",
            "row": -1,
            "layout": layout_to_json(memory.layout),
            "lock_path": memory.lock_path,
        }
        self.send(message, [memory.control_fd, memory.data_fd])

    def start(self, now_ns: int, host: WorkerProcess | None = None) -> Channel:
        """Start the next incarnation, in the process of `host` if one is given; returns the channel to it."""
        self.stderr_tail.clear()
        self._stderr_rest = b""
        ours, theirs = Channel.pair()
        self.incarnation += 1
        self.state, self.detail, self.fatal, self.ended = "starting", "", None, False
        self.started_ns = now_ns
        self._life = self._spawn(theirs) if host is None else host.take_in(self.spec, ours, theirs)
        theirs.close()
        ours.set_timeout(CHANNEL_TIMEOUT_S)
        self.channel = ours
        return ours

    def take_in(self, spec: WorkerSpec, ours: Channel, theirs: Channel) -> HostedThread:
        """Have another worker run in this one's process, which must be there."""
        assert isinstance(self._life, subprocess.Popen), f"{self.spec.name} does not run"
        self.send({"type": "host", "kind": spec.kind, "name": spec.name}, [theirs.fileno()])
        return HostedThread(ours, self._life)

    def _spawn(self, theirs: Channel) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.workers.runtime", self.spec.kind, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # `-m` would look for modules in the present folder first, where the user may have an `engine` too.
            # Workers are the parallelism: numpy's threads for small products would only fight with them.
            env={"OPENBLAS_NUM_THREADS": "1", **os.environ, "PYTHONSAFEPATH": "1"},
            # A Ctrl-C in the terminal is the supervisor's alone. No session of its own: Linux shares the processor out
            # among sessions (autogroup), and niceness would mean nothing between workers.
            process_group=0,
        )
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        return process

    def read_stderr(self) -> list[str] | None:
        """Whole lines of what the worker's libraries have printed; None at the end of the stream.

        Raises `BlockingIOError` when there is nothing to read at present.
        """
        if not self.has_stderr:
            return None
        data = os.read(self.stderr_fd, _STDERR_READ_BYTES)
        if not data and not self._stderr_rest:
            return None
        *lines, rest = (self._stderr_rest + (data or b"\n")).replace(b"\r", b"\n").split(b"\n")
        self._stderr_rest = rest[-_STDERR_READ_BYTES:]
        texts = [text for line in lines if (text := line.decode(errors="replace").rstrip())]
        self.stderr_tail.extend(texts)
        return texts

    def send(self, message: Message, descriptors: list[int] | None = None) -> None:
        """Send to the worker; a dead one is noticed by its end-of-file, not here."""
        if self.channel is None:
            return
        try:
            self.channel.send(message, descriptors or ())
        except ChannelClosed:
            self.detail = "does not listen any more"

    def read_snapshot(self) -> dict[str, Any]:
        """The newest status that the worker has written."""
        lease = self._status.lease_newest(self._status_seq)
        if lease is not None:
            with lease:
                self._status_seq = lease.seq
                length = int.from_bytes(lease.meta[:4], "little")
                self.snapshot = orjson.loads(lease.data[:length])
        return self.snapshot

    def heartbeat_age_s(self, now_ns: int) -> float:
        """Seconds since the worker last gave a sign of life (since its start, before the first)."""
        last_ns = max(self.started_ns, int(self.snapshot.get("heartbeat_ns", 0)))
        return max(0.0, (now_ns - last_ns) / 1e9)

    def has_reported(self) -> bool:
        """True once the present incarnation has written a status."""
        return int(self.snapshot.get("heartbeat_ns", 0)) > self.started_ns

    @property
    def cpu_s(self) -> float:
        """Processor time of all incarnations, as far as they have told."""
        return self._cpu_s_before + float(self.snapshot.get("cpu_s", 0.0))

    @property
    def exited(self) -> bool:
        """True when it has ended but its death is not confirmed yet."""
        if isinstance(self._life, CallerThread | Visitor):
            return self._life.channel.hung_up(0)
        if isinstance(self._life, HostedThread):
            # Without a word only its process can have ended it, which is confirmed first.
            return self._life.channel.hung_up(0) and (self.ended or self._life.host.poll() is not None)
        return self._life is not None and self._life.poll() is not None

    def wait_exited(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for it to end by itself."""
        if self._life is None:
            return True
        try:
            self._life.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to the process it runs in. What it held is freed by `confirm_death` and the reaping that follows."""
        if self._life is not None:
            self._life.kill()

    def confirm_death(self, timeout_s: float) -> int | None:
        """Wait until it is gone and return its exit status, or its host's; None if it still lives.

        Closes everything that led to it: what it has said must have been read before.
        """
        if self._life is None:
            return 0
        try:
            status = self._life.wait(timeout_s)
            if isinstance(self._life, HostedThread) and not self.ended:
                status = self._life.host.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        if self._life.stderr is not None:
            self._life.stderr.close()
        if self.channel is not None:
            self.channel.close()
        self.channel, self._life = None, None
        self._status_memory.reap_producer()
        self.read_snapshot()
        self._cpu_s_before = self.cpu_s
        self.snapshot.update(cpu_s=0.0, rss_bytes=0, fds=0, threads=0)
        return status

    def cause_of_death(self, status: int | None) -> str:
        """What is known of it in one line, with the last line that the worker has printed."""
        if status is not None and status < 0:
            return f"killed by {signal.Signals(-status).name}"
        last_words = f" ({mask_text(self.stderr_tail[-1])})" if status and self.stderr_tail else ""
        return f"exit status {status}{last_words}"

    def close(self) -> None:
        """Give back the notifier and the status memory."""
        self.wake.close()
        self._status.close()
        self._status_memory.close()


class CallerWorker(WorkerProcess):
    """The worker through which a program reads the results of the run that it has started (`engine.api`).

    take  is given the program's end of the channel
    """

    def __init__(
        self, spec: WorkerSpec, policy: RestartPolicy, lock_path: str | None, take: Callable[[Channel], None]
    ) -> None:
        super().__init__(spec, policy, lock_path)
        self._take = take

    def start(self, now_ns: int, host: WorkerProcess | None = None) -> Channel:
        """Hand the channel over; there is nothing to be started."""
        self.incarnation += 1
        self.state, self.detail, self.fatal, self.ended = "starting", "", None, False
        self.started_ns = now_ns
        ours, theirs = Channel.pair()
        ours.set_timeout(CHANNEL_TIMEOUT_S)
        self.channel, self._life = ours, CallerThread(ours)
        self._take(theirs)
        return ours

    def heartbeat_age_s(self, now_ns: int) -> float:
        """Always fresh: a program that is held up holds the supervisor up as well."""
        return 0.0


class AttachedWorker(WorkerProcess):
    """The worker that a program is while it is attached (`engine.attach`). Who goes, or never comes, is not missed."""

    def __init__(self, spec: WorkerSpec, policy: RestartPolicy, lock_path: str | None = None) -> None:
        super().__init__(spec, policy, lock_path)
        self.wanted = False
        self.visitor: tuple[Channel, int] | None = None
        """Who stands in the door: taken in by the next `start`."""

    def start(self, now_ns: int, host: WorkerProcess | None = None) -> Channel:
        """Take the visitor in."""
        assert self.visitor is not None, "nobody is there"
        (channel, pid), self.visitor = self.visitor, None
        self.incarnation += 1
        self.ordered = self.incarnation  # each comes because it wants to
        self.state, self.detail, self.fatal, self.ended = "starting", "", None, False
        self.started_ns = now_ns
        channel.set_timeout(CHANNEL_TIMEOUT_S)
        self.channel, self._life = channel, Visitor(channel, pid)
        return channel

    def heartbeat_age_s(self, now_ns: int) -> float:
        """Always fresh: a program that is held up, in a debugger say, is not ours to kill."""
        return 0.0
