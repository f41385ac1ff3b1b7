"""Where a camera looked while a recording was made, from a file beside it.

A CSV file with the header `time_s,pan_deg,tilt_deg,hfov_deg` and, if wanted, `roll_deg` behind them: one line for each
time at which the direction was reported, in the source's own time (0 is a file's first frame), rising. Between two
lines the pose is interpolated, pan and roll the shorter way round. Knows times and angles, not pictures.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SourceError
from engine.types import PtzPose

COLUMNS = ("time_s", "pan_deg", "tilt_deg", "hfov_deg")
ROLL = "roll_deg"
LONGEST_GAP_S = 2.0
"""Between lines further apart, and before the first and after the last, nothing is known."""


@dataclass(frozen=True, slots=True)
class Poses:
    """Poses by time. `times_s` rises and has as many elements as `poses`."""

    times_s: tuple[float, ...]
    poses: tuple[PtzPose, ...]

    @classmethod
    def read(cls, path: Path) -> Poses:
        """The poses in a file. Raises `SourceError` with file and line for what cannot be read or cannot be."""
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                lines = csv.reader(file, strict=True)
                width = _header(next(lines, []), path)
                rows: list[tuple[float, PtzPose]] = []
                for cells in lines:
                    where = f"poses {str(path)!r}, line {lines.line_num}"
                    if cells:
                        rows.append(_row(cells, width, where))
                    if len(rows) > 1 and rows[-1][0] <= rows[-2][0]:
                        raise SourceError(
                            f"{where}: time_s {rows[-1][0]:g} does not come after {rows[-2][0]:g}"
                        )
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SourceError(f"poses {str(path)!r} cannot be read: {error}") from None
        if not rows:
            raise SourceError(f"poses {str(path)!r}: no pose in it; write one line for each time")
        return cls(tuple(time_s for time_s, _ in rows), tuple(pose for _, pose in rows))

    def at(self, time_s: float) -> PtzPose | None:
        """Where the camera looked, None where that is not known."""
        after = bisect_right(self.times_s, time_s)
        if after == 0 or not math.isfinite(time_s):
            return None
        if self.times_s[after - 1] == time_s:
            return self.poses[after - 1]
        if after == len(self.times_s):
            return None
        start_s, end_s = self.times_s[after - 1], self.times_s[after]
        if end_s - start_s > LONGEST_GAP_S:
            return None
        share = (time_s - start_s) / (end_s - start_s)
        before, then = self.poses[after - 1], self.poses[after]
        return PtzPose(
            (before.pan_deg + share * _shorter_way(before.pan_deg, then.pan_deg)) % 360,
            before.tilt_deg + share * (then.tilt_deg - before.tilt_deg),
            before.hfov_deg + share * (then.hfov_deg - before.hfov_deg),
            before.roll_deg + share * _shorter_way(before.roll_deg, then.roll_deg),
        )


def _shorter_way(from_deg: float, to_deg: float) -> float:
    """-180..180: from one direction to another."""
    return (to_deg - from_deg + 180) % 360 - 180


def _header(cells: list[str], path: Path) -> int:
    """How many columns there are."""
    names = tuple(cell.strip() for cell in cells)
    if names not in (COLUMNS, (*COLUMNS, ROLL)):
        raise SourceError(
            f"poses {str(path)!r}, line 1: not {','.join(COLUMNS)} with or without ,{ROLL}: {','.join(names)!r}"
        )
    return len(names)


def _row(cells: list[str], width: int, where: str) -> tuple[float, PtzPose]:
    if len(cells) != width:
        raise SourceError(f"{where}: has {len(cells)} values, the header {width}")
    numbers = []
    for name, cell in zip((*COLUMNS, ROLL), cells, strict=False):
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise SourceError(f"{where}: {name} must be a number, not {cell.strip()!r}")
        numbers.append(number)
    time_s, pan_deg, tilt_deg, hfov_deg, *rolls = numbers
    if not -90 <= tilt_deg <= 90:
        raise SourceError(f"{where}: tilt_deg must be from -90 to 90, not {tilt_deg:g}")
    if not 0 < hfov_deg < 180:
        raise SourceError(f"{where}: hfov_deg must be more than 0 and less than 180, not {hfov_deg:g}")
    return time_s, PtzPose(pan_deg % 360, tilt_deg, hfov_deg, *rolls)
