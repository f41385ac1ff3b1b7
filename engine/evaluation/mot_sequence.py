"""A sequence of MOTChallenge with its ground truth: who is where in each frame, and where nothing is judged.

Knows which lines of gt.txt count. Does not know detections, trackers and scores.

What is judged, by the form of gt.txt:

2015        (10 columns, the last three -1): lines whose flag (column 7) is not 0; those with 0 are ignore regions
2016, 2017, (9 columns): class 1, pedestrians, whose flag is not 0. Ignore regions are pedestrians with flag 0 and the
2020         classes that look like one: on a vehicle (2), static (7), distractor (8), reflection (12). Other classes
             (cars, occluders, crowds) are not looked at
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.evaluation.mot_files import Rows, SequenceInfo, read_info, read_rows, refuse_twice
from engine.types import I64

F64 = NDArray[np.float64]

PEDESTRIAN = 1
NOT_JUDGED = (2, 7, 8, 12)
_FLAG, _CLASS = 6, 7
_COLUMNS_WITH_CLASS = 9


@dataclass(frozen=True, slots=True)
class TruthFrame:
    """The truth of one frame: ids int64 (n,), boxes_xyxy and ignored_xyxy float64 (n, 4) and (k, 4)."""

    ids: I64
    boxes_xyxy: F64
    ignored_xyxy: F64


@dataclass(frozen=True, slots=True)
class Sequence:
    """One sequence as far as there is truth for it.

    info    of the whole sequence; `fps` is what the user said where they did
    truth   of frame 1 on, up to the last one in gt.txt, which may be before the end of the sequence
    first_pixel  number of the first column and row in its text files
    """

    folder: Path
    info: SequenceInfo
    truth: tuple[TruthFrame, ...]
    first_pixel: int = 1

    @property
    def name(self) -> str:
        """Of the folder: `seqinfo.ini` may have been copied with another."""
        return self.folder.name

    @property
    def frames(self) -> int:
        """How many frames are judged."""
        return len(self.truth)

    @property
    def people(self) -> int:
        """How many there are, over all frames."""
        return len(set().union(*(frame.ids.tolist() for frame in self.truth)))

    @classmethod
    def read(cls, folder: Path, fps: float | None = None, first_pixel: int = 1) -> Sequence:
        """A folder with `gt/gt.txt` and `seqinfo.ini`, which can be left out where `fps` is given.

        first_pixel  1, as MOTChallenge counts; 0 for files that somebody else has made

        Raises `ConfigError` for what is missing or cannot be used.
        """
        path = folder / "gt" / "gt.txt"
        if not path.is_file():
            raise ConfigError(
                f"{folder}: no gt/gt.txt in it; name a folder of MOTChallenge with ground truth"
            )
        rows = read_rows(path)
        if not len(rows):
            raise ConfigError(f"{path}: empty")
        last = int(rows.frames.max())
        info = read_info(folder)
        if info is None:
            if fps is None:
                raise ConfigError(f"{folder}: no seqinfo.ini in it; say how many frames a second by --fps")
            info = SequenceInfo(folder.name, fps, last, folder / "img1")
        rows.refuse_beyond(info.frames, "seqinfo.ini's sequence")
        if fps is not None:
            info = SequenceInfo(
                info.name, fps, info.frames, info.picture_folder, info.picture_suffix, info.width, info.height
            )
        return cls(folder, info, _truth(rows, last, first_pixel), first_pixel)


def find_sequences(folders: list[Path], fps: float | None = None, first_pixel: int = 1) -> list[Sequence]:
    """The sequences in these folders: each is one, or holds some. Raises `ConfigError` where that is not so."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder")
        inside = [folder] if (folder / "gt").is_dir() else _with_truth(folder)
        found += inside or [folder]
    sequences = [Sequence.read(folder, fps, first_pixel) for folder in found]
    names = [sequence.name for sequence in sequences]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two sequences are called {name}; results could not be told apart")
    return sequences


def _with_truth(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if (entry / "gt" / "gt.txt").is_file())


def _truth(rows: Rows, last: int, first_pixel: int) -> tuple[TruthFrame, ...]:
    if rows.values.shape[1] not in (7, 8, _COLUMNS_WITH_CLASS, 10):
        raise ConfigError(
            f"{rows.path}: {rows.values.shape[1]} columns; ground truth has 9 (2016 and later) or 10 (2015)"
        )
    counts, ignored = _judged(rows.values)
    refuse_twice(rows, np.flatnonzero(counts).tolist())
    if not counts.any():
        raise ConfigError(f"{rows.path}: nothing in it that is judged (flag 0, or no pedestrians)")
    frames, ids, boxes = rows.frames, rows.ids, rows.boxes_xyxy(first_pixel)
    truth = []
    for number in range(1, last + 1):
        now = frames == number
        truth.append(TruthFrame(ids[now & counts], boxes[now & counts], boxes[now & ignored]))
    return tuple(truth)


def _judged(values: F64) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    flagged = values[:, _FLAG] != 0
    if values.shape[1] != _COLUMNS_WITH_CLASS:
        return flagged, ~flagged
    person = values[:, _CLASS] == PEDESTRIAN
    return person & flagged, np.isin(values[:, _CLASS], NOT_JUDGED) | (person & ~flagged)
