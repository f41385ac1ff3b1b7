"""The contract of a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.types import Detections, FrameNv12


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What a detector is asked for.

    confidence   lowest score returned; trackers use low scores, so this is below what users are shown
    thresholds   lowest score by label, where it is another than `confidence`
    nms_iou      overlap above which the weaker of two boxes of a class is dropped
    max_objects  most objects returned per frame
    classes      labels to keep; empty keeps all
    lanes        calls of the model side by side; 0 = measured
    threads      threads inside one call; 0 = measured
    batch        most frames in one call; 0 = measured
    most_lanes   bound on measured lanes: the cores that may be used
    most_batch   bound on a measured batch: the frames that can be due at once
    backends     what may run the model, best first (`infer.backends`)
    labels       names of the classes where the file does not carry them
    masks        whether anybody looks at the masks of a segmentation model
    """

    confidence: float = 0.1
    thresholds: Mapping[str, float] = field(default_factory=dict)
    nms_iou: float = 0.45
    max_objects: int = 300
    classes: tuple[str, ...] = ()
    lanes: int = 0
    threads: int = 0
    batch: int = 0
    most_lanes: int = 1
    most_batch: int = 1
    backends: tuple[str, ...] = ("ort-cpu",)
    labels: tuple[str, ...] = ()
    masks: bool = True


@dataclass(slots=True)
class BatchItem:
    """One frame of a batch, with the state that the caller keeps for its camera (`Detector.new_state`)."""

    frame: FrameNv12
    state: object | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """An automatic decision and its reason; logged once and shown in `/health`."""

    what: str
    chosen: str
    reason: str


class Detector(ABC):
    """Finds objects in frames. Holds weights and buffers, never anything about a camera."""

    labels: tuple[str, ...]
    lanes: int = 1
    """How many calls the model computes at the same time."""
    calls: int = 1
    """How many `infer` calls may be in flight, each with its own `call` number from 0: `lanes`, and those that
    prepare their pictures meanwhile and wait for a lane."""
    batch: int = 1
    """Most frames in one call."""
    description: str = ""
    """Kind, input size, runtime: one line for the log."""
    choices: tuple[Choice, ...] = ()

    @property
    def discarded(self) -> int:
        """Boxes thrown away so far because their numbers were NaN, infinite or of no known class."""
        return 0

    @property
    def degraded(self) -> tuple[str, ...]:
        """What runs worse than it was asked for, in words; may change while it runs."""
        return ()

    def expected_s(self, frames: int) -> tuple[float, float]:
        """Seconds to prepare, and to compute, a call with so many frames, from recent calls; 0 if unknown."""
        return 0.0, 0.0

    def new_state(self) -> object | None:
        """Fresh per-camera state; None for detectors that look at one frame at a time."""
        return None

    @abstractmethod
    def infer(self, batch: Sequence[BatchItem], call: int = 0) -> list[Detections]:
        """Detections of each frame of the batch, in its order, in source pixels, best score first.

        Different calls may be in flight at the same time, one call number may not be used twice.
        """

    def close(self) -> None:  # noqa: B027  # most detectors hold nothing but memory
        """Give back what the detector holds on its device, when no call is in flight. May be called twice."""
