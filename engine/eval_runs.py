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


@dataclass(frozen=True, slots=True)
class Entrant:
    """A tracker of the engine with the detections that it gets; boxes are the same for all, looks may not be.

    looks_on  whether it is shown the pictures
    """

    name: str
    tracker: Tracker
    detections: Sequence[Detections]
    looks_on: bool = True


def run_trackers(entrants: Sequence[Entrant], pictures: Pictures | None, fps: float) -> list[TrackerRun]:
    """Every tracker over all frames, each frame read once.

    What counts are objects with an ID that were seen in the frame, as in the engine's files.
    """
    runs = [TrackerRun(entrant.name) for entrant in entrants]
    count = len(entrants[0].detections) if entrants else 0
    shown = pictures if any(entrant.looks_on for entrant in entrants) else None
    for number, frame in enumerate(_frames(shown, count)):
        for run, entrant in zip(runs, entrants, strict=True):
            found, seen = entrant.detections[number], frame if entrant.looks_on else None
            began_ns = time.perf_counter_ns()
            tracks = entrant.tracker.update(found, number / fps, seen)
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
