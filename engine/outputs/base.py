"""The contract of an output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from engine.types import FrameNv12, ResultMeta, Tracks


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything known of one frame at the end of the pipeline.

    camera      name of the camera
    meta        which frame, and its latency trace
    tracks      its objects
    labels      class names; `tracks.class_ids` index into it
    emitted_ns  monotonic ns when the output stage took it up
    skipped     frames of the source passed over since the previous result
    """

    camera: str
    meta: ResultMeta
    tracks: Tracks
    labels: tuple[str, ...]
    emitted_ns: int
    skipped: int = 0


class Output(ABC):
    """Takes results of one camera, in order. Safe against being killed at any moment."""

    needs_frame: bool = False
    """True if `write` wants the frame the result speaks of."""

    @abstractmethod
    def write(self, result: FrameResult, frame: FrameNv12 | None = None) -> None:
        """Write one result. Raises `OutputError` (disk full, no permission); nothing is half written then."""

    @abstractmethod
    def close(self) -> None:
        """Finish what was begun (file trailers) and let go. May be called twice."""
