"""Run one peer on sequences, a new tracker for each, or say which there are.

    python -m bench.tracker_peers --list
    python -m bench.tracker_peers NAME JOB.npz RESULT.npz [JOB.npz RESULT.npz …]

JOB.npz     counts (frames,), boxes_xyxy (n, 4), scores (n,), class_ids (n,), size_wh (2,), pictures (frames,) or (0,)
            and clip: names of files, one of a video, or an empty one
RESULT.npz  counts (frames,), boxes_xyxy (m, 4), ids (m,), update_s (frames,)

`--list` prints JSON: why each peer cannot run here, or an empty text. Reading pictures is not timed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import cv2
import numpy as np

from bench.tracker_peers.catalogue import CATALOGUE
from bench.tracker_peers.peer import U8


def frames_of(pictures: list[str], clip: str, count: int) -> Iterator[U8 | None]:
    """`count` pictures in order, from files or from a video; None for each where there are neither."""
    if clip:
        video = cv2.VideoCapture(clip)
        for _ in range(count):
            yield _read(video.read()[1], clip)
    elif pictures:
        for name in pictures:
            yield _read(cv2.imread(name), name)
    else:
        yield from [None] * count


def _read(picture: object, name: str) -> U8:
    if picture is None:
        raise SystemExit(f"{name}: cannot be read")
    return np.asarray(picture, np.uint8)


def run(name: str, job_path: str, result_path: str) -> None:
    """Track a sequence and write the result."""
    with np.load(job_path, allow_pickle=False) as stored:
        job = {key: stored[key] for key in stored.files}
    entry = CATALOGUE[name]
    peer = entry.make((int(job["size_wh"][0]), int(job["size_wh"][1])))
    ends = np.cumsum(job["counts"])[:-1]
    columns = [np.split(job[key], ends) for key in ("boxes_xyxy", "scores", "class_ids")]
    pictures, clip = (job["pictures"].tolist(), str(job["clip"])) if entry.looks else ([], "")
    frames = frames_of(pictures, clip, len(job["counts"]))
    boxes, ids, times_s = [], [], []
    for found, frame in zip(zip(*columns, strict=True), frames, strict=True):
        began = time.perf_counter()
        tracked = peer.update(found[0], found[1], found[2].astype(np.int64), frame)
        times_s.append(time.perf_counter() - began)
        boxes.append(tracked[0])
        ids.append(tracked[1])
    np.savez(
        result_path,
        counts=np.array([len(each) for each in ids]),
        boxes_xyxy=np.concatenate(boxes),
        ids=np.concatenate(ids),
        update_s=np.array(times_s),
    )


def main() -> None:
    if sys.argv[1:] == ["--list"]:
        print(json.dumps({name: entry.missing() for name, entry in CATALOGUE.items()}))
        return
    # One thread, as the engine's trackers have.
    cv2.setNumThreads(1)
    name, *paths = sys.argv[1:]
    for job, result in zip(paths[::2], paths[1::2], strict=True):
        run(name, job, result)


if __name__ == "__main__":
    main()
