"""`engine-eval masks`: masks against ground truth.

    engine-eval masks --truth Annotations/480p --result results
    engine-eval masks --truth Annotations/480p/parkour --result out/parkour.jsonl --match track

The truth is a folder of PNG files, one a frame, or of such folders, one a sequence. The result is the same, or the
engine's JSON lines: one file, or a folder with SEQUENCE.jsonl for each sequence. Numbers in the table are in per cent.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.evaluation.masks import SequenceScore
    from engine.evaluation.measures import Course
    from engine.evaluation.results import Result


def add_masks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `masks` and its options. Imports nothing heavy."""
    masks = commands.add_parser(
        "masks",
        allow_abbrev=False,
        help="region similarity J and contour accuracy F of masks, as DAVIS 2017 defines them",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    masks.add_argument("--truth", type=Path, required=True, metavar="DIR", help="annotations as in DAVIS")
    masks.add_argument(
        "--result", type=Path, required=True, metavar="PATH", help="what is judged: folder, or .jsonl file"
    )
    masks.add_argument(
        "--match",
        choices=("id", "track", "frame"),
        help="what stands for an object of the truth: the mask with its number (default for folders); the one that "
        "covers it best over the sequence; the one that covers it best in each frame (default for JSON lines)",
    )
    masks.add_argument(
        "--sequence", action="append", metavar="NAME", help="judge this one only; may be repeated"
    )
    masks.add_argument(
        "--all-frames", action="store_true", help="count the first and the last frame too (DAVIS does not)"
    )
    masks.add_argument(
        "--absent",
        choices=("error", "empty"),
        default="error",
        help="a frame without a result: stop (default), or count it as one without masks",
    )
    masks.add_argument("--json", action="store_true", help="print JSON instead of the table")
    masks.set_defaults(run=run_masks)


def run_masks(args: argparse.Namespace) -> int:
    """Judge every sequence and print. Raises `ConfigError`."""
    from engine.evaluation.masks import Match, Truth, judge

    scores = []
    for name, truth_folder, result_path in pairs_of_sequences(args.truth, args.result, args.sequence):
        truth = Truth.read(name, truth_folder, args.all_frames)
        result = opened(result_path)
        match = args.match or ("frame" if result.path.suffix == ".jsonl" else "id")
        scores.append(judge(truth, result, Match(match), args.absent == "empty"))
    print(json.dumps(as_json(scores), indent=1) if args.json else as_table(scores))
    return 0


def pairs_of_sequences(
    truth: Path, result: Path, names: Sequence[str] | None
) -> list[tuple[str, Path, Path]]:
    """(name, folder of the truth, result) of each sequence. Raises `ConfigError` for what is not there."""
    if not truth.is_dir():
        raise ConfigError(f"{truth}: no such folder")
    if not result.exists():
        raise ConfigError(f"{result}: no such file or folder")
    if any(truth.glob("*.png")):
        if names:
            raise ConfigError(f"{truth}: one sequence; leave out --sequence, or name the folder above it")
        return [(truth.name, truth, result)]
    folders = {folder.name: folder for folder in sorted(truth.iterdir()) if folder.is_dir()}
    if not folders:
        raise ConfigError(f"{truth}: neither PNG files nor folders in it")
    for name in names or ():
        if name not in folders:
            raise ConfigError(f"{truth}: no sequence {name!r} in it")
    if not result.is_dir():
        raise ConfigError(f"{result}: one file, but {truth} holds sequences; name the folder of one of them")
    return [(name, folders[name], result_of(result, name)) for name in names or folders]


def result_of(folder: Path, name: str) -> Path:
    """Where in a folder the result of a sequence is. Raises `ConfigError` where it is not."""
    for path in (folder / name, folder / f"{name}.jsonl"):
        if path.exists():
            return path
    raise ConfigError(
        f"{folder}: neither a folder {name} nor {name}.jsonl in it; --sequence judges some only"
    )


def opened(path: Path) -> Result:
    """The result at a path."""
    from engine.evaluation.results import open_result

    return open_result(path)


def overall(scores: Sequence[SequenceScore]) -> tuple[Course, Course]:
    """J and F over all objects of all sequences."""
    from engine.evaluation.measures import Course

    objects = [each for score in scores for each in score.objects]
    return Course.average([each.region for each in objects]), Course.average(
        [each.contour for each in objects]
    )


def as_json(scores: Sequence[SequenceScore]) -> dict[str, Any]:
    """Shares from 0 to 1."""

    def values(region: Course, contour: Course) -> dict[str, float]:
        named = {"j": region, "f": contour}
        found = {"j_and_f": (region.mean + contour.mean) / 2}
        for letter, course in named.items():
            found |= {
                f"{letter}_mean": course.mean,
                f"{letter}_recall": course.recall,
                f"{letter}_decay": course.decay,
            }
        return {name: round(value, 6) for name, value in found.items()}

    return {
        "overall": values(*overall(scores)),
        "sequences": {
            score.name: {
                "frames": score.frames,
                "absent": score.absent,
                **values(*overall([score])),
                "objects": [
                    {"object": each.object_id, "found": each.found_id, **values(each.region, each.contour)}
                    for each in score.objects
                ],
            }
            for score in scores
        },
    }


def as_table(scores: Sequence[SequenceScore]) -> str:
    """One line an object, one a sequence of several, and one for everything."""
    heads = ("sequence", "object", "frames", "J&F", "J mean", "recall", "decay", "F mean", "recall", "decay")

    def cells(region: Course, contour: Course) -> tuple[str, ...]:
        values = [(region.mean + contour.mean) / 2]
        for course in (region, contour):
            values += [course.mean, course.recall, course.decay]
        return tuple(f"{value * 100:.1f}" for value in values)

    rows: list[tuple[str, ...]] = [heads]
    for score in scores:
        for each in score.objects:
            rows.append(
                (score.name, str(each.object_id), str(score.frames), *cells(each.region, each.contour))
            )
        if len(score.objects) > 1:
            rows.append((score.name, "all", str(score.frames), *cells(*overall([score]))))
    rows.append(("all", "all", str(sum(score.frames for score in scores)), *cells(*overall(scores))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = []
    for name, *figures in rows:
        padded = [cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *padded]))
    if absent := sum(score.absent for score in scores):
        lines.append(f"{absent} frames without a result counted as frames without masks")
    return "\n".join(lines)
