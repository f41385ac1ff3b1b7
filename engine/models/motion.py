"""`motion`: a detector without weights, for cameras that stand still.

Learns what the background looks like and reports what differs from it. Looks at brightness only and cannot tell
a person from a dog or two people who walk together from one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.models.base import BatchItem, Choice, Detector, DetectorOptions
from engine.types import F32, U8, Detections, FrameMeta, FrameNv12

_WORKING_WIDTH = 320
"""Width in pixels of the picture that is analysed; smaller ones are taken as they are."""
_DISTANCE = 200.0
"""Squared difference in grey levels from which a pixel is not background any more (14 levels)."""
_MEMORY_S = 30.0
"""Time constant of the background. What stops moving belongs to it after a fifth of this (measured)."""
_LONGEST_STEP_S = 1.0
"""Gaps between frames count as at most this long: after a reconnect the background is not learnt in one go."""
_SMALLEST_SHARE = 0.001
"""Smallest object, as a share of the picture."""
_GLOBAL_SHARE = 0.6
"""Where more of the picture than this has changed, the light or the camera has, and not objects in it."""
_SETTLED_S = 0.5
"""Seconds of motion in one place that give the full score."""

_LEARNING_FRAMES = 8
"""Frames in which a new background is learnt quickly."""

_OPEN = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2, 2))
_CLOSE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 9))
"""Taller than wide: people fall apart into head, body and legs, not side by side."""


def _new_background() -> cv2.BackgroundSubtractorKNN:
    return cv2.createBackgroundSubtractorKNN(dist2Threshold=_DISTANCE, detectShadows=False)


@dataclass(slots=True)
class MotionState:
    """What is remembered of one camera."""

    source_wh: tuple[int, int] = (0, 0)
    background: cv2.BackgroundSubtractorKNN = field(default_factory=_new_background)
    frames: int = 0
    time_s: float = 0.0
    boxes_xyxy: F32 = field(default_factory=lambda: np.empty((0, 4), np.float32))
    moving_s: F32 = field(default_factory=lambda: np.empty(0, np.float32))


class MotionDetector(Detector):
    """Boxes around what moves, label `motion`. The score grows with how solid and how lasting the motion is."""

    labels = ("motion",)
    lanes = 1

    def __init__(self, options: DetectorOptions) -> None:
        self._options = options
        self.batch = max(1, options.batch)
        self.description = (
            f"motion: background subtraction on {_WORKING_WIDTH} pixel wide pictures, no weights"
        )
        if options.classes and "motion" not in options.classes:
            reason = f"motion has no classes; {', '.join(options.classes)} cannot be told apart"
            self.choices = (Choice("classes", "all", reason),)

    def new_state(self) -> MotionState:
        return MotionState()

    def infer(self, batch: Sequence[BatchItem], call: int = 0) -> list[Detections]:
        """See `Detector.infer`. Raises `TypeError` for an item without the state of `new_state`."""
        return [self._look(item.frame, item.state) for item in batch]

    def _look(self, frame: FrameNv12, state: object | None) -> Detections:
        if not isinstance(state, MotionState):
            raise TypeError("motion needs the camera's state: BatchItem(frame, detector.new_state())")
        height, width = frame.y.shape
        if state.source_wh != (width, height):
            _forget(state, (width, height))
        elapsed_s = _step(state, frame.meta)
        picture = _shrink(frame.y)
        mask = _foreground(state, picture, elapsed_s)
        boxes, fills = _objects(mask)
        scale = np.array([width / mask.shape[1], height / mask.shape[0]] * 2, np.float32)
        boxes *= scale
        scores = _score(state, boxes, fills, elapsed_s)
        best = np.argsort(-scores, kind="stable")
        best = best[scores[best] >= self._options.confidence][: self._options.max_objects]
        return Detections(boxes[best], scores[best], np.zeros(len(best), np.int32))


def _forget(state: MotionState, source_wh: tuple[int, int]) -> None:
    fresh = MotionState(source_wh)
    for name in MotionState.__slots__:
        setattr(state, name, getattr(fresh, name))


def _step(state: MotionState, meta: FrameMeta) -> float:
    """Seconds since the camera's last frame in the source's own time, 0 for the first one."""
    time_s = (meta.pts_ns if meta.pts_ns >= 0 else meta.captured_ns) / 1e9
    elapsed_s = time_s - state.time_s if state.frames else 0.0
    state.time_s = time_s
    return min(max(elapsed_s, 0.0), _LONGEST_STEP_S)


def _shrink(y: U8) -> U8:
    height, width = y.shape
    if width <= _WORKING_WIDTH:
        return y
    size_wh = (_WORKING_WIDTH, max(1, round(height * _WORKING_WIDTH / width)))
    small: U8 = np.empty(size_wh[::-1], np.uint8)
    cv2.resize(y, size_wh, dst=small, interpolation=cv2.INTER_LINEAR)
    return small


def _foreground(state: MotionState, picture: U8, elapsed_s: float) -> U8:
    """255 where the picture is not background, without specks; empty while the whole picture changes."""
    # The first frames count equally, so that the background is there after a few of them.
    learning = state.frames < _LEARNING_FRAMES
    rate = 1.0 / (state.frames + 1) if learning else elapsed_s / _MEMORY_S
    mask = np.empty(picture.shape, np.uint8)
    state.background.apply(picture, mask, rate)
    state.frames += 1
    if cv2.countNonZero(mask) > _GLOBAL_SHARE * mask.size:
        # Learn quickly again, but let that finish: it takes a few frames in which all is new.
        state.frames = 0 if state.frames > _LEARNING_FRAMES else state.frames
        mask[:] = 0
        return mask
    cv2.morphologyEx(mask, cv2.MORPH_OPEN, _OPEN, dst=mask)
    cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _CLOSE, dst=mask)
    return mask


def _objects(mask: U8) -> tuple[F32, F32]:
    """Boxes float32 (n, 4) in pixels of the mask and how much of each is foreground, 0..1."""
    _, _, rows, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    table = np.asarray(rows, np.float32)[1:]
    table = table[table[:, cv2.CC_STAT_AREA] >= max(4.0, _SMALLEST_SHARE * mask.size)]
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    return boxes, table[:, cv2.CC_STAT_AREA] / np.maximum(table[:, 2] * table[:, 3], 1)


def _score(state: MotionState, boxes_xyxy: F32, fills: F32, elapsed_s: float) -> F32:
    """0.2 … 1: a share for being solid, the larger one for having moved there in the frames before."""
    moving_s = np.zeros(len(boxes_xyxy), np.float32)
    if len(boxes_xyxy) and len(state.boxes_xyxy):
        overlapping = _overlap(boxes_xyxy, state.boxes_xyxy) > 0.2
        moving_s = np.where(overlapping, state.moving_s + np.float32(elapsed_s), 0.0).max(axis=1)
    state.boxes_xyxy, state.moving_s = boxes_xyxy, moving_s
    scores = 0.2 + 0.3 * np.minimum(fills / 0.5, 1.0) + 0.5 * np.minimum(moving_s / _SETTLED_S, 1.0)
    return np.asarray(scores, np.float32)


def _overlap(a_xyxy: F32, b_xyxy: F32) -> NDArray[np.float32]:
    """float32 (n, m): intersection over union of each pair."""
    a, b = a_xyxy[:, None, :], b_xyxy[None, :, :]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    shared = sides.prod(axis=-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (a, b))
    return np.asarray(shared / np.maximum(area_a + area_b - shared, 1e-6), np.float32)
