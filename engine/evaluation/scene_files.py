"""The truth of a rendered run and the engine's JSON lines about it, picture by picture, for `scene_score`.

Knows files and records; does not judge. Only the end of a long run is read: its files grow without a bound.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ConfigError
from engine.evaluation.annotations import read_objects
from engine.evaluation.results import objects_of_line, pixels_of
from engine.evaluation.scene_score import F64, SceneFrame, SceneScore, score_frames
from engine.types import U8

TRUTH_SCHEMA = "camring.truth/1"
LAST_S = 600.0
"""Only so much of the end of a run is judged."""
WARM_UP_S = 6.0
"""From a camera's first result: its head tries out how it moves, and turns to whom it follows."""
LEAST_S = 10.0
"""A run of which less is left has no score."""
LEAST_VISIBILITY, LEAST_HEIGHT_PX = 0.5, 40.0
"""Who is to be seen by this share, and this tall in the picture, has to be found."""
MOST_MASKED_FRAMES = 150
"""Pictures of a camera whose masks are compared, evenly spread."""
_BLOCK_BYTES = 1 << 20
_TIME = re.compile(rb'"time":([0-9.]+)')
_HAS_MASK = b'"mask_source":'


@dataclass(frozen=True, slots=True)
class CameraFiles:
    """One camera's truth, in the order in which it was written, and its results."""

    name: str
    truth: tuple[Path, ...]
    results: Path


def cameras_in(folder: Path) -> list[CameraFiles]:
    """The cameras of a run by its output folder, with the truth in it or in `truth/`. Raises `ConfigError`."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    found = []
    for place in (folder / "truth", folder):
        for path in sorted(place.glob("*.truth")):
            name = path.stem
            results = folder / f"{name}.jsonl"
            if not name.endswith(".before") and results.is_file():
                found.append(files_of(name, place, results))
    if not found:
        raise ConfigError(
            f"{folder}: no NAME.truth (in it, or in {folder / 'truth'}) with a NAME.jsonl beside it; run a scene with "
            "truth=FOLDER, docs/scene.md"
        )
    return found


def files_of(name: str, truth_folder: Path, results: Path) -> CameraFiles:
    """The files of one camera whose truth is called `name`."""
    parts = (truth_folder / f"{name}.before.truth", truth_folder / f"{name}.truth")
    return CameraFiles(results.stem, tuple(part for part in parts if part.is_file()), results)


def score_camera(files: CameraFiles, last_s: float = LAST_S) -> SceneScore:
    """Judge the end of a camera's run. Raises `ConfigError` for files that are damaged or too short."""
    until_s, begin_s = _last_and_first(files)
    truths = _truths(files.truth, until_s - last_s)
    results = _Results(files.results, {record["time"] for record in truths}, until_s - last_s)
    begin_s = max(begin_s + WARM_UP_S, until_s - last_s)
    truths = [record for record in truths if begin_s <= record["time"] <= until_s]
    left_s = truths[-1]["time"] - truths[0]["time"] if truths else 0.0
    if left_s < LEAST_S:
        raise ConfigError(
            f"{files.name}: too short to score: {left_s:.1f} s after the first {WARM_UP_S:g}, "
            f"{LEAST_S:g} are needed"
        )
    inside = [_targets_inside(record) for record in truths if record.get("head")]
    told = [each for each in inside if each is not None]
    score = score_frames(_frames(truths, results, files))
    return replace(
        score, seconds=left_s, target_frames=len(told), target_in=sum(told),
        masked_fps=results.masked_fps(begin_s, until_s),
    )  # fmt: skip


class _Results:
    """The lines of the end of a file of results: whole ones of some times, and of all others when they had masks."""

    def __init__(self, path: Path, times: set[float], from_s: float) -> None:
        self.path = path
        self.lines: dict[float, bytes] = {}
        self._masked: list[float] = []
        for line in lines_backwards(path):
            time_s = _time_of(line, path)
            if time_s < from_s:
                break
            if time_s in times:
                self.lines[time_s] = line
            if _HAS_MASK in line:
                self._masked.append(time_s)

    def masked_fps(self, begin_s: float, until_s: float) -> float:
        """Frames with a mask a second, from the first of them on; NaN where there is none."""
        inside = [time_s for time_s in self._masked if time_s >= begin_s]
        return len(inside) / max(until_s - inside[-1], 1e-3) if len(inside) > 1 else math.nan


def lines_backwards(path: Path) -> Iterator[bytes]:
    """The whole lines of a file, the last one first. Raises `ConfigError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            end, rest = file.seek(0, 2), b""
            whole = False
            while end > 0:
                start = max(0, end - _BLOCK_BYTES)
                file.seek(start)
                rest = file.read(end - start) + rest
                end = start
                if not whole:
                    # What stands behind the last end of line is still being written.
                    cut = rest.rfind(b"\n") + 1
                    rest, whole = rest[:cut], cut > 0
                first = 0 if end == 0 else rest.find(b"\n") + 1
                if end and not first:
                    continue
                yield from reversed(rest[first:].splitlines())
                rest = rest[:first]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _last_and_first(files: CameraFiles) -> tuple[float, float]:
    """Times of the newest and of the oldest result."""
    newest = next(lines_backwards(files.results), b"")
    if not newest:
        raise ConfigError(f"{files.name}: no results in {files.results}, so nothing to score")
    with files.results.open("rb") as file:
        return _time_of(newest, files.results), _time_of(file.readline(), files.results)


def _time_of(line: bytes, path: Path) -> float:
    found = _TIME.search(line, 0, 400)
    if found is None:
        raise ConfigError(f"{path}: not a record of the engine: a line without `time`")
    return float(found[1])


def _truths(paths: Sequence[Path], from_s: float) -> list[dict[str, Any]]:
    """The records from a time on, in order."""
    found: list[dict[str, Any]] = []
    for path in reversed(paths):
        for line in lines_backwards(path):
            if _time_of(line, path) < from_s:
                return found[::-1]
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if (
                not isinstance(record, dict)
                or record.get("schema") != TRUTH_SCHEMA
                or "targets" not in record
            ):
                raise ConfigError(f"{path}: a line that is no {TRUTH_SCHEMA}, or of an older engine")
            found.append({**record, "folder": path.parent})
    return found[::-1]


def _targets_inside(record: dict[str, Any]) -> bool | None:
    """Whether the middles of all who are to be followed are in the picture; None while nobody is there."""
    wanted = record["targets"]
    chosen = [each["box"] for each in record["people"] if not wanted or each["id"] in wanted]
    if not chosen:
        return None
    middles = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in chosen]
    return all(0 <= x < record["width"] and 0 <= y < record["height"] for x, y in middles)


def _frames(truths: list[dict[str, Any]], results: _Results, files: CameraFiles) -> Iterator[SceneFrame]:
    with_masks = [
        record["time"] for record in truths if record.get("masks") and record["time"] in results.lines
    ]
    step = max(1.0, len(with_masks) / MOST_MASKED_FRAMES)
    compared = {with_masks[int(number * step)] for number in range(int(len(with_masks) / step))}
    for record in truths:
        people = _in_picture(record)
        line = results.lines.get(record["time"])
        if line is None:
            continue
        objects = objects_of_line(line, f"{files.results}, at {record['time']}")
        mask_ious = _mask_ious(record, people, objects) if record["time"] in compared else None
        yield _frame(record, people, objects, mask_ious)


def _in_picture(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Those whose body reaches into the picture, with `box` cut at its edges."""
    people = [{**each, "box": _clipped(each["box"], record)} for each in record["people"]]
    return [each for each in people if each["box"][0] < each["box"][2] and each["box"][1] < each["box"][3]]


def _clipped(box: Sequence[float], record: dict[str, Any]) -> list[float]:
    limits = (record["width"], record["height"]) * 2
    return [min(max(0.0, side), limit) for side, limit in zip(box, limits, strict=True)]


def _frame(
    record: dict[str, Any], people: list[dict[str, Any]], objects: list[dict[str, Any]], mask_ious: F64 | None
) -> SceneFrame:
    boxes = _boxes([each["box"] for each in people])
    visibility = np.array([each["visibility"] for each in people])
    given = _boxes([each["bbox"] for each in objects])
    given[:, 2:] += given[:, :2]
    return SceneFrame(
        time_s=record["time"],
        true_ids=np.array([each["id"] for each in people], np.int64),
        true_boxes_xyxy=boxes,
        visible_boxes_xyxy=_boxes([each["visible_box"] for each in people]),
        required=np.asarray(
            (visibility >= LEAST_VISIBILITY) & (boxes[:, 3] - boxes[:, 1] >= LEAST_HEIGHT_PX), bool
        ),
        ids=np.array([-1 if each.get("id") is None else each["id"] for each in objects], np.int64),
        boxes_xyxy=given,
        mask_ious=mask_ious,
    )


def _boxes(rows: list[Sequence[float]]) -> F64:
    return np.array(rows, np.float64).reshape(-1, 4)


def _mask_ious(
    record: dict[str, Any], people: list[dict[str, Any]], objects: list[dict[str, Any]]
) -> F64 | None:
    """(people, objects), NaN for objects without a mask; None where the exact masks are gone by now."""
    path = record["folder"] / record["masks"]
    if not path.is_file():
        return None
    exact: U8 = read_objects(path)
    areas = np.bincount(exact.ravel(), minlength=256)
    overlaps = np.full((len(people), len(objects)), np.nan)
    numbers = [each["id"] for each in people]
    for column, each in enumerate(objects):
        try:
            pixels = pixels_of(each, exact.shape)
        except (TypeError, ValueError, IndexError) as error:
            raise ConfigError(f"mask of object {each.get('id')} at {record['time']}: {error}") from error
        if pixels is None or pixels.shape != exact.shape:
            continue
        common = np.bincount(exact[pixels], minlength=256)
        union = areas + np.count_nonzero(pixels) - common
        overlaps[:, column] = common[numbers] / np.maximum(union[numbers], 1)
    return overlaps
