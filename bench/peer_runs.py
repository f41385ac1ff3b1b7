"""One way of running a detector on clips, in a process of its own: what `bench.peers` starts for every peer.

    python -m bench.peer_runs WAY RESULT.json MODEL CLIP [CLIP …]

Writes when each frame was finished and how many objects were in it. Does not know the engine.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from bench import peer_ultralytics
from bench.plain import PlainDetector, frames_in_turn, frames_of, session
from bench.throughput import limit_fps

SPAWN = multiprocessing.get_context("spawn")
QUEUE_FRAMES = 4
"""Frames of each camera that may wait for the detector: enough that it never waits for the decoder."""

Finished = tuple[float, int]
"""When a frame was finished, in seconds since the Unix epoch, and the number of objects in it."""


def plain_loop(model: Path, clips: Sequence[Path]) -> Iterator[int]:
    """Read, detect, read, detect: clips in turn, onnxruntime with its default threads."""
    detector = PlainDetector(model)
    for image in frames_in_turn(clips):
        yield len(detector.detect(image))


def decoder_thread(model: Path, clips: Sequence[Path]) -> Iterator[int]:
    """A thread for each camera decodes ahead, the main thread detects."""
    detector = PlainDetector(model)
    images: queue.Queue[Any] = queue.Queue(QUEUE_FRAMES * len(clips))
    threads = [threading.Thread(target=put_frames, args=(clip, images), daemon=True) for clip in clips]
    for thread in threads:
        thread.start()
    yield from detect_from(images, detector, len(clips))


def decoder_process(model: Path, clips: Sequence[Path]) -> Iterator[int]:
    """A process for each camera decodes ahead and sends raw frames through `multiprocessing.Queue`."""
    detector = PlainDetector(model)
    images = SPAWN.Queue(QUEUE_FRAMES * len(clips))
    processes = [SPAWN.Process(target=put_frames, args=(clip, images), daemon=True) for clip in clips]
    for process in processes:
        process.start()
    yield from detect_from(images, detector, len(clips))
    for process in processes:
        process.join()


def put_frames(clip: Path, images: Any) -> None:
    """All frames of a clip, then None."""
    for image in frames_of(clip):
        images.put(image)
    images.put(None)


def detect_from(images: Any, detector: PlainDetector, cameras: int) -> Iterator[int]:
    """Every frame of a queue, until each camera has said that it has ended."""
    while cameras:
        image = images.get()
        if image is None:
            cameras -= 1
        else:
            yield len(detector.detect(image))


def process_per_camera(model: Path, clips: Sequence[Path]) -> list[Finished]:
    """A whole program for each camera, one thread each in onnxruntime and OpenCV; they start together."""
    together = SPAWN.Barrier(len(clips))
    reports = SPAWN.Queue()
    processes = [SPAWN.Process(target=one_camera, args=(model, clip, together, reports)) for clip in clips]
    for process in processes:
        process.start()
    finished = [each for _ in processes for each in reports.get()]
    for process in processes:
        process.join()
    return finished


def one_camera(model: Path, clip: Path, together: Any, reports: Any) -> None:
    """The program of one camera."""
    cv2.setNumThreads(1)
    detector = PlainDetector(model, threads=1)
    together.wait()
    reports.put(stamped(len(detector.detect(image)) for image in frames_of(clip)))


def stamped(counts: Iterator[int]) -> list[Finished]:
    """Each count of objects with the time at which it came."""
    return [(time.time(), count) for count in counts]


WAYS: dict[str, Callable[[Path, Sequence[Path]], list[Finished]]] = {
    "ultralytics-predict": lambda model, clips: stamped(peer_ultralytics.results(model, clips, "")),
    "ultralytics-botsort": lambda model, clips: stamped(peer_ultralytics.results(model, clips, "botsort")),
    "ultralytics-bytetrack": lambda model, clips: stamped(
        peer_ultralytics.results(model, clips, "bytetrack")
    ),
    "plain-loop": lambda model, clips: stamped(plain_loop(model, clips)),
    "decoder-thread": lambda model, clips: stamped(decoder_thread(model, clips)),
    "decoder-process": lambda model, clips: stamped(decoder_process(model, clips)),
    "process-per-camera": process_per_camera,
}


def limit(model: Path, seconds: float) -> dict[str, float]:
    """One-thread sessions side by side on a ready tensor, one for each core."""
    sessions = [session(model) for _ in range(os.cpu_count() or 1)]
    limit_fps(sessions, 1.0)
    first_s = time.time()
    fps = limit_fps(sessions, seconds)
    return {"fps": fps, "first_s": first_s, "last_s": time.time()}


def main() -> None:
    way, result, model, *rest = sys.argv[1:]
    if way == "limit":
        document: Any = limit(Path(model), float(rest[0]))
    else:
        document = WAYS[way](Path(model), [Path(clip) for clip in rest])
    Path(result).write_text(json.dumps(document))


if __name__ == "__main__":
    main()
