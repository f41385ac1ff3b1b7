"""How well one mask matches another: region similarity J and contour accuracy F of the DAVIS benchmark.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016, sections 4
and 5; what is done with empty masks and with time follows Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object
Segmentation". Knows arrays only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engine.types import U8, Bools

TOLERANCE = 0.008
"""How far apart two contours may be and still match, as a share of the picture's diagonal."""
RECALL_FROM = 0.5
"""A frame counts as found when it scores more than this."""
_PARTS = 4


def jaccard(found: Bools, truth: Bools) -> float:
    """J: shared pixels over those that either has; 1 where both are empty. bool (height, width) each."""
    union = int(np.count_nonzero(found | truth))
    return int(np.count_nonzero(found & truth)) / union if union else 1.0


def tolerance_px(height: int, width: int, share: float = TOLERANCE) -> int:
    """The tolerance in whole pixels, rounded up."""
    return math.ceil(share * math.hypot(height, width))


def contour(mask: Bools) -> Bools:
    """bool (height, width): pixels that differ from the one to the right, the one below or the one between these.

    The border of the picture is no contour.
    """
    edges = np.zeros_like(mask)
    edges[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edges[:-1] |= mask[:-1] ^ mask[1:]
    edges[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edges


def contour_accuracy(found: Bools, truth: Bools, share: float = TOLERANCE) -> float:
    """F: harmonic mean of the shares of both contours that lie within the tolerance of the other one.

    bool (height, width) each. Where only one has a contour F is 0, where neither has one it is 1.
    """
    radius = tolerance_px(truth.shape[0], truth.shape[1], share)
    window = _around(found | truth, radius + 2)
    found_edges, truth_edges = contour(found[window]), contour(truth[window])
    if not (found_edges.any() and truth_edges.any()):
        return float(found_edges.any() == truth_edges.any())
    precision = _share_near(found_edges, truth_edges, radius)
    recall = _share_near(truth_edges, found_edges, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """One measure over the frames of one object.

    recall  share of the frames that score more than one half
    decay   mean of the first quarter of the frames less that of the last one
    """

    mean: float
    recall: float
    decay: float

    @classmethod
    def of(cls, scores: Sequence[float]) -> Course:
        """From one score a frame, at least one. Neighbouring quarters share the frame between them, as in DAVIS."""
        values = np.array(scores, np.float64)
        edges = np.floor(np.linspace(1, len(values), _PARTS + 1) + 0.5).astype(int) - 1
        first, last = values[edges[0] : edges[1] + 1], values[edges[-2] : edges[-1] + 1]
        return cls(
            float(values.mean()), float((values > RECALL_FROM).mean()), float(first.mean() - last.mean())
        )

    @classmethod
    def average(cls, courses: Sequence[Course]) -> Course:
        """Mean over objects, each counted once however long it is there."""
        mean, recall, decay = np.mean(
            [(each.mean, each.recall, each.decay) for each in courses], axis=0
        ).tolist()
        return cls(mean, recall, decay)


def _share_near(edges: Bools, others: Bools, radius: int) -> float:
    """Share of the edge pixels with one of the others within the radius, as by a disc of that radius."""
    far: U8 = (~others).view(np.uint8)
    # In place of a disc that would be laid around every pixel: exact distances to the nearest one.
    distances = cv2.distanceTransform(far, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(np.count_nonzero(distances[edges] <= radius + 1e-3) / np.count_nonzero(edges))


def _around(mask: Bools, margin: int) -> tuple[slice, slice]:
    """The part of the picture with everything that is set, and a margin: contours elsewhere there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )
