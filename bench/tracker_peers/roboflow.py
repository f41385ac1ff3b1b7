"""`trackers` and `supervision` of Roboflow (Apache-2.0 and MIT).

`supervision.ByteTrack` is there up to 0.30; with 0.31 it has moved to `trackers`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from bench.tracker_peers.peer import F32, F64, I64, U8, boxes_and_ids

CLASSES = {
    "sort": "SORTTracker",
    "bytetrack": "ByteTrackTracker",
    "ocsort": "OCSORTTracker",
    "botsort": "BoTSORTTracker",
    "cbiou": "CBIoUTracker",
    "mcbyte": "McByteTracker",
}


class Roboflow:
    """A tracker of the package `trackers`. BoT-SORT and McByte look at the frame for the camera's motion."""

    def __init__(self, name: str) -> None:
        import trackers

        self._tracker: Any = getattr(trackers, CLASSES[name])()

    def update(self, boxes_xyxy: F32, scores: F32, class_ids: I64, frame_bgr: U8 | None) -> tuple[F64, I64]:
        found = self._tracker.update(_detections(boxes_xyxy, scores, class_ids), frame=frame_bgr)
        return _tracked(found)


class SupervisionByteTrack:
    """`supervision.ByteTrack`."""

    def __init__(self) -> None:
        import supervision

        with warnings.catch_warnings():
            # That it will be removed.
            warnings.simplefilter("ignore", FutureWarning)
            self._tracker: Any = supervision.ByteTrack()

    def update(self, boxes_xyxy: F32, scores: F32, class_ids: I64, frame_bgr: U8 | None) -> tuple[F64, I64]:
        return _tracked(self._tracker.update_with_detections(_detections(boxes_xyxy, scores, class_ids)))


def _detections(boxes_xyxy: F32, scores: F32, class_ids: I64) -> Any:
    import supervision

    return supervision.Detections(xyxy=boxes_xyxy.copy(), confidence=scores.copy(), class_id=class_ids.copy())


def _tracked(found: Any) -> tuple[F64, I64]:
    if found.tracker_id is None or not len(found):
        return boxes_and_ids([], [])
    # Roboflow gives -1 to what is not confirmed yet.
    tracked = np.asarray(found.tracker_id) >= 0
    return boxes_and_ids(found.xyxy[tracked], found.tracker_id[tracked])
