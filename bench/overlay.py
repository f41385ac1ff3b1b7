"""Masks, boxes and labels on a 1080p frame: the engine's overlay against what one would write or use instead.

python -m bench.overlay [--repeat 100] [--objects 20]

The overlay draws on the NV12 planes and gets the masks as they travel, as grids of bits; interpolation is part of
its time. The others draw on a BGR picture and get masks of the whole picture, ready made; the conversion that
brings them their picture is a line of its own. All draw the same objects, on one thread, and take turns.
supervision is among them where it is installed.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.outputs.base import FrameResult
from engine.outputs.masks import full_size
from engine.outputs.overlay import draw_result, style_for
from engine.types import U8, Bools, ColourMatrix, Detections, Masks, ResultMeta, Tracks

WIDTH, HEIGHT = 1920, 1080
CELL_PX, MOST_CELLS = 3, 128
"""A model for 640 × 640 sees 1080p three times smaller, and its masks have a cell for each pixel of that, up to
as many a side (`engine.models.selection`)."""
OPACITY = 0.4


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


def plain_opencv(bgr: NDArray[Any], ready: Ready) -> None:
    """What one writes: blend inside of each box, then rectangle and text."""
    for box, colour, mask in zip(ready.boxes_xyxy, ready.colours_bgr, ready.masks_nhw, strict=True):
        left, top, right, bottom = box
        crop, inside = bgr[top:bottom, left:right], mask[top:bottom, left:right]
        crop[inside] = crop[inside] * (1 - OPACITY) + np.array(colour) * OPACITY
        cv2.rectangle(bgr, (left, top), (right, bottom), colour, 4)
    for (left, top, *_), colour, text in zip(ready.boxes_xyxy, ready.colours_bgr, ready.texts, strict=True):
        (width, ascent), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.7, 1)
        cv2.rectangle(bgr, (left, top - ascent - 6), (left + width + 6, top), colour, cv2.FILLED)
        cv2.putText(bgr, text, (left + 3, top - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 1, cv2.LINE_AA)


def supervision_annotators(bgr: U8, ready: Ready) -> Callable[[], object] | None:
    """Its mask, box and label annotators, one after the other; None where it is not installed."""
    try:
        sv = importlib.import_module("supervision")
    except ImportError:
        return None
    tracks = ready.tracks
    detections = sv.Detections(
        xyxy=tracks.boxes_xyxy, mask=ready.masks_nhw, confidence=tracks.scores,
        class_id=tracks.class_ids, tracker_id=tracks.track_ids,
    )  # fmt: skip
    masks, boxes, labels = sv.MaskAnnotator(opacity=OPACITY), sv.BoxAnnotator(), sv.LabelAnnotator()

    def annotate() -> None:
        masks.annotate(bgr, detections)
        boxes.annotate(bgr, detections)
        labels.annotate(bgr, detections, labels=ready.texts)

    return annotate


def interleaved_ms(works: dict[str, Callable[[], object]], repeat: int) -> dict[str, list[float]]:
    """Wall times of calls that take turns, after three rounds that warm up."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeat + 3):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            if turn >= 3:
                times[name].append(1e3 * (time.perf_counter() - begun))
    return times


def contenders(objects: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name; ours first."""
    result = scene(objects)
    ready = Ready.of(result)
    noise = np.random.default_rng(2)
    y = noise.integers(16, 235, (HEIGHT, WIDTH), np.uint8)
    uv = noise.integers(16, 240, (HEIGHT // 2, WIDTH // 2, 2), np.uint8)
    bgr = np.asarray(cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12), np.uint8)
    style = style_for(HEIGHT, ColourMatrix.BT709, full_range=False)
    unmasked = replace(result, tracks=replace(result.tracks, masks=None))
    works: dict[str, Callable[[], object]] = {
        "engine: masks, boxes, labels": lambda: draw_result(y, uv, result, style),
        "engine: boxes, labels": lambda: draw_result(y, uv, unmasked, style),
        "plain OpenCV: masks, boxes, labels": lambda: plain_opencv(bgr, ready),
        "NV12 to BGR, which the others need": lambda: cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12),
    }
    if annotate := supervision_annotators(bgr, ready):
        works["supervision: masks, boxes, labels"] = annotate
    return works


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--objects", type=int, default=20)
    args = parser.parse_args()
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        # As in the engine's workers; numpy reads it when it is imported.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, "-m", "bench.overlay", *sys.argv[1:]])
    cv2.setNumThreads(1)
    times = interleaved_ms(contenders(args.objects), args.repeat)
    medians = {name: statistics.median(spans) for name, spans in times.items()}
    ours = next(iter(medians.values()))
    rows: list[tuple[object, ...]] = [
        (name, f"{ms:.2f}", f"{np.percentile(times[name], 95):.2f}", f"{ms / ours:.1f}")
        for name, ms in medians.items()
    ]
    print(heading())
    what = f"{args.objects} objects, {WIDTH} × {HEIGHT}, one thread"
    print(markdown_table((what, "median ms", "p95 ms", "times ours"), rows))
    write_json(args.json, median_ms=medians)


if __name__ == "__main__":
    main()
