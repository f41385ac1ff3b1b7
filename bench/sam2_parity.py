"""Does the segmenter give the masks of the official predictor? The whole loop, objects coming and going.

A clip of moving figures is followed by `engine.models.sam2` over the four graphs and by Meta's SAM2VideoPredictor with
the same made-up weights: three objects, prompted with a box, a point and a mask; one is removed and one is added on
the way. What is compared is the low-resolution mask logits of every object on every frame. The same is done with
something wrong on purpose: an error that changes nothing would show that the comparison proves nothing.

    python -m bench.sam2_parity [--size 512] [--frames 30] [--variant tiny] [--model FOLDER] [--json FILE]

FOLDER is one that tools/export_onnx.py sam2 --random has made; without it one is made first. Needs camring[export] and
Meta's package (docs/export.md).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.sam2_clip import figure_box, frame_at
from bench.sam2_official import Life, Official, difference, random_model
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_memory import MemoryBank, Recalled
from engine.models.sam2_step import Action, Ask, step
from engine.types import F32, I64, FrameNv12, Prompt

ROOT = Path(__file__).resolve().parent.parent
SIZE_WH = (640, 480)
CAMERA = "clip"
LARGEST, LEAST_AGREEMENT = 1e-3, 0.999


@dataclass(frozen=True)
class Compared:
    """Share of the range of the official logits that the largest difference is, and share of equal signs."""

    largest: float
    agreement: float

    @property
    def holds(self) -> bool:
        return self.largest <= LARGEST and self.agreement >= LEAST_AGREEMENT


def lives(frames: int, size_wh: tuple[int, int] = SIZE_WH) -> dict[int, Life]:
    """The objects by number: one leaves in the middle, another comes a third of the way."""
    width, height = size_wh
    third = figure_box(2, frames // 3, size_wh).astype(int)
    mask = np.zeros((height, width), np.bool_)
    mask[third[1] : third[3], third[0] : third[2]] = True
    second = figure_box(1, 0, size_wh)
    centre = ((second[:2] + second[2:]) / 2)[None].astype(np.float32)
    return {
        1: Life(0, frames, Prompt.of_box(figure_box(0, 0, size_wh))),
        2: Life(0, max(2, frames // 2), Prompt(points_xy=centre, labels=np.ones(1, np.int32))),
        3: Life(frames // 3, frames, Prompt(mask_hw=mask)),
    }


def follow(
    segmenter: Segmenter, bank: MemoryBank, frames: Sequence[FrameNv12], objects: Mapping[int, Life]
) -> dict[int, dict[int, F32]]:
    """Low-resolution logits by object and frame."""
    found: dict[int, dict[int, F32]] = {number: {} for number in objects}
    for index, frame in enumerate(frames):
        for number, life in objects.items():
            if life.end == index:
                bank.remove((CAMERA, number))
        here = {number: life for number, life in objects.items() if life.first <= index < life.end}
        asks = [
            Ask((CAMERA, number), Action.START, life.prompt)
            if life.first == index
            else Ask((CAMERA, number), Action.GO_ON)
            for number, life in here.items()
        ]
        answer = step(segmenter, bank, segmenter.encode([frame]), asks)
        assert answer.remembered.all(), answer.predictions.failures
        for row, number in enumerate(here):
            found[number][index] = answer.predictions.low_res_masks[row]
    return found


def compare(found: Mapping[int, F32], wanted: Mapping[int, F32]) -> Compared:
    """One object over all its frames."""
    return Compared(*difference(np.stack(list(found.values())), np.stack([wanted[index] for index in found])))


class _Wrong(MemoryBank):
    """A bank that recalls something else than it remembers."""

    fault: Callable[[Recalled], Recalled]

    def recall(self, rows: I64, *, padded: bool = False) -> Recalled:
        return type(self).fault(super().recall(rows, padded=padded))


class MemoryLost(_Wrong):
    """All memories are zeros."""

    fault = staticmethod(lambda recalled: replace(recalled, memory=np.zeros_like(recalled.memory)))


class AgesShifted(_Wrong):
    """Every memory is taken for one frame older than it is."""

    fault = staticmethod(lambda recalled: replace(recalled, memory_tpos=(recalled.memory_tpos + 1) % 7))


class PointersLost(_Wrong):
    """No pointer is valid."""

    fault = staticmethod(
        lambda recalled: replace(recalled, obj_ptr_valid=np.zeros_like(recalled.obj_ptr_valid))
    )


FAULTS: Mapping[str, type[MemoryBank]] = {
    "memories zeroed": MemoryLost,
    "ages off by one": AgesShifted,
    "pointers left out": PointersLost,
}


def bank_of(segmenter: Segmenter, kind: type[MemoryBank], capacity: int = 4) -> MemoryBank:
    """A bank of another kind than the segmenter's own."""
    return kind(capacity, segmenter.sidecar.memory_tokens, rows_at_once=segmenter.rows_per_call)


def official_logits(
    segmenter: Segmenter, frames: Sequence[FrameNv12], objects: Mapping[int, Life]
) -> dict[int, dict[int, F32]]:
    """What the official predictor makes of the very pictures that the segmenter encodes."""
    # Several threads of torch wait for each other wherever other work has a core.
    torch.set_num_threads(1)
    pictures = np.concatenate([segmenter.pictures([frame]).copy() for frame in frames])
    model = random_model(segmenter.sidecar)
    height, width = frames[0].y.shape
    official = Official(model, pictures, (width, height))
    return {number: official.track(life) for number, life in objects.items()}


def export(variant: str, size: int, folder: Path) -> Path:
    """A folder with made-up weights."""
    tool = [sys.executable, str(ROOT / "tools/export_onnx.py"), "sam2", "--random", variant]
    options = ["--size", str(size), "--parity", "graphs", "--out", str(folder)]
    # A process of its own: what it holds while it exports is none of the benchmark's memory.
    done = subprocess.run([*tool, *options], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return folder


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=512, help="side of the encoded picture (default: 512)")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--variant", default="tiny")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="made with --random before")
    parser.add_argument("--threads", type=int, default=0, help="of the graphs (default: all cores)")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.model or export(args.variant, args.size, Path(temporary) / "model")
        segmenter = Segmenter.load(folder, SegmenterOptions(threads=args.threads, freeze_iou=0.0))
        frames = [frame_at(index, SIZE_WH) for index in range(args.frames)]
        objects = lives(args.frames)
        began = time.perf_counter()
        wanted = official_logits(segmenter, frames, objects)
        official_s = time.perf_counter() - began
        began = time.perf_counter()
        found = follow(segmenter, segmenter.new_bank(4), frames, objects)
        ours_s = time.perf_counter() - began
        compared = {number: compare(found[number], wanted[number]) for number in objects}
        wrong = {}
        for name, kind in FAULTS.items():
            followed = follow(segmenter, bank_of(segmenter, kind), frames, objects)
            wrong[name] = max(compare(followed[number], wanted[number]).largest for number in objects)
    return _report(args, segmenter.description, compared, wrong, (official_s, ours_s))


def _report(
    args: argparse.Namespace,
    description: str,
    compared: Mapping[int, Compared],
    wrong: Mapping[str, float],
    took_s: tuple[float, float],
) -> int:
    print(heading())
    print(
        f"{description}; {args.frames} frames, low-resolution mask logits against the official predictor's\n"
    )
    kinds = {1: "box, on all frames", 2: "point, removed in the middle", 3: "mask, added on the way"}
    rows: list[tuple[object, ...]] = [
        (f"object {number}: {kinds[number]}", f"{each.largest:.1e}", f"{each.agreement:.5%}")
        for number, each in compared.items()
    ]
    rows += [(f"with {name}", f"{largest:.1e}", "") for name, largest in wrong.items()]
    print(markdown_table(("", "largest difference / range of the logits", "same sign"), rows))
    largest = max(each.largest for each in compared.values())
    agreement = min(each.agreement for each in compared.values())
    noticed = all(off > max(LARGEST, 100 * largest) for off in wrong.values())
    print(f"\nofficial {took_s[0]:.1f} s, graphs {took_s[1]:.1f} s (not interleaved: no comparison of speed)")
    reach = f"{largest:.1e} of the logit range, {agreement:.3%} same sign"
    write_json(
        args.json, reach={"parity": reach}, largest=largest, agreement=agreement, controls=dict(wrong),
        official_s=took_s[0], ours_s=took_s[1],
    )  # fmt: skip
    return 0 if noticed and all(each.holds for each in compared.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
