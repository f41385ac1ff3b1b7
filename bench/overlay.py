"""Masks, trails, boxes and labels on a 1080p frame: the engine's overlay against what one would write or use instead.

python -m bench.overlay [--repeat 100] [--objects 20] [--peers DIR]

The overlay draws on the NV12 planes and gets the masks as they travel, as grids of bits; interpolation is part of
its time. The others draw on a BGR picture and get masks of the whole picture, ready made; the conversion that
brings them their picture is a line of its own, and not among their times. All draw the same objects, on one thread, and
take turns. Objects are persons of 80 to 280 by 200 to 640 pixels that sway from frame to frame, so that trails are as
long as they get: two seconds here, 30 places elsewhere (supervision's default).
supervision is found where `python -m bench.identity --install-peers` has put it.
"""

from __future__ import annotations

import importlib
import itertools
import os
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.eval_peers import default_folder
from engine.outputs.base import FrameResult
from engine.outputs.masks import full_size
from engine.outputs.overlay import OverlayMemory, draw_result, style_for
from engine.types import U8, Bools, ColourMatrix, Detections, Masks, ResultMeta, Tracks

WIDTH, HEIGHT = 1920, 1080
CELL_PX, MOST_CELLS = 3, 128
"""A model for 640 × 640 sees 1080p three times smaller, and its masks have a cell for each pixel of that, up to
as many a side (`engine.models.selection`)."""
OPACITY = 0.4
FPS, SWAY_PX, FRAMES = 25, 120.0, 100
TRACE = 30
OURS, PLAIN, SUPERVISION = "engine", "plain OpenCV", "supervision"
ALL = "masks, trails, boxes, labels"


def person(rows: int, columns: int) -> Bools:
    """A head and a body that fill the grid."""
    y, x = np.ogrid[:rows, :columns]
    across, down = (x + 0.5) / columns - 0.5, (y + 0.5) / rows
    head = (across / 0.2) ** 2 + ((down - 0.12) / 0.12) ** 2 < 1
    body = (across / 0.5) ** 2 + ((down - 0.62) / 0.38) ** 2 < 1
    return np.asarray(head | body)


def scene(objects: int) -> FrameResult:
    """So many persons of 80 to 280 by 200 to 640 pixels, anywhere in the picture."""
    noise = np.random.default_rng(0)
    size_wh = np.stack((noise.uniform(80, 280, objects), noise.uniform(200, 640, objects)), axis=1)
    corner_xy = noise.uniform(0, 1, (objects, 2)) * ((WIDTH, HEIGHT) - size_wh)
    boxes_xyxy = np.concatenate((corner_xy, corner_xy + size_wh), axis=1).astype(np.float32)
    cells_wh = np.minimum(np.ceil(size_wh / CELL_PX), MOST_CELLS).astype(int).tolist()
    found = Detections(
        boxes_xyxy, noise.uniform(0.3, 0.95, objects).astype(np.float32), np.zeros(objects, np.int32),
        Masks.of_grids(boxes_xyxy, [person(rows, columns) for columns, rows in cells_wh]),
    )  # fmt: skip
    tracks = Tracks.of(found, np.arange(1, objects + 1), np.full(objects, 10, np.int32))
    meta = ResultMeta(1, 0, 0, WIDTH, HEIGHT, count=objects)
    return FrameResult("cam0", meta, tracks, ("person",), 0)


@dataclass(frozen=True)
class Ready:
    """The scene as the others want it: whole pixels, colours, texts and masks of the whole picture (n, h, w)."""

    tracks: Tracks
    boxes_xyxy: list[list[int]]
    colours_bgr: list[tuple[int, ...]]
    texts: list[str]
    masks_nhw: Bools

    @classmethod
    def of(cls, result: FrameResult) -> Ready:
        """Made before the clock runs."""
        tracks, noise = result.tracks, np.random.default_rng(1)
        assert tracks.masks is not None
        masks_nhw = np.stack([full_size(tracks.masks, i, WIDTH, HEIGHT) for i in range(len(tracks))])
        texts = [f"person {i} {s:.2f}" for i, s in zip(tracks.track_ids, tracks.scores, strict=True)]
        colours = [tuple(noise.integers(0, 256, 3).tolist()) for _ in texts]
        return cls(tracks, tracks.boxes_xyxy.round().astype(int).tolist(), colours, texts, masks_nhw)


def swaying(result: FrameResult) -> list[FrameResult]:
    """The scene in so many frames: everybody goes to and fro."""
    frames = []
    tracks = result.tracks
    assert tracks.masks is not None
    for index in range(FRAMES):
        step = np.float32(SWAY_PX * np.sin(2 * np.pi * index / FRAMES)) * np.array((1, 0, 1, 0), np.float32)
        masks = replace(tracks.masks, rects_xyxy=tracks.masks.rects_xyxy + step)
        moved = replace(tracks, boxes_xyxy=tracks.boxes_xyxy + step, masks=masks)
        frames.append(replace(result, tracks=moved))
    return frames


class Engine:
    """The engine's overlay, in a style, on frames that go on for ever."""

    def __init__(self, results: list[FrameResult], y: U8, uv: U8, style: str) -> None:
        self._results, self._planes = itertools.cycle(results), (y, uv)
        self._style = style_for(HEIGHT, ColourMatrix.BT709, False, style)
        self._memory, self._index = OverlayMemory(), 0

    def __call__(self) -> None:
        self._index += 1
        result, index = next(self._results), self._index
        meta = replace(result.meta, frame_seq=index, index=index, pts_ns=index * 1_000_000_000 // FPS)
        draw_result(*self._planes, replace(result, meta=meta), self._style, self._memory)


class PlainOpenCv:
    """What one writes: blend inside of each box, then a line, rectangle and text."""

    def __init__(self, bgr: NDArray[Any], ready: Ready, results: list[FrameResult]) -> None:
        self._bgr, self._ready, self._results = bgr, ready, itertools.cycle(results)
        self._places: list[deque[tuple[int, int]]] = [deque(maxlen=TRACE) for _ in ready.texts]

    def __call__(self) -> None:
        bgr, ready = self._bgr, self._ready
        moved = next(self._results).tracks.boxes_xyxy.round().astype(int).tolist()
        for box, colour, mask in zip(ready.boxes_xyxy, ready.colours_bgr, ready.masks_nhw, strict=True):
            left, top, right, bottom = box
            crop, inside = bgr[top:bottom, left:right], mask[top:bottom, left:right]
            crop[inside] = crop[inside] * (1 - OPACITY) + np.array(colour) * OPACITY
        for (left, top, right, bottom), places, colour in zip(
            moved, self._places, ready.colours_bgr, strict=True
        ):
            places.append(((left + right) // 2, bottom))
            cv2.polylines(bgr, [np.array(places, np.int32)], False, colour, 4)
            cv2.rectangle(bgr, (left, top), (right, bottom), colour, 4)
        for (left, top, *_), colour, text in zip(moved, ready.colours_bgr, ready.texts, strict=True):
            (width, ascent), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 1)
            cv2.rectangle(bgr, (left, top - ascent - 6), (left + width + 6, top), colour, cv2.FILLED)
            cv2.putText(
                bgr, text, (left + 3, top - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 1, cv2.LINE_AA
            )


def supervision_annotators(
    bgr: U8, ready: Ready, results: list[FrameResult], folder: Path
) -> Callable[[], object] | None:
    """Its mask, trace, box and label annotators, one after the other; None where it is not installed."""
    sys.path.append(str(folder))  # behind everything of ours
    try:
        sv = importlib.import_module("supervision")
    except ImportError:
        return None
    tracks = ready.tracks
    frames = itertools.cycle(
        sv.Detections(
            xyxy=result.tracks.boxes_xyxy, mask=ready.masks_nhw, confidence=tracks.scores,
            class_id=tracks.class_ids, tracker_id=tracks.track_ids,
        )
        for result in results
    )  # fmt: skip
    masks, boxes, labels = sv.MaskAnnotator(opacity=OPACITY), sv.BoxAnnotator(), sv.LabelAnnotator()
    traces = sv.TraceAnnotator(trace_length=TRACE)

    def annotate() -> None:
        detections = next(frames)
        masks.annotate(bgr, detections)
        traces.annotate(bgr, detections)
        boxes.annotate(bgr, detections)
        labels.annotate(bgr, detections, labels=ready.texts)

    return annotate


def interleaved_ms(works: dict[str, Callable[[], object]], repeat: int) -> dict[str, list[float]]:
    """Wall times of calls that take turns, after as many rounds as a trail needs to be whole."""
    times: dict[str, list[float]] = {name: [] for name in works}
    warming = 2 * FPS + 1
    for turn in range(repeat + warming):
        for name, work in works.items():
            if turn < warming and name.startswith(SUPERVISION) and turn < warming - TRACE:
                continue
            begun = time.perf_counter()
            work()
            if turn >= warming:
                times[name].append(1e3 * (time.perf_counter() - begun))
    return times


def contenders(objects: int, folder: Path) -> dict[str, Callable[[], object]]:
    """What is timed, by name; ours first."""
    result = scene(objects)
    results, ready = swaying(result), Ready.of(result)
    noise = np.random.default_rng(2)
    y = noise.integers(16, 235, (HEIGHT, WIDTH), np.uint8)
    uv = noise.integers(16, 240, (HEIGHT // 2, WIDTH // 2, 2), np.uint8)
    bgr = np.asarray(cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12), np.uint8)
    works: dict[str, Callable[[], object]] = {
        f"{OURS}: {ALL}": Engine(results, y, uv, "full"),
        f"{OURS}: boxes, labels": Engine(results, y, uv, "boxes"),
        f"{OURS}: outlines, labels": Engine(results, y, uv, "outline"),
        f"{OURS}: persons pixelated, boxes, labels": Engine(results, y, uv, "privacy"),
        f"{PLAIN}: {ALL}": PlainOpenCv(bgr, ready, results),
        "NV12 to BGR, which the others need": lambda: cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12),
    }
    if annotate := supervision_annotators(bgr, ready, results, folder):
        works[f"{SUPERVISION}: {ALL}"] = annotate
    return works


def verdict(medians: dict[str, float]) -> str:
    """How many times as fast as each of the others the overlay is."""
    ours = medians[f"{OURS}: {ALL}"]
    said = [f"{ours:.1f} ms"]
    for peer in (SUPERVISION, PLAIN):
        theirs = medians.get(f"{peer}: {ALL}")
        said.append(
            f"{peer} not installed" if theirs is None else f"{theirs / ours:.1f} × {peer} ({theirs:.0f} ms)"
        )
    return ", ".join(said)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--peers", type=Path, default=default_folder(), help="folder with supervision")
    args = parser.parse_args()
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        # As in the engine's workers; numpy reads it when it is imported.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "bench.overlay", *sys.argv[1:]])
    cv2.setNumThreads(1)
    times = interleaved_ms(contenders(args.objects, args.peers), args.repeat)
    medians = {name: statistics.median(spans) for name, spans in times.items()}
    ours = next(iter(medians.values()))
    rows: list[tuple[object, ...]] = [
        (name, f"{ms:.2f}", f"{np.percentile(times[name], 95):.2f}", f"{ms / ours:.1f}")
        for name, ms in medians.items()
    ]
    print(heading())
    what = f"{args.objects} objects, {WIDTH} × {HEIGHT}, one thread"
    print(markdown_table((what, "median ms", "p95 ms", "times ours"), rows))
    write_json(args.json, median_ms=medians, reach={"overlay": verdict(medians)})


if __name__ == "__main__":
    main()
