"""`norfair` (BSD-3-Clause), by its maintained fork `norfair-enough`: the original wants numpy below 2.

It has no default for what is near: the distance and its threshold are those of its own examples with boxes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.tracker_peers.peer import F32, F64, I64, U8, boxes_and_ids

DISTANCE, THRESHOLD = "iou", 0.7


class Norfair:
    """`norfair.Tracker` on corners of boxes."""

    def __init__(self) -> None:
        from norfair import Tracker

        self._tracker: Any = Tracker(distance_function=DISTANCE, distance_threshold=THRESHOLD)
        self._frame = 0

    def update(self, boxes_xyxy: F32, scores: F32, class_ids: I64, frame_bgr: U8 | None) -> tuple[F64, I64]:
        from norfair import Detection

        self._frame += 1
        found = [
            Detection(
                box.reshape(2, 2).astype(float), scores=np.full(2, float(score)), data=(self._frame, place)
            )
            for place, (box, score) in enumerate(zip(boxes_xyxy, scores, strict=True))
        ]
        shown = self._tracker.update(found)
        # What it only expects to be there has an estimate, too; as with the others, what is seen counts.
        # It keeps copies of detections, so that they are known by what they carry.
        seen = [each for each in shown if each.last_detection.data[0] == self._frame]
        return boxes_and_ids(
            [boxes_xyxy[each.last_detection.data[1]] for each in seen], [each.id for each in seen]
        )
