"""Files of MOTChallenge: `seqinfo.ini`, and lines of boxes as in gt.txt, det.txt and results.

Knows how a line is read, in the form of 2015 as well as in that of 2016, 2017 and 2020, and what is wrong with one
that cannot be. Pixels are counted from 1 in these files, unless somebody says otherwise, and from 0 here. Does not know
which boxes are judged.
"""

from __future__ import annotations

import configparser
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

F64 = NDArray[np.float64]

FRAME, ID, SCORE = 0, 1, 6
"""Columns that all kinds of these files share. Column 6 is a score in det.txt, and says in gt.txt what counts."""
_BOX = slice(2, 6)
_LEAST_COLUMNS, _MOST_COLUMNS = 6, 10
_LARGEST_FRAME = 10_000_000


@dataclass(frozen=True, slots=True)
class SequenceInfo:
    """What `seqinfo.ini` says.

    frames         length of the sequence
    picture_folder where its pictures would be
    picture_suffix what their names end with
    width, height  size of a picture, 0 where it is not said
    """

    name: str
    fps: float
    frames: int
    picture_folder: Path
    picture_suffix: str = ".jpg"
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Lines of a file of boxes in the file's order.

    values   float64 (n, columns): as they stand there; columns that a line leaves out are -1
    lines    the number of each line, for messages
    """

    path: Path
    values: F64
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def frames(self) -> NDArray[np.int64]:
        """int64 (n,): numbers of frames, from 1."""
        return self.values[:, FRAME].astype(np.int64)

    @property
    def ids(self) -> NDArray[np.int64]:
        """int64 (n,)."""
        return self.values[:, ID].astype(np.int64)

    def boxes_xyxy(self, first_pixel: int) -> F64:
        """float64 (n, 4): left, top, right, bottom, counted from 0; the file counts from `first_pixel`."""
        corner = self.values[:, 2:4] - first_pixel
        return np.concatenate((corner, corner + self.values[:, 4:6]), axis=1)

    def refuse_beyond(self, frames: int, whose: str) -> None:
        """Raises `ConfigError` where a line speaks of a frame that the sequence does not have."""
        beyond = np.flatnonzero(self.values[:, FRAME] > frames)
        if len(beyond):
            first = beyond[0]
            raise ConfigError(
                f"{self.path}:{self.lines[first]}: frame {int(self.values[first, FRAME])}, but {whose} has "
                f"{frames} frames"
            )


def read_info(folder: Path) -> SequenceInfo | None:
    """`seqinfo.ini` of a sequence; None where there is none. Raises `ConfigError` for one that cannot be used."""
    path = folder / "seqinfo.ini"
    if not path.is_file():
        return None
    # Names of pictures may hold a per cent sign.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
        found = parser["Sequence"]
        info = SequenceInfo(
            name=found.get("name", folder.name),
            fps=float(found["frameRate"]),
            frames=int(found["seqLength"]),
            picture_folder=folder / found.get("imDir", "img1"),
            picture_suffix=found.get("imExt", ".jpg"),
            width=int(found.get("imWidth", "0")),
            height=int(found.get("imHeight", "0")),
        )
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise ConfigError(f"{path}: {str(error.args[0])!r} is missing") from error
    except (configparser.Error, ValueError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    if not (math.isfinite(info.fps) and info.fps > 0) or not 0 < info.frames <= _LARGEST_FRAME:
        raise ConfigError(f"{path}: frameRate and seqLength have to be greater than 0")
    return info


def read_rows(path: Path) -> Rows:
    """All lines of a file of boxes. An empty file has none.

    Raises `ConfigError` with the file and the line: not numbers, too few columns, no frame or box that can be.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text") from error
    rows, lines = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            rows.append(_row(f"{path}:{number}", line))
            lines.append(number)
    width = max(map(len, rows), default=_MOST_COLUMNS)
    values = np.full((len(rows), width), -1.0)
    for row, cells in zip(values, rows, strict=True):
        row[: len(cells)] = cells
    return Rows(path, values, np.array(lines, np.int64))


def _row(place: str, line: str) -> list[float]:
    # Some files of 2015 and many results are separated by blanks.
    cells = line.split(",") if "," in line else line.split()
    try:
        values = [float(cell) for cell in cells]
    except ValueError as error:
        raise ConfigError(f"{place}: not a line of numbers ({error})") from error
    if not _LEAST_COLUMNS <= len(values) <= _MOST_COLUMNS:
        raise ConfigError(
            f"{place}: {len(values)} columns; a line has frame,id,left,top,width,height and up to 4 more"
        )
    if problem := _problem(values):
        raise ConfigError(f"{place}: {problem}")
    return values


def _problem(values: list[float]) -> str:
    if not all(map(math.isfinite, values)):
        return "a value is not finite"
    if not 1 <= values[FRAME] <= _LARGEST_FRAME or values[FRAME] % 1:
        return f"{values[FRAME]:g} is not the number of a frame (they are counted from 1)"
    if values[ID] % 1:
        return f"{values[ID]:g} is not an ID"
    if values[4] <= 0 or values[5] <= 0:
        return f"a box of {values[4]:g} × {values[5]:g} pixels"
    return ""


def refuse_twice(rows: Rows, of: Iterable[int] | None = None) -> None:
    """Raises `ConfigError` where an ID is there twice in a frame. `of` are the rows looked at, all by default."""
    seen: set[tuple[int, int]] = set()
    frames, ids = rows.frames.tolist(), rows.ids.tolist()
    for row in range(len(rows)) if of is None else of:
        key = (frames[row], ids[row])
        if key in seen:
            raise ConfigError(f"{rows.path}:{rows.lines[row]}: ID {key[1]} is twice in frame {key[0]}")
        seen.add(key)
