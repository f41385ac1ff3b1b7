"""A result that is there already: MOTChallenge's text, or the engine's JSON lines.

Knows both forms. Does not judge.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from engine.errors import ConfigError
from engine.evaluation.mot_files import read_rows, refuse_twice
from engine.evaluation.mot_scores import ResultFrame
from engine.evaluation.mot_sequence import Sequence
from engine.evaluation.results import read_records

SUFFIXES = (".txt", ".jsonl")


def result_of(path: Path, name: str, *, alone: bool) -> Path:
    """Where the result of a sequence is: the path itself where it is a file, or `NAME.txt` or `NAME.jsonl` in it.

    Raises `ConfigError` where it is not, or one file stands for several sequences (`alone` is false).
    """
    if path.is_dir():
        for suffix in SUFFIXES:
            if (found := path / f"{name}{suffix}").is_file():
                return found
        raise ConfigError(f"{path}: neither {name}.txt nor {name}.jsonl in it")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file or folder")
    if not alone:
        raise ConfigError(f"{path}: one file for several sequences; name a folder with NAME.txt for each")
    return path


def read_result(path: Path, sequence: Sequence, classes: Collection[str]) -> list[ResultFrame]:
    """The objects with an ID in each frame that is judged; `classes` are labels that count in JSON lines.

    Raises `ConfigError` for what cannot be read, an ID that is twice in a frame, a frame that the sequence has not.
    """
    if path.suffix == ".jsonl":
        return _from_lines(path, sequence, classes)
    rows = read_rows(path)
    rows.refuse_beyond(sequence.info.frames, sequence.name)
    # What was detected and never tracked has an ID below 0 in det.txt: a result has none of these.
    if len(rows) and (rows.ids < 0).all():
        raise ConfigError(f"{path}: no IDs in it, only detections; a result has them in the second column")
    refuse_twice(rows)
    frames, ids, boxes = rows.frames, rows.ids, rows.boxes_xyxy(sequence.first_pixel)
    found = []
    for number in range(1, sequence.frames + 1):
        now = frames == number
        found.append(ResultFrame(ids[now], boxes[now]))
    return found


def _from_lines(path: Path, sequence: Sequence, classes: Collection[str]) -> list[ResultFrame]:
    """Frame 1 of the sequence is the record with the lowest number: a run may have begun to count anywhere."""
    records = read_records(path)
    if not records:
        raise ConfigError(f"{path}: no records in it")
    first = min(records)
    last = max(records) - first + 1
    if last > sequence.info.frames:
        raise ConfigError(f"{path}: {last} frames, but {sequence.name} has {sequence.info.frames}")
    found = [ResultFrame.empty()] * sequence.frames
    for number, objects in records.items():
        if number - first >= sequence.frames:
            continue
        counted = [
            each for each in objects if each.get("id") is not None and each.get("label") in (None, *classes)
        ]
        try:
            ids = np.array([int(each["id"]) for each in counted], np.int64)
            boxes = np.array([each["bbox"] for each in counted], np.float64).reshape(-1, 4)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}, frame {number}: an object without a usable `bbox` or `id`") from error
        if len(set(ids.tolist())) < len(ids):
            raise ConfigError(f"{path}, frame {number}: an ID is there twice")
        boxes[:, 2:] += boxes[:, :2]
        found[number - first] = ResultFrame(ids, boxes)
    return found
