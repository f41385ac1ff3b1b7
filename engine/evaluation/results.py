"""What is to be judged: masks per frame, from folders of PNG files or from the engine's JSON lines.

Knows file names and records; does not know the truth.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import ConfigError
from engine.evaluation.annotations import read_objects
from engine.evaluation.shapes import polygon_pixels, run_length_pixels
from engine.types import Bools

SCHEMA = "camring.frame/1"


class Result(ABC):
    """The masks of one sequence."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def instances(self, frame: int, size_hw: tuple[int, int]) -> dict[int, Bools] | None:
        """bool (height, width) by the object's number; None where the frame is not there.

        Raises `ConfigError`: what is there cannot be used, or is of another size.
        """


class FolderResult(Result):
    """One PNG file a frame, its name the number of the frame."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._files = frame_files(path)

    def instances(self, frame: int, size_hw: tuple[int, int]) -> dict[int, Bools] | None:
        file = self._files.get(frame)
        if file is None:
            return None
        objects = read_objects(file)
        _check_size(file, objects.shape, size_hw)
        return {int(number): objects == number for number in np.unique(objects) if number}


class LinesResult(Result):
    """A file of records `camring.frame/1` with polygons or run lengths.

    An object's number is its identity; those without one get numbers below 0, new ones in each frame.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._objects = read_records(path)
        if not any("mask_id" in each for objects in self._objects.values() for each in objects):
            hint = "run with a segmenting model, and [output] masks = polygon or rle"
            raise ConfigError(f"{path}: there are no masks in it; {hint}")

    def instances(self, frame: int, size_hw: tuple[int, int]) -> dict[int, Bools] | None:
        if frame not in self._objects:
            return None
        found: dict[int, Bools] = {}
        for index, each in enumerate(self._objects[frame]):
            try:
                pixels = pixels_of(each, size_hw)
            except (TypeError, ValueError, IndexError) as error:
                raise ConfigError(f"{self.path}, frame {frame}: {error}") from error
            if pixels is not None:
                _check_size(f"{self.path}, frame {frame}: a mask", pixels.shape, size_hw)
                found[each["id"] if each.get("id") is not None else -1 - index] = pixels
        return found


def frame_files(folder: Path) -> dict[int, Path]:
    """The PNG files of a folder by the numbers that are their names. Raises `ConfigError` where there are none."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder")
    found: dict[int, Path] = {}
    for file in sorted(folder.glob("*.png")):
        if not file.stem.isdecimal():
            raise ConfigError(f"{file}: its name is not the number of a frame, as in 00012.png")
        found[int(file.stem)] = file
    if not found:
        raise ConfigError(f"{folder}: no PNG files in it")
    return found


def read_records(path: Path) -> dict[int, list[dict[str, Any]]]:
    """The objects of each record of a file of JSON lines by the number of its frame. Raises `ConfigError`."""
    found: dict[int, list[dict[str, Any]]] = {}
    for number, line in enumerate(_lines(path), 1):
        record = _record(f"{path}, line {number}", line)
        found[int(record["frame"])] = record["objects"]
    return found


def open_result(path: Path) -> Result:
    """A folder or a file of JSON lines. Raises `ConfigError`."""
    if path.is_dir():
        return FolderResult(path)
    if path.suffix == ".jsonl":
        return LinesResult(path)
    raise ConfigError(f"{path}: neither a folder of PNG files nor a .jsonl file")


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
    lines = text.split("\n")
    # What stands behind the last end of line is empty, or a line that is still being written.
    return [line for line in lines[:-1] if line]


def _record(place: str, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{place}: not JSON: {error.msg}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise ConfigError(f"{place}: not a record of {SCHEMA}")
    if not isinstance(record.get("frame"), int) or not isinstance(record.get("objects"), list):
        raise ConfigError(f"{place}: a record without `frame` or `objects`")
    return record


def objects_of_line(line: bytes, place: str) -> list[dict[str, Any]]:
    """The objects of one record. Raises `ConfigError`, which begins with `place`."""
    objects: list[dict[str, Any]] = _record(place, line.decode("utf-8", "replace"))["objects"]
    return objects


def pixels_of(each: dict[str, Any], size_hw: tuple[int, int]) -> Bools | None:
    """bool (height, width) of an object of a record, None where it has no mask. Raises `ValueError`."""
    if each.get("mask") is not None:
        return run_length_pixels(each["mask"])
    if each.get("polygon") is not None:
        far = max((max(corner) for part in each["polygon"] for ring in part for corner in ring), default=0.0)
        if far > max(size_hw) + 1:
            raise ValueError(
                f"a polygon reaches to {far:g}, the truth has {size_hw[1]} × {size_hw[0]} pixels"
            )
        return polygon_pixels(each["polygon"], *size_hw)
    return None


def _check_size(what: object, shape: tuple[int, ...], size_hw: tuple[int, int]) -> None:
    if shape != size_hw:
        raise ConfigError(
            f"{what} has {shape[1]} × {shape[0]} pixels, its truth has {size_hw[1]} × {size_hw[0]}"
        )
