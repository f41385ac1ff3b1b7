"""The life of tracks, for both trackers of two stages: confirmation, loss, classes, time, bad input, and invariants."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.tracking_scenes import street
from engine.errors import ConfigError
from engine.tracking.association import paired_iou
from engine.tracking.base import create_tracker
from engine.tracking.botsort import BotSort
from engine.tracking.box_tracker import BoxTracker
from engine.tracking.bytetrack import ByteTrack
from engine.tracking.settings import TrackerSettings
from engine.tracking.sort import Sort
from engine.tracking.two_stage import TwoStageTracker
from engine.types import Detections, FrameFlag, FrameMeta, FrameNv12, Masks, Tracks

Box = tuple[float, float, float, float]
PERSON, CAR, TRUCK = 0, 2, 7
KINDS: list[type[BoxTracker]] = [BotSort, ByteTrack, Sort]


@pytest.fixture(params=[BotSort, ByteTrack])
def tracker(request: pytest.FixtureRequest) -> TwoStageTracker:
    made = request.param()
    assert isinstance(made, TwoStageTracker)
    return made


def found(*objects: tuple[Box, float] | tuple[Box, float, int]) -> Detections:
    """Detections of (box, score[, class])."""
    return Detections(
        np.array([entry[0] for entry in objects], np.float32).reshape(-1, 4),
        np.array([entry[1] for entry in objects], np.float32),
        np.array([entry[2] if len(entry) > 2 else PERSON for entry in objects], np.int32),
    )


def at(x: float, y: float = 100, width: float = 40, height: float = 100) -> Box:
    return (x, y, x + width, y + height)


def frame_of(width: int, height: int, flags: FrameFlag = FrameFlag.NONE) -> FrameNv12:
    meta = FrameMeta(0, 0, 0, width, height, width, width, width * height, flags=flags)
    uv = np.zeros(((height + 1) // 2, (width + 1) // 2, 2), np.uint8)
    return FrameNv12(meta, np.zeros((height, width), np.uint8), uv)


def ids(tracks: Tracks) -> list[int]:
    return [int(track_id) for track_id in tracks.track_ids]


def test_both_are_known_by_name() -> None:
    assert isinstance(create_tracker("botsort"), BotSort)
    assert isinstance(create_tracker("bytetrack"), ByteTrack)
    with pytest.raises(ConfigError, match="did you mean 'botsort'"):
        create_tracker("botsrt")


def test_confirmed_at_once_in_the_first_frame_and_at_the_second_hit_later(tracker: TwoStageTracker) -> None:
    assert ids(tracker.update(found((at(0), 0.9)), 0.0)) == [1]
    assert ids(tracker.update(found((at(1), 0.9), (at(300), 0.9)), 0.1)) == [1, 0]
    tracks = tracker.update(found((at(2), 0.9), (at(301), 0.9)), 0.2)
    assert ids(tracks) == [1, 2]
    assert tracks.ages.tolist() == [2, 1]


def test_an_empty_first_frame_is_a_first_frame(tracker: TwoStageTracker) -> None:
    tracker.update(Detections.empty(), 0.0)
    assert ids(tracker.update(found((at(0), 0.9)), 0.1)) == [0]


def test_a_box_seen_once_is_forgotten_and_costs_no_id(tracker: TwoStageTracker) -> None:
    tracker.update(Detections.empty(), 0.0)
    tracker.update(found((at(0), 0.9)), 0.1)
    tracker.update(Detections.empty(), 0.2)
    assert ids(tracker.update(found((at(0), 0.9)), 0.3)) == [0]
    assert tracker.next_track_id == 1


def test_numbering_goes_on_from_a_predecessor() -> None:
    assert ids(
        create_tracker("botsort", first_track_id=41).update(found((at(0), 0.9), (at(200), 0.9)), 0.0)
    ) == [41, 42]


def test_the_box_is_the_detections_where_that_is_asked_for(tracker: TwoStageTracker) -> None:
    rng = np.random.default_rng(1)
    tracker = type(tracker)(settings=TrackerSettings(boxes="detected"))
    for k in range(20):
        detections = found((at(5.0 * k + rng.normal(0, 3), 100 + rng.normal(0, 3)), 0.9))
        tracks = tracker.update(detections, k / 30)
        np.testing.assert_array_equal(tracks.boxes_xyxy, detections.boxes_xyxy)
    assert not np.shares_memory(tracks.boxes_xyxy, detections.boxes_xyxy)


def test_by_default_the_box_is_calmer_than_the_detections(tracker: TwoStageTracker) -> None:
    """Standing still, with a jitter of 3 px."""
    rng = np.random.default_rng(1)
    jitter, left = [], []
    for k in range(200):
        seen = at(100 + rng.normal(0, 3), 100 + rng.normal(0, 3))
        tracks = tracker.update(found((seen, 0.9)), k / 30)
        assert ids(tracks) == [1]
        jitter.append(seen[0] - 100)
        left.append(float(tracks.boxes_xyxy[0, 0]) - 100)
    assert np.std(left[20:]) < 0.85 * np.std(jitter[20:])


@pytest.mark.parametrize("kind", ["jump", "size", "discontinuity"])
def test_where_the_filter_can_only_guess_the_box_is_the_detections(
    tracker: TwoStageTracker, kind: str
) -> None:
    """Its lower half was hidden at once, the picture became another one, or nobody knows what was in between."""
    for k in range(30):
        tracker.update(found((at(100 + k % 3), 0.9)), k / 25, frame_of(640, 480))
    detections = found((at(101, 100, 40, 45), 0.9) if kind == "jump" else (at(104), 0.9))
    flags = FrameFlag.DISCONTINUITY if kind == "discontinuity" else FrameFlag.NONE
    tracks = tracker.update(detections, 1.2, frame_of(*((660, 500) if kind == "size" else (640, 480)), flags))
    assert ids(tracks) == [1]
    np.testing.assert_array_equal(tracks.boxes_xyxy, detections.boxes_xyxy)


def striped(detections: Detections, hatched: list[int]) -> Detections:
    """With a mask of as many rows as the object's number says for each, and none where that is 0."""
    grids = [np.arange(5 * rows).reshape(rows, 5) % 3 == 0 for rows in hatched]
    return replace(detections, masks=Masks.of_grids(detections.boxes_xyxy, grids))


def test_a_track_has_the_mask_of_its_detection(tracker: TwoStageTracker) -> None:
    """In whatever order they come, with boxes that are no boxes or not worth showing between them."""
    tracker = type(tracker)(settings=TrackerSettings(boxes="detected"))
    rng = np.random.default_rng(2)
    expected: dict[int, int] = {}
    for k in range(12):
        objects = [(at(200.0 * number + 2 * k), 0.9) for number in range(1, 5)]
        objects += [((50.0, 50.0, 40.0, 90.0), 0.9), (at(1500), 0.12)]
        order = rng.permutation(len(objects)).tolist()
        detections = striped(found(*[objects[i] for i in order]), [[3, 4, 0, 6, 7, 8][i] for i in order])
        tracks = tracker.update(detections, k / 25)
        assert tracks.masks is not None and len(tracks.masks) == len(tracks) == 4
        np.testing.assert_array_equal(tracks.masks.rects_xyxy, tracks.boxes_xyxy)
        rows = dict(zip(ids(tracks), tracks.masks.sizes_hw[:, 0].tolist(), strict=True))
        expected = expected or rows
        assert rows == expected and sorted(rows.values()) == [0, 3, 4, 6]
        for index, count in enumerate(tracks.masks.sizes_hw[:, 0].tolist()):
            np.testing.assert_array_equal(tracks.masks.grid(index).reshape(-1), np.arange(5 * count) % 3 == 0)
        assert detections.masks is not None
        assert not np.shares_memory(tracks.masks.bits, detections.masks.bits)


def test_a_track_that_is_not_seen_has_no_mask_and_without_masks_there_are_none(
    tracker: TwoStageTracker,
) -> None:
    tracker.update(striped(found((at(0), 0.9), (at(300), 0.9)), [3, 4]), 0.0)
    tracks = tracker.update(striped(found((at(301), 0.9)), [6]), 0.1)
    assert ids(tracks) == [2]
    assert tracks.masks is not None and tracks.masks.sizes_hw.tolist() == [[6, 5]]
    assert tracker.update(found((at(1), 0.9), (at(302), 0.9)), 0.2).masks is None


def test_low_scores_continue_a_track_but_start_none(tracker: TwoStageTracker) -> None:
    tracker.update(found((at(0), 0.9)), 0.0)
    assert ids(tracker.update(found((at(1), 0.15), (at(300), 0.15)), 0.1)) == [1]
    for k in range(2, 6):
        assert ids(tracker.update(found((at(1), 0.9), (at(300), 0.5)), k / 10)) == [1, 0]


def test_an_unsure_box_revives_a_lost_track_only_where_it_is_expected(tracker: TwoStageTracker) -> None:
    tracker.update(found((at(0), 0.9)), 0.0)
    tracker.update(Detections.empty(), 0.1)
    assert ids(tracker.update(found((at(20), 0.3)), 0.2)) == [0]
    assert ids(tracker.update(found((at(2), 0.3)), 0.3)) == [1]


def test_velocity_is_in_pixels_per_second(tracker: TwoStageTracker) -> None:
    for k in range(60):
        tracks = tracker.update(found((at(90 * k / 25, 100 + 30 * k / 25), 0.9)), k / 25)
    np.testing.assert_allclose(tracks.velocities_xy, [[90, 30]], rtol=0.05)
    assert tracks.ages.tolist() == [59]


@pytest.mark.parametrize("fps", [1, 7, 30, 120])
def test_kept_through_a_gap_of_two_seconds_and_not_of_a_minute(tracker: TwoStageTracker, fps: int) -> None:
    """At 1 fps it is five frames instead."""
    now = 0.0
    for k in range(max(20, fps)):
        now = k / fps
        tracker.update(found((at(10), 0.9)), now)
    gap_s = max(1.9, 4 / fps)
    assert ids(tracker.update(found((at(10), 0.9)), now + gap_s)) == [1]
    assert ids(tracker.update(found((at(10), 0.9)), now + gap_s + 60)) == [0]


@pytest.mark.parametrize("fps", [1, 7, 30, 120])
def test_a_walker_keeps_the_id_at_any_frame_rate(tracker: TwoStageTracker, fps: int) -> None:
    """1.3 m/s at 100 px height: 75 px in a second, nearly two widths, so at 1 fps boxes do not even touch."""
    seen = [
        ids(tracker.update(found((at(75 * k / fps), 0.85)), k / fps)) for k in range(12 * max(1, fps // 4))
    ]
    assert seen == [[1]] * len(seen)


def test_dropped_frames_do_not_change_the_id(tracker: TwoStageTracker) -> None:
    rng = np.random.default_rng(7)
    kept = [k for k in range(300) if rng.random() < 0.3]
    seen = {tuple(ids(tracker.update(found((at(3 * k), 0.85)), k / 30))) for k in kept}
    assert seen == {(1,)}


def test_crossing_walkers_keep_their_ids(tracker: TwoStageTracker) -> None:
    """Side by side at the crossing, one hidden for six frames by the other."""
    for k in range(80):
        left, right = (at(4 * k, 100), 0.9), (at(320 - 4 * k, 108, 42, 104), 0.9)
        seen = (left, right) if abs(k - 40) > 3 else (right,)
        tracks = tracker.update(found(*seen), k / 25)
    by_x = sorted(zip(tracks.boxes_xyxy[:, 0].tolist(), ids(tracks), strict=True))
    assert [track_id for _, track_id in by_x] == [2, 1]


def test_hidden_behind_a_pillar_for_a_second(tracker: TwoStageTracker) -> None:
    tracks = Tracks.empty()
    for k in range(75):
        hidden = 30 <= k < 55
        tracks = tracker.update(Detections.empty() if hidden else found((at(3 * k), 0.9)), k / 25)
    assert ids(tracks) == [1]


def test_a_flickering_class_keeps_id_and_class(tracker: TwoStageTracker) -> None:
    for k in range(30):
        class_id = TRUCK if k % 3 == 1 else CAR
        tracks = tracker.update(found((at(2 * k, width=120, height=80), 0.8, class_id)), k / 25)
        assert (ids(tracks), tracks.class_ids.tolist()) == ([1], [CAR])


def test_another_class_nearby_is_another_object(tracker: TwoStageTracker) -> None:
    tracker.update(found((at(0), 0.9, PERSON)), 0.0)
    tracks = tracker.update(found((at(12), 0.9, CAR)), 0.1)
    assert ids(tracks) == [0]


def test_one_object_reported_as_two_classes_has_one_id(tracker: TwoStageTracker) -> None:
    """Scores take turns in being the better; both boxes are shown, one of them has the ID."""
    for k in range(40):
        first, second = (0.8, 0.7) if k % 2 else (0.7, 0.8)
        car = (at(2 * k, width=120, height=80), first, CAR)
        truck = (at(2 * k + 3, width=122, height=79), second, TRUCK)
        tracks = tracker.update(found(car, truck), k / 25)
        assert sorted(ids(tracks)) == [0, 1]
    assert tracker.next_track_id == 2


def test_a_second_class_half_a_box_off_starts_no_track(tracker: TwoStageTracker) -> None:
    """The boxes overlap by 0.75: too little to be called the same, too much to be two things."""
    for k in range(10):
        car = (at(100, width=120, height=80), 0.8, CAR)
        truck = (at(117, width=120, height=80), 0.75, TRUCK)
        tracks = tracker.update(found(car, *[truck] * (k > 0)), k / 25)
    assert ids(tracks) == [1, 0]


def test_a_stranger_near_a_lost_track_is_a_stranger() -> None:
    """Two and a half widths beside someone who stood still and was lost for a second."""
    tracker = BotSort()
    for k in range(60):
        seen = found((at(100), 0.9)) if k < 25 else Detections.empty() if k < 50 else found((at(200), 0.9))
        tracks = tracker.update(seen, k / 25)
    assert ids(tracks) == [2]


def test_what_sank_behind_a_wall_does_not_go_on_shrinking() -> None:
    tracker = BotSort()
    for k in range(25):
        tracker.update(found((at(100, height=120 - 5 * max(0, k - 10)), 0.9)), k / 25)
    for k in range(25, 50):
        tracker.update(Detections.empty(), k / 25)
    for k in range(50, 52):
        tracks = tracker.update(found((at(100, height=50), 0.9)), k / 25)
    assert ids(tracks) == [1]


def test_two_tracks_that_turn_out_to_be_one_object_are_merged(tracker: TwoStageTracker) -> None:
    for k in range(40):
        apart = max(0, 60 - 4 * k)
        car = (at(100, width=120, height=80), 0.8, CAR)
        truck = (at(100 + apart, width=120, height=80), 0.7, TRUCK)
        tracks = tracker.update(found(car, truck), k / 25)
        if k == 0:
            assert ids(tracks) == [1, 2]
    assert sorted(ids(tracks)) == [0, 1]
    assert len(tracker) == 1


def test_time_that_stands_still_or_goes_back_is_survived(tracker: TwoStageTracker) -> None:
    moments = [0.0, 0.04, 0.08, 0.08, 0.08, 0.02, 0.06, -5.0, -4.96, math.nan, math.inf, -4.92]
    for k, now in enumerate(moments):
        assert ids(tracker.update(found((at(2 * k), 0.9)), now)) == [1]


def test_always_the_same_timestamp(tracker: TwoStageTracker) -> None:
    for k in range(200):
        assert ids(tracker.update(found((at(2 * k), 0.9)), 5.0)) == [1]


def test_tracks_are_scaled_with_the_picture(tracker: TwoStageTracker) -> None:
    for k in range(10):
        tracker.update(found((at(20 + 2 * k), 0.9)), k / 25, frame_of(640, 480))
    for k in range(10, 20):
        x, y, x2, y2 = at(20 + 2 * k)
        tracks = tracker.update(found(((2 * x, 2 * y, 2 * x2, 2 * y2), 0.9)), k / 25, frame_of(1280, 960))
        assert ids(tracks) == [1]


def test_after_a_discontinuity_things_are_looked_for_where_they_were(tracker: TwoStageTracker) -> None:
    for k in range(25):
        tracker.update(found((at(8 * k), 0.9)), k / 25, frame_of(64, 48))
    tracks = tracker.update(found((at(8 * 24), 0.9)), 2.4, frame_of(64, 48, FrameFlag.DISCONTINUITY))
    assert ids(tracks) == [1]
    assert abs(tracks.velocities_xy[0, 0]) < 1


def test_what_is_no_box_is_dropped_and_counted(tracker: TwoStageTracker) -> None:
    good = at(0)
    bad: list[tuple[Box, float]] = [
        ((math.nan, 0, 10, 10), 0.9), ((0, 0, math.inf, 10), 0.9), ((0, 0, 1e30, 10), 0.9), ((-3e38, 0, 3e38, 10), 0.9),
        ((10, 10, 10, 20), 0.9), ((10, 10, 20, 5), 0.9), (at(50), math.nan), (at(50), math.inf),
    ]  # fmt: skip
    for k in range(3):
        tracks = tracker.update(found((good, 0.9), *bad), k / 25)
        assert ids(tracks) == [1]
    assert tracker.invalid_detections == 3 * len(bad)


def test_what_lasted_for_a_moment_is_not_waited_for(tracker: TwoStageTracker) -> None:
    """Three frames of somebody, who may have been nobody, do not wait for a second."""
    for k in range(40):
        standing = (at(500), 0.9)
        tracks = tracker.update(found(standing, *[(at(100), 0.9)] * (k < 3 or k > 25)), k / 25)
    assert ids(tracks) == [1, 3]


def test_detections_outside_of_the_picture_are_tracked_like_others(tracker: TwoStageTracker) -> None:
    for k in range(10):
        boxes = found((at(-500 + 2 * k, -300), 0.9), (at(5000 + 2 * k, 4000), 0.9))
        assert ids(tracker.update(boxes, k / 25, frame_of(640, 480))) == [1, 2]


def test_the_same_box_many_times_is_one_track(tracker: TwoStageTracker) -> None:
    for k in range(5):
        tracks = tracker.update(found(*[(at(0), 0.9)] * 20), k / 25)
        assert len(tracks) == 20
        assert sorted(ids(tracks)) == [0] * 19 + [1]


def test_thousands_of_boxes_are_shown_and_the_best_are_tracked(tracker: TwoStageTracker) -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 3000, (5000, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(20, 200, (5000, 2))), axis=1).astype(np.float32)
    detections = Detections(boxes, rng.uniform(0.3, 1, 5000).astype(np.float32), np.zeros(5000, np.int32))
    started = time.perf_counter()
    for k in range(5):
        tracks = tracker.update(detections, k / 25)
    assert time.perf_counter() - started < 5
    assert len(tracks) == 5000
    assert 0 < np.count_nonzero(tracks.track_ids) <= tracker.settings.most_detections
    assert tracker.surplus_detections == 5 * 4500


def test_memory_is_bounded_in_a_storm_of_new_objects() -> None:
    tracker = BotSort(settings=TrackerSettings(most_detections=50, most_tracks=80))
    rng = np.random.default_rng(0)
    for k in range(60):
        corner = np.repeat(rng.uniform(0, 5000, (50, 2)), 1, axis=0)
        boxes = np.concatenate((corner, corner + 60), axis=1).astype(np.float32)
        for repeat in range(2):
            tracker.update(
                Detections(boxes, np.full(50, 0.9, np.float32), np.zeros(50, np.int32)),
                (2 * k + repeat) / 100,
            )
            assert len(tracker) <= 80
    assert tracker.next_track_id > 1000


def test_nothing_is_remembered_of_an_empty_street(tracker: TwoStageTracker) -> None:
    for frame in street(people=10, fps=10, seconds=10, seed=4):
        tracker.update(frame.detections, frame.time_s)
    assert len(tracker) > 5
    for k in range(30):
        assert len(tracker.update(Detections.empty(), 10 + k / 10)) == 0
    assert len(tracker) == 0


boxes_strategy = st.tuples(
    *[st.floats(-50, 400, width=32) | st.sampled_from([math.nan, math.inf, 0.0, 1e9]) for _ in range(4)]
)
objects_strategy = st.lists(
    st.tuples(boxes_strategy, st.floats(0, 1, width=32), st.integers(0, 3)), max_size=12
)  # fmt: skip
frames_strategy = st.lists(
    st.tuples(objects_strategy, st.floats(-1, 5) | st.sampled_from([math.nan, 0.0])), max_size=12
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(frames=frames_strategy, kind=st.sampled_from(KINDS))
def test_invariants(frames: list[tuple[list[tuple[Box, float, int]], float]], kind: type[BoxTracker]) -> None:
    tracker = kind()
    now, known = 0.0, set[int]()
    for objects, step_s in frames:
        now += step_s
        detections = found(*objects)
        before = tracker.next_track_id
        tracks = tracker.update(detections, now)
        given_ids = [track_id for track_id in ids(tracks) if track_id]
        assert len(set(given_ids)) == len(given_ids)
        assert {track_id for track_id in given_ids if track_id >= before}.isdisjoint(known)
        assert all(track_id in known for track_id in given_ids if track_id < before)
        known.update(given_ids)
        for array in (tracks.boxes_xyxy, tracks.scores, tracks.velocities_xy):
            assert np.isfinite(array).all()
        assert (tracks.ages >= 0).all()
        check_conservation(detections, tracks)


def check_conservation(detections: Detections, tracks: Tracks) -> None:
    """Every real box with the show score is there once, in order; others only with an ID."""
    boxes = detections.boxes_xyxy
    with np.errstate(invalid="ignore"):
        real = (np.abs(boxes) < 1e6).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    must = detections.take(real & (detections.scores >= 0.25))
    shown = tracks.take(tracks.scores >= 0.25)
    np.testing.assert_array_equal(shown.scores, must.scores)
    moved = (shown.boxes_xyxy != must.boxes_xyxy).any(axis=1)
    assert (shown.track_ids[moved] > 0).all()
    if moved.any():
        assert paired_iou(shown.boxes_xyxy[moved], must.boxes_xyxy[moved]).min() > 0.79
    assert (tracks.track_ids[tracks.scores < 0.25] > 0).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), people=st.integers(1, 15), fps=st.sampled_from([1.0, 5.0, 30.0, 120.0]),
    kind=st.sampled_from(KINDS),
)  # fmt: skip
def test_streets_hold_the_same_invariants(seed: int, people: int, fps: float, kind: type[BoxTracker]) -> None:
    tracker, known = kind(), set[int]()
    for frame in street(people, fps, 20 / fps, seed=seed):
        tracks = tracker.update(frame.detections, frame.time_s)
        given_ids = [track_id for track_id in ids(tracks) if track_id]
        assert len(set(given_ids)) == len(given_ids)
        known.update(given_ids)
        check_conservation(frame.detections, tracks)
    assert known <= set(range(1, tracker.next_track_id))
