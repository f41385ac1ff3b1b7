"""A model file at work: what it finds in frames, and how long it takes beside another.

Through the engine's own detector and backend, so that figures are those of a run.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engine.models.backend import Backend, BackendOptions, Call, backend_named
from engine.models.base import BatchItem, DetectorOptions
from engine.models.detector import create_detector
from engine.types import Detections, FrameNv12

LANES = 2
"""Calls side by side, of one thread each, as the engine runs small models on a CPU."""


def detect(path: Path, frames: Iterable[FrameNv12], confidence: float) -> list[Detections]:
    """What the engine's detector finds in each frame with at least this score."""
    threads = max(1, (os.cpu_count() or 1) // 2)
    options = DetectorOptions(confidence=confidence, lanes=1, threads=threads, batch=1)
    detector = create_detector(str(path), options)
    return [detector.infer([BatchItem(frame)])[0] for frame in frames]


@dataclass(frozen=True, slots=True)
class Speed:
    """Times of one file against the first one of a comparison.

    ms     median milliseconds a picture, with `LANES` calls side by side
    ratio  how many times as fast as the first file: median over the rounds, in each of which both ran
    low, high  least and greatest ratio of a round
    """

    ms: float
    ratio: float
    low: float
    high: float


def compare_speed(paths: Sequence[Path], rounds: int, pictures: int) -> list[Speed]:
    """Let the files take turns: `rounds` times each so many pictures in every lane."""
    with ExitStack() as opened:
        models = []
        for path in paths:
            backend = backend_named("ort-cpu").load(path, BackendOptions(lanes=LANES, threads=1))
            opened.callback(backend.close)
            models.append((backend, [backend.new_call() for _ in range(LANES)]))
        pool = opened.enter_context(ThreadPoolExecutor(LANES))
        for model in models:
            _round_ms(pool, *model, pictures=1)
        times = [[_round_ms(pool, *model, pictures=pictures) for model in models] for _ in range(rounds)]
    return [_speed([row[0] for row in times], [row[index] for row in times]) for index in range(len(paths))]


def _round_ms(pool: ThreadPoolExecutor, backend: Backend, calls: Sequence[Call], pictures: int) -> float:
    def lane(index: int) -> None:
        for _ in range(pictures):
            backend.run(calls[index], 1, index)

    start = time.perf_counter()
    list(pool.map(lane, range(LANES)))
    return (time.perf_counter() - start) / (pictures * LANES) * 1e3


def _speed(first_ms: Sequence[float], own_ms: Sequence[float]) -> Speed:
    ratios = [first / own for first, own in zip(first_ms, own_ms, strict=True)]
    return Speed(statistics.median(own_ms), statistics.median(ratios), min(ratios), max(ratios))
