"""Rendered clips on the disk: memory maps that several processes fill and trainings read.

A folder holds `settings.json`, one `.npy` for each field of `Clip`, and `done.npy`, which says what is complete: a
rendering that was interrupted goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from tools.nano.pictures import MOST_PEOPLE, Clip, clip

VERSION = 1


def render(folder: Path, seeds: range, frames: int, width: int, height: int, processes: int) -> None:
    """Make the clips of these seeds that the folder does not have yet.

    Raises ValueError where the folder holds clips of other seeds or sizes.
    """
    settings = {
        "version": VERSION,
        "seeds": [seeds.start, seeds.stop, seeds.step],
        "frames": frames,
        "width": width,
        "height": height,
    }
    _prepare(folder, settings, len(seeds))
    if processes <= 1:
        _render_share(folder, 0, 1)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_render_share, folder, share, processes) for share in range(processes)]
        for job in jobs:
            job.result()


def open_set(folder: Path) -> Dataset:
    """The clips of a folder that are complete. Raises ValueError where it holds none."""
    return Dataset(folder)


class Dataset(Sequence[Clip]):
    """Clips of one size. Reads from the disk what is asked for; a `Clip` is a view of the maps, not a copy."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "done.npy").is_file():
            raise ValueError(
                f"{folder}: no rendered pictures here; make them with tools/train_nano.py render"
            )
        self.settings: dict[str, object] = json.loads((folder / "settings.json").read_text())
        self._maps = _maps(folder, "r")
        first, last, step = self.settings["seeds"]
        self._seeds = range(first, last, step)
        self._done = np.flatnonzero(self._maps["done"])
        if not len(self._done):
            raise ValueError(f"{folder}: rendering has been interrupted before the first clip was complete")

    def __len__(self) -> int:
        return len(self._done)

    def seed(self, index: int) -> int:
        """What `[index]` was made from."""
        return self._seeds[int(self._done[index])]

    def __getitem__(self, index: int) -> Clip:  # type: ignore[override]  # no slices: they would read everything
        row = self._done[index]
        people = int(self._maps["people"][row])
        return Clip(
            self._maps["frames_bgr"][row],
            self._maps["ids"][row],
            self._maps["full_boxes_xyxy"][row][:, :people],
            self._maps["visible_boxes_xyxy"][row][:, :people],
            self._maps["visibility"][row][:, :people],
        )


def _layout(clips: int, frames: int, width: int, height: int) -> dict[str, tuple[type, tuple[int, ...]]]:
    return {
        "frames_bgr": (np.uint8, (clips, frames, height, width, 3)),
        "ids": (np.uint8, (clips, frames, height, width)),
        "full_boxes_xyxy": (np.float32, (clips, frames, MOST_PEOPLE, 4)),
        "visible_boxes_xyxy": (np.float32, (clips, frames, MOST_PEOPLE, 4)),
        "visibility": (np.float32, (clips, frames, MOST_PEOPLE)),
        "people": (np.uint8, (clips,)),
        "done": (np.bool_, (clips,)),
    }


def _prepare(folder: Path, settings: dict[str, object], clips: int) -> None:
    """Empty maps, unless they are there."""
    path = folder / "settings.json"
    if path.is_file():
        found = json.loads(path.read_text())
        if found != settings:
            raise ValueError(f"{folder} holds pictures of other settings: {found}, not {settings}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    sizes = int(str(settings["frames"])), int(str(settings["width"])), int(str(settings["height"]))
    for name, (kind, shape) in _layout(clips, *sizes).items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape).flush()
    # Last, so that a folder with settings has all its maps.
    path.write_text(json.dumps(settings))


def _maps(folder: Path, mode: str) -> dict[str, np.ndarray]:
    return {name: np.lib.format.open_memmap(folder / f"{name}.npy", mode) for name in _layout(0, 0, 0, 0)}


def _render_share(folder: Path, share: int, shares: int) -> None:
    """Every `shares`-th clip that is missing."""
    cv2.setNumThreads(1)
    settings = json.loads((folder / "settings.json").read_text())
    maps = _maps(folder, "r+")
    seeds = range(*settings["seeds"])
    size = settings["frames"], settings["width"], settings["height"]
    for row in range(share, len(seeds), shares):
        if maps["done"][row]:
            continue
        made = clip(seeds[row], *size)
        people = made.visibility.shape[1]
        maps["frames_bgr"][row], maps["ids"][row] = made.frames_bgr, made.ids
        maps["full_boxes_xyxy"][row, :, :people] = made.full_boxes_xyxy
        maps["visible_boxes_xyxy"][row, :, :people] = made.visible_boxes_xyxy
        maps["visibility"][row, :, :people] = made.visibility
        maps["people"][row] = people
        maps["done"][row] = True
