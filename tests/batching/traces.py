"""Recorded arrivals (see `record_traces.py`), and a clock that plays them to a batcher."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.batching.batcher import Batcher, BatchOptions
from engine.batching.camera_queue import Arrival, CameraQueue

FOLDER = Path(__file__).with_name("recorded")
START_NS = 1_000_000_000
MS = 1_000_000


def trace(name: str, delay_ms: float = 0.0, seconds: float | None = None) -> list[Arrival]:
    """The frames of a recording, beginning so much later."""
    begin_ns = START_NS + round(delay_ms * MS)
    with (FOLDER / f"{name}.csv").open() as lines:
        rows = [tuple(int(row[key]) * 1000 for key in row) for row in csv.DictReader(lines)]
    return [
        Arrival(seq, begin_ns + captured, begin_ns + captured, begin_ns + available)
        for seq, (captured, available, _) in enumerate(rows, 1)
        if seconds is None or available < seconds * 1e9
    ]


def steady(fps: float, seconds: float, delay_ms: float = 0.0, decode_ms: float = 3.0) -> list[Arrival]:
    """A camera that keeps its time."""
    begin_ns = START_NS + round(delay_ms * MS)
    times_ns = [begin_ns + round(number * 1e9 / fps) for number in range(round(seconds * fps))]
    return [
        Arrival(seq, at_ns, at_ns, at_ns + round(decode_ms * MS)) for seq, at_ns in enumerate(times_ns, 1)
    ]


@dataclass
class Batch:
    """A batch that was run: when, how long its first frame had waited, and (camera, capture time) of its frames.

    widest_ns  the widest window while it was collected: it may close in when a rate becomes known
    """

    begun_ns: int
    waited_ns: int
    window_ns: int
    widest_ns: int
    frames: list[tuple[str, int]]

    def ages_ms(self) -> list[float]:
        """Age of each frame when the batch began."""
        return [(self.begun_ns - captured_ns) / MS for _, captured_ns in self.frames]


@dataclass
class Played:
    """What came of a play."""

    batcher: Batcher
    end_ns: int
    batches: list[Batch] = field(default_factory=list)

    def served(self) -> dict[str, int]:
        """Frames processed of each camera."""
        counts = dict.fromkeys(self.batcher.queues, 0)
        for batch in self.batches:
            for camera, _ in batch.frames:
                counts[camera] += 1
        return counts

    def occupancy(self, after_s: float = 2.0) -> float:
        """Mean frames per batch once the cameras have settled."""
        sizes = [len(batch.frames) for batch in self.batches if batch.begun_ns > START_NS + after_s * 1e9]
        return sum(sizes) / len(sizes)

    def ages_ms(self) -> list[float]:
        """Ages of all frames, sorted."""
        return sorted(age for batch in self.batches for age in batch.ages_ms())


def play(
    cameras: dict[str, list[Arrival]],
    options: BatchOptions,
    compute_ms: float,
    target_fps: dict[str, float] | None = None,
    most_in_flight: int = 2,
) -> Played:
    """One lane that needs `compute_ms` a batch, on a clock that goes from event to event.

    Checks at every event that no frame is lost from the accounts.
    """
    queues = [
        CameraQueue(
            name, target_fps=(target_fps or {}).get(name, 0.0), live=options.live, most_in_flight=most_in_flight
        )
        for name in cameras
    ]  # fmt: skip
    batcher = Batcher(queues, options)
    events: list[tuple[int, int, Arrival | None, str]] = [
        (arrival.available_ns, arrival.seq, arrival, name) for name, of in cameras.items() for arrival in of
    ]
    heapq.heapify(events)
    played = Played(batcher, max((event[0] for event in events), default=START_NS))
    processed = dict.fromkeys(cameras, 0)
    running: Batch | None = None
    widest_ns = 0
    free_ns = now_ns = START_NS
    while events or running:
        if running and (not events or free_ns <= events[0][0]):
            now_ns = max(now_ns, free_ns)
            for camera, _ in running.frames:
                batcher.queues[camera].done()
                processed[camera] += 1
            running = None
        else:
            at_ns, _, came, name = heapq.heappop(events)
            now_ns = max(now_ns, at_ns)
            if came is not None:
                batcher.queues[name].arrive(came)
        runs_ns = None if running else batcher.runs_at(now_ns)
        if runs_ns is not None and runs_ns <= now_ns:
            running = _begin(batcher, now_ns, options, widest_ns)
            widest_ns = 0
            played.batches.append(running)
            free_ns = now_ns + round(compute_ms * MS)
        elif runs_ns is not None and (not events or runs_ns < events[0][0]):
            heapq.heappush(events, (runs_ns, 0, None, ""))
        widest_ns = max(widest_ns, batcher.window_ns(now_ns))
        _check_accounts(batcher, processed)
    return played


def _begin(batcher: Batcher, now_ns: int, options: BatchOptions, widest_ns: int) -> Batch:
    since_ns = min(queue.due_since_ns for queue in batcher.queues.values() if queue.due)
    window_ns = batcher.window_ns(now_ns)
    picks = batcher.take(now_ns)
    assert 1 <= len(picks) <= options.batch
    frames = [(pick.queue.name, pick.arrival.captured_ns) for pick in picks]
    return Batch(now_ns, now_ns - since_ns, window_ns, max(window_ns, widest_ns), frames)


def _check_accounts(batcher: Batcher, processed: dict[str, int]) -> None:
    for name, queue in batcher.queues.items():
        spent = processed[name] + queue.in_flight + queue.waiting + queue.drops.total()
        assert queue.seen_seq == spent, name


def phases(count: int, period_ms: float) -> Iterator[float]:
    """Delays that spread so many cameras evenly over a period."""
    return (number * period_ms / count for number in range(count))
