"""What a frame costs before and after the model: NV12 to input tensor, and non-maximum suppression.

python -m bench.kernels [--repeat 200]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from bench.machine import describe_machine, heading, markdown_table
from kernels import cpu
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.letterbox import Fit, fit_letterbox

SIZES_WH = (
    ((1280, 720), (640, 640)), ((1280, 720), (416, 416)), ((1920, 1080), (640, 640)),
    ((3840, 2160), (640, 640)), ((1280, 720), (192, 192)),
)  # fmt: skip
CANDIDATES = (50, 300, 1000)


def median_ms(work: Callable[[], object], repeat: int) -> float:
    """Median wall time, after a few calls that warm up."""
    times = []
    for _ in range(repeat + 5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[5:]) * 1e3


def preprocessing_ms(source_wh: tuple[int, int], input_wh: tuple[int, int], repeat: int) -> float:
    """One noisy frame of this size into an RGB tensor."""
    width, height = source_wh
    noise = np.random.default_rng(0)
    y = noise.integers(16, 235, (height, width), np.uint8)
    uv = noise.integers(16, 240, (height // 2, width // 2, 2), np.uint8)
    buffers = LetterboxBuffers(np.zeros((3, input_wh[1], input_wh[0]), np.float32))
    letterbox = fit_letterbox(source_wh, input_wh, Fit.CENTRED)
    matrix, pixels = ycbcr_to_rgb(False, False, False), PixelFormat(scale=(1 / 255,) * 3)
    return median_ms(lambda: cpu.nv12_to_input(y, uv, letterbox, matrix, pixels, buffers), repeat)


def suppression_ms(count: int, repeat: int) -> float:
    """So many boxes of ten classes in a 640 × 640 picture."""
    noise = np.random.default_rng(0)
    corners = noise.uniform(0, 560, (count, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + noise.uniform(20, 80, (count, 2)).astype(np.float32)], axis=1)
    scores = noise.uniform(0.1, 1.0, count).astype(np.float32)
    class_ids = noise.integers(0, 10, count, np.int32)
    return median_ms(lambda: cpu.nms(boxes, scores, class_ids, 0.45), repeat)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    rows: list[tuple[object, ...]] = [
        (
            f"{source[0]} × {source[1]} → {target[0]} × {target[1]}",
            f"{preprocessing_ms(source, target, args.repeat):.2f}",
        )
        for source, target in SIZES_WH
    ]
    rows += [
        (f"suppression, {count} boxes", f"{suppression_ms(count, args.repeat):.2f}") for count in CANDIDATES
    ]
    print(heading())
    print(markdown_table(("one thread", "median ms"), rows))
    if args.json:
        args.json.write_text(json.dumps({"machine": describe_machine(), "rows": rows}))


if __name__ == "__main__":
    main()
