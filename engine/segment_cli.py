"""`engine-segment`: pictures in, masks out: the smallest way to try a model. `--help` imports nothing heavy.

Exit status: 0 all pictures as asked; 1 a picture, the model or an output failed (the other pictures are done); 2 a flag
is wrong, or points beside the first frame of a video; 130 interrupted (files that are there are whole).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine import __version__
from engine.errors import ConfigError, EngineError, PromptError

if TYPE_CHECKING:
    from engine.segment_files import ResultFiles
    from engine.segment_models import PictureModel, Wanted
    from engine.segment_pictures import Inputs, Shown
    from engine.types import Prompt

FORMATS = ("png", "json", "overlay")
Report = Callable[[float, str], None]
"""Told pictures done, with parts of one, and a line for each that is finished ("" before)."""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `engine-segment`."""
    parser = argparse.ArgumentParser(
        prog="engine-segment",
        description="Masks of pictures: of everything in them, or of what is pointed at.",
        epilog="A picture a/b.jpg gives DIR/b.png (numbers of objects, with a palette), DIR/b.json and "
        "DIR/b.overlay.jpg; several folders get a folder each. Coordinates are pixels of the picture. "
        "Exit status: 0 all done, 1 something failed and the rest is done, 2 wrong flag.",
    )
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="PATH", help="pictures, folders, or one video"
    )
    parser.add_argument(
        "--model", required=True, metavar="FOLDER|FILE|NAME",
        help="SAM 2 folder (tools/export_onnx.py sam2), a segmenting ONNX file, or the name of either; `nano_sam` "
        "comes with the package",
    )  # fmt: skip
    parser.add_argument(
        "--require-model",
        action="store_true",
        help="no embedded model in place of one that cannot be had: end with an error instead",
    )
    parser.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="default: out")
    parser.add_argument(
        "--format", type=_formats, default=FORMATS, metavar="A,B",
        help=f"what to write, of {', '.join(FORMATS)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--masks", choices=("polygon", "rle"), default="polygon", help="masks in the JSON (default: polygon)"
    )
    prompts = parser.add_argument_group("what to segment (SAM 2; default: everything)")
    prompts.add_argument(
        "--point", action="append", default=[], type=_point, metavar="X,Y[,0|1]",
        help="a point on the one object, or with ,0 not on it; may be repeated",
    )  # fmt: skip
    prompts.add_argument(
        "--box", action="append", default=[], type=_box, metavar="X1,Y1,X2,Y2",
        help="a box around an object; may be repeated, one object each",
    )  # fmt: skip
    prompts.add_argument(
        "--mask",
        type=Path,
        metavar="FILE.png",
        help="a mask; each number in it (a palette's, or grey) is an object",
    )
    prompts.add_argument(
        "--track", action="store_true",
        help="pictures are frames of a video: prompts are for the first, memory leads through the others",
    )  # fmt: skip
    tuning = parser.add_argument_group("how")
    tuning.add_argument(
        "--points-per-side", type=int, default=32, metavar="N", help="grid for everything (default: 32)"
    )
    tuning.add_argument("--iou", type=float, default=0.8, help="least predicted IoU (default: 0.8)")
    tuning.add_argument("--stability", type=float, default=0.95, help="least stability (default: 0.95)")
    tuning.add_argument(
        "--min-area",
        type=float,
        default=0.0,
        metavar="PX",
        help="least pixels of a mask of everything (default: 0)",
    )
    tuning.add_argument(
        "--confidence", type=float, default=0.25, help="least score of a detector (default: 0.25)"
    )
    tuning.add_argument(
        "--backends", default="ort-cpu", metavar="A,B", help="what may run it, best first (default: ort-cpu)"
    )
    tuning.add_argument("--threads", type=int, default=0, metavar="N", help="default: all cores")
    parser.add_argument("--version", action="version", version=f"camring {__version__}")
    return parser


def prompts_of(args: argparse.Namespace) -> dict[int, Prompt]:
    """Prompts by the number of their object, from 1; those of a mask file by its numbers.

    Raises `ConfigError` where it is not clear which object a point is of, or the mask file cannot be read.
    """
    import numpy as np

    from engine.errors import OutputError
    from engine.types import Prompt

    points_xy = np.array([point[:2] for point in args.point], np.float32).reshape(-1, 2)
    labels = np.array([point[2] for point in args.point], np.int32)
    boxes = [np.array(box, np.float32) for box in args.box]
    if args.mask is not None:
        from engine.outputs.indexed_png import read_indices

        if args.point or boxes:
            raise ConfigError("--mask is the answer itself: give it without --point and --box")
        try:
            numbers = read_indices(args.mask)
        except OutputError as error:
            raise ConfigError(f"--mask {error}") from error
        found = {int(number): Prompt(mask_hw=numbers == number) for number in np.unique(numbers) if number}
        if not found:
            raise ConfigError(f"--mask {args.mask}: no object in it: every pixel is 0")
        return found
    if len(boxes) > 1 and args.point:
        raise ConfigError(
            "--point with several --box: whose point it is cannot be told; give one box, or points alone"
        )
    if boxes:
        return {n: Prompt(points_xy, labels, box) for n, box in enumerate(boxes, 1)}
    return {1: Prompt(points_xy, labels)} if args.point else {}


def wanted_of(args: argparse.Namespace, inputs: Inputs) -> Wanted:
    """What is asked of the model. Raises `ConfigError` where that makes no sense."""
    from engine.models.sam2_automatic import AutomaticFilters
    from engine.segment_models import Wanted

    prompts = prompts_of(args)
    track = args.track or inputs.video is not None
    if track and not prompts:
        what = f"{inputs.video} is a video" if inputs.video else "--track"
        raise ConfigError(
            f"{what}: say what to follow from the first frame on, by --point, --box or --mask "
            "(engine-run follows what a detector finds)"
        )
    if args.points_per_side < 1:
        raise ConfigError(f"--points-per-side {args.points_per_side}: at least 1")
    filters = AutomaticFilters(args.iou, args.stability, least_area_px=args.min_area)
    backends = tuple(name.strip() for name in args.backends.split(",") if name.strip())
    return Wanted(
        prompts, track, args.points_per_side, filters, args.confidence, backends or ("ort-cpu",), args.threads,
        args.require_model,
    )  # fmt: skip


class Run:
    """Goes through the pictures, and counts.

    done, objects  pictures that were written, and the objects in them
    failed         pictures that could not be read or segmented
    """

    def __init__(self, model: PictureModel, files: ResultFiles, *, track: bool) -> None:
        """track: the pictures are frames of one video, so that a prompt that fails on the first ends it all."""
        self.done = self.objects = self.failed = 0
        self._model, self._files, self._track = model, files, track

    def take(self, shown: Shown, report: Report) -> None:
        """One picture. Raises an `EngineError` where the others would fail in the same way."""
        from engine.segment_files import Segmented

        began, before = time.monotonic(), self.done + self.failed
        if shown.frame is None:
            self._skip(shown.problem, report)
            return
        try:
            tracks, problems = self._model.segment(
                shown.frame, lambda part, whole: report(before + part / whole, "")
            )
        except PromptError as error:
            if self._track:
                raise PromptError(f"{shown.path}: {error}") from error
            self._skip(f"{shown.path}: {error}", report)
            return
        segmented = Segmented(shown.name, shown.path.name, shown.frame, tracks, self._model.labels)
        problems += self._files.write(segmented)
        for problem in problems:
            say(f"{shown.name}: {problem}")
        self.done += 1
        self.objects += len(tracks)
        took_s = time.monotonic() - began
        report(before + 1, f"{shown.name}: {len(tracks)} objects, {took_s:.2f} s")

    def _skip(self, problem: str, report: Report) -> None:
        self.failed += 1
        say(problem)
        report(self.done + self.failed, "")


def run(args: argparse.Namespace) -> int:
    """Segment what was named; returns the exit status. Raises an `EngineError`."""
    from engine.outputs.directory import claim_directory
    from engine.segment_files import ResultFiles
    from engine.segment_models import open_model
    from engine.segment_pictures import find_inputs, frames_of

    inputs = find_inputs(args.inputs, args.out)
    wanted = wanted_of(args, inputs)
    for problem in inputs.problems:
        say(problem)
    with closing(open_model(args.model, wanted)) as model, ExitStack() as ending:
        ending.callback(os.close, claim_directory(args.out))
        say(model.description)
        if model.degraded:
            say(f"degraded: {model.degraded}")
        name = model.name if model.degraded else Path(args.model).name
        files = ResultFiles(args.out, args.format, args.masks, name, model.degraded)
        going = Run(model, files, track=wanted.track)
        began = time.monotonic()
        # Also where the run is broken off, and after the bar is gone.
        ending.callback(lambda: print(summary_of(going, time.monotonic() - began, args.out), flush=True))
        with progress_of(len(inputs.pictures) or None) as report:
            for shown in frames_of(inputs):
                going.take(shown, report)
    return 1 if going.failed or inputs.problems else 0


def summary_of(going: Run, took_s: float, out: Path) -> str:
    """What happened, in one line."""
    rate = f" ({going.done / took_s:.2f} pictures/s)" if took_s > 0 and going.done else ""
    failed = f", {going.failed} failed" if going.failed else ""
    return f"{going.done} pictures, {going.objects} objects in {took_s:.1f} s{rate}{failed}; files in {out}"


@contextmanager
def progress_of(pictures: int | None) -> Iterator[Report]:
    """A bar on a terminal, a line for each picture elsewhere; `pictures` is None where their number is not known."""
    if not sys.stderr.isatty():
        total = f" of {pictures}" if pictures else ""

        def count(done: float, line: str) -> None:
            if line:
                print(f"engine-segment: {round(done)}{total}: {line}", file=sys.stderr)

        yield count
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("pictures", total=pictures)

        def show(done: float, line: str) -> None:
            bar.update(task, completed=done, description=line or None)

        yield show


def say(message: str) -> None:
    """One line on standard error, where standard output is for the summary alone."""
    print(f"engine-segment: {message}", file=sys.stderr)


def _numbers(text: str, counts: tuple[int, ...], what: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts or any(
        number != number or abs(number) == float("inf") for number in numbers
    ):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return numbers


def _point(text: str) -> tuple[float, float, int]:
    what = "X,Y or X,Y,1 (on the object) or X,Y,0 (not on it)"
    x, y, *label = _numbers(text, (2, 3), what)
    if label and label[0] not in (0, 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return x, y, int(label[0]) if label else 1


def _box(text: str) -> list[float]:
    box = _numbers(text, (4,), "X1,Y1,X2,Y2")
    if box[2] <= box[0] or box[3] <= box[1]:
        raise argparse.ArgumentTypeError(
            f"{text!r} has no area: X1,Y1 is the upper left, X2,Y2 the lower right corner"
        )
    return box


def _formats(text: str) -> tuple[str, ...]:
    formats = tuple(part.strip() for part in text.split(","))
    for name in formats:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FORMATS)}")
    return formats


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `engine-segment`."""
    args = build_parser().parse_args(argv)
    try:
        return run(args)
    except EngineError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; the files that are there are whole")
        return 130


if __name__ == "__main__":
    sys.exit(main())
