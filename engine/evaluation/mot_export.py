"""The engine's JSON lines as MOTChallenge's text, for tools that read that.

    engine-eval export-mot out/cam0.jsonl cam0.txt --class person

A line an object with an ID: frame, ID, left, top, width, height, confidence, -1, -1, -1. Frames count from 1, pixels
from 1 as MOTChallenge does; `engine-eval mot` and TrackEval read it.
Source: MOT16 (Milan et al., 2016), section 4.2.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator
from pathlib import Path

from engine.errors import ConfigError


def add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `export-mot` and its options. Imports nothing heavy."""
    export = commands.add_parser(
        "export-mot",
        allow_abbrev=False,
        help="JSON lines of the engine as a text of MOTChallenge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("results", type=Path, metavar="RESULTS.jsonl", help="lines of one camera")
    export.add_argument("out", type=Path, metavar="OUT.txt", help="what is written; an old one is replaced")
    export.add_argument(
        "--class", dest="classes", action="append", metavar="LABEL", help="this label only; may be repeated"
    )
    export.add_argument(
        "--first-pixel", type=int, choices=(0, 1), default=1, help="number of the first pixel (default: 1)"
    )
    export.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> int:
    """Write the text. Raises `ConfigError`."""
    lines = list(mot_lines(args.results, args.classes or (), args.first_pixel))
    try:
        args.out.write_text("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise ConfigError(f"{args.out}: cannot be written: {error.strerror}") from error
    print(f"{args.out}: {len(lines)} boxes")
    return 0


def mot_lines(path: Path, classes: Collection[str] = (), first_pixel: int = 1) -> Iterator[str]:
    """The lines for a file of records; frame 1 is the record with the lowest number.

    classes  labels that are wanted; empty = all. Raises `ConfigError` for what cannot be read.
    """
    from engine.evaluation.results import read_records

    records = read_records(path)
    first = min(records, default=0)
    for number, objects in sorted(records.items()):
        for each in objects:
            if each.get("id") is None or (classes and each.get("label") not in classes):
                continue
            try:
                left, top, width, height = (float(value) for value in each["bbox"])
                confidence = float(each.get("confidence", 1.0))
            except (KeyError, TypeError, ValueError) as error:
                raise ConfigError(f"{path}, frame {number}: an object without a usable `bbox`") from error
            if width <= 0 or height <= 0:
                continue  # rounded to nothing; no tool reads such a box
            yield (
                f"{number - first + 1},{each['id']},{left + first_pixel:.1f},{top + first_pixel:.1f},"
                f"{width:.1f},{height:.1f},{confidence:.3f},-1,-1,-1"
            )
