"""The rendered sets that both trainings read: which there are, of which seeds, how large.

`train` has clips for whatever looks at frames in a row; `stills` has one frame of many more worlds, for the detector;
`val` is for judging while a training runs. No seed is in two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError, OutputError
from tools.nano.dataset import Dataset, open_set, render
from tools.nano.pictures import Clip

SIZE_WH = (512, 288)


@dataclass(frozen=True, slots=True)
class RenderedSet:
    """Clips of `frames` frames each, of the seeds from `first_seed` on."""

    name: str
    first_seed: int
    clips: int
    frames: int


TRAIN = RenderedSet("train", 0, 1200, 10)
STILLS = RenderedSet("stills", 100_000, 8000, 1)
VAL = RenderedSet("val", 1_000_000, 60, 10)
SETS = (VAL, TRAIN, STILLS)


def render_sets(data: Path, share: float, processes: int, sets: Sequence[RenderedSet] = SETS) -> None:
    """Make what of the sets is missing; `share` of their clips, at least one of each.

    Raises `OutputError` where the folder cannot be written, `ConfigError` where it holds sets of another size.
    """
    for each in sets:
        clips = max(1, round(each.clips * share))
        try:
            (data / each.name).mkdir(parents=True, exist_ok=True)
            seeds = range(each.first_seed, each.first_seed + clips)
            render(data / each.name, seeds, each.frames, *SIZE_WH, processes)
        except ValueError as error:
            raise ConfigError(f"{error}; name another --data folder, or delete this one") from error
        except OSError as error:
            raise OutputError(f"{data / each.name}: cannot be written: {error.strerror or error}") from error
        print(f"{data / each.name}: {clips} clips of {each.frames} frames", flush=True)


def opened(data: Path, *names: str) -> Clips:
    """These sets as one. Raises `ConfigError` where one is not there."""
    found = []
    for name in names:
        try:
            found.append(open_set(data / name))
        except ValueError as error:
            raise ConfigError(str(error)) from error
        except OSError as error:
            raise ConfigError(f"{data / name}: cannot be read: {error.strerror or error}") from error
    return Clips(found)


class Clips(Sequence[Clip]):
    """Sets one after the other."""

    def __init__(self, sets: Sequence[Dataset]) -> None:
        self._sets = tuple(sets)
        self._length = sum(map(len, self._sets))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Clip:  # type: ignore[override]  # no slices: they would read everything
        if not 0 <= index < self._length:
            raise IndexError(index)
        for each in self._sets:
            if index < len(each):
                return each[index]
            index -= len(each)
        raise AssertionError("the lengths add up")
