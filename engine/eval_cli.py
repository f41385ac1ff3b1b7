"""`engine-eval`: results against ground truth: masks, identities, or a rendered scene. `--help` imports nothing heavy.

Knows the command line. It stands above the siblings, as judging identities runs trackers, detectors and what judges.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from engine import __version__
from engine.errors import EngineError
from engine.evaluation.cli import add_masks
from engine.evaluation.mot_export import add_export
from engine.evaluation.scene_cli import add_scene

CAMERA_MOTION = ("auto", "flow", "ecc", "pose", "off")

MOT = """How well trackers keep identities on sequences of MOTChallenge.

  engine-eval mot MOT17/train --detections public
  engine-eval mot PETS09-S2L1 --detections yolov8n --clip pets.mp4 --reid osnet_x0_25 --vs all
  engine-eval mot TUD-Campus --result TUD-Campus/res.txt

A folder is a sequence (gt/gt.txt, seqinfo.ini, det/det.txt, img1/) or holds some. What networks say is kept on disk, so
that the next run with other trackers or settings does not run them again."""


def build_parser() -> argparse.ArgumentParser:
    """The command line of `engine-eval`."""
    parser = argparse.ArgumentParser(
        prog="engine-eval", description="Results against ground truth.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"camring {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_masks(commands)
    add_scene(commands)
    add_export(commands)
    mot = commands.add_parser(
        "mot",
        allow_abbrev=False,
        help="MOTA, IDF1, HOTA and ID switches of trackers on MOTChallenge folders",
        description=MOT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mot.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="sequences, or folders of such")
    _add_what_is_judged(mot)
    _add_networks(mot)
    mot.add_argument("--json", action="store_true", help="print JSON instead of the table")
    mot.set_defaults(run=_run_mot)
    return parser


def _add_what_is_judged(mot: argparse.ArgumentParser) -> None:
    judged = mot.add_argument_group("what is judged")
    judged.add_argument(
        "--tracker",
        action="append",
        metavar="NAME",
        help="a tracker of the engine; may be repeated (default: botsort)",
    )
    judged.add_argument(
        "--vs",
        action="append",
        default=[],
        metavar="NAME",
        help="another library's tracker with its defaults on the same detections, in a process of its own; `all` = "
        "every one that is installed; may be repeated. In a checkout only (docs/evaluation.md)",
    )
    judged.add_argument(
        "--peers",
        type=Path,
        metavar="DIR",
        help="where those libraries are, besides this Python (default: where `python -m bench.identity "
        "--install-peers` puts them)",
    )
    judged.add_argument(
        "--result",
        type=Path,
        metavar="PATH",
        help="judge a result that is there, and run nothing: .txt of MOTChallenge or .jsonl of the engine, or a "
        "folder with NAME.txt or NAME.jsonl for each sequence",
    )
    judged.add_argument(
        "--camera-motion",
        choices=CAMERA_MOTION,
        default="auto",
        help="as `track.camera_motion` (default: auto); where there are pictures",
    )
    judged.add_argument(
        "--fps", type=_rate, metavar="N", help="frames a second, instead of what seqinfo.ini says"
    )
    judged.add_argument(
        "--first-pixel",
        type=int,
        choices=(0, 1),
        default=1,
        help="what the first column and row are called in the sequence's text files (default: 1, as in MOTChallenge)",
    )


def _add_networks(mot: argparse.ArgumentParser) -> None:
    networks = mot.add_argument_group("what trackers get")
    networks.add_argument(
        "--detections",
        default="public",
        metavar="public|FILE|MODEL",
        help="det/det.txt of the sequence (default), another file, there or anywhere, or a detector that looks at "
        "img1 or the clip",
    )
    networks.add_argument(
        "--require-model",
        action="store_true",
        help="no embedded detector in place of one that cannot be had: end with an error instead",
    )
    networks.add_argument(
        "--clip", type=Path, metavar="VIDEO", help="the pictures of a sequence without img1"
    )
    networks.add_argument(
        "--classes",
        type=_names,
        default=("person",),
        metavar="A,B",
        help="labels of a detector's or of JSON lines' objects that count (default: person)",
    )
    networks.add_argument(
        "--confidence",
        type=_share,
        default=0.1,
        metavar="P",
        help="lowest score of a detector (default: 0.1)",
    )
    networks.add_argument(
        "--nms-iou", type=_share, default=0.45, metavar="P", help="as `infer.nms_iou` (default: 0.45)"
    )
    networks.add_argument(
        "--reid", metavar="MODEL", help="network that tells what objects look like; needs pictures"
    )
    networks.add_argument(
        "--reid-demand",
        choices=("engine", "all"),
        default="engine",
        help="whose looks trackers get: of those that the engine would look at (default), or of all",
    )
    networks.add_argument(
        "--backends",
        type=_names,
        default=("ort-cpu",),
        metavar="A,B",
        help="what may run networks, best first",
    )
    networks.add_argument("--threads", type=int, default=0, metavar="N", help="default: measured")
    networks.add_argument(
        "--no-cache", action="store_true", help="neither use nor keep what networks said before"
    )


def _run_mot(args: argparse.Namespace) -> int:
    from engine.eval_mot import run

    return run(args, say)


def say(line: str) -> None:
    """One line on standard error, where standard output is for the scores alone."""
    print(f"engine-eval: {line}", file=sys.stderr, flush=True)


def _rate(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of frames a second")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 1")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("names nothing")
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `engine-eval`."""
    args = build_parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except EngineError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
