"""Models that segment one picture after the other: a segmenting detector, or a SAM 2 with or without prompts.

Which one a name means, and what each makes of a frame: objects with a mask. Knows models; neither files nor flags.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.errors import ConfigError, ModelNotFound, ModelUnsupported, PromptError
from engine.models.base import BatchItem, DetectorOptions
from engine.models.detector import create_detector
from engine.models.embedded import EMBEDDED_DETECTOR, StandIn, embedded_folder
from engine.models.registry import load_registry, resolve_model
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_automatic import AutomaticFilters, automatic, point_grid
from engine.models.sam2_grids import grid_of
from engine.models.sam2_step import Action, Ask, step
from engine.models.segmenter_folder import (
    is_known_segmenter,
    known_segmenters,
    resolve_segmenter,
    segmenter_stand_in,
)
from engine.registry import nearest
from engine.types import F32, I32, I64, Detections, FrameNv12, Masks, MaskSource, Prompt, Tracks

Progress = Callable[[int, int], None]
LABEL = "object"
"""What an object is called by a model that knows no classes."""
MODEL_FILES = (".onnx", ".engine")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a model.

    prompts     by the number of the object; none = everything
    track       pictures are frames of one video: prompts are for the first one, the others go by memory
    points_per_side, filters  of automatic masks
    confidence  lowest score of a detector's objects
    backends    what may run it, best first
    threads     0 = all cores
    require_model  a known segmenter that cannot be had is an error; otherwise the embedded one stands in
    embedded    folder of embedded models, None = the package's
    """

    prompts: Mapping[int, Prompt] = field(default_factory=dict)
    track: bool = False
    points_per_side: int = 32
    filters: AutomaticFilters = field(default_factory=AutomaticFilters)
    confidence: float = 0.25
    backends: tuple[str, ...] = ("ort-cpu",)
    threads: int = 0
    require_model: bool = False
    embedded: Path | None = None


class PictureModel(ABC):
    """Segments pictures.

    labels       class names
    description  one line for the log
    name         of its file or folder
    degraded     which model stands in for which and why, "" where it is the one that was asked for
    """

    labels: tuple[str, ...] = (LABEL,)
    description: str = ""
    name: str = ""
    degraded: str = ""

    @abstractmethod
    def segment(self, frame: FrameNv12, progress: Progress | None = None) -> tuple[Tracks, tuple[str, ...]]:
        """The objects of a frame, each with a number from 1 and a mask; and what could not be done, a line each.

        progress  told how much of one picture is done, where that takes long

        Raises `PromptError` where nothing that was asked for can be done, `BackendError`, `ModelUnsupported`.
        """

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""


def open_model(name_or_path: str, wanted: Wanted) -> PictureModel:
    """The model that a folder, a file or a name means, loaded. Raises a `ModelError`, or `ConfigError` for what it
    cannot be asked."""
    if is_segmenter(name_or_path):
        stand_in = segmenter_stand_in(require_model=wanted.require_model, embedded=wanted.embedded)
        resolved = resolve_segmenter(name_or_path, stand_in=stand_in)
        segmenter = Segmenter.load(resolved.folder, SegmenterOptions(wanted.backends, wanted.threads))
        model = PromptedModel(segmenter, wanted) if wanted.prompts else AutomaticModel(segmenter, wanted)
        model.name, model.degraded = resolved.name, resolved.degraded
        return model
    if wanted.prompts or wanted.track:
        raise ConfigError(
            f"model {name_or_path} is a detector: points, boxes, masks and --track want a SAM 2 folder"
        )
    return DetectorModel(name_or_path, wanted)


def is_segmenter(name_or_path: str) -> bool:
    """Whether this means a SAM 2 folder rather than a detector. Raises `ModelNotFound` where it means nothing."""
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return True
    if path.is_file() or path.suffix in MODEL_FILES:
        return False
    if is_known_segmenter(name_or_path):
        return True
    registry = load_registry()
    if name_or_path in (*registry, EMBEDDED_DETECTOR):
        return False
    hint = nearest(name_or_path, [*known_segmenters(), *registry])
    raise ModelNotFound(
        f"model {name_or_path!r} is no file, no folder and no known name{hint}; name a segmenting ONNX file, or a "
        "SAM 2 folder as tools/export_onnx.py sam2 makes them"
    )


class DetectorModel(PictureModel):
    """A detector that gives masks."""

    def __init__(self, name_or_path: str, wanted: Wanted) -> None:
        # Nothing stands in: what is wanted are masks, and the embedded detector gives none.
        resolved = resolve_model(name_or_path, stand_in=StandIn("", wanted.embedded or embedded_folder()))
        options = DetectorOptions(
            confidence=wanted.confidence, lanes=1, threads=wanted.threads or _cores(), batch=1,
            backends=wanted.backends, labels=resolved.entry.labels if resolved.entry else (),
        )  # fmt: skip
        self._detector = create_detector(str(resolved.path) if resolved.path else resolved.name, options)
        self.name = resolved.name
        self.labels, self.description = self._detector.labels, self._detector.description

    def segment(self, frame: FrameNv12, progress: Progress | None = None) -> tuple[Tracks, tuple[str, ...]]:
        (found,) = self._detector.infer([BatchItem(frame, self._detector.new_state())])
        if found.masks is None:
            raise ModelUnsupported(
                f"model {self.name}: finds boxes, no masks; name a segmenting one, or a SAM 2 folder"
            )
        count = len(found)
        numbers = np.arange(1, count + 1)
        return _tracks(found.boxes_xyxy, found.scores, numbers, found.masks, found.class_ids), ()

    def close(self) -> None:
        self._detector.close()


class AutomaticModel(PictureModel):
    """A SAM 2 that looks for everything."""

    def __init__(self, segmenter: Segmenter, wanted: Wanted) -> None:
        self._segmenter, self._wanted = segmenter, wanted
        self.description = segmenter.description

    def segment(self, frame: FrameNv12, progress: Progress | None = None) -> tuple[Tracks, tuple[str, ...]]:
        features = self._segmenter.encode([frame])
        points_xy = point_grid(self._wanted.points_per_side, features.sizes_wh[0])
        found = automatic(self._segmenter, features, 0, points_xy, self._wanted.filters, progress)
        tracks = _sam2_tracks(
            found.low_res_masks,
            found.ious,
            np.arange(1, len(found) + 1),
            MaskSource.AUTOMATIC,
            features.sizes_wh[0],
        )
        return tracks, found.failures

    def close(self) -> None:
        self._segmenter.close()


class PromptedModel(PictureModel):
    """A SAM 2 that is pointed at objects: on every picture anew, or on the first one of a video."""

    def __init__(self, segmenter: Segmenter, wanted: Wanted) -> None:
        self._segmenter = segmenter
        self._waiting = dict(wanted.prompts)
        self._track = wanted.track
        self._followed: tuple[int, ...] = ()
        self._bank = segmenter.new_bank(len(wanted.prompts))
        self.description = segmenter.description

    def segment(self, frame: FrameNv12, progress: Progress | None = None) -> tuple[Tracks, tuple[str, ...]]:
        features = self._segmenter.encode([frame])
        by_memory = bool(self._followed)
        asks = [Ask(("", number), Action.GO_ON) for number in self._followed] or [
            Ask(("", number), Action.START if self._track else Action.NONE, prompt)
            for number, prompt in self._waiting.items()
        ]
        done = step(self._segmenter, self._bank, features, asks)
        numbers = np.array([ask.key[1] for ask in asks], np.int64)
        fine = np.array([not failure for failure in done.predictions.failures], np.bool_)
        problems = tuple(
            f"object {number}: {failure}"
            for number, failure in zip(numbers.tolist(), done.predictions.failures, strict=True)
            if failure
        )
        if not by_memory:
            if not fine.any():
                raise PromptError("; ".join(problems))
            self._followed = tuple(numbers[fine].tolist()) if self._track else ()
        source = MaskSource.MEMORY if by_memory else MaskSource.PROMPT
        predictions = done.predictions
        tracks = _sam2_tracks(
            predictions.low_res_masks[fine],
            predictions.ious[fine],
            numbers[fine],
            source,
            features.sizes_wh[0],
        )
        return tracks, problems

    def close(self) -> None:
        self._segmenter.close()


def _sam2_tracks(
    low_res_masks: F32, ious: F32, numbers: I64, source: MaskSource, size_wh: tuple[int, int]
) -> Tracks:
    """Objects of logits (n, 4r, 4r), without those that are not seen. Their boxes are those of their masks."""
    seen = np.flatnonzero((low_res_masks > 0).any(axis=(1, 2)))
    cut = [grid_of(logits, size_wh) for logits in low_res_masks[seen]]
    rects_xyxy = np.array([rect for _, rect in cut], np.float32).reshape(-1, 4)
    confidences = ious[seen].clip(0, 1)
    masks = Masks.of_grids(rects_xyxy, [grid for grid, _ in cut], source, confidences)
    return _tracks(rects_xyxy, confidences, numbers[seen], masks, np.zeros(len(cut), np.int32))


def _tracks(boxes_xyxy: F32, scores: F32, numbers: I64, masks: Masks, class_ids: I32) -> Tracks:
    objects = Detections(boxes_xyxy, scores, class_ids, masks)
    return Tracks.of(objects, numbers.astype(np.int64), np.ones(len(objects), np.int32))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
