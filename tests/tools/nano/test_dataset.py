"""Rendered sets on the disk: complete, resumed where they were interrupted, never mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.nano.dataset import open_set, render
from tools.nano.pictures import SCENE_SHARE, clip

SIZE = (64, 48)


def own_seeds(count: int) -> range:
    """A stretch of seeds none of which has to cast a panorama first, which takes seconds."""
    first = 0
    while any(np.random.default_rng((first + step, 80)).random() < SCENE_SHARE for step in range(count)):
        first += 1
    return range(first, first + count)


SEEDS = own_seeds(4)


def test_what_was_rendered_can_be_read(tmp_path: Path) -> None:
    render(tmp_path / "set", SEEDS, 2, *SIZE, 1)
    found = open_set(tmp_path / "set")
    assert len(found) == 4
    for index, seed in enumerate(SEEDS):
        made = clip(seed, 2, *SIZE)
        for field in ("frames_bgr", "ids", "full_boxes_xyxy", "visible_boxes_xyxy", "visibility"):
            np.testing.assert_array_equal(getattr(found[index], field), getattr(made, field))
    assert len(list(found)) == 4


def test_two_processes_make_the_same(tmp_path: Path) -> None:
    render(tmp_path / "one", SEEDS, 1, *SIZE, 1)
    render(tmp_path / "two", SEEDS, 1, *SIZE, 2)
    for name in ("frames_bgr", "ids", "visibility", "people", "done"):
        one, two = (np.load(tmp_path / folder / f"{name}.npy") for folder in ("one", "two"))
        np.testing.assert_array_equal(one, two)


def test_an_interrupted_rendering_goes_on(tmp_path: Path) -> None:
    render(tmp_path, SEEDS, 1, *SIZE, 1)
    done = np.lib.format.open_memmap(tmp_path / "done.npy", "r+")
    frames = np.lib.format.open_memmap(tmp_path / "frames_bgr.npy", "r+")
    whole = frames.copy()
    done[2] = False
    frames[2] = 0
    # Nobody draws this one again: it is complete.
    frames[0] = 7
    assert len(open_set(tmp_path)) == 3
    render(tmp_path, SEEDS, 1, *SIZE, 1)
    after = open_set(tmp_path)
    assert len(after) == 4
    np.testing.assert_array_equal(after[2].frames_bgr, whole[2])
    assert (after[0].frames_bgr == 7).all()


def test_a_folder_keeps_its_settings(tmp_path: Path) -> None:
    render(tmp_path, SEEDS[:1], 1, *SIZE, 1)
    with pytest.raises(ValueError, match="other settings"):
        render(tmp_path, SEEDS[:1], 2, *SIZE, 1)
    with pytest.raises(ValueError, match="other settings"):
        render(tmp_path, SEEDS[:2], 1, *SIZE, 1)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no rendered pictures"):
        open_set(tmp_path)
    render(tmp_path, SEEDS[:1], 1, *SIZE, 1)
    np.lib.format.open_memmap(tmp_path / "done.npy", "r+")[:] = False
    with pytest.raises(ValueError, match="before the first clip"):
        open_set(tmp_path)
    assert tmp_path.is_dir()


def test_beyond_the_end(tmp_path: Path) -> None:
    render(tmp_path, SEEDS[:2], 1, *SIZE, 1)
    found = open_set(tmp_path)
    np.testing.assert_array_equal(found[-1].frames_bgr, found[1].frames_bgr)
    with pytest.raises(IndexError):
        found[2]
