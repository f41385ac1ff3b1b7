"""How fast does SAM 2 follow objects here, against Meta's video predictor in torch? The whole loop, frame by frame.

The official SAM2VideoPredictor and `engine.models.sam2` over the four graphs follow the same objects through the same
pictures with the same made-up weights, both on the same threads, taking turns frame by frame: whatever else the
machine does meets both alike. Figures are of frames on which memory is full. Ratios are of the fastest frames and, as a
check, the median of the frames' own ratios. The engine's time includes preparing the picture; the predictor has its
pictures prepared. Eight-bit graphs are judged by the masks that they give beside the float32 ones. With made-up weights
that tells how far numbers are off, not what it does to real masks.

    python -m bench.sam2_speed [--frames 12] [--objects 1 4] [--clip FILE] [--quick] [--json FILE]
                               [--folders DIR]   where exported folders are kept, or made (default: a temporary one)

Needs camring[export] and Meta's package (docs/export.md).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data import clip
from bench.machine import argument_parser, heading, markdown_table, write_json
from bench.sam2_clip import frame_at
from bench.sam2_official import Official, random_model
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_step import Action, Ask, step
from engine.types import F32, FrameNv12, Prompt
from tools.frames import read_frames

ROOT = Path(__file__).resolve().parent.parent
VARIANT = "tiny"
FOLDERS = ("tiny_512", "tiny_512_int8", "tiny_448_int8")
"""Base name of the export command's folders: the first is compared with the official predictor, all with the clock."""
WARM = 17
"""Frames until six memories beside the first and all 16 pointers are there."""
STAGES = ("image encoder", "memory attention", "mask decoder", "memory encoder")
CAMERA = "clip"


@dataclass
class Run:
    """One of those that take turns: milliseconds of every measured frame, by stage, and the masks.

    cpu_ms  CPU time of all threads; with --threads 1, where nobody waits, it tells on a busy machine, too
    stages  milliseconds spent in each of `STAGES` on each frame; what is left is everything else
    """

    name: str
    frame_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    stages: list[list[float]] = field(default_factory=list)
    masks: list[F32] = field(default_factory=list)


class Stopwatch:
    """Adds up the time that calls of some functions take, by stage."""

    def __init__(self) -> None:
        self.spent = [0.0] * len(STAGES)

    def watch(self, owner: Any, name: str, stage: int) -> None:
        """From now on, calls of `owner.name` count for this stage."""
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent[stage] += time.perf_counter() - began

        setattr(owner, name, timed)

    def read(self) -> list[float]:
        """Milliseconds since the last reading."""
        spent, self.spent = self.spent, [0.0] * len(STAGES)
        return [1e3 * each for each in spent]


class Calm:
    """Whether other work was on the cores: where it is, threads that wait for each other prove nothing.

    torch's threads spin until all are done; one of them without a core makes the predictor several times slower than
    it is, and the ratio as much too good.
    """

    LIMIT = 0.05

    def __init__(self) -> None:
        self._begin = self._look()

    def others(self) -> float:
        """Share of all cores that went to others, or was withheld from this machine, since this was made."""
        (busy, total, own), (busy_then, total_then, own_then) = self._look(), self._begin
        return max(0.0, (busy - busy_then) - (own - own_then)) / max(total - total_then, 1e-9)

    @staticmethod
    def _look() -> tuple[float, float, float]:
        """Seconds of all cores: busy, all, and this process's. Nothing is known where there is no /proc."""
        stat = Path("/proc/stat")
        if not stat.exists():
            return 0.0, time.perf_counter(), 0.0
        ticks = [int(each) for each in stat.read_text().splitlines()[0].split()[1:9]]
        second = os.sysconf("SC_CLK_TCK")
        idle = ticks[3] + ticks[4]
        return (sum(ticks) - idle) / second, sum(ticks) / second, time.process_time()


Frames = Iterator[F32]
"""Low-resolution logits (n, 4r, 4r) of one frame after the other; asking for the next is what is measured."""


def official_frames(
    folder: Segmenter, frames: Sequence[FrameNv12], prompts: Sequence[Prompt], watch: Stopwatch
) -> Frames:
    """The predictor, with all objects in one state as one uses it."""
    model = random_model(folder.sidecar)
    pictures = np.concatenate([folder.pictures([frame]).copy() for frame in frames])
    height, width = frames[0].y.shape
    state = Official(model, pictures[:1], (width, height))._state()
    state["images"], state["num_frames"] = torch.from_numpy(pictures), max(len(pictures), 64)
    # Only now: what the comparison of masks does beforehand is not to be counted.
    for stage, (owner, name) in enumerate(
        ((model, "forward_image"), (model, "_prepare_memory_conditioned_features"), (model, "_forward_sam_heads"),
         (model, "_encode_new_memory"))
    ):  # fmt: skip
        watch.watch(owner, name, stage)
    for number, prompt in enumerate(prompts):
        model.add_new_points_or_box(state, 0, number, box=prompt.box_xyxy)
    for index, _, _ in model.propagate_in_video(state):
        kind = "non_cond_frame_outputs" if index else "cond_frame_outputs"
        kept = state["output_dict_per_obj"]
        yield np.stack(
            [kept[number][kind][index]["pred_masks"].numpy()[0, 0] for number in range(len(prompts))]
        )


def own_frames(
    segmenter: Segmenter, frames: Sequence[FrameNv12], prompts: Sequence[Prompt], watch: Stopwatch
) -> Frames:
    """The engine's segmenter."""
    for stage, name in enumerate(("encode", "attend", "decode", "encode_memory")):
        watch.watch(segmenter._graphs, name, stage)
    bank = segmenter.new_bank(len(prompts))
    for index, frame in enumerate(frames):
        asks = [
            Ask((CAMERA, number), Action.GO_ON if index else Action.START, None if index else prompt)
            for number, prompt in enumerate(prompts)
        ]
        answer = step(segmenter, bank, segmenter.encode([frame]), asks)
        if any(answer.predictions.failures):
            raise SystemExit(f"{segmenter.description}: {answer.predictions.failures}")
        yield answer.predictions.low_res_masks.copy()


def boxes(count: int, size_wh: tuple[int, int]) -> list[Prompt]:
    """As many boxes, side by side; what is in them does not matter to made-up weights."""
    width, height = size_wh
    side = min(width, height) // 4
    lefts = np.linspace(width * 0.08, width * 0.92 - side, max(count, 2))[:count]
    return [
        Prompt.of_box(np.array([left, height / 3, left + side, height / 3 + side], np.float32))
        for left in lefts
    ]


def take_turns(folders: Sequence[Path], frames: Sequence[FrameNv12], objects: int, threads: int) -> list[Run]:
    """The official predictor first, then the folders, one frame each at a time."""
    height, width = frames[0].y.shape
    prompts = boxes(objects, (width, height))
    # Every frame is remembered, as the predictor does.
    options = SegmenterOptions(threads=threads, freeze_iou=0.0)
    segmenters = [Segmenter.load(folder, options) for folder in folders]
    watches = [Stopwatch() for _ in range(1 + len(folders))]
    runs = [Run("official, torch"), *(Run(folder.name) for folder in folders)]
    going = [official_frames(segmenters[0], frames, prompts, watches[0])]
    going += [
        own_frames(each, frames, prompts, watch) for each, watch in zip(segmenters, watches[1:], strict=True)
    ]
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        for index in range(len(frames)):
            for run, each, watch in zip(runs, going, watches, strict=True):
                watch.read()
                began, cpu_began = time.perf_counter(), time.process_time()
                masks = next(each)
                took, cpu_took = time.perf_counter() - began, time.process_time() - cpu_began
                run.masks.append(masks)
                if index >= min(WARM, len(frames) - 2):
                    run.frame_ms.append(1e3 * took)
                    run.cpu_ms.append(1e3 * cpu_took)
                    run.stages.append(watch.read())
    for segmenter in segmenters:
        segmenter.close()
    return runs


@dataclass(frozen=True)
class Speed:
    """One folder against the official predictor.

    ratio    of the fastest frames; paired: median of the ratios of frames next to each other; cpu: of least CPU time
    stages   milliseconds of each of `STAGES` on the fastest frame, and of everything else
    """

    name: str
    objects: int
    fastest_ms: float
    median_ms: float
    ratio: float
    paired: float
    cpu: float
    stages: list[float]


def speed_of(run: Run, official: Run, objects: int) -> Speed:
    fastest = int(np.argmin(run.frame_ms))
    stages = [round(each, 1) for each in run.stages[fastest]]
    return Speed(
        run.name, objects, min(run.frame_ms), statistics.median(run.frame_ms),
        min(official.frame_ms) / min(run.frame_ms),
        statistics.median(theirs / ours for theirs, ours in zip(official.frame_ms, run.frame_ms, strict=True)),
        min(official.cpu_ms) / min(run.cpu_ms),
        [*stages, round(run.frame_ms[fastest] - sum(stages), 1)],
    )  # fmt: skip


@dataclass(frozen=True)
class Error:
    """Masks of a run against those of another with the same size of picture, over all frames and objects.

    l2         norm of the difference of the logits, as a share of the norm of the other's
    largest    largest difference, as a share of the other's range
    same_sign  share of pixels
    """

    name: str
    against: str
    objects: int
    l2: float
    largest: float
    same_sign: float


def error_of(run: Run, other: Run, objects: int) -> Error:
    found, wanted = np.stack(run.masks), np.stack(other.masks)
    distance = found - wanted
    return Error(
        run.name, other.name, objects, float(np.linalg.norm(distance) / np.linalg.norm(wanted)),
        float(np.abs(distance).max() / (wanted.max() - wanted.min())), float(((found > 0) == (wanted > 0)).mean()),
    )  # fmt: skip


def graph_errors(folder: Path) -> list[tuple[object, ...]]:
    """What the export found of the eight-bit graphs, by themselves, on the inputs of each."""
    figures = json.loads((folder / "segmenter.json").read_text())["parity"].get("graphs_against_torch", {})
    return [
        (folder.name, graph, output, f"{values['l2']:.2%}")
        for graph, outputs in figures.items()
        for output, values in outputs.items()
        if not output.startswith("candidate")
    ]


def frames_of(file: Path | None, count: int) -> tuple[list[FrameNv12], str]:
    """Frames of a clip, or drawn ones, and which."""
    if file is not None and file.exists():
        return list(read_frames([str(file)], count)), file.name
    return [frame_at(index, (640, 480), figures=4) for index in range(count)], "drawn pictures"


def export(folders: Path) -> None:
    """Make the folders that are missing, as a user makes them."""
    for size in (512, 448):
        base = folders / f"{VARIANT}_{size}"
        if (base / "segmenter.json").exists() and (folders / f"{base.name}_int8" / "segmenter.json").exists():
            continue
        tool = [
            sys.executable,
            str(ROOT / "tools/export_onnx.py"),
            "sam2",
            "--random",
            VARIANT,
            "--size",
            str(size),
        ]
        options = ["--parity", "none", "--int8", "dynamic", "--out", str(base)]
        done = subprocess.run([*tool, *options], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)


def report(speeds: Sequence[Speed], errors: Sequence[Error], graphs: Sequence[tuple[object, ...]]) -> str:
    timed: list[tuple[object, ...]] = [
        (each.objects, each.name, f"{each.fastest_ms:.0f}", f"{each.median_ms:.0f}", f"{each.ratio:.2f}",
         f"{each.paired:.2f}", f"{each.cpu:.2f}", *each.stages)
        for each in speeds
    ]  # fmt: skip
    columns = (
        "objects",
        "what",
        "fastest ms",
        "median ms",
        "× official",
        "paired",
        "by CPU time",
        *STAGES,
        "else",
    )
    off: list[tuple[object, ...]] = [
        (
            each.objects,
            each.name,
            each.against,
            f"{each.l2:.2%}",
            f"{each.largest:.1e}",
            f"{each.same_sign:.3%}",
        )
        for each in errors
    ]
    return "\n\n".join([
        markdown_table(columns, list(timed)),
        markdown_table(("objects", "masks of", "against", "relative L2", "largest / range", "same sign"), off),
        "One call of an eight-bit graph against torch, on inputs of its own:",
        markdown_table(("folder", "graph", "output", "relative L2"), list(graphs)),
    ])  # fmt: skip


def said(speeds: Sequence[Speed], others: float) -> dict[str, str]:
    """Sentences for the table of goals, by goal."""
    doubt = f"; does not count, other work had {others:.0%} of the cores" if others > Calm.LIMIT else ""
    found: Callable[[str, int], Speed | None] = lambda name, objects: next(  # noqa: E731  # used twice, here
        (each for each in speeds if (each.name, each.objects) == (name, objects)), None
    )
    lines = {}
    for key, name in (("fp32", FOLDERS[0]), ("int8", FOLDERS[1]), ("448", FOLDERS[2])):
        pairs = [(objects, found(name, objects)) for objects in (1, 4)]
        lines[key] = " / ".join(
            f"{each.ratio:.2f} × ({each.fastest_ms:.0f} ms, {objects} object{'s' if objects > 1 else ''})"
            for objects, each in pairs
            if each is not None
        )
        lines[key] += doubt
    return lines


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--frames", type=int, default=12, help="measured frames (default: 12)")
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 4])
    parser.add_argument(
        "--clip", type=Path, default=clip("sam2_bedroom"), help="default: one of the shared clips"
    )
    parser.add_argument("--folders", type=Path, metavar="DIR")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="of either (default: all cores)"
    )
    parser.add_argument("--quick", action="store_true", help="two measured frames without filling the memory")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folders = args.folders or Path(temporary)
        export(folders)
        paths = [folders / name for name in FOLDERS]
        frames, what = frames_of(args.clip, 4 if args.quick else WARM + args.frames)
        calm = Calm()
        speeds: list[Speed] = []
        errors: list[Error] = []
        for objects in args.objects:
            official, *own = take_turns(paths, frames, objects, args.threads)
            speeds += [speed_of(run, official, objects) for run in (official, *own)]
            errors += [error_of(own[0], official, objects), error_of(own[1], own[0], objects)]
        others = calm.others()
        graphs = [row for path in paths[1:] for row in graph_errors(path)]
    print(heading())
    print(f"{what}, {args.threads} threads for either, torch {torch.__version__}\n")
    print(report(speeds, errors, graphs))
    verdict = "" if others <= Calm.LIMIT else ": the ratios do not count, run it on a calm machine"
    print(f"\nother work had {others:.1%} of the cores{verdict}")
    write_json(
        args.json, reach=said(speeds, others), others=others, speeds=[asdict(each) for each in speeds],
        errors=[asdict(each) for each in errors],
    )  # fmt: skip


if __name__ == "__main__":
    main()
