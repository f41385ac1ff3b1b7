"""The engine's trackers on a sequence: one pass over the frames, all trackers of the run beside each other.

Knows the order of a frame: detections, with what some look like, then each tracker, timed. Does not score.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.eval_pictures import Pictures
from engine.evaluation.mot_scores import ResultFrame
from engine.tracking.base import Tracker
from engine.types import Detections, FrameNv12


@dataclass(slots=True)
class TrackerRun:
    """What one tracker made of a sequence. `update_s` are the seconds of each of its updates."""

    name: str
    frames: list[ResultFrame] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)

    @property
    def update_s(self) -> NDArray[np.float64]:
        """float64 (frames,)."""
        return np.array(self.times_s)


def run_trackers(
    trackers: dict[str, Tracker], detections: Sequence[Detections], pictures: Pictures | None, fps: float
) -> list[TrackerRun]:
    """Every tracker over all frames; `pictures` are for those that look at pixels.

    What counts are objects with an ID that were seen in the frame, as in the engine's files.
    """
    runs = [TrackerRun(name) for name in trackers]
    for number, (found, frame) in enumerate(zip(detections, _frames(pictures, len(detections)), strict=True)):
        for run, tracker in zip(runs, trackers.values(), strict=True):
            began_ns = time.perf_counter_ns()
            tracks = tracker.update(found, number / fps, frame)
            run.times_s.append((time.perf_counter_ns() - began_ns) / 1e9)
            tracks = tracks.seen()
            tracks = tracks.take(tracks.track_ids > 0)
            run.frames.append(ResultFrame(tracks.track_ids, tracks.boxes_xyxy.astype(np.float64)))
    return runs


def _frames(pictures: Pictures | None, count: int) -> Iterator[FrameNv12 | None]:
    if pictures is not None:
        yield from pictures
    else:
        yield from [None] * count
