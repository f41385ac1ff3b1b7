"""The segmenter in its lane: loaded when it is first needed, one keyframe at a time, given up when it fails.

Everything here belongs to the worker's main thread; the lane's thread sees the segmenter and its memory alone. Does not
know cameras: whose keyframe comes next is decided elsewhere.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from engine.clock import Clock
from engine.config import SegmentConfig
from engine.errors import EngineError
from engine.metrics import BusyMeter
from engine.models.embedded import StandIn
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_memory import MemoryBank
from engine.models.segmenter_folder import ResolvedSegmenter, resolve_segmenter
from engine.segmentation.jobs import KeyframeJob, KeyframeResult
from engine.types import FrameNv12, MaskSource
from engine.workers.segment_keyframe import forget_only, run_job
from engine.workers.segment_thread import Lane

RETRY_S = 30.0
"""A segmenter that could not be loaded, or has failed, is tried again after this, if it is still wanted."""


LEAST_LONG_S = 2.0
"""What takes the lane longer than this, and than twice the latency that is wanted, is spoken of."""
_NEWEST_KEYFRAMES = 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """A segmenter and what it remembers."""

    segmenter: Segmenter
    bank: MemoryBank
    resolved: ResolvedSegmenter


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a keyframe: a result, or why there is none; neither where it was interrupted."""

    job: KeyframeJob
    result: KeyframeResult | None
    error: str = ""


class SegmentLane:
    """See the module.

    problem    why there is no segmenter although one was wanted; "" otherwise
    ever       whether one has been loaded in the life of this process
    keyframes, rows   frames that were segmented, and objects on them
    """

    def __init__(
        self,
        settings: SegmentConfig,
        wake: Callable[[], None],
        clock: Clock,
        stand_in: StandIn | None = None,
    ) -> None:
        """stand_in: what takes the place of a segmenter that cannot be had; None = nothing."""
        self._settings = settings
        self._stand_in = stand_in
        self._clock = clock
        self._lane = Lane(wake, clock)
        self._loading: Future[Loaded] | None = None
        self._loaded: Loaded | None = None
        self._running: tuple[KeyframeJob, Future[KeyframeResult | None]] | None = None
        self._interrupt = threading.Event()
        self._interrupted_last = False
        self._retry_at_ns = 0
        self.problem = ""
        self.ever = False
        self.keyframes = self.rows = 0
        self.busy = BusyMeter(clock)
        self._newest_rows: deque[int] = deque(maxlen=_NEWEST_KEYFRAMES)

    @property
    def ready(self) -> bool:
        """Whether a keyframe can begin now."""
        return self._loaded is not None and not self._lane.busy

    @property
    def loaded(self) -> bool:
        """Whether there is a segmenter."""
        return self._loaded is not None

    @property
    def loading(self) -> bool:
        """Whether one is being loaded."""
        return self._loading is not None

    @property
    def description(self) -> str:
        """What runs, in a line; "" while nothing is loaded."""
        return self._loaded.segmenter.description if self._loaded else ""

    @property
    def resolved(self) -> ResolvedSegmenter | None:
        """Which segmenter is loaded, and why that one; None while none is."""
        return self._loaded.resolved if self._loaded else None

    @property
    def priority(self) -> str:
        """What was done about the priority of its threads."""
        return self._lane.priority

    def check(self) -> None:
        """Raise the `ModelError` that loading would certainly end with: no such folder, a damaged sidecar."""
        resolve_segmenter(self._settings.model, stand_in=self._stand_in)

    def want(self) -> None:
        """Have the segmenter loaded, unless it is, or has just failed."""
        due = self._clock.now_ns() >= self._retry_at_ns
        if self._loaded is None and self._loading is None and due and not self._lane.busy:
            self._loading = self._lane.begin(f"loading segmenter {self._settings.model}", self._load)

    def begin(self, job: KeyframeJob, frame: FrameNv12 | None) -> None:
        """Segment a frame, whose memory has to stay until the outcome is there. Only where the lane is `ready`.

        A job without requests and points needs no frame.
        """
        assert self._loaded is not None
        segmenter, bank = self._loaded.segmenter, self._loaded.bank
        run: Callable[[], KeyframeResult | None] = partial(forget_only, bank, job)
        self._interrupt.clear()
        if frame is not None:
            run = partial(run_job, segmenter, bank, frame, job, self._clock, self._interrupt.is_set)
            self.keyframes += 1
            self.rows += len(job.requests)
            self._newest_rows.append(len(job.requests))
        self.busy.begin()
        self._running = job, self._lane.begin(f"keyframe {job.frame_seq} of {job.camera}", run)

    def interrupt(self) -> None:
        """Somebody waits for a keyframe of his own: give up the one under way at the next opportunity.

        Not one that somebody else waits for, and never two running: the others' masks must be refreshed, too.
        """
        if self._running is None or self._interrupted_last:
            return
        if not any(request.source is MaskSource.PROMPT for request in self._running[0].requests):
            self._interrupt.set()

    def poll(self) -> Outcome | None:
        """Take note of what the lane has finished; the outcome of a keyframe, if that is what it was.

        Raises what nobody foresaw.
        """
        if self._loading is not None and self._loading.done():
            self._take_load(self._loading)
            self._loading = None
        if self._running is None or not self._running[1].done():
            return None
        job, answer = self._running
        self._running = None
        self._lane.end()
        self.busy.end()
        error = answer.exception()
        if error is None:
            self._interrupted_last = answer.result() is None
            return Outcome(job, answer.result())
        if not isinstance(error, EngineError):
            raise error
        self._give_up(str(error))
        return Outcome(job, None, str(error))

    def rows_per_keyframe(self) -> float | None:
        """Mean objects of the newest keyframes; None before the first."""
        return sum(self._newest_rows) / len(self._newest_rows) if self._newest_rows else None

    def go_on_from(self, told: dict[str, Any]) -> None:
        """Count on where a predecessor stopped."""
        self.keyframes, self.rows = int(told.get("keyframes", 0)), int(told.get("rows", 0))

    def degraded(self) -> dict[str, str]:
        """What runs worse than it was asked for, in words, by what it is about."""
        reasons = dict(enumerate(self._loaded.segmenter.degraded)) if self._loaded else {}
        found = {f"backend {number}": reason for number, reason in reasons.items()}
        if self.problem:
            found[f"problem {self.problem}"] = f"no masks by SAM2: {self.problem}"
        what, for_s = self._lane.under_way()
        if for_s > max(LEAST_LONG_S, 2e-3 * self._settings.latency_ms):
            found["slow"] = (
                f"masks wait: {what} takes {for_s:.0f} s so far; other work has the processor, or it hangs"
            )
        return found

    def choices(self) -> list[dict[str, Any]]:
        """Automatic decisions, for /health."""
        return [asdict(choice) for choice in self._loaded.segmenter.choices] if self._loaded else []

    def close(self) -> None:
        """Begin nothing more. A thread that is at work, and the segmenter with it, ends with the process."""
        self._lane.close()
        if self._loaded is not None and not self._lane.busy:
            self._loaded.segmenter.close()

    def _load(self) -> Loaded:
        settings = self._settings
        options = SegmenterOptions(
            backends=settings.backends,
            threads=settings.threads,
            motion_aware=settings.motion_aware,
            freeze_iou=settings.freeze_iou,
        )
        resolved = resolve_segmenter(settings.model, stand_in=self._stand_in)
        segmenter = Segmenter.load(resolved.folder, options)
        return Loaded(segmenter, segmenter.new_bank(settings.max_objects), resolved)

    def _take_load(self, loading: Future[Loaded]) -> None:
        self._lane.end()
        error = loading.exception()
        if error is None:
            self._loaded, self.problem, self.ever = loading.result(), "", True
            return
        if not isinstance(error, EngineError):
            raise error
        self._give_up(str(error))

    def _give_up(self, why: str) -> None:
        if self._loaded is not None:
            self._loaded.segmenter.close()
            self._loaded = None
        self.problem = why
        self._retry_at_ns = self._clock.now_ns() + round(RETRY_S * 1e9)
