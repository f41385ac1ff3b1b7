"""The embedded detector: how long a frame takes on one core, and how many people it finds, rendered and real.

    python -m bench.nano_det [--model FILE.onnx] [--data DIR] [--frames 60] [--json FILE]

Speed: a frame of 640 × 360 from NV12 to boxes, through the engine's own detector on one thread, beside yolox_nano; both
take turns, the median of the rounds counts. Average precision: tools/nano/evaluate.py tells what is judged and how. The
real sequences are those with pictures in the data folder; nothing of the training has seen them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.data import data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.models.base import BatchItem, Detector, DetectorOptions
from engine.models.detector import create_detector
from engine.types import FrameNv12
from tools.nano.evaluate import (
    BESIDE,
    EMBEDDED,
    SHOWN_SCORE,
    Annotated,
    Figures,
    annotated_sequences,
    figures_of,
    judged_scene,
    judged_sequence,
    recall_by_height,
)
from tools.nano.evaluate_scene import SETTINGS, scene_frames

ROUNDS, CALLS = 9, 25
HEIGHTS_PX = ((25, 40), (40, 60), (60, 120), (120, 361))


def frame_ms(detectors: Sequence[Detector], frame: FrameNv12) -> list[list[float]]:
    """Milliseconds a frame of each detector in each round."""
    times: list[list[float]] = [[] for _ in detectors]
    for number in range(ROUNDS + 1):
        for detector, spent in zip(detectors, times, strict=True):
            began = time.perf_counter()
            for _ in range(CALLS):
                detector.infer([BatchItem(frame)])
            if number:  # the first round warms up
                spent.append((time.perf_counter() - began) / CALLS * 1e3)
    return times


def speed(models: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Median and least milliseconds of each model."""
    (frame, _, _), *_ = scene_frames(SETTINGS[0], 1)
    options = DetectorOptions(classes=("person",), lanes=1, threads=1, batch=1)
    detectors = [create_detector(str(model), options) for model in models]
    times = frame_ms(detectors, frame)
    for detector in detectors:
        detector.close()
    return {
        model.stem: {"median": statistics.median(spent), "least": min(spent)}
        for model, spent in zip(models, times, strict=True)
    }


def real(model: Path, beside: Path, sequences: Sequence[Annotated]) -> dict[str, tuple[Figures, Figures]]:
    """Figures of both detectors on each sequence."""
    return {
        each.name: (figures_of(judged_sequence(model, each)), figures_of(judged_sequence(beside, each)))
        for each in sequences
    }


def main() -> None:
    """Entry point."""
    parser = argument_parser(__doc__)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--model", type=Path, default=Path(__file__).resolve().parents[1] / EMBEDDED)
    parser.add_argument("--frames", type=int, default=60, help="of each rendered camera")
    args = parser.parse_args()
    beside = args.data / "weights" / f"{BESIDE}.onnx"
    print(heading())
    spent = speed([args.model, beside])
    print(
        f"{args.model.name}: {args.model.stat().st_size / 1e6:.2f} MB. A frame of 640 × 360 on one thread:\n"
    )
    rows: list[tuple[object, ...]] = [
        (name, f"{each['median']:.1f}", f"{each['least']:.1f}") for name, each in spent.items()
    ]
    print(markdown_table(("detector", "ms, median", "ms, least"), rows), end="\n\n")
    scene = judged_scene(args.model, args.frames)
    scene_figures = {name: figures_of(judged) for name, judged in scene.items()}
    print(
        f"Rendered scenes, 640 × 360, at a score of {SHOWN_SCORE} and an IoU of 0.5; recall by height in pixels:\n"
    )
    rows = []
    for name, judged in scene.items():
        one = scene_figures[name]
        by_height = (recall_by_height(judged, *each) for each in HEIGHTS_PX)
        told = [f"{recall:.2f} ({people})" if people else "–" for recall, people in by_height]
        rows.append((name, one.people, f"{one.recall:.3f}", f"{one.precision:.3f}", f"{one.ap50:.3f}", *told))
    heights = [f"{least}–{most - 1} px" for least, most in HEIGHTS_PX]
    print(markdown_table(("camera", "people", "recall", "precision", "AP50", *heights), rows), end="\n\n")
    figures = real(args.model, beside, annotated_sequences(args.data))
    print(f"Real sequences beside {BESIDE}:\n")
    rows = [
        (name, own.pictures, own.people, f"{own.ap50:.3f}", f"{other.ap50:.3f}", f"{own.ap50 / other.ap50:.2f}",
         f"{own.ap:.3f}", f"{other.ap:.3f}", f"{own.recall:.2f} / {own.precision:.2f}",
         f"{other.recall:.2f} / {other.precision:.2f}")
        for name, (own, other) in figures.items()
    ]  # fmt: skip
    columns = ("sequence", "frames", "people", "AP50", f"{BESIDE}", "ratio", "AP50:95", f"{BESIDE}",
               f"recall / precision at {SHOWN_SCORE}", f"{BESIDE}")  # fmt: skip
    print(markdown_table(columns, rows))
    own = spent[args.model.stem]
    reach = {
        "speed": f"{own['median']:.1f} ms (median of {ROUNDS} rounds), {own['least']:.1f} ms at best",
        "real_ap50": "; ".join(
            f"{name} {own.ap50:.2f} against {other.ap50:.2f} ({own.ap50 / other.ap50:.2f} ×)"
            for name, (own, other) in figures.items()
        ),
    }
    write_json(
        args.json, reach=reach, speed=spent,
        scene={name: as_table(one) for name, one in scene_figures.items()},
        real={name: {"own": as_table(own), BESIDE: as_table(other)} for name, (own, other) in figures.items()},
    )  # fmt: skip


def as_table(figures: Figures) -> dict[str, float]:
    """As JSON."""
    return asdict(figures)


if __name__ == "__main__":
    main()
