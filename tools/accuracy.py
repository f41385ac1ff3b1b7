"""How well two sets of detections agree: who finds what the other finds, and how precisely.

Boxes are paired one to one, class by class, best overlap first. Knows neither files nor models.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.types import F32, Detections

_SCORE_WEIGHT = 0.1
"""What a difference of scores counts beside one of overlaps when boxes are paired."""


@dataclass(slots=True)
class Agreement:
    """Counts over any number of frames.

    wanted    boxes of the reference
    found     boxes of the one that is judged
    matched   pairs of the two
    iou_sum   sum of the pairs' overlaps
    """

    wanted: int = 0
    found: int = 0
    matched: int = 0
    iou_sum: float = 0.0
    score_errors: list[float] = field(default_factory=list, repr=False)

    @property
    def recall(self) -> float:
        """Share of the reference that was found; 1 where there was nothing to find."""
        return self.matched / self.wanted if self.wanted else 1.0

    @property
    def precision(self) -> float:
        """Share of what was found that is in the reference; 1 where nothing was found."""
        return self.matched / self.found if self.found else 1.0

    @property
    def mean_iou(self) -> float:
        """Mean overlap of the pairs; 1 where there are none."""
        return self.iou_sum / self.matched if self.matched else 1.0

    @property
    def worst_score_error(self) -> float:
        """Largest difference of the scores of a pair."""
        return max(self.score_errors, default=0.0)

    def add(
        self, wanted: Detections, found: Detections, least_iou: float, most_score_error: float = 1.0
    ) -> None:
        """Count one frame: boxes of a class are pairs from this overlap on, and with scores no further apart."""
        self.wanted += len(wanted)
        self.found += len(found)
        for index_wanted, index_found, overlap in pairs(wanted, found, least_iou, most_score_error):
            self.matched += 1
            self.iou_sum += overlap
            self.score_errors.append(
                abs(float(wanted.scores[index_wanted]) - float(found.scores[index_found]))
            )


def pairs(
    a: Detections, b: Detections, least_iou: float, most_score_error: float = 1.0
) -> list[tuple[int, int, float]]:
    """(index in `a`, index in `b`, IoU) of boxes of the same class that belong together, best overlap first.

    Of boxes that lie on each other, those with the nearest scores belong together.
    """
    overlaps = iou(a.boxes_xyxy, b.boxes_xyxy)
    overlaps[a.class_ids[:, None] != b.class_ids[None, :]] = 0
    score_errors = np.abs(a.scores[:, None] - b.scores[None, :])
    rows, columns = np.nonzero((overlaps >= least_iou) & (overlaps > 0) & (score_errors <= most_score_error))
    likeness = overlaps[rows, columns] - _SCORE_WEIGHT * score_errors[rows, columns]
    found = []
    free_a, free_b = set(range(len(a))), set(range(len(b)))
    for index in np.argsort(-likeness, kind="stable"):
        index_a, index_b = int(rows[index]), int(columns[index])
        if index_a in free_a and index_b in free_b:
            free_a.remove(index_a)
            free_b.remove(index_b)
            found.append((index_a, index_b, float(overlaps[index_a, index_b])))
    return found


def iou(a_xyxy: F32, b_xyxy: F32) -> F32:
    """Intersection over union of every box of `a` (n, 4) with every one of `b` (m, 4): float32 (n, m)."""
    corners = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    opposite = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    shared: F32 = np.prod(np.maximum(opposite - corners, 0), axis=2)
    area_a, area_b = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a_xyxy, b_xyxy))
    union = area_a[:, None] + area_b[None, :] - shared
    overlaps = np.zeros_like(shared)
    np.divide(shared, union, out=overlaps, where=union > 0)
    return overlaps


def at_least(detections: Detections, score: float) -> Detections:
    """The detections with this score or a better one."""
    return detections.take(np.flatnonzero(detections.scores >= np.float32(score)))
