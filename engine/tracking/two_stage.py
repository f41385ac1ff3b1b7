"""Tracking by detection in two stages: sure boxes first, then the unsure ones that continue a track.

Knows the order of association and the life of a track. Does not look at pixels, and leaves the motion to the
filter that it is given. ByteTrack and BoT-SORT are this class with their box models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.tracking.association import assign, gate_classes, iou_matrix, shadows
from engine.tracking.base import Tracker
from engine.tracking.kalman import POSITION, VELOCITY, BoxModel, KalmanFilter
from engine.tracking.pace import Pace
from engine.tracking.track_table import TrackTable
from engine.types import F32, I32, Detections, FrameFlag, FrameNv12, Tracks

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]

LARGEST_COORDINATE_PX = 1e6


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    show_score: float = 0.25
    low_score: float = 0.1
    high_score: float = 0.5
    start_score: float = 0.6
    match_similarity: float = 0.2
    confirm_similarity: float = 0.3
    low_iou: float = 0.5
    class_iou: float = 0.7
    duplicate_iou: float = 0.8
    lost_s: float = 2.0
    lost_frames: int = 5
    most_detections: int = 500
    most_tracks: int = 1000
    gate_stage: bool = True
    damp: float = 0.0
    gate_lost: bool = True
    gate_l: float = 9.49
    gate_t: float = 9.49
    ambig: int = 0
