"""Masks between keyframes: they stay on what they cover, whatever it does, and cost no more than they may."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.segmentation.mask_motion import MaskMover, MotionLimits
from engine.segmentation.mask_motion_flow import Grey, Map
from engine.segmentation.mask_motion_window import Axes, Window
from engine.types import F32, U8, Bools, FrameFlag, Masks, MaskSource, Tracks
from tests.segmentation.moving_pictures import (
    HEIGHT,
    WIDTH,
    Thing,
    box_of,
    frame_of,
    grid_of,
    overlap,
    pattern,
    pixels_of,
    placed,
    tracks_of,
)

GROUND = pattern(1)
THING = Thing()
FPS = 25.0
Place = Callable[[int], "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"]


def scene(
    place: Place, frames: int, ground: Callable[[int], U8] = lambda _: GROUND
) -> Iterator[tuple[int, U8, Bools]]:
    for index in range(frames):
        picture, mask = THING.draw(ground(index), place(index))
        yield index, picture, mask


def put(mover: MaskMover, mask: Bools, frame_seq: int, object_id: int = 1) -> bool:
    grid, rect = grid_of(mask)
    return mover.place(object_id, grid, rect, frame_seq, 0.9, MaskSource.MEMORY)


def follow(
    place: Place,
    frames: int,
    *,
    tracked: bool = True,
    keyframe: int = 0,
    late: int = 0,
    limits: MotionLimits | None = None,
    ground: Callable[[int], U8] = lambda _: GROUND,
) -> tuple[float, Masks, MaskMover]:
    """One mask for `keyframe`, placed `late` frames later: overlap with the truth on the last frame."""
    mover = MaskMover(limits)
    kept = np.zeros((1, 1), np.bool_)
    for index, picture, mask in scene(place, frames, ground):
        tracks = tracks_of([box_of(mask)], [1]) if tracked else Tracks.empty()
        mover.advance(frame_of(picture), index / FPS, tracks)
        if index == keyframe:
            mover.anchor(index)
            kept = mask
        if index == keyframe + late:
            assert put(mover, kept, keyframe)
            mover.release(keyframe)
        masks = mover.masks([1])
    return overlap(pixels_of(masks), mask), masks, mover


def test_on_its_own_frame_a_mask_is_what_came_in() -> None:
    found, masks, _ = follow(lambda _: placed(300, 180), 1)
    assert found > 0.97
    assert (
        masks.ages_ms[0] == 0
        and masks.sources[0] == MaskSource.MEMORY
        and masks.confidences[0] == np.float32(0.9)
    )


@pytest.mark.parametrize(
    ("tracked", "late", "least"),
    [(True, 0, 0.8), (True, 4, 0.8), (True, 11, 0.8), (False, 0, 0.75), (False, 4, 0.5)],
)
def test_a_mask_goes_along_with_a_thing_that_moves(tracked: bool, late: int, least: float) -> None:
    """Across a ground with as much pattern as itself, further than it is wide."""
    found, masks, _ = follow(
        lambda i: placed(150 + 6 * i, 120 + 3 * i), 19, tracked=tracked, keyframe=2, late=late
    )
    assert found > least
    assert masks.ages_ms[0] == pytest.approx(16 / FPS * 1e3, rel=1e-3)


def test_a_mask_that_nothing_moves_would_not_be_there() -> None:
    """The scene of the test before is one where holding masks still is wrong."""
    first, last = (THING.draw(GROUND, placed(150 + 6 * i, 120 + 3 * i))[1] for i in (2, 18))
    assert overlap(first, last) < 0.2


@pytest.mark.parametrize("late", [0, 6])
def test_turning_and_growing_is_seen_by_flow_and_not_by_boxes(late: int) -> None:
    def turning(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return placed(250 + 4 * index, 170, 1 + 0.02 * index, 4 * index)

    by_flow = follow(turning, 12, late=late)[0]
    by_box = follow(turning, 12, late=late, limits=MotionLimits(flow_objects=0))[0]
    assert by_flow > 0.8
    assert by_flow > by_box + 0.1


def test_a_jump_that_only_the_box_tells() -> None:
    """Frames are missing: the thing is a length further, where flow alone does not look."""
    where = [*(placed(150, 120 + 2 * i) for i in range(5)), *(placed(330, 220 + 2 * i) for i in range(5))]
    assert follow(lambda i: where[i], 10)[0] > 0.85


def test_a_camera_that_turns() -> None:
    wide = pattern(3, HEIGHT, WIDTH + 400)
    found, _, mover = follow(
        lambda _: placed(300, 180),
        12,
        ground=lambda i: np.ascontiguousarray(wide[:, 30 * i : 30 * i + WIDTH]),
    )
    assert found > 0.9 and mover.statistics.scenes == 0


def test_the_outline_of_a_moved_mask_is_drawn_to_the_edges_in_the_picture() -> None:
    y = pattern(5) // 4
    y[100:200, 200:320] += 120
    window = Window(np.array([180.0, 80.0, 340.0, 220.0]), 160, 140)
    true = np.zeros((140, 160), np.bool_)
    true[20:120, 20:140] = True
    off = np.array([203.0, 102.0, 323.0, 202.0])
    looked_up = Map.affine(window, Axes.identity()).look_up
    whole = np.ones((50, 60), np.float32)
    assert overlap(looked_up(whole, off, None), true) < 0.94
    assert overlap(looked_up(whole, off, Grey.of(y)), true) > 0.96


def test_two_keyframes_under_way_at_once() -> None:
    mover = MaskMover()
    kept: dict[int, Bools] = {}
    for index, picture, mask in scene(lambda i: placed(150 + 5 * i, 150), 14):
        mover.advance(frame_of(picture), index / FPS, tracks_of([box_of(mask)], [1]))
        if index in (2, 6):
            mover.anchor(index)
            kept[index] = mask
        if index == 8:
            assert put(mover, kept[2], 2)
            assert overlap(pixels_of(mover.masks([1])), mask) > 0.8
        if index == 12:
            assert put(mover, kept[6], 6)
            assert overlap(pixels_of(mover.masks([1])), mask) > 0.8
            assert mover.masks([1]).ages_ms[0] == pytest.approx(6 / FPS * 1e3, rel=1e-3)


def test_a_mask_is_cut_where_its_box_ends_if_it_was_so_at_the_keyframe() -> None:
    mover = MaskMover()
    picture, mask = THING.draw(GROUND, placed(300, 180))
    box = box_of(mask)
    mover.advance(frame_of(picture), 0.0, tracks_of([box], [1]))
    mover.anchor(0)
    put(mover, mask, 0)
    narrower = box - np.array([0, 0, 20, 0], np.float32)
    shown = mover.masks([1], narrower[None])
    assert shown.rects_xyxy[0, 2] <= narrower[2] + 1


def test_a_mask_that_reached_over_its_box_goes_on_doing_so() -> None:
    mover = MaskMover()
    for index, picture, mask in scene(lambda i: placed(250 + 4 * i, 180), 6):
        upper_half = box_of(mask) * np.array([1, 1, 1, 0], np.float32)
        upper_half[3] = 180
        mover.advance(frame_of(picture), index / FPS, tracks_of([upper_half], [1]))
        if index == 0:
            mover.anchor(0)
            put(mover, mask, 0)
    assert overlap(pixels_of(mover.masks([1])), mask) > 0.9


def test_a_thing_that_leaves_the_picture() -> None:
    mover = MaskMover()
    shares = []
    for index, picture, mask in scene(lambda i: placed(560 + 12 * i, 180), 16):
        inside = mask.any()
        tracks = tracks_of([box_of(mask)], [1]) if inside else Tracks.empty()
        mover.advance(frame_of(picture), index / FPS, tracks)
        if index == 0:
            mover.anchor(0)
            put(mover, mask, 0)
            mover.release(0)
        masks = mover.masks([1])
        assert masks.rects_xyxy[0, 2] <= WIDTH
        if mask.sum() > 1000:
            shares.append(overlap(pixels_of(masks), mask))
    assert min(shares) > 0.75
    assert not masks.present()[0] and masks.sources[0] == MaskSource.NONE and masks.ages_ms[0] == 0


@pytest.mark.parametrize("how", ["cut", "gap", "back", "discontinuity", "size"])
def test_what_has_nothing_to_do_with_the_frame_before_starts_anew(how: str) -> None:
    mover = MaskMover()
    picture, mask = THING.draw(GROUND, placed(300, 180))
    tracks = tracks_of([box_of(mask)], [1])
    mover.advance(frame_of(picture), 10.0, tracks)
    mover.anchor(7)
    put(mover, mask, 7)
    flags = FrameFlag.DISCONTINUITY if how == "discontinuity" else FrameFlag.NONE
    time_s = {"gap": 12.0, "back": 9.9}.get(how, 10.04)
    if how == "cut":
        picture = pattern(99) // 4
    if how == "size":
        picture = np.ascontiguousarray(picture[:240, :426])
    mover.advance(frame_of(picture, flags), time_s, tracks)
    assert not mover.masks([1]).present()[0]
    assert mover.statistics.scenes == 1
    assert not put(mover, mask, 7), "its keyframe is of another scene"
    assert mover.statistics.unplaced == 1
    mover.anchor(8)
    assert put(mover, mask, 8) and mover.masks([1]).present()[0]


def test_the_same_frame_twice_moves_nothing() -> None:
    assert follow(lambda _: placed(300, 180), 30)[0] > 0.95


def test_a_mask_without_a_cell_takes_the_mask_away() -> None:
    _, _, mover = follow(lambda _: placed(300, 180), 2)
    mover.anchor(5)
    assert mover.place(
        1, np.zeros((9, 9), np.bool_), np.array([0, 0, 9, 9], np.float32), 5, 0.0, MaskSource.MEMORY
    )
    assert not mover.masks([1]).present()[0]


def test_names_are_changed_and_forgotten() -> None:
    _, _, mover = follow(lambda _: placed(300, 180), 2)
    mover.rename(1, 1_000_000_001)
    assert mover.masks([1, 1_000_000_001]).present().tolist() == [False, True]
    mover.remove(1_000_000_001)
    mover.remove(1_000_000_001)
    assert not mover.masks([1_000_000_001]).present()[0]


def crowd(count: int, frames: int, limits: MotionLimits) -> tuple[MaskMover, int]:
    """Squares that go right by their boxes, on a picture that stands; how many masks are where they should be."""
    mover = MaskMover(limits)
    columns = 20
    for index in range(frames):
        lefts = 10 + np.arange(count) % columns * 30 + index
        tops = 10 + np.arange(count) // columns * 30
        boxes = np.stack((lefts, tops, lefts + 16, tops + 12), axis=1).astype(np.float32)
        mover.advance(frame_of(GROUND), index / FPS, tracks_of(list(boxes), list(range(1, count + 1))))
        if index == 0:
            mover.anchor(0)
            for object_id, box in enumerate(boxes, 1):
                mover.place(object_id, np.ones((6, 8), np.bool_), box, 0, 1.0, MaskSource.BOX)
            mover.release(0)
        masks = mover.masks(range(1, count + 1))
    overlaps = []
    for index, box in enumerate(boxes):
        truth = np.zeros((HEIGHT, WIDTH), np.bool_)
        truth[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
        overlaps.append(overlap(pixels_of(masks, index), truth))
    return mover, sum(each > 0.7 for each in overlaps)


def test_many_objects_go_with_their_boxes() -> None:
    limits = MotionLimits(flow_objects=4)
    mover, right = crowd(150, 10, limits)
    assert mover.statistics.by_flow == 9 * 4 and mover.statistics.by_box == 9 * 146
    assert right >= 146


def test_more_objects_than_there_is_room_for() -> None:
    mover = MaskMover(MotionLimits(objects=5))
    boxes = [np.array([10 * i, 0, 10 * i + 9, 9], np.float32) for i in range(8)]
    mover.advance(frame_of(GROUND), 0.0, tracks_of(boxes, list(range(1, 9))))
    mover.anchor(0)
    assert mover.statistics.crowded == 3
    for object_id, box in enumerate(boxes, 1):
        assert mover.place(object_id, np.ones((4, 4), np.bool_), box, 0, 1.0, MaskSource.BOX)
    assert mover.masks(range(1, 9)).present().sum() == 5


def test_what_nobody_asks_for_is_forgotten_and_keyframes_are_bounded() -> None:
    mover = MaskMover(MotionLimits(unasked_s=1.0))
    for index, picture, mask in scene(lambda _: placed(300, 180), 80):
        tracks = tracks_of([box_of(mask)], [1]) if index < 40 else Tracks.empty()
        mover.advance(frame_of(picture), index / FPS, tracks)
        if index < 40:
            mover.anchor(index)
            put(mover, mask, index)
    known = mover._objects
    assert not known, "no track, and nobody asked"
    for index in range(30):
        mover.anchor(1000 + index)
    assert len(mover._anchors) == len(mover._scenes) == MotionLimits().anchors


EDGES = st.sampled_from((-1e3, -5.0, 0.0, 3.0, 100.0, 100.4, 639.0, 640.0, 5e3, float("nan"), float("inf")))
BOXES = st.tuples(EDGES, EDGES, EDGES, EDGES).map(lambda box: np.array(box, np.float32))
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.lists(BOXES, max_size=3), st.integers(0, 2)),
        st.tuples(st.just("anchor"), st.integers(0, 3)),
        st.tuples(st.just("release"), st.integers(0, 3)),
        st.tuples(st.just("place"), st.integers(1, 4), st.integers(0, 3), BOXES),
        st.tuples(st.just("remove"), st.integers(1, 4)),
        st.tuples(st.just("rename"), st.integers(1, 4), st.integers(1, 4)),
    ),
    max_size=25,
)
PICTURES = [np.ascontiguousarray(np.roll(GROUND, 5 * index, axis=1)) for index in range(3)]


@settings(max_examples=60, deadline=None)
@given(calls=CALLS)
def test_whatever_comes_the_cells_of_masks_lie_in_the_picture(calls: list[tuple[object, ...]]) -> None:
    mover, time_s = MaskMover(MotionLimits(objects=6)), 0.0
    for name, *arguments in calls:
        if name == "advance":
            boxes, picture = arguments
            assert isinstance(boxes, list) and isinstance(picture, int)
            time_s += 0.04
            mover.advance(
                frame_of(PICTURES[picture]), time_s, tracks_of(boxes, list(range(1, len(boxes) + 1)))
            )
        elif name == "place":
            object_id, frame_seq, rect = arguments
            assert isinstance(object_id, int) and isinstance(frame_seq, int)
            found: F32 = np.asarray(rect, np.float32)
            mover.place(object_id, np.eye(5, 7, dtype=np.bool_), found, frame_seq, 0.5, MaskSource.PROMPT)
        elif name == "anchor" and time_s == 0:
            continue
        else:
            getattr(mover, str(name))(*arguments)
        masks = mover.masks([1, 2, 3, 4, 5])
        assert (masks.ages_ms >= 0).all()
        assert np.isfinite(masks.rects_xyxy).all()
        rects = masks.rects_xyxy[masks.present()]
        assert (rects[:, 2:] > rects[:, :2]).all()
        # A cell is where its centre is: the outer ones may reach over the border by half of themselves.
        half = (rects[:, 2:] - rects[:, :2]) / masks.sizes_hw[masks.present()][:, ::-1] / 2 + 1e-2
        assert (rects[:, :2] + half >= 0).all() and (rects[:, 2:] - half <= (WIDTH, HEIGHT)).all()
