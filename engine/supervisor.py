"""The supervisor: creates pools, starts workers, watches, reaps, restarts, stops in order. Does no media work.

One thread, one loop. It owns all shared memory and all decisions about processes; workers own the media.
"""

from __future__ import annotations

import contextlib
import os
import selectors

import orjson

from engine import topology
from engine.attach import Door
from engine.clock import Clock
from engine.config.identity import OFF
from engine.control.status import EngineStatus, ModelStatus, degraded_lines
from engine.errors import WorkerError
from engine.live_changes import settled
from engine.pools import LivePool, Pools
from engine.process import AttachedWorker, CallerWorker, RestartPolicy, WorkerProcess
from engine.relay import Relay
from engine.run_directory import RunDirectory
from engine.run_plan import CameraRun as CameraRun
from engine.run_plan import RunPlan as RunPlan
from engine.secrets import mask_text, mask_url
from engine.signals import StopSignals
from engine.status import status_of_run
from engine.supervisor_changes import LiveChanges
from engine.supervisor_commands import ENGINE, EngineCommands
from engine.supervisor_stop import stop_in_order
from engine.terminal import Terminal
from ipc.channel import ChannelClosed, Message
from ipc.pool import PoolLayout, PoolMemory, Producer
from ipc.segment import SegmentError

TICK_S = 0.1
STATUS_INTERVAL_S = 0.5
RUN_STATUS_BYTES = 4 * 2**20
HANG_UP_GRACE_S = 1.0
KILL_PATIENCE_S = 5.0


class Supervisor:
    """One run. `run` returns the exit code; `status` is the last look at everything.

    config  the present configuration: cameras come, go and change while the run goes on (`changes`)
    past    cameras that have been removed: number of the next frame, ID of the next track, should they come back
    """

    status: EngineStatus

    def __init__(self, plan: RunPlan, clock: Clock, terminal: Terminal) -> None:
        self.plan = plan
        self.config = settled(plan.config)
        self.clock = clock
        self.terminal = terminal
        self.exit_code = 0
        self.started_ns = clock.now_ns()
        self.started_wall_ns = clock.wall_ns()
        self.cameras = {
            camera.name: CameraRun(camera.name, mask_url(camera.source)) for camera in plan.config.cameras
        }
        self.past: dict[str, dict[str, int]] = {}
        self.processes: dict[str, WorkerProcess] = {}
        self.labels: list[str] | None = None
        self.models = dict(plan.models)
        self.changes = LiveChanges(self)
        self._commands = EngineCommands(self, self.changes)
        self._relay = Relay()
        self._stop_reason = ""
        self._selector = selectors.DefaultSelector()
        self._run_directory = (
            None if os.uname().sysname == "Linux" else RunDirectory(RunDirectory.default_base())
        )
        self._status_due_ns = 0
        self._open()

    def _open(self) -> None:
        config = self.config
        self._door = Door(config.output.attach) if config.output.attach != OFF else None
        self.pools = Pools({}, self._run_directory)
        for spec in topology.workers(config):
            self.create_worker(spec)
        for camera in self.cameras.values():
            camera.outputs_left = self.outputs_of(camera.name)
        for name in self.cameras:
            for pool in topology.result_pools(config, name):
                self.pools.create(pool)
        layout = PoolLayout((1, 1), RUN_STATUS_BYTES, 1)
        self._status_pool = LivePool(
            topology.PoolSpec("run-status", "", "supervisor", {"control": 0, "bus": 1}, layout),
            PoolMemory("run-status", layout, self._lock_file("run-status")),
        )
        memory = self._status_pool.memory
        self._status_writer = Producer(layout, memory.control_fd, memory.data_fd, memory.lock_path)

    def create_worker(self, spec: topology.WorkerSpec) -> WorkerProcess:
        """A worker of the run from now on; `start` starts it. Raises `ipc.segment.SegmentError`."""
        limits = self.config.supervisor
        never_given_up = spec.kind in ("decode", "ptz", "publish", "bus") and not self.config.offline
        policy = RestartPolicy(None if never_given_up else limits.restart_limit, limits.restart_window_s)
        lock_file = self._lock_file(f"status-{spec.name}")
        if spec.kind == "api" and self.plan.caller is not None:
            process: WorkerProcess = CallerWorker(spec, policy, lock_file, self.plan.caller)
        elif spec.kind == "api":
            process = AttachedWorker(spec, policy, lock_file)
        else:
            process = WorkerProcess(spec, policy, lock_file)
        self.processes[spec.name] = process
        self.pools.wakes[spec.name] = process.wake
        return process

    def forget_worker(self, name: str) -> None:
        """A worker that has ended is none of the run's any more."""
        del self.pools.wakes[name]
        self.processes.pop(name).close()

    def let_go(self, process: WorkerProcess) -> None:
        """A worker that does not end is none of the run's any more, though it lives."""
        self._unregister(process)
        del self.pools.wakes[process.name], self.processes[process.name]

    def outputs_of(self, camera: str) -> set[str]:
        """The workers that finish a camera's files."""
        return {
            name
            for name, process in self.processes.items()
            if process.spec.kind in ("output", "stream", "record", "api")
            and process.spec.camera in ("", camera)
            and not isinstance(process, AttachedWorker)
        }

    def _lock_file(self, label: str) -> str | None:
        return self._run_directory.new_lock_file(label) if self._run_directory else None

    def run(self) -> int:
        """Start everything, watch until the work is done or a signal comes, stop everything."""
        with StopSignals(self._selector) as signals:
            try:
                for process in self.processes.values():
                    if isinstance(process, AttachedWorker) and self._door is not None:
                        self._selector.register(self._door, selectors.EVENT_READ, (process, "door"))
                    else:
                        self.start(process)
                while not self._stop_reason:
                    self._tick(signals)
                self.terminal.log("info", "engine", f"stopping: {self._stop_reason}")
                self.changes.give_up("the run is stopping")
                stop_in_order(self)
                self.status = self.publish_status()
            finally:
                self._close()
        return self.exit_code

    def stop(self, reason: str) -> None:
        """End the run soon. May be called by any thread."""
        self._stop_reason = self._stop_reason or reason

    def _tick(self, signals: StopSignals) -> None:
        for key, _ in self._selector.select(TICK_S):
            if key.data is None:
                self._stop_reason = signals.received()
                continue
            process, stream = key.data
            if stream == "stderr":
                self._read_stderr(process)
            elif stream == "door":
                self._let_in(process)
            else:
                self._receive(process)
        now_ns = self.clock.now_ns()
        for process in self.processes.values():
            self._watch(process, now_ns)
        self.changes.step()
        if now_ns >= self._status_due_ns:
            self._status_due_ns = now_ns + round(STATUS_INTERVAL_S * 1e9)
            self.publish_status()
        duration_s = self.config.duration_s
        if duration_s is not None and now_ns - self.started_ns >= duration_s * 1e9:
            self._stop_reason = self._stop_reason or f"--duration {duration_s:g} s is over"
        changing = self.changes.busy or self.changes.by_hand or not self.cameras
        if not changing and all(camera.done for camera in self.cameras.values()):
            self._stop_reason = self._stop_reason or "every source has ended"

    def _host(self, process: WorkerProcess) -> WorkerProcess | None:
        """The worker in whose process this one runs."""
        return self.processes[process.spec.host] if process.spec.host else None

    def start(self, process: WorkerProcess) -> None:
        """Start a worker, or its next incarnation, with the present configuration and everything that is its own."""
        spec, config, host = process.spec, self.config, self._host(process)
        camera = self.cameras.get(spec.camera)
        if host is not None and host.pid is None:
            process.state, process.restart_due_ns = "backoff", self.clock.now_ns()
            return  # `_watch` comes again, and the host before this one
        channel = process.start(self.clock.now_ns(), host)
        process.send(
            {
                "type": "start",
                "name": spec.name,
                "camera": spec.camera,
                "incarnation": process.incarnation,
                "config": config.to_json(),
                "params": {
                    "model": self.plan.model,
                    "reid": self.plan.reid,
                    "first_frame": camera.first_frame if camera else 0,
                    "on_trial": process.on_trial,
                },
                **self.known_of_cameras(),
                "before": process.snapshot,
            },
            list(process.wake.descriptors),
        )
        for live in self.pools.of_worker(spec.name):
            process.send(*self.pools.announcement(live, spec.name))
        if self.labels is not None:
            process.send({"type": "labels", "labels": self.labels})
        if lines := degraded_lines(self.models.values()):
            process.send({"type": "degraded", "lines": lines})
        if spec.kind == "bus":
            process.send(*self.pools.announcement(self._status_pool, spec.name))
        if spec.kind == "control" and self.plan.listening is not None:
            process.send(*self.pools.announcement(self._status_pool, spec.name))
            process.send({"type": "descriptors"}, [self.plan.listening.fileno()])
        process.announce_status_pool()
        self._selector.register(channel, selectors.EVENT_READ, (process, "channel"))
        if process.has_stderr:
            self._selector.register(process.stderr_fd, selectors.EVENT_READ, (process, "stderr"))

    def _let_in(self, process: AttachedWorker) -> None:
        """Somebody knocks who wants to read this run."""
        assert self._door is not None
        process.visitor = self._door.let_in(taken=process.pid is not None)
        if process.visitor is not None:
            self.terminal.log("info", "engine", f"process {process.visitor[1]} is attached and reads results")
            self.start(process)

    def known_of_cameras(self) -> Message:
        """What workers are told of cameras besides their configuration."""
        return {
            "past": {name: past for name, past in self.past.items() if name in self.cameras},
            "regions": {name: camera.regions for name, camera in self.cameras.items() if camera.regions},
        }

    def _receive(self, process: WorkerProcess) -> None:
        if process.channel is None:
            return
        try:
            message, _ = process.channel.receive()
        except ChannelClosed:
            self._selector.unregister(process.channel)
            if process.spec.host:
                return  # `_watch` tells whether it has ended alone, or its host with it
            # Whoever has hung up is about to end; if not, `_watch` sees it once it is dead.
            if process.wait_exited(HANG_UP_GRACE_S):
                self._bury(process)
            else:
                process.kill()
            return
        self._handle(process, message)

    def _handle(self, process: WorkerProcess, message: Message) -> None:
        kind = message["type"]
        if kind == "log":
            self.terminal.log(message["level"], process.spec.name, mask_text(message["text"]))
        elif kind == "labels":
            self.labels = message["labels"]
            for other in self.processes.values():
                other.send({"type": "labels", "labels": self.labels})
        elif kind == "frame-pool":
            self._create_frame_pool(message["camera"], message["width"], message["height"])
        elif kind == "command":
            self._command(message, process)
        elif kind == "answer":
            self._relay.answer(message)
        else:
            self._note(process, message)

    def _note(self, process: WorkerProcess, message: Message) -> None:
        """What a worker says of its own work."""
        kind = message["type"]
        if kind == "finished":
            if (camera := self.cameras.get(message["camera"])) is not None:
                camera.outputs_left.discard(process.spec.name)
        elif kind == "configured":
            self.changes.configured(process, message["revision"], message["error"])
        elif kind == "fatal":
            process.fatal = message
        elif kind == "ended":
            process.ended = True
        elif kind == "model":
            self._take_model(message["what"], message["told"])
        elif kind == "command":
            self._command(message, process)
        elif kind == "answer":
            self._relay.answer(message)

    def _take_model(self, what: str, told: ModelStatus) -> None:
        """Another model than before is in use; who writes records says so, too, where it stands in for one."""
        before = degraded_lines(self.models.values())
        self.models[what] = told
        if (lines := degraded_lines(self.models.values())) == before:
            return
        if told["degraded"]:
            self.terminal.log("warning", "engine", f"degraded: {told['degraded']}")
        for process in self.processes.values():
            process.send({"type": "degraded", "lines": lines})

    def _command(self, message: Message, requester: WorkerProcess) -> None:
        if message["to"] == ENGINE:
            self._commands.take(message, requester)
            return
        target = self.processes.get(message["to"])
        there = target if target is not None and target.pid is not None else None
        self._relay.forward(message, requester, there, belongs=target is not None)

    def _create_frame_pool(self, camera: str, width: int, height: int) -> None:
        if camera not in self.cameras:
            return  # it has been removed since
        before = self.pools.newest(f"frames:{camera}")
        generation = before.spec.layout.generation + 1 if before else 1
        first_seq = before.memory.newest_seq() + 1 if before else 1
        spec = topology.frame_pool(self.config, camera, width, height, generation, first_seq)
        try:
            live = self.pools.create(spec)
        except SegmentError as error:
            self.fail(self.processes[spec.producer], str(error), WorkerError.exit_code)
            self.processes[spec.producer].send({"type": "stop"})
            return
        mebibytes = spec.layout.data_bytes / 2**20
        self.terminal.log(
            "info", "engine", f"{camera}: {spec.layout.slots} slots for {width}x{height}, {mebibytes:.0f} MiB"
        )
        for worker in (spec.producer, *spec.consumers):
            self.processes[worker].send(*self.pools.announcement(live, worker))

    def _read_stderr(self, process: WorkerProcess) -> None:
        if not process.has_stderr:
            return
        with contextlib.suppress(BlockingIOError):
            lines = process.read_stderr()
            if lines is None:
                self._selector.unregister(process.stderr_fd)
            self._log_stderr(process, lines or [])

    def _log_stderr(self, process: WorkerProcess, lines: list[str]) -> None:
        for line in lines:
            self.terminal.log("debug", process.spec.name, mask_text(line))

    def _watch(self, process: WorkerProcess, now_ns: int) -> None:
        limits = self.config.supervisor
        if process.state == "backoff" and now_ns >= process.restart_due_ns:
            self.start(process)
        elif process.exited:
            self._bury(process)
        elif process.state in ("starting", "running"):
            process.read_snapshot()
            reported = process.has_reported()
            process.state = "running" if reported else "starting"
            if (host := self._host(process)) is not None:
                reported &= host.has_reported()  # a library that loads may keep the whole process waiting
            patience_s = limits.hang_timeout_s if reported else limits.start_timeout_s
            if process.heartbeat_age_s(now_ns) > patience_s:
                self.terminal.log(
                    "error",
                    process.spec.name,
                    f"no sign of life for {patience_s:g} s: killed and started again",
                )
                process.kill()

    def confirm_death(self, process: WorkerProcess) -> int | None:
        """Take what a dead worker has said last, and free what it held; returns its exit status.

        Nothing is freed while it lives, which a process stuck in the kernel does even when killed: then None.
        """
        if not process.wait_exited(KILL_PATIENCE_S):
            return None
        self._unregister(process)
        while process.channel is not None:
            try:
                message, _ = process.channel.receive()
            except ChannelClosed:
                break
            self._handle(process, message)
        with contextlib.suppress(BlockingIOError):  # whatever it has started may hold the other end
            while (lines := process.read_stderr()) is not None:
                self._log_stderr(process, lines)
        status = process.confirm_death(KILL_PATIENCE_S)
        self.pools.reap(process.spec.name)
        self._relay.died(process.spec.name)
        return status

    def _bury(self, process: WorkerProcess) -> None:
        """Confirm the death of a worker, free what it held, and decide what follows."""
        status = self.confirm_death(process)
        for other in self.processes.values():
            other.wake.notify()
        if process.state == "failed":
            return
        if not process.wanted:
            process.state, process.detail = "stopped", ""
        elif process.fatal is not None:
            self.fail(process, process.fatal["message"], process.fatal["exit_code"])
        elif process.spec.kind == "decode" and status == 0:
            self._source_ended(process)
        elif process.spec.host:
            # No death of its own to count: when its host comes back, so does it.
            process.state, process.detail = "backoff", f"its process {process.spec.host} died"
            process.restart_due_ns = self.clock.now_ns()
        else:
            self._restart_later(process, status)

    def _source_ended(self, process: WorkerProcess) -> None:
        """The outputs will see the end of the stream, unless there was no picture and so no pool for it."""
        process.state = "stopped"
        camera = self.cameras[process.spec.camera]
        if self.pools.newest(f"frames:{camera.name}") is None:
            camera.outputs_left.clear()

    def _restart_later(self, process: WorkerProcess, status: int | None) -> None:
        cause = process.cause_of_death(status)
        delay_s = process.policy.after_death(self.clock.now_ns())
        if delay_s is None:
            deaths, window_s = len(process.policy.deaths_ns), process.policy.window_s
            self.fail(process, f"died {deaths} times in {window_s:g} s, last: {cause}", WorkerError.exit_code)
            return
        process.state, process.detail = "backoff", cause
        process.restart_due_ns = self.clock.now_ns() + round(delay_s * 1e9)
        self.terminal.log("warning", process.spec.name, f"{cause}; starts again in {delay_s:g} s")

    def fail(self, process: WorkerProcess, reason: str, exit_code: int) -> None:
        """A worker will not come back: its camera ends, or the run does."""
        process.state, process.detail = "failed", reason
        if process.on_trial:
            return  # who has asked for it hears of it
        self.exit_code = self.exit_code or exit_code
        self.terminal.log("error", process.spec.name, reason)
        if process.spec.kind != "decode":
            self._stop_reason = self._stop_reason or f"{process.spec.name} failed: {reason}"
            return
        camera = self.cameras[process.spec.camera]
        camera.failed = reason
        silent = process.fatal is None or process.snapshot.get("silent")
        if silent or self.pools.newest(f"frames:{camera.name}") is None:
            camera.outputs_left.clear()

    def _unregister(self, process: WorkerProcess) -> None:
        for item in (process.channel, process.stderr_fd if process.has_stderr else None):
            if item is not None and item in self._selector.get_map():
                self._selector.unregister(item)

    def publish_status(self) -> EngineStatus:
        """Write the state of everything where the control process reads it."""
        now_ns = self.clock.now_ns()
        for process in self.processes.values():
            process.read_snapshot()
        status = status_of_run(self, now_ns)
        body = orjson.dumps(status)
        with self._status_writer.write() as slot:
            slot.meta[:4] = len(body).to_bytes(4, "little")
            slot.data[: len(body)] = body
        self.terminal.show(status)
        return status

    def _close(self) -> None:
        for process in self.processes.values():
            if process.pid is not None:
                process.kill()
                process.confirm_death(timeout_s=5.0)
            process.close()
        self.pools.close()
        self._status_pool.memory.close()
        self._selector.close()
        if self._door is not None:
            self._door.close()
        if self._run_directory is not None:
            self._run_directory.remove()
