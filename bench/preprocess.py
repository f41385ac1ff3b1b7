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

SOURCE_WH, INPUT_WH = (1920, 1080), (640, 640)
PIXELS = PixelFormat(scale=(1 / 255,) * 3)
MATRIX = ycbcr_to_rgb(bt709=False, full_range=False)
CONFIDENCE, NMS_IOU, SAME_IOU, BORDER = 0.25, 0.45, 0.9, 0.03
"""Boxes are the same from SAME_IOU on; one within BORDER of CONFIDENCE may be on either side of it."""


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


def detections(session: onnxruntime.InferenceSession, picture_chw: F32) -> tuple[F32, F32, NDArray[np.int32]]:
    """Boxes in input pixels, scores and classes of a model with the Ultralytics layout."""
    (rows,) = session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: picture_chw[None]})
    boxes, scores, class_ids, _ = cpu.decode_anchors(rows[0], 80, CONFIDENCE)
    kept = cpu.nms(boxes, scores, class_ids, NMS_IOU)
    return boxes[kept], scores[kept], class_ids[kept]


def lost(found: tuple[F32, F32, NDArray[np.int32]], others: tuple[F32, F32, NDArray[np.int32]]) -> int:
    """How many boxes have no partner among the others, those near the confidence limit aside."""
    return sum(
        score >= CONFIDENCE + BORDER
        and not any(
            class_id == other_class and reference.overlap(box, other) >= SAME_IOU
            for other, other_class in zip(others[0], others[2], strict=True)
        )
        for box, score, class_id in zip(*found, strict=True)
    )


def compare_detections(model: Path, clip: Path, letterbox: Letterbox, frames: int) -> dict[str, int]:
    """Detections with the chain's input and with ours, on every tenth frame of the clip."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    target = np.zeros((3, INPUT_WH[1], INPUT_WH[0]), np.float32)
    buffers = LetterboxBuffers(target)
    counts = {"frames": 0, "with the chain": 0, "with ours": 0, "only with the chain": 0, "only with ours": 0}
    for number, (y, uv) in enumerate(frames_of(clip)):
        if number % 10:
            continue
        if counts["frames"] == frames:
            break
        cpu.nv12_to_input(y, uv, letterbox, MATRIX, PIXELS, buffers)
        chain = detections(session, chain_blob(y, uv, letterbox))
        ours = detections(session, target)
        counts["frames"] += 1
        counts["with the chain"] += len(chain[0])
        counts["with ours"] += len(ours[0])
        counts["only with the chain"] += lost(chain, ours)
        counts["only with ours"] += lost(ours, chain)
    return counts


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
    counts = compare_detections(args.model, args.clip, letterbox, args.frames) if args.model else {}
    if counts:
        print("\n" + markdown_table(("detections", "number"), list(counts.items())))
    write_json(args.json, ms=times, grey_levels=distance, detections=counts)


if __name__ == "__main__":
    main()
