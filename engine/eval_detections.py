"""Detections that trackers are judged on: the sequence's own det.txt, another file, or what a detector finds.

Knows where they come from and keeps what networks say. Every tracker of a run gets the very same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import ConfigError
from engine.eval_cache import AnswerCache, Arrays, hash_of_files, key_of
from engine.eval_pictures import Pictures
from engine.evaluation.mot_files import SCORE, read_rows
from engine.evaluation.mot_sequence import Sequence
from engine.models.base import BatchItem, DetectorOptions
from engine.models.detector import create_detector
from engine.models.embedded import EMBEDDED_DETECTOR, StandIn
from engine.models.registry import resolve_model
from engine.types import Detections

PUBLIC = "public"
"""The word for the sequence's own det.txt."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """How a detector is run on pictures: the engine's own defaults, on any of its backends."""

    confidence: float = 0.1
    nms_iou: float = 0.45
    classes: tuple[str, ...] = ("person",)
    backends: tuple[str, ...] = ("ort-cpu",)
    threads: int = 0
    require_model: bool = False

    @property
    def facts(self) -> tuple[object, ...]:
        """What an answer depends on."""
        return self.confidence, self.nms_iou, sorted(self.classes), self.backends


Say = Callable[[str], None]
"""Told a line for people."""


class DetectionSource:
    """Gives the detections of sequences, from where `--detections` says.

    name      what it is called in reports
    degraded  which model stands in for which and why, "" where it is the one that was asked for
    """

    def __init__(self, wanted: str, settings: DetectorSettings, cache: AnswerCache, say: Say) -> None:
        """Raises `ModelNotFound` where `wanted` is neither the word, nor a file, nor a model."""
        self._settings, self._cache, self._say = settings, cache, say
        self._file: Path | None = None
        self._model: Path | None = None
        self.name, self.degraded = wanted, ""
        path = Path(wanted).expanduser()
        if wanted == PUBLIC:
            return
        if path.suffix == ".txt":
            self._file = path
        else:
            found = resolve_model(
                wanted, stand_in=StandIn("" if settings.require_model else EMBEDDED_DETECTOR)
            )
            self._model, self.degraded = found.path, found.degraded
            if self.degraded:
                self.name = found.name
                say(f"degraded: {self.degraded}")
            if self._model is None:
                raise ConfigError(
                    f"--detections {wanted}: it learns from what it saw; name a model in a file"
                )

    @property
    def wants_pictures(self) -> bool:
        """Whether a network looks at pictures."""
        return self._model is not None

    def of(self, sequence: Sequence, pictures: Pictures | None) -> list[Detections]:
        """The detections of each frame that is judged. Raises `ConfigError`, `SourceError`, `ModelError`."""
        if self._model is None:
            return read_detections(self._file_of(sequence), sequence)
        if pictures is None:
            raise ConfigError(
                f"{sequence.folder}: no {sequence.info.picture_folder.name} in it for {self.name} to look at; name "
                "the video by --clip, or take --detections public"
            )
        return self._found_in(pictures, self._model)

    def _file_of(self, sequence: Sequence) -> Path:
        if self._file is None:
            return sequence.folder / "det" / "det.txt"
        beside = sequence.folder / "det" / self._file
        return self._file if self._file.is_file() or not beside.is_file() else beside

    def _found_in(self, pictures: Pictures, model: Path) -> list[Detections]:
        key = key_of("detections", hash_of_files([model]), pictures.fingerprint(), self._settings.facts)
        stored = self._cache.find(key)
        found = None if stored is None else _unpacked(stored, pictures.frames)
        if found is None:
            found = self._detect(pictures, model)
            self._cache.store(key, _packed(found))
        return found

    def _detect(self, pictures: Pictures, model: Path) -> list[Detections]:
        settings = self._settings
        detector = create_detector(
            str(model),
            DetectorOptions(
                confidence=settings.confidence, nms_iou=settings.nms_iou, classes=settings.classes, lanes=1, batch=1,
                threads=settings.threads, backends=settings.backends, masks=False,
            ),
        )  # fmt: skip
        self._say(f"{model.name} looks at {pictures.frames} pictures ({detector.description})")
        try:
            return [_alone(detector.infer([BatchItem(frame)])) for frame in pictures]
        finally:
            detector.close()


def read_detections(path: Path, sequence: Sequence) -> list[Detections]:
    """A det.txt. Scores above 1 and below 0, as some detectors of 2015 gave, are taken for 1 and 0.

    Raises `ConfigError`: no such file, nothing in it, a frame that the sequence has not.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; name another by --detections, or a model")
    rows = read_rows(path)
    if not len(rows):
        raise ConfigError(f"{path}: empty: there are no detections to track")
    if rows.values.shape[1] <= SCORE:
        raise ConfigError(f"{path}: no scores in it (column 7); these are not detections")
    rows.refuse_beyond(sequence.info.frames, sequence.name)
    frames, boxes = rows.frames, rows.boxes_xyxy(sequence.first_pixel).astype(np.float32)
    scores = np.clip(rows.values[:, SCORE], 0, 1).astype(np.float32)
    found = []
    for number in range(1, sequence.frames + 1):
        now = frames == number
        found.append(Detections(boxes[now], scores[now], np.zeros(int(now.sum()), np.int32)))
    return found


def _alone(answers: Several[Detections]) -> Detections:
    (found,) = answers
    return Detections(found.boxes_xyxy, found.scores, found.class_ids)


def _packed(found: Several[Detections]) -> Arrays:
    return {
        "counts": np.array([len(each) for each in found], np.int64),
        "boxes_xyxy": np.concatenate([each.boxes_xyxy for each in found]),
        "scores": np.concatenate([each.scores for each in found]),
        "class_ids": np.concatenate([each.class_ids for each in found]),
    }


def _unpacked(stored: Arrays, frames: int) -> list[Detections] | None:
    """None where the arrays are not what was stored here."""
    try:
        ends = np.cumsum(stored["counts"])
        if len(ends) != frames or ends[-1] != len(stored["scores"]):
            return None
        columns = [np.split(stored[name], ends[:-1]) for name in ("boxes_xyxy", "scores", "class_ids")]
        return [Detections(*of_frame) for of_frame in zip(*columns, strict=True)]
    except (KeyError, ValueError, TypeError, IndexError):
        return None
