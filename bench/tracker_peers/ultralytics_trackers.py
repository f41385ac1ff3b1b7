"""The trackers that `ultralytics` (AGPL-3.0) ships, as `model.track` makes them from their yaml files."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.peer_ultralytics import environment, mend_torchvision
from bench.tracker_peers.peer import F32, F64, I64, U8, boxes_and_ids

NAMES = ("botsort", "bytetrack", "ocsort", "deepocsort", "fasttrack", "tracktrack")


class Found:
    """Detections as its trackers take them: `conf`, `cls`, `xywh` (centres), `xyxy`, and indexing."""

    def __init__(self, boxes_xyxy: F32, scores: F32, class_ids: I64) -> None:
        self.xyxy, self.conf, self.cls = boxes_xyxy, scores, class_ids.astype(np.float32)

    @property
    def xywh(self) -> F32:
        size = self.xyxy[:, 2:] - self.xyxy[:, :2]
        return np.concatenate((self.xyxy[:, :2] + size / 2, size), axis=1).astype(np.float32)

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, index: Any) -> Found:
        return Found(self.xyxy[index], self.conf[index], self.cls[index])


class Ultralytics:
    """One of its trackers. Where there are no pictures it is shown black ones: its camera motion finds nothing."""

    def __init__(self, name: str, size_wh: tuple[int, int]) -> None:
        settings_folder = tempfile.mkdtemp(prefix="peer-ultralytics-")
        atexit.register(shutil.rmtree, settings_folder, ignore_errors=True)
        os.environ.update(environment(Path(settings_folder)))
        mend_torchvision()
        from ultralytics.trackers.track import TRACKER_MAP
        from ultralytics.utils import YAML, IterableSimpleNamespace
        from ultralytics.utils.checks import check_yaml

        settings = IterableSimpleNamespace(**YAML.load(check_yaml(f"{name}.yaml")))
        settings.device = "cpu"
        self._tracker: Any = TRACKER_MAP[name](args=settings)
        self._black = np.zeros((size_wh[1] or 720, size_wh[0] or 1280, 3), np.uint8)

    def update(self, boxes_xyxy: F32, scores: F32, class_ids: I64, frame_bgr: U8 | None) -> tuple[F64, I64]:
        frame = self._black if frame_bgr is None else frame_bgr
        rows = np.asarray(self._tracker.update(Found(boxes_xyxy, scores, class_ids), frame))
        if not len(rows):
            return boxes_and_ids([], [])
        # model.track shows the filter's box, not the detector's.
        return boxes_and_ids(rows[:, :4], rows[:, 4])
