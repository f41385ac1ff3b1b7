"""Changes of a running run, applied step by step between two looks at everything else, or undone.

One change at a time. A change is a generator that yields wherever it has to wait, so that the supervisor goes on
watching meanwhile. Knows processes and pools; what a change consists of is planned in `engine.live_changes`.

    drain    the decoder of a camera that goes is stopped, its last frames run through
    create   pools and workers that come; nobody knows of them yet, so that this can fail without a trace
    tell     pools are announced, then the configuration; those that go on say when they have taken it over
    try      new workers start, decoders open their sources: where one cannot, everything is undone
    dismiss  workers and pools that nobody uses any more
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine import topology
from engine.config import RunConfig
from engine.errors import ConfigError, EngineError
from engine.live_changes import ChangePlan, begins_anew, cameras_of, check_stages, plan_change
from engine.run_plan import CameraRun
from engine.secrets import mask_text, mask_url
from engine.segment_setup import check_segmenter
from engine.status import frame_accounts
from engine.types import FrameMeta, ResultMeta
from ipc.segment import SegmentError

if TYPE_CHECKING:
    from engine.process import WorkerProcess
    from engine.supervisor import Supervisor

Steps = Generator[None, None, None]
Result = Generator[None, None, dict[str, Any]]
Answer = Callable[[dict[str, Any] | None, str, str], None]
"""Takes a result, or None, one line of why not, and what kind of no it is."""

DRAIN_S: Final = 2.0
"""How long the last frames of a camera that goes have to run through."""
DECODER_STOP_S: Final = 2.5
"""A decoder that is told to end leaves within `runtime.STOP_GRACE_S`, whatever it is stuck in."""
TAKE_OVER_S: Final = 3.0
"""Workers that have not taken a change over by then do so when they come to it; nobody waits any longer."""
TRIAL_S: Final = 8.0
"""A source that has said nothing by then is taken for one that will come: a camera that is down is waited for."""
KILLED_S: Final = 5.0
CAMERAS_REMEMBERED: Final = 1000
"""Cameras that were removed whose numbers go on when they come back."""


class Refused(EngineError):
    """A change that is not carried out; `failure` says what kind of reason it is."""

    def __init__(self, text: str, failure: str) -> None:
        super().__init__(text)
        self.failure = failure


@dataclass
class _Telling:
    """A configuration under way to workers: `awaited` by name, the incarnation that was told; `problems` so far."""

    revision: int = 0
    awaited: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class LiveChanges:
    """See the module. Belongs to the supervisor's loop.

    by_hand  cameras have been added or removed: whoever did that says when the run is over
    """

    def __init__(self, run: Supervisor) -> None:
        self._run = run
        self.by_hand = False
        self._queue: deque[tuple[Callable[[], Result], Answer]] = deque()
        self._current: tuple[Result, Answer] | None = None
        self._telling = _Telling()
        self._leaving: list[WorkerProcess] = []
        self._undoing = False
        self._sources_before: dict[str, tuple[int, int]] = {}

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return self._current is not None or bool(self._queue)

    def submit(self, work: Callable[[], Result], answer: Answer) -> None:
        """Have a change made when it is its turn; `answer` is called once."""
        self._queue.append((work, answer))

    def step(self) -> None:
        """Go on with the change under way, as far as that goes without waiting."""
        for process in [process for process in self._leaving if process.exited]:
            self._leaving.remove(process)
            process.confirm_death(KILLED_S)
            process.close()
        while self.busy:
            if self._current is None:
                work, answer = self._queue.popleft()
                self._current = work(), answer
            steps, answer = self._current
            try:
                next(steps)
                return
            except StopIteration as end:
                self._run.publish_status()  # who looks after the answer sees it done
                answer(end.value, "", "")
            except Refused as refused:
                answer(None, str(refused), refused.failure)
            except EngineError as error:
                answer(None, str(error), "invalid")
            self._current = None

    def give_up(self, reason: str) -> None:
        """Begin nothing more: whoever waits hears why."""
        waiting = [answer for _, answer in self._queue]
        if self._current is not None:
            steps, answer = self._current
            steps.close()
            waiting.insert(0, answer)
        self._queue.clear()
        self._current = None
        for answer in waiting:
            answer(None, reason, "unavailable")

    def configured(self, process: WorkerProcess, revision: int, error: str) -> None:
        """A worker has taken a configuration over, or says why it cannot."""
        told = self._telling.awaited
        if revision == self._telling.revision and told.pop(process.name, None) is not None:
            if error:
                self._telling.problems.append(f"{process.name}: {error}")
        elif error:
            # Too late to undo: it begins again with the configuration as it is now.
            self._run.terminal.log(
                "error", process.name, f"could not take a change over: {error}; started again"
            )
            process.kill()

    # What can be done.

    def apply(self, after: RunConfig) -> Steps:
        """Make `after` the run's configuration, or raise what is in the way and leave everything as it was."""
        run = self._run
        before = run.config
        check_stages(before, after)
        check_segmenter(after)
        plan = plan_change(before, after)
        self._check_open(plan)
        for name in plan.removed:
            yield from self._drain(name)
        self._create(plan, after)
        try:
            yield from self._carry_out(plan, after)
        except Refused:
            back = plan_change(after, before)
            self._create(back, before)
            yield from self._carry_out(back, before, undoing=True)
            raise

    def stop(self, names: Sequence[str]) -> Steps:
        """Stop cameras: nothing is decoded any more, everything else of theirs stays."""
        decoders = [self._run.processes[f"decode:{name}"] for name in names]
        for name, process in zip(names, decoders, strict=True):
            self._run.cameras[name].stopped = True
            self._tell_to_end(process)
        for process in decoders:
            yield from self._until_gone(process)

    def start(self, names: Sequence[str]) -> Steps:
        """Start stopped cameras again. Raises `Refused` where a source cannot be read; that camera stays stopped."""
        decoders = {name: self._run.processes[f"decode:{name}"] for name in names}
        for name, process in decoders.items():
            self._start_again(process)
            self._run.cameras[name].stopped = False
        yield from self._until(lambda: all(map(_has_shown, decoders.values())), TRIAL_S)
        failed = {name: process for name, process in decoders.items() if _has_failed(process)}
        problems = [f"{process.name}: {process.detail}" for process in failed.values()]
        for process in decoders.values():
            process.on_trial = False
        for name, process in failed.items():
            self._run.cameras[name].stopped = True
            self._tell_to_end(process)
        if problems:
            raise Refused("; ".join(map(mask_text, problems)), "unavailable")

    # The parts of a change.

    def _check_open(self, plan: ChangePlan) -> None:
        """A source that has come to its end has nothing more to open."""
        for worker in plan.restarts:
            camera = self._run.cameras[self._run.processes[worker].spec.camera]
            if camera.failed or self.has_ended(camera.name):
                raise Refused(
                    f"camera {camera.name!r} has come to its end; remove it and add it again", "conflict"
                )

    def has_ended(self, name: str) -> bool:
        """Whether a camera's source has come to its end."""
        process = self._run.processes[f"decode:{name}"]
        return process.wanted and process.state in ("stopped", "failed") and process.incarnation >= 0

    def _drain(self, name: str) -> Steps:
        """Stop a camera's decoder and let its last frames run through, for so long."""
        process = self._run.processes[f"decode:{name}"]
        self._tell_to_end(process)
        yield from self._until_gone(process)
        yield from self._until(lambda: has_run_through(self._run, name), DRAIN_S)

    def _create(self, plan: ChangePlan, after: RunConfig) -> None:
        """Workers and pools that come. Raises `Refused` where there is no memory for them, and leaves none."""
        run = self._run
        try:
            for spec in plan.starts:
                run.create_worker(spec)
            for pool in plan.made:
                run.pools.create(pool)
        except (SegmentError, OSError) as error:
            for pool in plan.made:
                run.pools.drop(pool.name)
            for spec in plan.starts:
                if spec.name in run.processes:
                    run.forget_worker(spec.name)
            raise Refused(f"{', '.join(plan.added) or 'the change'}: {error}", "unavailable") from None

    def _carry_out(self, plan: ChangePlan, after: RunConfig, *, undoing: bool = False) -> Steps:
        """Everything from telling to dismissing. Raises `Refused` before anything is dismissed, unless `undoing`."""
        run = self._run
        self._undoing = undoing
        self._enter(plan, after)
        new = {spec.name for spec in plan.starts}
        self._announce(plan, new)
        self._tell(plan.told, after)
        for spec in plan.starts:
            process = run.processes[spec.name]
            process.on_trial = True
            run.start(process)
        for name in plan.restarts:
            yield from self._open_again(name)
        tried = [run.processes[name] for name in (*new, *plan.restarts) if name in run.processes]
        tried = [process for process in tried if process.wanted]
        yield from self._until(self._taken_over, TAKE_OVER_S)
        yield from self._until(lambda: all(map(_has_shown, tried)), TRIAL_S)
        problems = [
            *self._telling.problems,
            *(f"{each.name}: {each.detail}" for each in tried if _has_failed(each)),
        ]
        self._telling.awaited.clear()
        if problems and not undoing:
            raise Refused("; ".join(map(mask_text, problems)), "unavailable")
        for problem in problems:
            run.terminal.log("error", "engine", f"while a change was undone: {problem}")
        for process in tried:
            process.on_trial = False
        yield from self._dismiss(plan)

    def _enter(self, plan: ChangePlan, after: RunConfig) -> None:
        """The run's own books."""
        run, cameras = self._run, cameras_of(after)
        before, run.config = cameras_of(run.config), after
        self.by_hand = self.by_hand or bool(plan.added or plan.removed)
        for name in plan.removed:
            self._remember(name)
            del run.cameras[name]
        for name in plan.added:
            first_frame = run.past.get(name, {}).get("frame", 0)
            run.cameras[name] = CameraRun(name, mask_url(cameras[name].source), first_frame=first_frame)
            run.cameras[name].outputs_left = run.outputs_of(name)
        for name in plan.changed:
            camera = run.cameras[name]
            camera.masked_source = mask_url(cameras[name].source)
            old, new = before[name], cameras[name]
            camera.regions += (old.zones, old.lines) != (new.zones, new.lines)
            if begins_anew(before[name], cameras[name]):
                self._begin_anew(camera)

    def _begin_anew(self, camera: CameraRun) -> None:
        """Its source is another, unless it is the one before, of a change that is undone before it gave a picture."""
        came_to = next_frame(self._run, camera.name)
        was_at, first_frame = self._sources_before.pop(camera.name, (-1, 0))
        if was_at == came_to and self._undoing:
            camera.first_frame = first_frame
            return
        self._sources_before = {camera.name: (came_to, camera.first_frame)}
        camera.first_frame = came_to

    def _remember(self, name: str) -> None:
        """Where a camera that goes has come to: its numbers go on if it comes back."""
        run = self._run
        past = run.past.pop(name, {"frame": 0, "track": 1})
        tracks = run.pools.newest(f"tracks:{name}")
        newest = tracks.memory.newest_meta() if tracks else None
        track = ResultMeta.unpack(newest).next_track_id if newest else 1
        run.past[name] = {
            "frame": max(past["frame"], next_frame(run, name)),
            "track": max(past["track"], track),
        }
        while len(run.past) > CAMERAS_REMEMBERED:
            del run.past[next(iter(run.past))]

    def _announce(self, plan: ChangePlan, new: set[str]) -> None:
        """Hand pools to those who are there already; new workers get theirs when they start."""
        run = self._run
        for spec in plan.rewired:
            live = run.pools.newest(spec.name)
            assert live is not None, f"there is no {spec.name}"
            added = set(spec.consumers) - set(live.spec.consumers)
            run.pools.rewire(spec)
            self._announce_to(spec, added - new)
            run.processes[spec.producer].send(
                {"type": "wakes", "name": spec.name}, run.pools.wakes_after(spec.name)
            )
        for spec in plan.made:
            self._announce_to(spec, {spec.producer, *spec.consumers} - new)

    def _announce_to(self, spec: topology.PoolSpec, workers: Iterable[str]) -> None:
        run = self._run
        live = run.pools.newest(spec.name)
        assert live is not None, f"there is no {spec.name}"
        for worker in workers:
            run.processes[worker].send(*run.pools.announcement(live, worker))

    def _tell(self, names: Iterable[str], after: RunConfig) -> None:
        """Send the configuration to those who go on."""
        run, document = self._run, after.to_json()
        self._telling = telling = _Telling(self._telling.revision + 1)
        for name in names:
            process = run.processes[name]
            message = {"config": document, "revision": telling.revision, **run.known_of_cameras()}
            process.send({"type": "config", **message})
            if process.pid is not None and process.has_reported():
                telling.awaited[name] = process.incarnation

    def _taken_over(self) -> bool:
        """Whether everybody has; who has died meanwhile begins with the new configuration."""
        awaited = self._telling.awaited
        for name, incarnation in list(awaited.items()):
            process = self._run.processes[name]
            if process.pid is None or process.incarnation != incarnation:
                del awaited[name]
        return not awaited

    def _open_again(self, name: str) -> Steps:
        """A decoder begins anew with the settings of now, unless its camera is stopped."""
        process = self._run.processes[name]
        if self._run.cameras[process.spec.camera].stopped:
            return
        self._tell_to_end(process)
        yield from self._until_gone(process)
        self._start_again(process)

    def _dismiss(self, plan: ChangePlan) -> Steps:
        """Workers that go end in order, then pools are given back."""
        run = self._run
        going = [run.processes[name] for name in plan.stops]
        for process in going:
            self._tell_to_end(process)
        for process in going:
            yield from self._until_gone(process)
            if process.pid is None:
                run.forget_worker(process.name)
            else:  # a thread that is stuck: it ends when it comes to itself, and is nobody's meanwhile
                run.let_go(process)
                self._leaving.append(process)
        for name in (*plan.dropped, *(f"frames:{camera}" for camera in plan.removed)):
            run.pools.drop(name)

    def _tell_to_end(self, process: WorkerProcess) -> None:
        process.wanted = False
        if process.pid is None:
            process.state, process.detail = "stopped", ""
        process.send({"type": "stop"})

    def _until_gone(self, process: WorkerProcess) -> Steps:
        """Until a worker that was told to end has; a process that does not in time is killed, a thread left alone."""
        config = self._run.config
        patience_s = config.supervisor.stop_timeout_s
        if process.spec.kind == "decode":
            patience_s = config.decode.timeout_s + DECODER_STOP_S if process.spec.host else DECODER_STOP_S
        if (yield from self._until(lambda: process.pid is None, patience_s)) or process.spec.host:
            return
        process.kill()
        yield from self._until(lambda: process.pid is None, KILLED_S)

    def _start_again(self, process: WorkerProcess) -> None:
        """On trial, and not counted as a restart after a death."""
        if process.pid is not None:  # a thread that is stuck
            self._run.cameras[process.spec.camera].stopped = True
            raise Refused(
                f"{process.name} has not ended yet: it hangs in its source; try again", "unavailable"
            )
        process.wanted, process.on_trial = True, True
        process.ordered += 1
        self._run.start(process)

    def _until(self, condition: Callable[[], bool], patience_s: float) -> Generator[None, None, bool]:
        """Wait for something, so long; whether it has come."""
        until_ns = self._run.clock.now_ns() + round(patience_s * 1e9)
        while not condition():
            if self._run.clock.now_ns() >= until_ns:
                return False
            yield
        return True


def _has_shown(process: WorkerProcess) -> bool:
    """Whether a worker on trial has shown that it can work, or that it cannot."""
    if process.state == "failed":
        return True
    snapshot = process.snapshot
    if not process.has_reported() or snapshot.get("fatal"):
        return False
    return process.spec.kind != "decode" or snapshot.get("state", "connecting") not in (
        "connecting",
        "failed",
    )


def _has_failed(process: WorkerProcess) -> bool:
    return process.state == "failed"


def next_frame(run: Supervisor, name: str) -> int:
    """Number of a camera's next frame."""
    frames = run.pools.newest(f"frames:{name}")
    newest = frames.memory.newest_meta() if frames else None
    return FrameMeta.unpack(newest).index + 1 if newest else run.past.get(name, {}).get("frame", 0)


def has_run_through(run: Supervisor, name: str) -> bool:
    """Whether everything that a camera has given is with its outputs."""
    if frame_accounts(run, name).pending > 0:
        return False
    for spec in topology.result_pools(run.config, name):
        live = run.pools.newest(spec.name)
        if live is None or spec.producer in ("ptz", f"stream:{name}"):
            continue
        told = live.memory.statistics()
        rows = [row for reader, row in spec.consumers.items() if reader not in topology.ONLOOKERS]
        if any(told.acknowledged[row] < told.newest_seq for row in rows):
            return False
    return True


def unknown_camera(name: object, there: Iterable[str]) -> Refused:
    """The refusal of a name that no camera has."""
    names = ", ".join(there) or "none"
    return Refused(f"no camera {name!r}; there are: {names}", "not-found")


def as_conflict(error: ConfigError) -> Refused:
    """What is wrong in the present state, not in itself."""
    return Refused(str(error), "conflict")
