"""The contract of an output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from engine.config.regions import Line, Zone
from engine.types import Events, FrameNv12, ResultMeta, Tracks

LATENCY_STAGES = ("decode", "queue", "infer", "track", "total")
"""The stages that `FrameResult.latency_ms` speaks of, in the order a frame passes them."""


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything known of one frame at the end of the pipeline.

    camera      name of the camera
    meta        which frame, and its latency trace
    tracks      its objects
    labels      class names; `tracks.class_ids` index into it
    emitted_ns  monotonic ns when the output stage took it up
    skipped     frames of the source passed over since the previous result
    events      what happened in it
    zones, lines  those of the camera; `events.regions` index into them
    degraded    a line for each model that stands in for the one that was asked for
    """

    camera: str
    meta: ResultMeta
    tracks: Tracks
    labels: tuple[str, ...]
    emitted_ns: int
    skipped: int = 0
    events: Events = field(default_factory=Events.empty)
    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()
    degraded: tuple[str, ...] = ()

    def label_of(self, class_id: int) -> str:
        """The name of a class; `class 7` where the model names fewer than it finds, `object` where there is none.

        Only what somebody has pointed at has no class.
        """
        if class_id < 0:
            return "object"
        return self.labels[class_id] if class_id < len(self.labels) else f"class {class_id}"

    def latency_ms(self) -> dict[str, float | None]:
        """Milliseconds spent in each of `LATENCY_STAGES`; None for a stage that this frame did not pass.

        decode = captured → published, queue → taken into a batch, infer → inferred, track → tracked,
        total = captured → emitted.
        """
        trace = self.meta.trace
        spans = (
            (trace.captured_ns, trace.published_ns), (trace.published_ns, trace.batched_ns),
            (trace.batched_ns, trace.inferred_ns), (trace.inferred_ns, trace.tracked_ns),
            (trace.captured_ns, self.emitted_ns),
        )  # fmt: skip
        return {
            stage: (end - start) / 1e6 if start and end else None
            for stage, (start, end) in zip(LATENCY_STAGES, spans, strict=True)
        }


class Output(ABC):
    """Takes results of one camera, in order. Safe against being killed at any moment."""

    needs_frame: bool = False
    """True if the next `write` wants the frame the result speaks of."""

    @abstractmethod
    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Write one result. Raises `OutputError` (disk full, no permission); nothing is half written then."""

    def miss(self, result: FrameResult) -> None:  # noqa: B027  # most outputs need no frame, and miss none
        """Take notice of a result whose frame was gone already, so that it is not written."""

    @abstractmethod
    def close(self) -> None:
        """Finish what was begun (file trailers) and let go. May be called twice."""


class NoOutput(Output):
    """Writes nothing: what a camera has whose results are only looked at."""

    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Take the result and forget it."""

    def close(self) -> None:
        """Nothing was begun."""
