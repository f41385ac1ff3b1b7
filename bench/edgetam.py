"""How many frames a second does EdgeTAM follow objects through here? The whole loop, float32 and eight bits.

`engine.models.sam2` over the four graphs follows 1 and 4 objects through a clip; both precisions take turns frame by
frame in one process. Counted are frames on which memory is full: decode excepted, all that a frame costs (preparing
the picture, image encoder, memory attention, mask decoder, memory encoder, the bank). With made-up weights; cost does
not depend on weights, and masks of real ones are not judged here: the loss of eight bits is of the logits that
made-up weights give.

    python -m bench.edgetam [--frames 20] [--objects 1 4] [--size 512] [--clip FILE] [--folders DIR] [--quick]

DIR is where exported folders are kept, or made (default: a temporary one). Needs camring[export] and Meta's package
(docs/export.md) to make them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.data import clip
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.sam2_speed import (
    ROOT,
    STAGES,
    WARM,
    Error,
    Run,
    Stopwatch,
    boxes,
    error_of,
    frames_of,
    graph_errors,
    own_frames,
)
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.types import FrameNv12

GOAL_FPS = 5.0


@dataclass(frozen=True)
class Speed:
    """One precision with so many objects.

    stage_ms  median milliseconds of each of `STAGES`, and of everything else
    """

    name: str
    objects: int
    median_ms: float
    fastest_ms: float
    stage_ms: list[float]

    @property
    def frames_per_s(self) -> float:
        return 1e3 / self.median_ms

    @property
    def fastest_frames_per_s(self) -> float:
        return 1e3 / self.fastest_ms


def export(folders: Path, size: int) -> list[Path]:
    """The float32 folder and the eight-bit one, made as a user makes them where they are missing."""
    base = folders / f"edgetam_{size}"
    paths = [base, base.with_name(f"{base.name}_int8")]
    if not all((path / "segmenter.json").exists() for path in paths):
        tool = [sys.executable, str(ROOT / "tools/export_onnx.py"), "sam2", "--random", "edgetam"]
        options = ["--size", str(size), "--parity", "none", "--int8", "dynamic", "--out", str(base)]
        done = subprocess.run([*tool, *options], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
    return paths


def take_turns(paths: Sequence[Path], frames: Sequence[FrameNv12], objects: int, threads: int) -> list[Run]:
    """Every folder one frame at a time."""
    height, width = frames[0].y.shape
    prompts = boxes(objects, (width, height))
    options = SegmenterOptions(threads=threads, freeze_iou=0.0)
    segmenters = [Segmenter.load(path, options) for path in paths]
    watches = [Stopwatch() for _ in paths]
    runs = [Run(path.name) for path in paths]
    going = [
        own_frames(segmenter, frames, prompts, watch)
        for segmenter, watch in zip(segmenters, watches, strict=True)
    ]
    for index in range(len(frames)):
        for run, each, watch in zip(runs, going, watches, strict=True):
            watch.read()
            began = time.perf_counter()
            masks = next(each)
            took = 1e3 * (time.perf_counter() - began)
            run.masks.append(masks)
            if index >= min(WARM, len(frames) - 2):
                run.frame_ms.append(took)
                run.stages.append(watch.read())
    for segmenter in segmenters:
        segmenter.close()
    return runs


def speed_of(run: Run, objects: int) -> Speed:
    stages = [statistics.median(each) for each in zip(*run.stages, strict=True)]
    median = statistics.median(run.frame_ms)
    return Speed(run.name, objects, median, min(run.frame_ms), [*stages, median - sum(stages)])


def report(speeds: Sequence[Speed], errors: Sequence[Error], graphs: Sequence[tuple[object, ...]]) -> str:
    timed: list[tuple[object, ...]] = [
        (each.objects, each.name, f"{each.frames_per_s:.1f}", f"{each.fastest_frames_per_s:.1f}",
         f"{each.median_ms:.0f}", *(f"{stage:.0f}" for stage in each.stage_ms))
        for each in speeds
    ]  # fmt: skip
    columns = (
        "objects",
        "what",
        "frames/s",
        "fastest frame",
        "median ms",
        *(f"{each} ms" for each in STAGES),
        "else",
    )
    off: list[tuple[object, ...]] = [
        (each.objects, each.name, f"{each.l2:.2%}", f"{each.same_sign:.3%}") for each in errors
    ]
    return "\n\n".join([
        markdown_table(columns, timed),
        "Masks of eight bits beside those of float32, made-up weights:",
        markdown_table(("objects", "what", "relative L2", "same sign"), off),
        "One call of an eight-bit graph against torch, on inputs of its own:",
        markdown_table(("folder", "graph", "output", "relative L2"), list(graphs)),
    ])  # fmt: skip


def said(speeds: Sequence[Speed]) -> dict[str, str]:
    """The sentence for the table of goals."""
    lines = [
        f"{each.frames_per_s:.1f} ({each.name}, {each.objects} object{'s' if each.objects > 1 else ''})"
        for each in speeds
    ]
    return {"frames per second": ", ".join(lines)}


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=20, help="measured frames (default: 20)")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--size", type=int, default=512, help="side of the picture, a multiple of 256")
    parser.add_argument(
        "--clip", type=Path, default=clip("sam2_bedroom"), help="default: one of the shared clips"
    )
    parser.add_argument("--folders", type=Path, metavar="DIR")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")
    parser.add_argument("--quick", action="store_true", help="two measured frames without filling the memory")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        paths = export(args.folders or Path(temporary), args.size)
        frames, what = frames_of(args.clip, 4 if args.quick else WARM + args.frames)
        speeds: list[Speed] = []
        errors: list[Error] = []
        for objects in args.objects:
            runs = take_turns(paths, frames, objects, args.threads)
            speeds += [speed_of(run, objects) for run in runs]
            errors.append(error_of(runs[1], runs[0], objects))
        graphs = graph_errors(paths[1])
    print(heading())
    print(
        f"{what}, {args.size} × {args.size}, {args.threads} threads; asked for: {GOAL_FPS:g} frames/s with 1 object\n"
    )
    print(report(speeds, errors, graphs))
    write_json(
        args.json, reach=said(speeds), speeds=[asdict(each) for each in speeds],
        errors=[asdict(each) for each in errors],
    )  # fmt: skip


if __name__ == "__main__":
    main()
