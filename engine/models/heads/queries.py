"""What detectors with a fixed number of queries share: boxes as parts of the picture, a score for every class.

Knows no family and no output names.
"""

from __future__ import annotations

import numpy as np

from engine.models.heads.base import Candidates, at_least, centre_to_corners
from engine.types import F32
from kernels.colour import PixelFormat

IMAGENET = PixelFormat(mean=(123.675, 116.28, 103.53), scale=(1 / 58.395, 1 / 57.12, 1 / 57.375))
"""RGB with mean and deviation of ImageNet: 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225 of 255."""


def sigmoid(logits: F32) -> F32:
    """Scores 0..1 of logits; NaN stays NaN."""
    # exp of more than 88 does not fit into float32; the score is 0 there either way.
    one = np.float32(1.0)
    scores: F32 = one / (one + np.exp(np.minimum(-logits, np.float32(80.0))))
    return scores


def softmax_without_last(logits_qc: F32) -> F32:
    """float32 (queries, classes - 1): scores where the last class stands for "nothing"; NaN stays NaN."""
    weights = np.exp(logits_qc - logits_qc.max(axis=1, keepdims=True))
    scores: F32 = (weights / weights.sum(axis=1, keepdims=True))[:, :-1]
    return scores


def best_pairs(scores_qc: F32, boxes_q4: F32, input_wh: tuple[int, int], confidence: float) -> Candidates:
    """Every class of every query with at least `confidence`, at most as many pairs as there are queries.

    scores_qc  float32 (queries, classes)
    boxes_q4   float32 (queries, 4): centre x, centre y, width, height as parts of the input's sides

    A query may give two objects of different classes, as in the families' own post-processing.
    """
    queries, classes = scores_qc.shape
    flat = scores_qc.reshape(-1)
    chosen = at_least(flat, confidence)
    if len(chosen) > queries:
        # NaN sorts behind everything: of too many, the sound ones are kept.
        chosen = chosen[np.argsort(-flat[chosen], kind="stable")[:queries]]
    sides = np.array(input_wh * 2, np.float32)
    boxes = centre_to_corners(boxes_q4[chosen // classes] * sides)
    return Candidates(boxes, flat[chosen], (chosen % classes).astype(np.int32))
