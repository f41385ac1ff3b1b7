"""What events cost in a frame, and what a day of people coming and going leaves in memory.

python -m bench.events [--frames 200] [--identities 100000]

Everybody walks at random through two zones and over two lines; groups and speeds are looked for. Times are those of
`CameraEvents.advance` alone, on one thread.
"""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.config import CameraConfig
from engine.config.identity import EventsConfig
from engine.config.regions import Line, Zone
from engine.events import CameraEvents
from engine.types import I64, Detections, ResultMeta, Tracks

SIZE = 1000
HEIGHT_PX = 60.0
ZONES = (
    Zone("yard", ((0.1, 0.1), (0.6, 0.1), (0.6, 0.9), (0.1, 0.9)), dwell_s=1.0),
    Zone("corner", ((0.5, 0.1), (0.9, 0.1), (0.9, 0.9))),
)
LINES = (Line("down", ((0.5, 0.0), (0.5, 1.0))), Line("across", ((0.0, 0.5), (1.0, 0.5))))


def camera_events() -> CameraEvents:
    """With zones and lines, groups and speeds."""
    return CameraEvents(CameraConfig("a", "test://", zones=ZONES, lines=LINES), EventsConfig(), ("person",))


def tracks_at(places_xy: NDArray[np.float64], track_ids: I64) -> Tracks:
    """People with their feet at these places."""
    x, y = places_xy.T
    boxes = np.stack((x - HEIGHT_PX / 4, y - HEIGHT_PX, x + HEIGHT_PX / 4, y), axis=1).astype(np.float32)
    count = len(places_xy)
    found = Detections(boxes, np.full(count, 0.9, np.float32), np.zeros(count, np.int32))
    return Tracks.of(found, track_ids)


def meta_of(index: int) -> ResultMeta:
    """Of a frame of 25 a second."""
    return ResultMeta(index, index, 0, SIZE, SIZE, pts_ns=index * 40_000_000)


def frame_ms(people: int, frames: int) -> tuple[list[float], int]:
    """Time of each frame with so many people, and how many events there were."""
    events, noise = camera_events(), np.random.default_rng(0)
    places, ids = noise.uniform(0, SIZE, (people, 2)), np.arange(1, people + 1)
    times, count = [], 0
    for index in range(frames):
        places += noise.normal(0, 3, places.shape)
        tracks, meta = tracks_at(places, ids), meta_of(index)
        begun = time.perf_counter()
        count += len(events.advance(tracks, np.empty(0, np.int64), meta))
        times.append(1e3 * (time.perf_counter() - begun))
    return times, count


def churn_kib(identities: int) -> list[float]:
    """Memory after each tenth of so many people, twenty at a time, each there for a while."""
    events, noise = camera_events(), np.random.default_rng(0)
    held: list[float] = []
    tracemalloc.start()
    for index in range(identities):
        ids = np.arange(max(0, index - 20), index) + 1
        tracks = tracks_at(noise.uniform(0, SIZE, (len(ids), 2)), ids)
        events.advance(tracks, np.array([max(0, index - 20)]), meta_of(index))
        if (index + 1) % max(1, identities // 10) == 0:
            held.append(tracemalloc.get_traced_memory()[0] / 1024)
    tracemalloc.stop()
    return held


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--identities", type=int, default=100_000)
    args = parser.parse_args()
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        # As in the engine's workers; numpy reads it when it is imported.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "bench.events", *sys.argv[1:]])
    figures: dict[str, Any] = {}
    rows: list[tuple[object, ...]] = []
    for people in (0, 20, 300, 3000):
        times, count = frame_ms(people, args.frames)
        median, p95 = float(np.median(times)), float(np.percentile(times, 95))
        figures[f"{people}"] = {"median_ms": median, "p95_ms": p95, "events": count}
        rows.append((people, f"{median:.2f}", f"{p95:.2f}", count))
    print(heading())
    print(markdown_table(("people in the frame", "median ms", "p95 ms", "events"), rows))
    held = churn_kib(args.identities)
    print(
        f"\n{args.identities} people, 20 at a time: {held[0]:.0f} KiB after a tenth, {held[-1]:.0f} KiB at the end"
    )
    write_json(args.json, frame=figures, churn_kib=held)


if __name__ == "__main__":
    main()
