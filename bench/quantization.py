"""Eight bits against float32 on the CPU: how much faster, and what is lost.

    python -m bench.quantization [--data DIR] [--model FILE] [--quick] [--json FILE]

The file is made by tools/quantize_onnx.py, as a user makes it, from clips that are not measured on. Speed: both files
take turns in one process, two calls of one thread at a time, which is how the engine runs them. Loss: recall and
precision of both against ground truth where there is one, and of one against the other elsewhere.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data import data_folder
from bench.machine import describe_machine, heading, markdown_table
from engine.types import Detections, FrameNv12
from tools import quantize_onnx
from tools.accuracy import Agreement, at_least, iou, pairs
from tools.frames import read_frames
from tools.runs import Speed, compare_speed, detect

CALIBRATION = (
    "clips/et_08_driving.mp4", "clips/sam2_bedroom.mp4", "davis/car-shadow/img", "davis/horsejump-high/img",
    "davis/motocross-jump/img", "davis/parkour/img",
)  # fmt: skip
CLIPS = ("clips/et_01_dog.mp4", "clips/et_12_hideandseek.mp4")
PETS = "clips/pets09_s2l1_0001-0320.mp4"
MOT17 = ("MOT17-02-FRCNN", "MOT17-04-FRCNN", "MOT17-05-FRCNN", "MOT17-13-FRCNN")
SCORES = (0.25, 0.4, 0.5)
IOU = 0.5
MARGIN = 0.05
"""Boxes of one file this far above the score have to be found by the other one at the score."""


@dataclass(frozen=True)
class Truth:
    """People in a frame: those to find, and those that count neither as found nor as wrong."""

    wanted_xyxy: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    ignored_xyxy: np.ndarray[tuple[int, int], np.dtype[np.float32]]


def truths(path: Path, frames: Sequence[FrameNv12]) -> list[Truth]:
    """Ground truth of these frames from a MOTChallenge gt.txt (1-based numbers of frames)."""
    rows = np.loadtxt(path, delimiter=",")
    found = []
    for frame in frames:
        own = rows[rows[:, 0] == frame.meta.index + 1]
        boxes = np.concatenate([own[:, 2:4], own[:, 2:4] + own[:, 4:6]], axis=1).astype(np.float32)
        wanted = own[:, 6] == 1
        if own.shape[1] == 9 and path.parent.parent.name.startswith("MOT17"):
            # Class 1 is a pedestrian; people who are hardly to be seen are not asked for.
            wanted &= (own[:, 7] == 1) & (own[:, 8] > 0.4)
        found.append(Truth(boxes[wanted], boxes[~wanted]))
    return found


def against_truth(found: Sequence[Detections], wanted: Sequence[Truth], score: float) -> Agreement:
    """Persons with at least this score against the ground truth."""
    agreement = Agreement()
    for detections, truth in zip(found, wanted, strict=True):
        people = at_least(detections, score)
        people = people.take(np.flatnonzero(people.class_ids == 0))
        count = len(truth.wanted_xyxy)
        reference = Detections(truth.wanted_xyxy, np.ones(count, np.float32), np.zeros(count, np.int32))
        matched = {index for _, index, _ in pairs(reference, people, IOU)}
        ignored = iou(people.boxes_xyxy, truth.ignored_xyxy).max(axis=1, initial=0) >= IOU
        kept = [index for index in range(len(people)) if index in matched or not ignored[index]]
        agreement.add(reference, people.take(np.array(kept, np.intp)), IOU)
    return agreement


def sure(reference: Sequence[Detections], found: Sequence[Detections], score: float, margin: float) -> float:
    """Share of the reference's boxes, this margin above the score, that the other one has."""
    agreement = Agreement()
    for a, b in zip(reference, found, strict=True):
        agreement.add(at_least(a, score + margin), at_least(b, score), IOU)
    return agreement.recall


def quantise(model: Path, data: Path, variant: str, target: Path) -> None:
    """Make the file as a user does. Whether it is good enough is for this benchmark to say."""
    arguments = [
        str(model),
        "--out",
        str(target),
        "--recipe",
        variant,
        "--target-loss",
        "1",
        "--checked",
        "6",
    ]
    for source in CALIBRATION:
        arguments += ["--calibrate", str(data / source)]
    with contextlib.redirect_stdout(io.StringIO()):
        status = quantize_onnx.main(arguments)
    if status:
        raise SystemExit(status)


@dataclass(frozen=True)
class Scene:
    """Frames to look at, with ground truth where there is one."""

    name: str
    frames: list[FrameNv12]
    truths: list[Truth]


def scenes(data: Path, count: int) -> list[Scene]:
    """What is looked at: `count` frames of the longest sequence, half as many of the others."""
    pets = list(read_frames([str(data / PETS)], count, max(1, 320 // count)))
    found = [Scene("PETS09-S2L1", pets, truths(data / "mot/PETS09-S2L1-a/gt/gt.txt", pets))]
    pictures: list[FrameNv12] = []
    wanted: list[Truth] = []
    for name in MOT17:
        own = list(read_frames([str(data / "mot" / name / "img1")], min(count, 8)))
        pictures += own
        wanted += truths(data / "mot" / name / "gt/gt.txt", own)
    found.append(Scene("MOT17 pictures", pictures, wanted))
    for clip in CLIPS:
        found.append(Scene(Path(clip).stem, list(read_frames([str(data / clip)], count // 2, 5)), []))
    return found


@dataclass
class Loss:
    """What a quantised file loses, line by line, and the greatest loss in it."""

    file: str
    rows: list[tuple[object, ...]]
    greatest: float = 0.0

    def add(
        self, against: str, score: float, boxes: int, kept: tuple[float, float], lost: tuple[float, float]
    ) -> None:
        """Recall and precision that the file has, and what float32 has more."""
        self.rows.append(
            (against, score, self.file, boxes, *(f"{x:.4f}" for x in kept), *(f"{x:+.4f}" for x in lost))
        )


def measure_losses(data: Path, files: Sequence[Path], count: int) -> list[Loss]:
    """What each file loses against the first one."""
    found = [Loss(file.stem, []) for file in files]
    all_of: list[list[Detections]] = [[] for _ in files]
    for scene in scenes(data, count):
        detected = [detect(file, scene.frames, min(SCORES) / 2) for file in files]
        for detections, own in zip(all_of, detected, strict=True):
            detections += own
        if scene.truths:
            compare_by_truth(scene, detected, found)
    for index in range(1, len(files)):
        compare_by_reference(all_of[0], all_of[index], found[index])
    return found[1:]


def compare_by_truth(scene: Scene, detected: Sequence[Sequence[Detections]], losses: Sequence[Loss]) -> None:
    """Add what the files after the first one lose of the ground truth."""
    for score in SCORES:
        judged = [against_truth(detections, scene.truths, score) for detections in detected]
        for loss, own in zip(losses[1:], judged[1:], strict=True):
            lost = (judged[0].recall - own.recall, judged[0].precision - own.precision)
            loss.add(f"{scene.name}, ground truth", score, own.wanted, (own.recall, own.precision), lost)
            loss.greatest = max(loss.greatest, *lost)


def compare_by_reference(reference: Sequence[Detections], found: Sequence[Detections], loss: Loss) -> None:
    """Add what a file loses of what float32 finds. Only boxes that are not on the edge count for the greatest."""
    score = SCORES[0]
    for margin in (0.0, MARGIN):
        kept = (sure(reference, found, score, margin), sure(found, reference, score, margin))
        boxes = sum(len(at_least(detections, score + margin)) for detections in reference)
        loss.add(
            f"all four, against float32, margin {margin:g}", score, boxes, kept, (1 - kept[0], 1 - kept[1])
        )
    loss.greatest = max(loss.greatest, 1 - min(kept))


def speeds(files: Sequence[Path], rounds: int) -> tuple[list[tuple[object, ...]], list[Speed]]:
    """Rows of the table, and the figures."""
    measured = compare_speed(files, rounds, pictures=3)
    rows: list[tuple[object, ...]] = [
        (file.stem, f"{file.stat().st_size / 1e6:.1f}", f"{speed.ms:.1f}", f"{speed.ratio:.2f}",
         f"{speed.low:.2f}–{speed.high:.2f}")
        for file, speed in zip(files, measured, strict=True)
    ]  # fmt: skip
    return rows, measured


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--model", type=Path, help="default: yolov8n of the data folder")
    parser.add_argument(
        "--variants", default="body,scores", help="variants of the quantisation (default: body,scores)"
    )
    parser.add_argument("--quick", action="store_true", help="few pictures and rounds: to see that it works")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model = args.model or args.data / "weights" / "yolov8n_640_f32_dynbatch.onnx"
    with tempfile.TemporaryDirectory() as folder:
        files = [model]
        for variant in args.variants.split(","):
            files.append(Path(folder) / f"int8-{variant}.onnx")
            quantise(model, args.data, variant, files[-1])
        speed_rows, measured = speeds(files, rounds=3 if args.quick else 15)
        losses = measure_losses(args.data, files, 16 if args.quick else 160)
    print(heading())
    print(markdown_table(("file", "MB", "ms a picture", "times as fast", "spread"), speed_rows))
    print()
    columns = ("against", "score ≥", "file", "boxes", "recall", "precision", "recall lost", "precision lost")
    print(markdown_table(columns, [row for loss in losses for row in loss.rows]))
    for speed, loss in zip(measured[1:], losses, strict=True):
        print(f"\n{loss.file}: {speed.ratio:.2f} times as fast as float32, greatest loss {loss.greatest:.4f}")
    if args.json:
        record = {
            loss.file: {"ms": speed.ms, "ratio": speed.ratio, "greatest_loss": loss.greatest}
            for loss, speed in zip(losses, measured[1:], strict=True)
        }
        args.json.write_text(json.dumps({"machine": describe_machine(), "files": record}))


if __name__ == "__main__":
    main()
