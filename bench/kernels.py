"""What a frame costs before and after the model, on one thread of the CPU: the kernels of `kernels.cpu`, and a crop.

python -m bench.kernels [--repeat 200]

`bench.preprocess` compares the first of them with the usual chain of calls, `bench.gpu` times the ones on a GPU.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator

# Before numpy loads its linear algebra, which takes all cores otherwise.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np

from bench.machine import argument_parser, heading, markdown_table, write_json
from kernels import cpu
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.crops import CropBuffers, nv12_crop_to_input
from kernels.letterbox import Fit, fit_letterbox

SIZES_WH = (
    ((1280, 720), (640, 640)), ((1280, 720), (416, 416)), ((1920, 1080), (640, 640)),
    ((3840, 2160), (640, 640)), ((1280, 720), (192, 192)),
)  # fmt: skip
CROPS_WH = ((40, 100), (300, 800))
ANCHORS = (2100, 8400)
CANDIDATES = (50, 300, 1000)
MASKS = (1, 20)
CLASSES, CHANNELS = 80, 32


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


def crop_ms(crop_wh: tuple[int, int], repeat: int) -> float:
    """One crop of a noisy 1080p frame into the input of a re-identification network."""
    noise = np.random.default_rng(0)
    y = noise.integers(16, 235, (1080, 1920), np.uint8)
    uv = noise.integers(16, 240, (540, 960, 2), np.uint8)
    buffers = CropBuffers(np.zeros((3, 256, 128), np.float32))
    matrix, pixels = ycbcr_to_rgb(False, False, False), PixelFormat(scale=(1 / 255,) * 3)
    rect = (201, 101, 201 + crop_wh[0], 101 + crop_wh[1])
    return median_ms(lambda: nv12_crop_to_input(y, uv, rect, matrix, pixels, buffers), repeat)


def decoding_ms(anchors: int, repeat: int) -> float:
    """So many anchors of 80 classes, of which about fifty reach the confidence."""
    noise = np.random.default_rng(0)
    rows = noise.uniform(0, 0.2, (4 + CLASSES, anchors)).astype(np.float32)
    rows[4, noise.choice(anchors, 50, replace=False)] = 0.9
    return median_ms(lambda: cpu.decode_anchors(rows, CLASSES, 0.25), repeat)


def suppression_ms(count: int, repeat: int) -> float:
    """So many boxes of ten classes in a 640 × 640 picture."""
    noise = np.random.default_rng(0)
    corners = noise.uniform(0, 560, (count, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + noise.uniform(20, 80, (count, 2)).astype(np.float32)], axis=1)
    scores = noise.uniform(0.1, 1.0, count).astype(np.float32)
    class_ids = noise.integers(0, 10, count, np.int32)
    return median_ms(lambda: cpu.nms(boxes, scores, class_ids, 0.45), repeat)


def assembly_ms(count: int, repeat: int) -> float:
    """So many masks of 100 × 167 input pixels from 32 prototypes of 160 × 160."""
    noise = np.random.default_rng(0)
    prototypes = noise.normal(size=(CHANNELS, 160, 160)).astype(np.float32)
    coefficients = noise.normal(size=(count, CHANNELS)).astype(np.float32)
    corners = noise.uniform(0, 470, (count, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + np.array([100, 167], np.float32)], axis=1)
    sizes = np.tile(np.array([[42, 25]], np.int32), (count, 1))
    return median_ms(lambda: cpu.assemble_masks(prototypes, coefficients, boxes, sizes, (640, 640)), repeat)


def blending_ms(count: int, repeat: int) -> float:
    """So many masks of 300 × 500 pixels into a 1080p picture."""
    noise = np.random.default_rng(0)
    y = noise.integers(0, 256, (1080, 1920), np.uint8)
    uv = noise.integers(0, 256, (540, 960, 2), np.uint8)
    disc = np.hypot(*np.meshgrid(np.linspace(-1, 1, 25), np.linspace(-1, 1, 42))) < 0.9
    corners = noise.uniform((0, 0), (1600, 560), (count, 2))

    def blend() -> None:
        for left, top in corners:
            cpu.blend_mask(y, uv, disc, (left, top, left + 300, top + 500), (80, 90, 200), 0.4)

    return median_ms(blend, repeat)


def rows(repeat: int) -> Iterator[tuple[str, float]]:
    """(what, median ms) of every kernel."""
    for source, target in SIZES_WH:
        name = f"{source[0]} × {source[1]} → {target[0]} × {target[1]}"
        yield name, preprocessing_ms(source, target, repeat)
    for crop in CROPS_WH:
        yield f"crop of {crop[0]} × {crop[1]} → 128 × 256", crop_ms(crop, repeat)
    for anchors in ANCHORS:
        yield f"decoding, {anchors} anchors of {CLASSES} classes", decoding_ms(anchors, repeat)
    for count in CANDIDATES:
        yield f"suppression, {count} boxes", suppression_ms(count, repeat)
    for count in MASKS:
        yield f"mask assembly, {count} of 42 × 25 cells", assembly_ms(count, repeat)
    for count in MASKS:
        yield f"mask blending at 1080p, {count} of 300 × 500 pixels", blending_ms(count, repeat)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeat", type=int, default=200)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    found = [(name, f"{ms:.2f}") for name, ms in rows(args.repeat)]
    print(heading())
    print(markdown_table(("one thread", "median ms"), list(found)))
    write_json(args.json, rows=found)


if __name__ == "__main__":
    main()
