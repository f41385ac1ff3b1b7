"""One NV12 frame to the model's input: the usual chain of OpenCV calls against `kernels.cpu`, in one process.

python -m bench.preprocess [--repeat 200] [--clip FILE] [--model FILE --frames 30]

The chain converts the whole picture (cvtColorTwoPlane), resizes it, pads it and calls blobFromImage; a second one
does the last step with numpy. Calls take turns, on one thread. With a clip its frames, enlarged to 1080p, take the
place of noise. With a model of the Ultralytics layout both inputs are run and the detections compared.
"""

from __future__ import annotations

import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bench.machine import argument_parser, heading, markdown_table, write_json
from kernels import cpu, reference
from kernels.buffers import LetterboxBuffers
from kernels.colour import PixelFormat, ycbcr_to_rgb
from kernels.letterbox import Fit, Letterbox, fit_letterbox

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

Found = tuple[F32, F32, NDArray[np.int32]]
"""Boxes in input pixels, scores and classes."""

SOURCE_WH, INPUT_WH = (1920, 1080), (640, 640)
PIXELS = PixelFormat(scale=(1 / 255,) * 3)
MATRIX = ycbcr_to_rgb(bt709=False, full_range=False)
CONFIDENCE, NMS_IOU, SAME_IOU, BORDER = 0.25, 0.45, 0.5, 0.03
"""Partners overlap by SAME_IOU or more; a box within BORDER of CONFIDENCE may be on either side of it."""


def padded(letterbox: Letterbox, small: U8) -> U8:
    """The resized picture with its grey border."""
    below = letterbox.input_height - letterbox.top - letterbox.height
    right = letterbox.input_width - letterbox.left - letterbox.width
    return cv2.copyMakeBorder(
        small, letterbox.top, below, letterbox.left, right, cv2.BORDER_CONSTANT, value=(PIXELS.pad,) * 3
    ).astype(np.uint8, copy=False)


def chain_blob(y: U8, uv: U8, letterbox: Letterbox) -> F32:
    """Convert the whole picture, resize it, blobFromImage."""
    bgr = cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12)
    small = cv2.resize(bgr, (letterbox.width, letterbox.height)).astype(np.uint8, copy=False)
    blob = cv2.dnn.blobFromImage(padded(letterbox, small), 1 / 255, swapRB=True)
    return blob.reshape(blob.shape[1:]).astype(np.float32, copy=False)


def chain_numpy(y: U8, uv: U8, letterbox: Letterbox) -> F32:
    """The same with numpy at the end, which is faster than blobFromImage."""
    rgb = cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2RGB_NV12)
    small = cv2.resize(rgb, (letterbox.width, letterbox.height)).astype(np.uint8, copy=False)
    planes = padded(letterbox, small).transpose(2, 0, 1)
    tensor: F32 = np.ascontiguousarray(planes, np.float32) * np.float32(1 / 255)
    return tensor


def noise() -> Iterator[tuple[U8, U8]]:
    """The hardest picture: nothing in it is smooth."""
    random = np.random.default_rng(0)
    width, height = SOURCE_WH
    while True:
        yield (
            random.integers(16, 236, (height, width), np.uint8),
            random.integers(16, 241, (height // 2, width // 2, 2), np.uint8),
        )


def frames_of(clip: Path) -> Iterator[tuple[U8, U8]]:
    """The frames of a video file, enlarged to SOURCE_WH."""
    width, height = SOURCE_WH
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            nv12 = frame.reformat(format="nv12")
            luma, chroma = nv12.planes[0], nv12.planes[1]
            y = np.frombuffer(memoryview(luma), np.uint8).reshape(-1, luma.line_size)[
                : frame.height, : frame.width
            ]
            rows = np.frombuffer(memoryview(chroma), np.uint8).reshape(-1, chroma.line_size)
            uv = rows[: frame.height // 2, : frame.width].reshape(frame.height // 2, -1, 2)
            yield (
                cv2.resize(y, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8),
                cv2.resize(uv, (width // 2, height // 2), interpolation=cv2.INTER_CUBIC).astype(np.uint8),
            )


def interleaved_ms(works: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Median time of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeat + 5):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn >= 5:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


def detections(session: onnxruntime.InferenceSession, picture_chw: F32) -> Found:
    """Boxes in input pixels, scores and classes of a model with the Ultralytics layout."""
    (rows,) = session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: picture_chw[None]})
    boxes, scores, class_ids, _ = cpu.decode_anchors(rows[0], 80, CONFIDENCE)
    kept = cpu.nms(boxes, scores, class_ids, NMS_IOU)
    return boxes[kept], scores[kept], class_ids[kept]


def partners(found: Found, others: Found) -> tuple[list[tuple[float, float]], int]:
    """(overlap, difference of scores) of each box and its partner, and how many have none.

    The partner is the box of the same class that overlaps most. Those near the confidence limit need none.
    """
    pairs, alone = [], 0
    for box, score, class_id in zip(*found, strict=True):
        overlaps = [
            (reference.overlap(box, other), abs(float(score - other_score)))
            for other, other_score, other_class in zip(*others, strict=True)
            if class_id == other_class
        ]
        best = max(overlaps, default=(0.0, 0.0))
        if best[0] >= SAME_IOU:
            pairs.append(best)
        else:
            alone += bool(score >= CONFIDENCE + BORDER)
    return pairs, alone


class Tally:
    """Detections beside those with the chain's input, over some frames."""

    def __init__(self) -> None:
        self._boxes, self._only_chain, self._only_here = 0, 0, 0
        self._pairs: list[tuple[float, float]] = []

    def add(self, chain: Found, here: Found) -> None:
        """One frame."""
        pairs, alone = partners(chain, here)
        self._boxes += len(here[0])
        self._pairs += pairs
        self._only_chain += alone
        self._only_here += partners(here, chain)[1]

    def rows(self) -> dict[str, float]:
        """What is printed."""
        overlaps, scores = np.array(self._pairs or [(1.0, 0.0)]).T
        return {
            "boxes": self._boxes,
            "only with the chain": self._only_chain,
            "only here": self._only_here,
            "overlap with the chain's, mean": round(float(overlaps.mean()), 3),
            "overlap with the chain's, least": round(float(overlaps.min()), 3),
            "difference of scores, mean": round(float(scores.mean()), 4),
            "difference of scores, most": round(float(scores.max()), 4),
        }


def compare_detections(
    model: Path, clip: Path, letterbox: Letterbox, frames: int
) -> list[tuple[str, float, float]]:
    """(what, with ours, with the chain's input a little disturbed), on every tenth frame of the clip.

    The disturbance is one grey level on one value in twenty: it shows what a model makes of next to nothing.
    """
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    target = np.zeros((3, INPUT_WH[1], INPUT_WH[0]), np.float32)
    buffers, random = LetterboxBuffers(target), np.random.default_rng(0)
    ours, disturbed = Tally(), Tally()
    for y, uv in islice(frames_of(clip), 0, 10 * frames, 10):
        cpu.nv12_to_input(y, uv, letterbox, MATRIX, PIXELS, buffers)
        picture = chain_blob(y, uv, letterbox)
        steps = random.choice(np.array([-1, 0, 1], np.float32), picture.shape, p=[0.025, 0.95, 0.025])
        chain = detections(session, picture)
        ours.add(chain, detections(session, target))
        noisy = (picture + steps / 255).astype(np.float32)
        disturbed.add(chain, detections(session, noisy))
    return [(what, value, disturbed.rows()[what]) for what, value in ours.rows().items()]


def differences(y: U8, uv: U8, letterbox: Letterbox, ours: F32) -> list[tuple[object, ...]]:
    """Mean, 99th percentile and most grey levels between our input and others'."""
    slow = np.zeros_like(ours)
    reference.nv12_to_input(y, uv, letterbox, MATRIX, PIXELS, LetterboxBuffers(slow))
    rows: list[tuple[object, ...]] = []
    picture = np.s_[:, letterbox.top : letterbox.top + letterbox.height]
    for name, other in (("full conversion", chain_blob(y, uv, letterbox)), ("numpy reference", slow)):
        levels = np.abs(ours - other)[picture] * 255
        rows.append((name, f"{levels.mean():.2f}", f"{np.percentile(levels, 99):.1f}", f"{levels.max():.0f}"))
    return rows


def arguments() -> Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--model", type=Path, help="ONNX, 640 × 640, Ultralytics layout; needs --clip")
    parser.add_argument("--frames", type=int, default=30, help="frames that the model is run on")
    args = parser.parse_args()
    if args.model and not args.clip:
        parser.error("--model needs --clip")
    return args


def main() -> None:
    args = arguments()
    cv2.setNumThreads(1)
    letterbox = fit_letterbox(SOURCE_WH, INPUT_WH, Fit.CENTRED)
    y, uv = next(frames_of(args.clip) if args.clip else noise())
    target, half = (np.zeros((3, INPUT_WH[1], INPUT_WH[0]), kind) for kind in (np.float32, np.float16))
    buffers, half_buffers = LetterboxBuffers(target), LetterboxBuffers(half)
    times = interleaved_ms(
        {
            "cvtColor → resize → blobFromImage": lambda: chain_blob(y, uv, letterbox),
            "cvtColor → resize → numpy": lambda: chain_numpy(y, uv, letterbox),
            "kernels.cpu": lambda: cpu.nv12_to_input(y, uv, letterbox, MATRIX, PIXELS, buffers),
            "kernels.cpu, float16": lambda: cpu.nv12_to_input(y, uv, letterbox, MATRIX, PIXELS, half_buffers),
        },
        args.repeat,
    )
    ours = times["kernels.cpu"]
    rows = [(name, f"{ms:.2f}", f"{ms / ours:.1f}") for name, ms in times.items()]
    print(heading())
    print(markdown_table(("1080p NV12 → 640 × 640 RGB, one thread", "median ms", "times ours"), list(rows)))
    distance = differences(y, uv, letterbox, target)
    print("\n" + markdown_table(("grey levels from", "mean", "99 %", "most"), distance))
    found = compare_detections(args.model, args.clip, letterbox, args.frames) if args.model else []
    if found:
        columns = ("detections", "ours", "the chain, one level on one value in twenty")
        print("\n" + markdown_table(columns, list(found)))
    write_json(args.json, ms=times, grey_levels=distance, detections=found)


if __name__ == "__main__":
    main()
