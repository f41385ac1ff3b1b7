"""From a head's candidates to detections: sound numbers, thresholds, wanted classes, suppression, source pixels.

The same for every backend and every head. Knows no sessions and no pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.errors import ConfigError
from engine.models.base import DetectorOptions
from engine.models.heads.base import Candidates, Head
from engine.registry import nearest
from engine.types import F32, Detections
from kernels import cpu as kernels
from kernels.letterbox import Letterbox

_MOST_CANDIDATES = 1024
"""Boxes that go into non-maximum suppression, whose time grows with their square: 3 ms for this many."""


class Selection:
    """What of a head's answer is returned. For one thread at a time.

    discarded  boxes thrown away so far because their numbers were NaN, infinite or of no known class
    """

    def __init__(self, head: Head, labels: tuple[str, ...], options: DetectorOptions) -> None:
        self._head, self._labels, self._options = head, labels, options
        self._wanted = np.isin(labels, options.classes) if options.classes else None
        self.discarded = 0

    def detections(self, outputs: Sequence[F32], index: int, letterbox: Letterbox) -> Detections:
        """Detections of picture `index` of a batch, in source pixels, best score first."""
        candidates = self._head.decode(outputs, index, self._options.confidence)
        candidates, discarded = _drop_senseless(candidates, len(self._labels))
        self.discarded += discarded
        boxes, scores, class_ids = candidates.boxes_xyxy, candidates.scores, candidates.class_ids
        if self._wanted is not None:
            chosen = np.flatnonzero(self._wanted[class_ids])
            boxes, scores, class_ids = boxes[chosen], scores[chosen], class_ids[chosen]
        order = np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES]
        if self._head.needs_nms:
            order = order[kernels.nms(boxes[order], scores[order], class_ids[order], self._options.nms_iou)]
        source = kernels.boxes_to_source(boxes[order], letterbox)
        # Boxes that lie in the padding have nothing left after clipping.
        real = (source[:, 2] > source[:, 0]) & (source[:, 3] > source[:, 1])
        found = Detections(source, scores[order], class_ids[order])
        return found.take(np.flatnonzero(real)[: self._options.max_objects])


def labels_of(head: Head, options: DetectorOptions, path: Path) -> tuple[str, ...]:
    """The labels to use: the configured ones, else the head's. Raises `ConfigError` where names do not fit."""
    labels = options.labels or head.labels
    if head.counts_classes and len(labels) != len(head.labels):
        raise ConfigError(
            f"{path}: labels names {len(labels)} classes, but the model has {len(head.labels)}; name them all"
        )
    unknown = [name for name in options.classes if name not in labels]
    if unknown:
        raise ConfigError(
            f"{path}: classes names {unknown[0]!r}, which is not a label of this model"
            f"{nearest(unknown[0], labels)}"
        )
    return labels


def _drop_senseless(candidates: Candidates, classes: int) -> tuple[Candidates, int]:
    """Without the boxes whose numbers are NaN, infinite or of no known class, and how many these were."""
    sound = np.isfinite(candidates.boxes_xyxy).all(axis=1) & np.isfinite(candidates.scores)
    sound &= (candidates.class_ids >= 0) & (candidates.class_ids < classes)
    discarded = len(sound) - int(np.count_nonzero(sound))
    if not discarded:
        return candidates, 0
    kept = Candidates(candidates.boxes_xyxy[sound], candidates.scores[sound], candidates.class_ids[sound])
    return kept, discarded
