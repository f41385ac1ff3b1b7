"""Pictures for training: the same for the same seed, and truth that is what is seen."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tools.nano.pictures import MOST_PEOPLE, SCENE_SHARE, Clip, clip

SIZE = (192, 112)


def of_scene(seed: int) -> bool:
    """Whether this seed shows the world of scene://."""
    return bool(np.random.default_rng((seed, 80)).random() < SCENE_SHARE)


OWN = [seed for seed in range(60) if not of_scene(seed)]
SCENES = [seed for seed in range(60) if of_scene(seed)]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [clip(seed, 6, *SIZE) for seed in [*OWN[:30], *SCENES[:4]]]


@pytest.mark.parametrize("seed", [OWN[0], OWN[1], SCENES[0]])
def test_same_seed_same_clip(seed: int) -> None:
    first = clip(seed, 2, *SIZE)
    # What was drawn in between leaves nothing behind.
    other = clip(seed + 1, 2, *SIZE)
    again = clip(seed, 2, *SIZE)
    for field in ("frames_bgr", "ids", "full_boxes_xyxy", "visible_boxes_xyxy", "visibility"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert not np.array_equal(first.frames_bgr, other.frames_bgr)


def test_shapes_and_kinds(clips: list[Clip]) -> None:
    width, height = SIZE
    for made in clips:
        people = made.visibility.shape[1]
        assert people <= MOST_PEOPLE
        assert made.frames_bgr.shape == (6, height, width, 3) and made.frames_bgr.dtype == np.uint8
        assert made.ids.shape == (6, height, width) and made.ids.dtype == np.uint8
        assert made.ids.max(initial=0) <= people
        assert made.full_boxes_xyxy.shape == made.visible_boxes_xyxy.shape == (6, people, 4)
        assert made.full_boxes_xyxy.dtype == made.visible_boxes_xyxy.dtype == np.float32


def test_boxes_are_tight_around_what_is_seen(clips: list[Clip]) -> None:
    seen = 0
    for made in clips:
        for frame, person in np.ndindex(made.visibility.shape):
            rows, columns = np.nonzero(made.ids[frame] == person + 1)
            box = made.visible_boxes_xyxy[frame, person]
            if not len(rows):
                assert np.isnan(box).all() and made.visibility[frame, person] == 0
                continue
            seen += 1
            expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            np.testing.assert_array_equal(box, expected)
            assert 0 < made.visibility[frame, person] <= 1
    assert seen > 100


def test_what_is_seen_lies_in_the_whole_body(clips: list[Clip]) -> None:
    for made in clips:
        for frame, person in zip(*np.nonzero(made.visibility), strict=True):
            full, box = made.full_boxes_xyxy[frame, person], made.visible_boxes_xyxy[frame, person]
            # Half a pixel of the outline's edge, and hats and faces a little beyond the skull.
            slack = 2.5 + 0.04 * (full[3] - full[1])
            assert (box[:2] >= full[:2] - slack).all() and (box[2:] <= full[2:] + slack).all()


def test_somebody_alone_is_wholly_seen() -> None:
    alone = [made for seed in OWN for made in [clip(seed, 1, *SIZE)] if made.visibility.shape[1] == 1]
    shares = [float(made.visibility[0, 0]) for made in alone]
    assert len(shares) >= 3
    assert np.mean(np.array(shares) > 0.97) >= 0.5


def test_people_go_behind_things_and_come_back(clips: list[Clip]) -> None:
    """Less than a fifth of somebody between two frames that show at least half."""
    hidden = 0
    for made in clips:
        for shares in made.visibility.T:
            clear = np.flatnonzero(shares > 0.5)
            if len(clear) > 1:
                hidden += bool((shares[clear[0] : clear[-1]] < 0.2).any())
    assert hidden >= 1


def test_things_hide_people_too(clips: list[Clip]) -> None:
    """Somebody is partly hidden though nobody else is near."""
    hidden = 0
    for made in clips:
        for boxes, shares in zip(made.full_boxes_xyxy, made.visibility, strict=True):
            for person in np.flatnonzero((shares > 0) & (shares < 0.85)):
                low, high = boxes[person, :2] - 3, boxes[person, 2:] + 3
                near = (boxes[:, :2] < high).all(axis=1) & (boxes[:, 2:] > low).all(axis=1)
                hidden += int(near.sum() == 1)
    assert hidden >= 3


def test_some_clips_are_empty_and_most_show_few() -> None:
    counts = [clip(seed, 1, 96, 64).visibility.shape[1] for seed in OWN]
    assert 0.04 < np.mean(np.array(counts) == 0) < 0.3
    assert np.mean((np.array(counts) > 0) & (np.array(counts) <= 6)) > 0.4
    assert max(counts) > 6


def test_no_picture_comes_twice(clips: list[Clip]) -> None:
    pictures = [hashlib.sha256(frame.tobytes()).hexdigest() for made in clips for frame in made.frames_bgr]
    # Frames of one clip may be equal where nothing moves and the sensor has no noise.
    firsts = pictures[::6]
    assert len(set(firsts)) == len(firsts)
    assert len(set(pictures)) > 0.9 * len(pictures)


def test_masks_show_people_and_not_the_backdrop(clips: list[Clip]) -> None:
    """Where somebody is, the picture differs from where they were; elsewhere a still camera sees the same."""
    moved, still = [], []
    for made in clips:
        change = np.abs(made.frames_bgr[0].astype(int) - made.frames_bgr[-1]).mean(axis=-1)
        touched = (made.ids[0] > 0) != (made.ids[-1] > 0)
        calm = (made.ids == 0).all(axis=0)
        if touched.sum() > 50 and calm.sum() > 50:
            moved.append(np.median(change[touched]))
            still.append(np.median(change[calm]))
    assert np.mean(np.array(moved) > np.array(still)) > 0.7


@pytest.mark.parametrize(("width", "height"), [(64, 36), (640, 360), (1280, 720)])
def test_sizes(width: int, height: int) -> None:
    assert clip(OWN[2], 1, width, height).frames_bgr.shape == (1, height, width, 3)
