"""How a backend uses its device: calls side by side, threads in each, frames in one call; found by measuring.

Pure policy: which layouts are worth trying, how they are timed against each other, which one wins. Knows no
backends (see `engine.models.start`), no files and no clock: a trial says how long it took.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

BUDGET_S = 1.2
"""Time for repetitions. Small models take this, and what loading and the first calls take."""
HARD_LIMIT_S = 3.0
"""No repetition is begun after this, however few there were: large models differ less than they take."""
_LEAST_ROUNDS, _MOST_ROUNDS = 3, 25
_SLICE_S = 0.03
"""Shortest trial: many calls of a small model, so that starting the threads does not count."""
_LONGEST_BATCH_S = 0.5
"""A batch that takes longer than this is not tried: its frames are late however many there are."""
_SAME = 0.8
"""Throughputs of at least this share of the best are the same, as far as can be told from so short a test."""
QUIET = 0.9
"""Share of the time that lanes of one thread computed in; with less, something else had the cores, and what was
measured is not remembered."""


class Layout(NamedTuple):
    """`lanes` calls at a time, each on `threads` threads and with up to `batch` frames."""

    lanes: int
    threads: int
    batch: int = 1

    def __str__(self) -> str:
        shape = f"{self.lanes}×{self.threads}"
        return shape if self.batch == 1 else f"{shape} batch {self.batch}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be chosen.

    lanes, threads, batch  as configured; 0 = free
    cores                  CPU cores that inference may use
    frames                 frames that can be due at once
    calls                  most lanes, where no more calls will come than these; 0 = as many as there are lanes
    """

    lanes: int = 0
    threads: int = 0
    batch: int = 0
    cores: int = 1
    frames: int = 1
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a layout reached: frames/s of all lanes together, and seconds that one call took."""

    layout: Layout
    frames_per_s: float
    call_s: float


def inference_cores(cores: int, live_cameras: int) -> tuple[int, str]:
    """How many of the usable cores inference takes, and why. `live_cameras` is 0 offline.

    Decoding, tracking and writing need time beside inference. The system shares two or three cores out better than
    a fixed split would; from four on, a core is left for every four live cameras, at most half, because a
    thread of the model that waits for a core holds up all the others of its call, and a decoder that waits makes
    a live picture old. Offline the decoders wait for inference anyway.
    """
    if not live_cameras:
        return cores, f"all {cores} cores: offline, decoding waits for inference"
    if cores < 4:
        return (
            cores,
            f"all {cores} cores: too few to split, the system shares them with decoding and tracking",
        )
    left = min(-(-live_cameras // 4), cores // 2)
    return (
        cores - left,
        f"{cores - left} of {cores} cores: {left} left to decode {live_cameras} live camera(s)",
    )


def shapes(bounds: Bounds, *, on_cores: bool) -> list[tuple[int, int]]:
    """(lanes, threads) worth trying; a single one where nothing is free.

    A GPU computes one call at a time: further lanes would hold the weights again and take turns.
    """
    if not on_cores:
        return [(bounds.lanes or 1, bounds.threads or 1)]
    cores = max(1, bounds.cores)
    if bounds.lanes:
        return [(bounds.lanes, bounds.threads or max(1, cores // bounds.lanes))]
    if bounds.threads:
        return [(max(1, cores // bounds.threads), bounds.threads)]
    lanes = {1, cores} | ({2, cores // 2} if cores >= 4 else set())
    possible = {min(count, bounds.calls or count) for count in lanes}
    return [(count, cores // count) for count in sorted(possible, reverse=True)]


def batches(bounds: Bounds, fixed_batch: int = 0, most: int = 0) -> list[int]:
    """Frames in one call worth trying.

    fixed_batch  what the file insists on, 0 if on nothing
    most         what the loaded file takes, 0 if not known yet
    """
    if fixed_batch:
        return [fixed_batch]
    wanted = {bounds.batch} if bounds.batch else {1, max(1, bounds.frames)}
    return sorted({min(count, most or count) for count in wanted})


def measure(layouts: Sequence[Layout], trial: Callable[[Layout, int], float]) -> list[Measured]:
    """Time the layouts against each other.

    `trial(layout, calls)` makes so many calls in each lane and returns the seconds until all are done. Every round
    tries every layout once, so that whatever else the machine does meanwhile meets all of them alike; the median
    of the rounds counts. The first round only says how long a call takes.
    """
    call_s: dict[Layout, float] = {}
    for layout in sorted(layouts, key=lambda one: one.batch):
        if not _too_long(layout, call_s):
            call_s[layout] = max(trial(layout, 1), 1e-6)
    kept = list(call_s)
    rounds: dict[Layout, list[float]] = {layout: [] for layout in kept}
    spent_s, done = 0.0, 0
    while done < _MOST_ROUNDS and (spent_s < BUDGET_S if done >= _LEAST_ROUNDS else spent_s < HARD_LIMIT_S):
        # A round that is begun is finished, so its length is part of the question.
        if spent_s + sum(call_s[layout] for layout in kept) > HARD_LIMIT_S:
            break
        for layout in kept:
            calls = max(1, round(_SLICE_S / call_s[layout]))
            took_s = trial(layout, calls)
            rounds[layout].append(took_s / calls)
            spent_s += took_s
        done += 1
    return [_measured(layout, rounds[layout] or [call_s[layout]]) for layout in kept]


def choose(measured: Iterable[Measured]) -> Measured:
    """The most frames a second; of those that are as good as the best the smallest batch, then the most lanes, then the
    shortest call.

    The trials have the cores to themselves, a run has not: the threads of one call wait for each other where decoding
    takes a core from one of them, lanes of one thread do not.
    """
    table = list(measured)
    same = _SAME * max(entry.frames_per_s for entry in table)
    near = [entry for entry in table if entry.frames_per_s >= same]
    return min(near, key=lambda entry: (entry.layout.batch, -entry.layout.lanes, entry.call_s))


def describe(measured: Iterable[Measured]) -> str:
    """`2×1 113/s, 1×2 61/s`, best first."""
    ordered = sorted(measured, key=lambda entry: -entry.frames_per_s)
    return ", ".join(f"{entry.layout} {entry.frames_per_s:.3g}/s" for entry in ordered)


def _measured(layout: Layout, calls_s: list[float]) -> Measured:
    call_s = max(statistics.median(calls_s), 1e-6)
    return Measured(layout, layout.lanes * layout.batch / call_s, call_s)


def _too_long(layout: Layout, call_s: Mapping[Layout, float]) -> bool:
    """Whether a batch is late however fast it is, judged by the smallest one in the same lanes and threads."""
    smaller = [known for known in call_s if known[:2] == layout[:2]]
    return any(call_s[known] * layout.batch / known.batch > _LONGEST_BATCH_S for known in smaller)
