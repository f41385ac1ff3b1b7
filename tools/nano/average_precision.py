"""Average precision of detections of one class: how COCO counts it, with regions that do not count.

Arrays in, numbers out. Knows neither files nor models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.types import F32
from tools.accuracy import iou

COCO_OVERLAPS = tuple(round(0.5 + 0.05 * number, 2) for number in range(10))
MOST_BOXES = 100
"""Of a picture; the weakest beyond do not count."""
_RECALLS = np.linspace(0, 1, 101)
_INSIDE = 0.5
"""Share of a box that lies in an ignored region from which on it is neither right nor wrong."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture.

    boxes_xyxy, scores  what was found, float32 (n, 4) and (n,), in any order
    wanted_xyxy         who is there, float32 (m, 4)
    ignored_xyxy        where nothing counts, float32 (k, 4)
    """

    boxes_xyxy: F32
    scores: F32
    wanted_xyxy: F32
    ignored_xyxy: F32


@dataclass(frozen=True, slots=True)
class Share:
    """Recall and precision at a score, and of how many people and boxes."""

    recall: float
    precision: float
    people: int
    boxes: int


def average_precision(pictures: Sequence[Judged], overlap: float = 0.5) -> float:
    """Mean of the best precision at 101 recalls; NaN where nobody is there."""
    scores, right, people = _verdicts(pictures, overlap)
    if not people:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(right[order])
    recall, precision = found / people, found / np.arange(1, len(found) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.append(best, 0.0)[np.minimum(at, len(best))].mean())


def coco_average_precision(pictures: Sequence[Judged]) -> float:
    """Mean over the overlaps 0.5, 0.55 … 0.95."""
    return float(np.mean([average_precision(pictures, overlap) for overlap in COCO_OVERLAPS]))


def share_at(pictures: Sequence[Judged], score: float, overlap: float = 0.5) -> Share:
    """Recall and precision of the boxes with at least this score; 1 where there is nothing to find, or found."""
    scores, right, people = _verdicts(pictures, overlap)
    kept = right[scores >= score]
    found = int(kept.sum())
    return Share(
        found / people if people else 1.0, found / len(kept) if len(kept) else 1.0, people, len(kept)
    )


def best_f1_score(pictures: Sequence[Judged], overlap: float = 0.5) -> float:
    """The score at which recall and precision are best together."""
    scores, right, people = _verdicts(pictures, overlap)
    if not len(scores) or not people:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(right[order])
    both = 2 * found / (people + np.arange(1, len(found) + 1))
    return float(scores[order][int(both.argmax())])


def _verdicts(pictures: Sequence[Judged], overlap: float) -> tuple[F32, np.ndarray, int]:
    """Scores float32 (boxes,) and bool (boxes,) whether each is right, without those that do not count; people."""
    scores: list[F32] = [np.zeros(0, np.float32)]
    right: list[np.ndarray] = [np.zeros(0, bool)]
    for picture in pictures:
        order = np.argsort(-picture.scores, kind="stable")[:MOST_BOXES]
        hits = _hits(picture, order, overlap)
        beside = _share_inside(picture.boxes_xyxy[order], picture.ignored_xyxy) >= _INSIDE
        counts = hits | ~beside
        scores.append(picture.scores[order][counts])
        right.append(hits[counts])
    return np.concatenate(scores), np.concatenate(right), sum(len(each.wanted_xyxy) for each in pictures)


def _hits(picture: Judged, order: np.ndarray, overlap: float) -> np.ndarray:
    """bool (boxes,): the strongest box first, each takes the free person whom it fits best."""
    overlaps = iou(picture.boxes_xyxy[order], picture.wanted_xyxy)
    hits = np.zeros(len(order), bool)
    if not overlaps.shape[1]:
        return hits
    for row, each in enumerate(overlaps):
        person = int(each.argmax())
        if each[person] >= overlap:
            hits[row] = True
            overlaps[:, person] = -1
    return hits


def _share_inside(boxes: F32, regions: F32) -> F32:
    """float32 (boxes,): the largest share of the box that lies in one region."""
    low = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(2)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    return np.asarray((shared / area[:, None]).max(1, initial=0.0), np.float32)
