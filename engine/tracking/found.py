"""The boxes of one frame, made fit for association: what is no box is dropped, what is too much left out.

Knows detections, and asks for their colours where no network has looked at them. Does not know tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.tracking.association import iou_matrix, shadowed_by
from engine.tracking.colour import describe
from engine.tracking.settings import COLOUR, OFF, TrackerSettings
from engine.types import F32, I32, Bools, Detections, FrameNv12

F64 = NDArray[np.float64]
Rows = NDArray[np.intp]

LARGEST_COORDINATE_PX = 1e6
SHORTEST_VECTOR = 0.1
"""An embedding is of length 1, give or take its rounding; what is shorter than this was never one."""


@dataclass(frozen=True, slots=True)
class Found:
    """The usable boxes of one frame. `overlap` (m, m) is of each with each; `winners` see `shadowed_by`.

    looks   float32 (m, d): unit vectors, zeros where nobody looked; None where that is so for all
    looked  bool (m,): which boxes have one
    clear   bool (m,): those of them from which may be learnt what a track looks like
    """

    boxes_xyxy: F64
    scores: F32
    class_ids: I32
    overlap: F64
    winners: Rows
    looks: F32 | None
    looked: Bools
    clear: Bools


class Intake:
    """Takes detections in and counts what it leaves out.

    invalid   boxes dropped so far because they are no boxes: not finite, no area, absurdly far out
    surplus   boxes not tracked so far because a frame had more than `most_detections`
    blind     embeddings dropped so far because they are none: not finite, or of no length
    """

    def __init__(self, settings: TrackerSettings, colours: bool = True) -> None:
        """`colours`: whether anybody asks for them, where the settings allow it."""
        self.settings = settings
        self.invalid = 0
        self.surplus = 0
        self.blind = 0
        self._colours = colours and settings.appearance == COLOUR
        """Whether colours are looked at: until there is a network that does it better."""

    def valid(self, detections: Detections) -> Detections:
        """Those that are boxes."""
        boxes = detections.boxes_xyxy
        # Not-a-number fails every comparison, so this catches it as well.
        inside = (np.abs(boxes) < LARGEST_COORDINATE_PX).all(axis=1)
        valid = inside & (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isfinite(detections.scores)
        if valid.all():
            return detections
        self.invalid += len(valid) - int(np.count_nonzero(valid))
        return detections.take(valid)

    def choose(self, scores: F32) -> Rows:
        """Which boxes take part, rising."""
        chosen = np.flatnonzero(scores >= self.settings.low_score)
        if len(chosen) > self.settings.most_detections:
            self.surplus += len(chosen) - self.settings.most_detections
            best = np.argsort(-scores[chosen], kind="stable")[: self.settings.most_detections]
            chosen = np.sort(chosen[best])
        return chosen

    def look(self, valid: Detections, chosen: Rows, frame: FrameNv12 | None = None) -> Found:
        """The boxes that take part, with what is needed to associate them; colours only where there is a frame."""
        boxes, scores = valid.boxes_xyxy[chosen].astype(np.float64), valid.scores[chosen]
        overlap = iou_matrix(boxes, boxes)
        winners = shadowed_by(overlap, scores, self.settings.duplicate_overlap)
        looks, looked = self._looks(valid, chosen)
        clear = looked
        if self._colours and frame is not None and len(chosen):
            colours = describe(frame, boxes, overlap)
            looked = colours.seen & (scores >= self.settings.colour_score)
            looks, clear = (colours.vectors if looked.any() else None), looked & colours.clear
        return Found(boxes, scores, valid.class_ids[chosen], overlap, winners, looks, looked, clear)

    def _looks(self, valid: Detections, chosen: Rows) -> tuple[F32 | None, Bools]:
        nobody = np.zeros(len(chosen), np.bool_)
        embeddings = valid.embeddings
        if self.settings.appearance == OFF:
            return None, nobody
        if embeddings is None or not len(embeddings) or not embeddings.dims:
            return None, nobody
        self._colours = False
        vectors, present = embeddings.dense(len(valid))
        vectors, present = vectors[chosen], present[chosen]
        lengths = np.linalg.norm(vectors, axis=1)
        usable = np.isfinite(lengths) & (lengths > SHORTEST_VECTOR) & present
        self.blind += int(np.count_nonzero(present & ~usable))
        if not usable.any():
            return None, nobody
        vectors[~usable] = 0
        vectors[usable] /= lengths[usable, None]
        return vectors, usable
