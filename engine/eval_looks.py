"""What detected objects look like, for trackers that ask: a re-identification network over all boxes of a sequence.

The network sees every box that a tracker may be given, once, and what it says is kept. Which of these looks a tracker
gets is decided afterwards: all, or those that the engine would have taken within its budget (`engine.tracking.demand`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence as Several
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.config.identity import ReidConfig
from engine.errors import ConfigError
from engine.eval_cache import AnswerCache, Arrays, hash_of_files, key_of
from engine.eval_detections import Say
from engine.eval_pictures import Pictures
from engine.models.registry import REIDENTIFICATION, resolve_model
from engine.models.reid import Crops, Embedder, EmbedderOptions
from engine.tracking.demand import Demand, DemandSettings, Need
from engine.tracking.settings import TrackerSettings
from engine.types import F16, Bools, Detections, Embeddings
from engine.workers.infer_budget import CropBudget

ON_DEMAND, OF_ALL = "engine", "all"
LEAST_SCORE = 0.1
"""No tracker looks at boxes below."""


@dataclass(frozen=True, slots=True)
class LookSettings:
    """Which looks trackers get: `demand` is `engine` or `all`. Budget and refreshing are the engine's defaults."""

    demand: str = ON_DEMAND
    backends: tuple[str, ...] = ("ort-cpu",)
    threads: int = 0
    reid: ReidConfig = field(default_factory=ReidConfig)


class LookSource:
    """Adds to the detections of a sequence what they look like."""

    def __init__(self, model: str, settings: LookSettings, cache: AnswerCache, say: Say) -> None:
        """Raises `ModelNotFound` for a model that is neither a file nor known, `ModelUnsupported` for a detector."""
        path = resolve_model(model, kind=REIDENTIFICATION).path
        if path is None:
            raise ConfigError(f"--reid {model}: not a re-identification network")
        self._model: Path = path
        self._settings, self._cache, self._say = settings, cache, say

    def of_all(self, detections: Several[Detections], pictures: Pictures | None) -> list[Detections]:
        """With the looks of all boxes from `LEAST_SCORE` on. Raises `ConfigError`, `SourceError`, `ModelError`."""
        if pictures is None:
            raise ConfigError("--reid: there are no pictures to look at; name the video by --clip")
        boxes = np.concatenate([found.boxes_xyxy for found in detections])
        scores = np.concatenate([found.scores for found in detections])
        facts = (boxes.tobytes().hex(), scores.tobytes().hex(), [len(found) for found in detections])
        key = key_of(
            "looks",
            hash_of_files([self._model]),
            pictures.fingerprint(),
            key_of(*facts),
            self._settings.backends,
        )
        stored = self._cache.find(key)
        vectors = None if stored is None else _unpacked(stored, detections)
        if vectors is None:
            vectors = self._look(detections, pictures)
            self._cache.store(key, {"vectors": np.concatenate(vectors)})
        return [_with_looks(found, looks) for found, looks in zip(detections, vectors, strict=True)]

    def for_tracker(
        self, looked_at: Several[Detections], tracker: TrackerSettings, fps: float
    ) -> list[Detections]:
        """Those of the looks that this tracker gets."""
        if self._settings.demand == OF_ALL:
            return list(looked_at)
        reid = self._settings.reid
        classes = np.unique(np.concatenate([found.class_ids for found in looked_at])).tolist()
        demand = Demand(DemandSettings.of(tracker, classes, reid.refresh_frames))
        budget = CropBudget(reid.crops_per_s)
        chosen = []
        for number, found in enumerate(looked_at):
            budget.come_to(number / fps)
            wanted = demand.wanted(found)
            taken = _taken(wanted.rows.tolist(), wanted.needs.tolist(), budget, reid.crops_per_frame)
            demand.granted(np.array(taken, np.int32))
            chosen.append(_only(found, taken))
        return chosen

    def _look(self, detections: Several[Detections], pictures: Pictures) -> list[F16]:
        """For each frame float16 (n, d), zeros where nobody looked."""
        settings = self._settings
        options = EmbedderOptions(settings.backends, settings.threads, cores=os.cpu_count() or 1)
        embedder = Embedder.load(self._model, options)
        count = sum(int((found.scores >= LEAST_SCORE).sum()) for found in detections)
        self._say(f"{self._model.name} looks at {count} boxes ({embedder.description})")
        vectors = []
        try:
            for found, frame in zip(detections, pictures, strict=True):
                sure = _sure(found)
                of_frame = np.zeros((len(found), embedder.dims), np.float16)
                if sure.any():
                    of_frame[sure] = embedder.embed([Crops(frame, found.boxes_xyxy[sure])])[0]
                vectors.append(of_frame)
        finally:
            embedder.close()
        return vectors


def _sure(found: Detections) -> Bools:
    return np.asarray(found.scores >= LEAST_SCORE)


def _with_looks(found: Detections, vectors: F16) -> Detections:
    rows = np.flatnonzero(vectors.any(axis=1)).astype(np.int32)
    return replace(found, embeddings=Embeddings(rows, vectors[rows]))


def _only(found: Detections, rows: Several[int]) -> Detections:
    looks = found.embeddings
    if looks is None:
        return found
    kept = np.isin(looks.rows, np.array(rows, np.int32))
    return replace(
        found, embeddings=Embeddings(looks.rows[kept], looks.vectors[kept]) if kept.any() else None
    )


def _taken(rows: Several[int], needs: Several[int], budget: CropBudget, most: int) -> list[int]:
    """The rows that the budget has crops for, the most needed first, as in the inference worker offline."""
    taken: list[int] = []
    for row, need in zip(rows, needs, strict=True):
        if len(taken) < most and budget.take(Need(need)):
            taken.append(row)
    return sorted(taken)


def _unpacked(stored: Arrays, detections: Several[Detections]) -> list[F16] | None:
    """None where the arrays are not what was stored here."""
    vectors: NDArray[np.float16] | None = stored.get("vectors")
    ends = np.cumsum([len(found) for found in detections])
    if vectors is None or vectors.dtype != np.float16 or vectors.ndim != 2 or len(vectors) != ends[-1]:
        return None
    return np.split(vectors, ends[:-1])
