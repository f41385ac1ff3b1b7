"""The embedded models from nothing: pictures rendered, nano-det and nano-sam trained on them, files written, judged.

    python tools/train_nano.py all --data pictures --work trained           everything; two cores, at most two hours
    python tools/train_nano.py render --data pictures
    python tools/train_nano.py detector --data pictures --work trained
    python tools/train_nano.py segmenter --data pictures --work trained
    python tools/train_nano.py evaluate --model trained/nano_det.onnx

No picture and no weight comes from anywhere else; all seeds are fixed (docs/training.md). Needs camring[export], and
for the segmenter the package sam2 (docs/export.md).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__" and not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from engine.errors import ConfigError, WorkerError
from tools.command_line import EXIT_STATUS, needs, run_tool

ENTIRE_SHARE = 1.0
SEED = 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    from tools.nano import train_detector, train_segmenter

    parser = argparse.ArgumentParser(
        prog="train_nano", description=__doc__, epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    render = commands.add_parser("render", help="make the pictures that both trainings read")
    _add_data(render)
    _add_rendering(render)
    detector = commands.add_parser("detector", help="train nano-det and write its ONNX file")
    _add_data(detector)
    _add_work(detector)
    train_detector.add_arguments(detector)
    segmenter = commands.add_parser("segmenter", help="train nano-sam and write its checkpoint")
    _add_data(segmenter)
    _add_work(segmenter)
    train_segmenter.add_arguments(segmenter)
    evaluate = commands.add_parser(
        "evaluate", help="average precision of detectors, on rendered and real pictures"
    )
    _add_evaluation(evaluate)
    everything = commands.add_parser("all", help="render, train both, export, evaluate")
    _add_data(everything)
    _add_work(everything)
    _add_rendering(everything)
    everything.add_argument("--resume", action="store_true", help="go on at the checkpoints in WORK")
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=Path("nano_pictures"), metavar="DIR",
                        help="folder of the rendered pictures (default: nano_pictures)")  # fmt: skip


def _add_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, default=Path("nano_trained"), metavar="DIR",
                        help="folder of checkpoints and results (default: nano_trained)")  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=SEED, metavar="N", help=f"of all chance (default: {SEED})"
    )


def _add_rendering(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="that render side by side; `all` trains with as many "
                             "(default: one for each core)")  # fmt: skip
    parser.add_argument("--share", type=float, default=ENTIRE_SHARE, metavar="SHARE",
                        help="of the pictures, for trying things out (default: 1)")  # fmt: skip


def _add_evaluation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, action="append", metavar="FILE.onnx",
                        help="a detector; may be given more than once (default: the embedded one)")  # fmt: skip
    parser.add_argument("--footage", type=Path, metavar="DIR",
                        help="folder with mot/ in it: real sequences (default: $ENGINE_TEST_DATA)")  # fmt: skip
    parser.add_argument(
        "--frames", type=int, default=60, metavar="N", help="of each rendered camera (default: 60)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")


def carry_out(args: argparse.Namespace) -> int:
    """One command. Raises an `EngineError`."""
    if args.command == "evaluate":
        from tools.nano import evaluate

        return evaluate.main(args)
    if args.command == "detector":
        from tools.nano import train_detector

        return train_detector.main(args)
    if args.command == "segmenter":
        with needs("export"):
            from tools.nano import train_segmenter

            return train_segmenter.main(args)
    return _render(args) if args.command == "render" else _everything(args)


def _render(args: argparse.Namespace) -> int:
    if args.processes < 1 or not 0 < args.share <= 1:
        raise ConfigError("--processes is at least 1, --share above 0 and at most 1")
    from tools.nano.sets import render_sets

    render_sets(args.data, args.share, args.processes)
    return 0


def _everything(args: argparse.Namespace) -> int:
    """Each part in a process of its own, one after the other: nano-sam's encoder begins with nano-det's weights."""
    began = time.monotonic()
    if _render(args):
        return 1
    print(f"rendered in {_minutes(began)}", flush=True)
    common = ["--data", str(args.data), "--work", str(args.work), "--seed", str(args.seed)]
    common += ["--resume"] if args.resume else []
    for name, option in (("detector", "--threads"), ("segmenter", "--processes")):
        if _started([name, *common, option, str(args.processes)]).wait():
            raise WorkerError(f"{name}: see the lines above; --resume goes on at the last checkpoint")
    print(f"trained in {_minutes(began)}, rendering included", flush=True)
    graphs = ["sam2", str(args.work / "nano_sam.pt"), "--size", "256", "--out", str(args.work / "nano_sam")]
    if _started(graphs, tool="export_onnx.py").wait():
        raise WorkerError("nano_sam.pt could not be exported: see the lines above")
    status = _started(["evaluate", "--model", str(args.work / "nano_det.onnx")]).wait()
    print(f"everything took {_minutes(began)}")
    return status


def _started(arguments: list[str], tool: str = "train_nano.py") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(Path(__file__).resolve().parent / tool), *arguments])


def _minutes(began: float) -> str:
    return f"{(time.monotonic() - began) / 60:.1f} min"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return run_tool(build_parser(), carry_out, argv)


if __name__ == "__main__":
    sys.exit(main())
