"""The contract of a detector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from engine.types import Detections, FrameNv12


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What a detector is asked for.

    confidence   lowest score returned; trackers use low scores, so this is below what users are shown
    nms_iou      overlap above which the weaker of two boxes of a class is dropped
    max_objects  most objects returned per frame
    classes      labels to keep; empty keeps all
    lanes        sessions that run side by side, one call each; 0 = one per core
    threads      threads inside one session
    batch        most frames in one call
    providers    ONNX Runtime execution providers in order of preference
    labels       names of the classes where the file does not carry them
    """

    confidence: float = 0.1
    nms_iou: float = 0.45
    max_objects: int = 300
    classes: tuple[str, ...] = ()
    lanes: int = 0
    threads: int = 1
    batch: int = 1
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    labels: tuple[str, ...] = ()


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
    """How many `infer` calls may run at the same time, each with its own `lane` number from 0."""
    batch: int = 1
    """Most frames in one call."""
    description: str = ""
    """Kind, input size, runtime: one line for the log."""
    choices: tuple[Choice, ...] = ()

    @property
    def discarded(self) -> int:
        """Boxes thrown away so far because their numbers were NaN, infinite or of no known class."""
        return 0

    def new_state(self) -> object | None:
        """Fresh per-camera state; None for detectors that look at one frame at a time."""
        return None

    @abstractmethod
    def infer(self, batch: Sequence[BatchItem], lane: int = 0) -> list[Detections]:
        """Detections of each frame of the batch, in its order, in source pixels, best score first."""
