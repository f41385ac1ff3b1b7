"""How well a run on a rendered scene has found, kept apart, cut out and followed people, against exact truth.

Pure: arrays in, figures out. Reading of files is in `scene_files`, words are in `scene_report`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import I64, Bools

F64 = NDArray[np.float64]

RIGHT_IOU = 0.5
"""Overlap from which a box is somebody's."""
LEAST_VISIBILITY = 0.5
"""Share of a body from which somebody has to be found; who is less to be seen may be found or not."""
LEAST_HEIGHT_PX = 40.0
"""Height of the part of a body that is in the picture from which somebody has to be found."""


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """One picture: who was there, and what the run has said of it.

    time_s        seconds since 1970
    true_ids      int64 (n,)
    true_boxes_xyxy  (n, 4) whole bodies clipped to the picture
    required      bool (n,): has to be found; the others may be
    ids           int64 (m,) identities given
    boxes_xyxy    (m, 4)
    mask_ious     (n, m) of exact and given masks, NaN where there is no mask given; None: not sampled in this frame
    masks         number of objects with a mask
    target_in_picture  whether the middles of all who are to be followed are in the picture; None: nobody is
    """

    time_s: float
    true_ids: I64
    true_boxes_xyxy: F64
    required: Bools
    ids: I64
    boxes_xyxy: F64
    mask_ious: F64 | None = None
    masks: int = 0
    target_in_picture: bool | None = None


@dataclass(frozen=True, slots=True)
class SceneScore:
    """Figures of one camera, or of several together. Shares are 0..1, NaN where there was nothing to measure.

    frames          pictures with a result that were scored
    seconds         from the first to the last of them
    masked_fps      frames with a mask each second; the smaller of several cameras
    time_in_frame   share of the pictures of heads with all targets in them
    """

    frames: int
    seconds: float
    recall: float
    precision: float
    idf1: float
    mask_iou: float
    time_in_frame: float
    masked_fps: float
