"""J & F of a sequence: which masks belong to which object of the truth, and what they score.

Follows DAVIS 2017: an object counts once, whatever its size and for however long it is there; the first frame, which
a semi-supervised method is given, and the last one do not count unless asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from engine.errors import ConfigError
from engine.evaluation.annotations import read_objects
from engine.evaluation.measures import Course, contour_accuracy, jaccard
from engine.evaluation.results import Result, frame_files
from engine.types import Bools


class Match(StrEnum):
    """Which mask stands for an object of the truth."""

    ID = "id"
    """The one with the same number."""
    TRACK = "track"
    """In all frames the one with the same number, which is the one that covers the object best over the sequence."""
    FRAME = "frame"
    """In each frame the one that covers the object best, whatever its number."""


@dataclass(frozen=True, slots=True)
class ObjectScore:
    """What one object of the truth scored. `found_id` is the number of what stood for it, None for `Match.FRAME`."""

    object_id: int
    found_id: int | None
    region: Course
    contour: Course

    @property
    def region_and_contour(self) -> float:
        """J & F: the mean of both means."""
        return (self.region.mean + self.contour.mean) / 2


@dataclass(frozen=True, slots=True)
class SequenceScore:
    """The objects of one sequence. `absent` frames had no result and counted as empty."""

    name: str
    frames: int
    absent: int
    objects: tuple[ObjectScore, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """The files of a sequence by frame number, and which of the frames count."""

    name: str
    files: Mapping[int, Path]
    counted: tuple[int, ...]

    @classmethod
    def read(cls, name: str, folder: Path, all_frames: bool) -> Truth:
        """The PNG files of a folder. Raises `ConfigError` where no frame is left to be judged."""
        files = frame_files(folder)
        numbers = sorted(files)
        counted = numbers if all_frames else numbers[1:-1]
        if not counted:
            raise ConfigError(
                f"{folder}: {len(files)} frames, of which the first and the last one do not count"
            )
        return cls(name, files, tuple(counted))


def judge(truth: Truth, result: Result, match: Match, absent_is_empty: bool = False) -> SequenceScore:
    """Score a sequence. Raises `ConfigError`: frames that are not there, sizes that differ, unreadable files."""
    frames: list[_Frame] = []
    absent = 0
    for number in truth.counted:
        objects = read_objects(truth.files[number])
        found = result.instances(number, (objects.shape[0], objects.shape[1]))
        if found is None:
            if not absent_is_empty:
                raise ConfigError(
                    f"{result.path}: frame {number} of {truth.name} is not there; --absent empty counts such as empty"
                )
            absent += 1
            found = {}
        frames.append(_Frame({int(each): objects == each for each in np.unique(objects) if each}, found))
    wanted = sorted({each for frame in frames for each in frame.truth})
    if not wanted:
        raise ConfigError(f"{truth.name}: no object in the truth of the frames that count")
    stand_ins = _stand_ins(wanted, frames, match)
    scores = tuple(_score(object_id, stand_ins.get(object_id), frames, match) for object_id in wanted)
    return SequenceScore(truth.name, len(frames), absent, scores)


class _Frame:
    """The masks of a frame, packed: a sequence of them would not fit into memory otherwise."""

    def __init__(self, truth: Mapping[int, Bools], found: Mapping[int, Bools]) -> None:
        any_mask = next(iter([*truth.values(), *found.values()]), np.zeros((1, 1), np.bool_))
        self._shape = any_mask.shape
        self.truth = {key: np.packbits(mask) for key, mask in truth.items()}
        self.found = {key: np.packbits(mask) for key, mask in found.items()}

    def true_mask(self, object_id: int) -> Bools:
        return self._unpacked(self.truth.get(object_id))

    def found_mask(self, found_id: int | None) -> Bools:
        return self._unpacked(None if found_id is None else self.found.get(found_id))

    def overlap(self, object_id: int, found_id: int) -> float:
        return jaccard(self.found_mask(found_id), self.true_mask(object_id))

    def best(self, object_id: int) -> int | None:
        """The mask that covers an object best; None where it is not there or none touches it."""
        if object_id not in self.truth:
            # An object that is not there is best met by no mask.
            return None
        overlaps = {found_id: self.overlap(object_id, found_id) for found_id in self.found}
        best = max(overlaps, key=lambda key: overlaps[key], default=None)
        return best if best is not None and overlaps[best] > 0 else None

    def _unpacked(self, packed: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None) -> Bools:
        if packed is None:
            return np.zeros(self._shape, np.bool_)
        count = self._shape[0] * self._shape[1]
        return np.unpackbits(packed, count=count).reshape(self._shape).view(np.bool_)


def _stand_ins(wanted: Sequence[int], frames: Sequence[_Frame], match: Match) -> dict[int, int]:
    """For each object of the truth the number of what stands for it in all frames."""
    if match is Match.ID:
        return {object_id: object_id for object_id in wanted}
    if match is Match.FRAME:
        return {}
    totals: dict[tuple[int, int], float] = {}
    for frame in frames:
        for object_id in frame.truth:
            for found_id in frame.found:
                pair = object_id, found_id
                totals[pair] = totals.get(pair, 0.0) + frame.overlap(*pair)
    chosen: dict[int, int] = {}
    for object_id, found_id in sorted(totals, key=lambda pair: -totals[pair]):
        if object_id not in chosen and found_id not in chosen.values() and totals[object_id, found_id] > 0:
            chosen[object_id] = found_id
    return chosen


def _score(object_id: int, stand_in: int | None, frames: Sequence[_Frame], match: Match) -> ObjectScore:
    regions, contours = [], []
    for frame in frames:
        found_id = frame.best(object_id) if match is Match.FRAME else stand_in
        found, true = frame.found_mask(found_id), frame.true_mask(object_id)
        regions.append(jaccard(found, true))
        contours.append(contour_accuracy(found, true))
    return ObjectScore(object_id, stand_in, Course.of(regions), Course.of(contours))
