"""Masks of a segmenting detector on DAVIS sequences, frame by frame, through the engine's own detector.

    python -m bench.davis [--data DIR] [--model FILE] [--json FILE]

J is the overlap of the best instance of a frame with the foreground of the truth, over the frames that the manifest
of the test data has it for (every n-th, about twelve of a sequence) and over all frames. Masks go through the grids
that travel in the engine's pools, and are pixels again by what the engine's outputs use.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.data import data_folder
from bench.machine import argument_parser, heading, markdown_table, write_json
from engine.evaluation.annotations import read_objects
from engine.evaluation.measures import contour_accuracy, jaccard
from engine.outputs.masks import full_size
from engine.types import Bools, Detections, FrameNv12, Masks
from tools.frames import read_frames
from tools.runs import detect

MANIFEST_MODEL = "yolov8n-seg_320_int8"
CONFIDENCE = 0.2
ABOUT = 12
"""Frames of a sequence that the manifest's figures are of."""
NEAR = 0.01
"""How far J may be from the manifest's."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Frames, what is in the foreground of each, and what the detector finds there."""

    name: str
    frames: list[FrameNv12]
    truths: list[Bools]
    detections: list[Detections]


@dataclass(frozen=True, slots=True)
class Quality:
    """J over some of the frames and all of them, and the manifest's; F over all."""

    sequence: str
    frames: int
    expected: float
    some: float
    all: float
    contour: float


def sequences(data: Path, model: Path, most_frames: int | None = None) -> Iterator[Sequence]:
    """The DAVIS sequences of the data folder, one after the other."""
    for folder in sorted((data / "davis").iterdir()):
        files = sorted((folder / "ann").glob("*.png"))[:most_frames]
        frames = list(read_frames([str(folder / "img")], len(files)))
        truths = [read_objects(file) > 0 for file in files]
        yield Sequence(folder.name, frames, truths, detect(model, frames, CONFIDENCE))


def best_instance(masks: Masks | None, truth: Bools) -> tuple[float, Bools]:
    """J of the mask that covers the truth best, and its pixels; 0 and an empty one where there is none."""
    best, pixels = 0.0, np.zeros_like(truth)
    for index in range(0 if masks is None else len(masks)):
        assert masks is not None
        mask = full_size(masks, index, truth.shape[1], truth.shape[0])
        overlap = jaccard(mask, truth)
        if overlap > best:
            best, pixels = overlap, mask
    return best, pixels


def expected(data: Path) -> dict[str, float]:
    """J of the best instance by sequence, from the manifest."""
    items = tomllib.loads((data / "MANIFEST.toml").read_text())["item"]
    found = {}
    for item in items:
        if item["file"].startswith("davis/"):
            (figures,) = item["expected"].values()
            found[item["file"].removeprefix("davis/")] = float(figures["best_instance_J"])
    return found


def judge(sequence: Sequence, wanted: float) -> Quality:
    """Measure one sequence."""
    overlaps, contours = [], []
    for found, truth in zip(sequence.detections, sequence.truths, strict=True):
        overlap, pixels = best_instance(found.masks, truth)
        overlaps.append(overlap)
        contours.append(contour_accuracy(pixels, truth))
    step = max(1, len(overlaps) // ABOUT)
    some, every = float(np.mean(overlaps[::step])), float(np.mean(overlaps))
    return Quality(sequence.name, len(overlaps), wanted, some, every, float(np.mean(contours)))


def parsed() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--model", type=Path, help=f"default: {MANIFEST_MODEL} of the data folder")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    model = args.model or args.data / "weights" / f"{MANIFEST_MODEL}.onnx"
    wanted = expected(args.data)
    found = [judge(sequence, wanted[sequence.name]) for sequence in sequences(args.data, model)]
    print(heading())
    columns = (
        "sequence",
        "frames",
        "J in the manifest",
        "J, the same frames",
        "apart",
        "J, all frames",
        "F, all frames",
    )
    rows: list[tuple[object, ...]] = [
        (each.sequence, each.frames, f"{each.expected:.3f}", f"{each.some:.3f}", f"{each.some - each.expected:+.3f}",
         f"{each.all:.3f}", f"{each.contour:.3f}")
        for each in found
    ]  # fmt: skip
    print(markdown_table(columns, rows))
    means = [float(np.mean([getattr(each, name) for each in found])) for name in ("expected", "some")]
    furthest = max(abs(each.some - each.expected) for each in found)
    said = (
        f"mean J {means[1]:.3f} (manifest {means[0]:.3f}), the sequence that is furthest from it by {furthest:.3f} "
        f"({model.stem}, best instance)"
    )
    print(f"\n{said}: {'within' if furthest <= NEAR else 'NOT within'} {NEAR}")
    write_json(args.json, sequences=[asdict(each) for each in found], reach={"boxes": said})


if __name__ == "__main__":
    main()
