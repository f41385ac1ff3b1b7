"""Frames with results in the pools of a house, and a full disk: for tests of what writes results."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

import numpy as np

from engine.types import Detections, FrameFlag, Tracks
from engine.workers.results import Camera, advance
from engine.workers.runtime import Context
from tests.workers.house import House, publish_frame, publish_result, with_masks

END = FrameFlag.END_OF_STREAM


def one_object(number: int) -> Tracks:
    found = Detections(
        boxes_xyxy=np.array([[number % 8, 2, number % 8 + 20, 30]], np.float32),
        scores=np.array([0.9], np.float32),
        class_ids=np.zeros(1, np.int32),
    )
    return Tracks.of(found, np.array([7], np.int64), np.array([number], np.int32))


def track(house: House, count: int, name: str = "a", size: tuple[int, int] = (64, 48)) -> None:
    """So many more results with one object each, and their frames."""
    frames, tracks = house.producer(f"frames:{name}"), house.producer(f"tracks:{name}")
    for _ in range(count):
        seq = publish_frame(frames, frames.newest_seq(), value=100, size=size)
        publish_result(tracks, seq, one_object(seq), size=size)


def publish_masked(house: House, side: int, count: int = 1) -> None:
    """So many more results with one masked object each, and their frames."""
    frames, tracks = house.producer("frames:a"), house.producer("tracks:a")
    for _ in range(count):
        seq = publish_frame(frames, frames.newest_seq(), value=100)
        publish_result(tracks, seq, with_masks(one_object(0), side))


def end(house: House, name: str = "a") -> None:
    """The end of a camera."""
    frames = house.producer(f"frames:{name}")
    seq = publish_frame(frames, frames.newest_seq(), flags=END)
    publish_result(house.producer(f"tracks:{name}"), seq, Tracks.empty(), flags=END)


def advance_all(context: Context, camera: Camera) -> int:
    """Write all that is there; how many that were."""
    count = 0
    while advance(context, camera):
        count += 1
    return count


def lost(camera: Camera) -> dict[str, int]:
    """Results that were not written, by reason; without zeros."""
    return {reason: count for reason, count in camera.dropped.items() if count}


@contextlib.contextmanager
def full_disk(limit: int = 0) -> Iterator[None]:
    """No file of this process may grow beyond `limit` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
