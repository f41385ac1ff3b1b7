"""Which of a decoder's candidate masks is the object's, and whether a frame is sure enough to be remembered.

By default the official choice, which the graph itself makes: the best predicted IoU of three. The motion-aware choice
weighs in how well each candidate's box agrees with where the object's motion leads, and remembers only frames that
agree. A Kalman filter per object, constant velocity, position and size each on its own. Knows arrays of rows; neither
graphs nor memories.

Source: Yang et al., "SAMURAI", arXiv 2411.11922, §3: weights and thresholds. Its filter is ByteTrack's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import F32, I64, Bools

F64 = NDArray[np.float64]

MOTION_WEIGHT = 0.15
"""Share of the motion's IoU in the score of a candidate; the rest is the predicted IoU."""
SETTLED = 3
"""Boxes that a filter must have seen before it has a say: velocity is not known earlier."""
_FIRST_MULTIMASK = 1
"""Candidate 0 is the single mask; those from here on answer an ambiguous prompt, as tracking is."""

_POSITION_NOISE = 1 / 20
_VELOCITY_NOISE = 1 / 160
_FRAME_S = 1 / 25
"""The noises are per frame of a video; keyframes are further apart."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Of n rows: which candidate is taken, int64 (n,), and its IoU with where the motion leads, float32 (n,), NaN
    where the motion is not known."""

    candidates: I64
    motion_ious: F32


class BoxMotion:
    """Where the boxes of rows are going, in units of the picture's sides. All memory is allocated here."""

    def __init__(self, capacity: int) -> None:
        # Centre x, y, width, height; each has a value, a velocity and their covariance.
        self._state = np.zeros((capacity, 4, 2), np.float64)
        self._covariance = np.zeros((capacity, 4, 2, 2), np.float64)
        self._time_s = np.zeros(capacity, np.float64)
        self._seen = np.zeros(capacity, np.int64)

    def forget(self, row: int) -> None:
        """The row has another object, or the object begins anew."""
        self._seen[row] = 0

    def settled(self, rows: I64) -> Bools:
        """bool (n,): whose motion is known."""
        settled: Bools = self._seen[rows] >= SETTLED
        return settled

    def predict(self, rows: I64, times_s: F64) -> F32:
        """float32 (n, 4): boxes xyxy at these times, 0..1 of the picture. Meaningless for rows that never had one."""
        state, _ = self._advance(rows, times_s)
        centre, half = state[:, :2, 0], state[:, 2:, 0] / 2
        return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)

    def update(self, rows: I64, boxes_xyxy: F32, times_s: F64) -> None:
        """Take in the boxes that were found, float32 (n, 4), 0..1 of the picture; empty boxes are left out."""
        there = (boxes_xyxy[:, 2] > boxes_xyxy[:, 0]) & (boxes_xyxy[:, 3] > boxes_xyxy[:, 1])
        rows, boxes, times = rows[there], boxes_xyxy[there].astype(np.float64), times_s[there]
        size = boxes[:, 2:] - boxes[:, :2]
        found = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, size], axis=1)
        scale = np.concatenate([size, size], axis=1)
        state, covariance = self._advance(rows, times)
        noise = (_POSITION_NOISE * scale) ** 2
        gain = covariance[..., 0] / (covariance[..., :1, 0] + noise[..., None])
        corrected = state + gain * (found - state[..., 0])[..., None]
        shrunk = covariance - gain[..., :, None] * covariance[..., :1, :]
        first = self._seen[rows] == 0
        fresh = np.stack([found, np.zeros_like(found)], axis=-1)
        spread = np.zeros_like(covariance)
        spread[..., 0, 0] = (2 * _POSITION_NOISE * scale) ** 2
        spread[..., 1, 1] = (10 * _VELOCITY_NOISE * scale / _FRAME_S) ** 2
        self._state[rows] = np.where(first[:, None, None], fresh, corrected)
        self._covariance[rows] = np.where(first[:, None, None, None], spread, shrunk)
        self._time_s[rows] = times
        self._seen[rows] += 1

    def _advance(self, rows: I64, times_s: F64) -> tuple[F64, F64]:
        """State and covariance at these times, without keeping them."""
        step = np.maximum(0.0, np.asarray(times_s, np.float64) - self._time_s[rows])
        state, covariance = self._state[rows].copy(), self._covariance[rows]
        scale = np.concatenate([state[:, 2:, 0], state[:, 2:, 0]], axis=1)
        state[..., 0] += state[..., 1] * step[:, None]
        transition = np.zeros((len(rows), 1, 2, 2))
        transition[:, 0] = np.eye(2)
        transition[:, 0, 0, 1] = step
        covariance = transition @ covariance @ transition.swapaxes(-1, -2)
        frames = (step / _FRAME_S)[:, None]
        covariance[..., 0, 0] += (_POSITION_NOISE * scale) ** 2 * frames
        covariance[..., 1, 1] += (_VELOCITY_NOISE * scale / _FRAME_S) ** 2 * frames
        return state, covariance


def choose(candidate_masks: F32, candidate_ious: F32, expected_xyxy: F32, settled: Bools) -> Choice:
    """The motion-aware choice for n tracked rows.

    candidate_masks  float32 (n, 4, h, w) logits; candidate_ious float32 (n, 4)
    expected_xyxy    float32 (n, 4): boxes from `BoxMotion.predict`; `settled` whether they mean anything
    """
    ious = candidate_ious[:, _FIRST_MULTIMASK:]
    boxes = boxes_of(candidate_masks[:, _FIRST_MULTIMASK:] > 0)
    agreement = iou_xyxy(boxes, expected_xyxy[:, None])
    scores = np.where(settled[:, None], MOTION_WEIGHT * agreement + (1 - MOTION_WEIGHT) * ious, ious)
    best = scores.argmax(axis=1)
    chosen = np.take_along_axis(agreement, best[:, None], 1)[:, 0]
    return Choice(best + _FIRST_MULTIMASK, np.where(settled, chosen, np.float32(np.nan)).astype(np.float32))


def is_sure(ious: F32, object_scores: F32, motion_ious: F32, freeze_iou: float) -> Bools:
    """bool (n,): which frames may be remembered. With `freeze_iou` 0 all, as the official predictor does.

    Not those where the object is not seen, where the predicted IoU is below `freeze_iou`, or where the mask lies
    altogether elsewhere than the motion leads.
    """
    if freeze_iou <= 0:
        return np.ones(len(ious), np.bool_)
    astray = np.isfinite(motion_ious) & (motion_ious <= 0)
    sure: Bools = (ious >= freeze_iou) & (object_scores > 0) & ~astray
    return sure


def boxes_of(masks: Bools) -> F32:
    """bool (..., h, w) → float32 (..., 4): the boxes around them, xyxy in 0..1 of the picture; zeros where empty."""
    height, width = masks.shape[-2:]
    columns: Bools = np.any(masks, axis=-2)
    rows: Bools = np.any(masks, axis=-1)
    left, right = columns.argmax(axis=-1), width - columns[..., ::-1].argmax(axis=-1)
    top, bottom = rows.argmax(axis=-1), height - rows[..., ::-1].argmax(axis=-1)
    boxes = np.stack([left / width, top / height, right / width, bottom / height], axis=-1)
    there = np.expand_dims(columns.any(axis=-1), -1)
    return np.where(there, boxes, 0.0).astype(np.float32)


def iou_xyxy(a: F32, b: F32) -> F32:
    """Intersection over union of boxes (..., 4) that broadcast; 0 for two empty ones."""
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = overlap.clip(0).prod(axis=-1)
    areas = (a[..., 2:] - a[..., :2]).clip(0).prod(axis=-1) + (b[..., 2:] - b[..., :2]).clip(0).prod(axis=-1)
    iou: F32 = (shared / np.maximum(areas - shared, 1e-12)).astype(np.float32)
    return iou
