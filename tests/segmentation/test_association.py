"""Masks correct boxes, boxes correct masks, and one object has one identity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.segmentation.answers import DISAGREEMENTS
from engine.segmentation.identities import FIRST_OWN_ID
from engine.segmentation.jobs import KeyframeJob, KeyframeResult, Memory
from engine.segmentation.scene import CameraRules
from engine.segmentation.seats import Seats
from engine.types import Masks
from tests.segmentation.scenario import (
    ALL,
    Box,
    Stage,
    answer,
    box_prompt,
    mask_of,
    meta_of,
    point_prompt,
    pointer,
    tracks_of,
)  # fmt: skip

LEFT: Box = (10, 10, 110, 210)
NEAR: Box = (20, 20, 100, 200)
RIGHT: Box = (400, 100, 500, 300)
LOW: Box = (200, 380, 260, 460)


def followed(**truth: Box) -> Stage:
    stage = Stage("track")
    stage.record({1: LEFT, 2: RIGHT})
    stage.keyframe({1: LEFT, 2: RIGHT})
    stage.events()
    return stage


def job_of(stage: Stage) -> KeyframeJob:
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    return job


def test_a_mask_that_leaves_its_box_begins_again_after_two_keyframes() -> None:
    stage = followed()
    asked = []
    for _ in range(DISAGREEMENTS + 1):
        stage.record({1: LEFT, 2: RIGHT})
        asked.append(dict(stage.keyframe({1: LOW, 2: RIGHT}))[1])
    assert asked == [Memory.GO_ON, Memory.GO_ON, Memory.START]
    assert stage.events() == [("re-prompted", 1)]


def test_one_keyframe_of_disagreement_is_forgiven() -> None:
    stage = followed()
    for mask in (LOW, LEFT, LOW, NEAR, LOW):
        stage.record({1: LEFT, 2: RIGHT})
        assert dict(stage.keyframe({1: mask, 2: RIGHT}))[1] is Memory.GO_ON
    assert stage.events() == []


def test_an_overlap_in_between_concludes_nothing() -> None:
    stage = followed()
    half: Box = (10, 10, 110, 90)
    for mask in (LOW, half, half, LOW):
        stage.record({1: LEFT, 2: RIGHT})
        stage.keyframe({1: mask, 2: RIGHT})
    assert stage.events() == [("re-prompted", 1)]


def test_an_empty_mask_on_a_box_that_is_seen_begins_again() -> None:
    stage = followed()
    for _ in range(2):
        stage.record({1: LEFT, 2: RIGHT})
        job = job_of(stage)
        placed = stage.camera.on_result(
            answer(job, lambda one: RIGHT if one.object_id == 2 else None), stage.now_s
        )
        assert placed.hide == (1,)
    assert stage.events() == [("re-prompted", 1)]


def test_a_beginning_that_does_not_help_is_tried_ever_less() -> None:
    stage = followed()
    for _ in range(100):
        stage.record({1: LEFT, 2: RIGHT})
        stage.keyframe({1: LOW, 2: RIGHT})
    assert 3 <= len(stage.events("re-prompted")) <= 6


def test_a_part_that_somebody_pointed_at_does_not_disagree() -> None:
    stage = followed()
    stage.camera.prompt(point_prompt((50, 50, 1)), 1, None, stage.now_s)
    shirt: Box = (40, 40, 70, 90)
    for _ in range(5):
        stage.record({1: LEFT, 2: RIGHT})
        stage.keyframe({1: shirt, 2: RIGHT})
    assert stage.events("re-prompted") == []
    for _ in range(3):
        stage.record({1: LEFT, 2: RIGHT})
        stage.keyframe({1: LOW, 2: RIGHT})
    assert stage.events("re-prompted") == [("re-prompted", 1)]


def test_the_published_box_is_drawn_towards_a_fresh_sure_mask() -> None:
    stage = followed()
    stage.record({1: LEFT, 2: RIGHT})
    stage.keyframe({1: NEAR, 2: LOW})
    boxes = stage.camera.objects(stage.tracks).boxes_xyxy
    assert boxes[0] == pytest.approx([19, 19, 101, 201])
    assert boxes[1].tolist() == list(RIGHT), "a mask that disagrees draws nothing"
    stage.record({1: (60, 10, 160, 210), 2: RIGHT}, pass_s=0.5)
    assert stage.camera.objects(stage.tracks).boxes_xyxy[0] == pytest.approx([64.5, 14.5, 155.5, 205.5])
    assert stage.camera.named(stage.tracks).boxes_xyxy[0].tolist() == [60, 10, 160, 210]
    stage.record({1: LEFT, 2: RIGHT}, pass_s=1.0)
    assert stage.camera.objects(stage.tracks).boxes_xyxy[0].tolist() == list(LEFT)


def test_without_a_track_the_object_goes_on_with_its_mask() -> None:
    stage = followed()
    stage.record({2: RIGHT})
    assert stage.ids() == [2, 1]
    moved: Box = (30, 10, 130, 210)
    for _ in range(60):
        stage.record({2: RIGHT})
        stage.keyframe({1: moved, 2: RIGHT})
    assert stage.ids() == [2, 1]
    assert stage.camera.objects(stage.tracks).boxes_xyxy[1].tolist() == list(moved)
    assert stage.camera.alone_ids() == (1,)
    assert stage.camera.objects(stage.tracks, {1: np.array(LOW, np.float32)}).boxes_xyxy[1].tolist() == list(
        LOW
    )
    assert stage.events() == []


def test_a_track_that_starts_on_an_object_is_that_object_for_ever() -> None:
    stage = Stage("track")
    stage.record({2: RIGHT})
    own = stage.camera.prompt(box_prompt(*LEFT), None, None, stage.now_s)
    assert own == FIRST_OWN_ID
    assert stage.keyframe({own: LEFT, 2: RIGHT}) == [(own, Memory.START), (2, Memory.START)]
    assert stage.record({2: RIGHT}) == [2, own]
    assert stage.record({2: RIGHT, 9: NEAR}) == [2, own]
    assert stage.keyframe({own: LEFT, 2: RIGHT})[0] == (own, Memory.GO_ON)
    stage.camera.remove(own, stage.now_s)
    assert stage.record({9: NEAR}) == [own, 2]


def test_a_track_of_another_class_must_lie_closer() -> None:
    stage = Stage("track")
    stage.record({1: LEFT})
    stage.keyframe({1: LEFT})
    stage.record({})
    stage.keyframe({1: LEFT})
    half: Box = (10, 10, 110, 130)
    assert stage.record({5: half}, classes={5: 3}) == [5, 1]
    assert stage.record({5: half, 6: NEAR}, classes={5: 3}) == [5, 1]


def test_what_is_pointed_at_before_the_mask_is_known_joins_by_its_mask() -> None:
    """A click has no box; the track that starts there meanwhile gets an object of its own, until masks coincide."""
    stage = Stage("track")
    stage.record({})
    own = stage.camera.prompt(point_prompt((60, 100, 1)), None, None, stage.now_s)
    stage.record({7: LEFT})
    assert stage.ids() == [7]
    stage.keyframe({own: LEFT, 7: LEFT})
    assert stage.ids() == [own]
    assert stage.camera.drain_renamed() == ((7, own),)
    assert stage.camera.drain_gone() == (7,)
    assert stage.record({7: LEFT}) == [own]


def test_a_mask_that_falls_on_another_object_is_lost_not_that_object() -> None:
    stage = followed()
    for _ in range(40):
        stage.record({2: RIGHT})
        stage.keyframe({1: LEFT, 2: RIGHT})
    stage.record({2: RIGHT})
    stage.keyframe({1: RIGHT, 2: RIGHT})
    assert stage.ids() == [2]
    assert stage.events() == [("lost", 1)]


def test_of_two_tracks_with_one_mask_the_less_sure_begins_again() -> None:
    stage = followed()
    stage.record({1: LEFT, 2: RIGHT})
    job = job_of(stage)
    masks = tuple(
        mask_of(one.object_id, RIGHT, confidence=0.6 if one.object_id == 1 else 0.9) for one in job.requests
    )
    stage.camera.on_result(KeyframeResult("door", job.frame_seq, masks), stage.now_s)
    assert stage.events() == [("re-prompted", 1)]
    stage.record({1: LEFT, 2: RIGHT})
    assert dict(stage.keyframe({1: LEFT, 2: RIGHT})) == {1: Memory.START, 2: Memory.GO_ON}


def test_of_two_prompts_on_one_thing_the_older_stays() -> None:
    stage = Stage("prompt")
    stage.record({})
    first = stage.camera.prompt(point_prompt((60, 60, 1)), None, None, stage.now_s)
    stage.record({})
    second = stage.camera.prompt(point_prompt((90, 180, 1)), None, None, stage.now_s)
    stage.keyframe({first: LEFT, second: LEFT})
    assert stage.ids() == [first]
    assert ("removed", second) in stage.events()


def test_a_number_that_the_tracker_takes_up_again_never_stands_twice() -> None:
    stage = followed()
    for _ in range(3):
        stage.record({2: RIGHT})
        stage.keyframe({1: LEFT, 2: RIGHT})
    assert stage.record({2: RIGHT, 8: LEFT}) == [2, 1]
    assert stage.record({1: LOW, 2: RIGHT, 8: LEFT}) == [FIRST_OWN_ID, 2, 1]
    assert stage.record({1: LOW, 2: RIGHT, 8: LEFT}) == [FIRST_OWN_ID, 2, 1]


def test_an_object_with_nan_is_left_alone_and_the_others_go_on() -> None:
    stage = followed()
    stage.record({1: LEFT, 2: RIGHT})
    job = job_of(stage)
    masks = tuple(
        mask_of(one.object_id, RIGHT, failure="the mask decoder gave NaN" if one.object_id == 1 else "")
        for one in job.requests
    )
    placed = stage.camera.on_result(KeyframeResult("door", job.frame_seq, masks), stage.now_s)
    assert [mask.object_id for mask in placed.place] == [2]
    assert stage.events() == [("frozen", 1)]
    stage.record({1: LEFT, 2: RIGHT})
    assert stage.keyframe({2: RIGHT}) == [(2, Memory.GO_ON)]
    stage.record({1: LEFT, 2: RIGHT}, pass_s=1.5)
    assert dict(stage.keyframe({1: LEFT, 2: RIGHT}))[1] is Memory.GO_ON
    assert stage.camera.requests.failed == 1


def test_what_keeps_failing_begins_again_or_goes() -> None:
    stage = followed()
    own = stage.camera.prompt(box_prompt(*LOW), None, None, stage.now_s)
    for _ in range(3):
        stage.record({1: LEFT}, pass_s=40.0)
        job = job_of(stage)
        masks = tuple(mask_of(one.object_id, LEFT, failure="NaN") for one in job.requests)
        stage.camera.on_result(KeyframeResult("door", job.frame_seq, masks), stage.now_s)
    assert own not in stage.camera.object_ids()
    stage.record({1: LEFT}, pass_s=40.0)
    assert stage.keyframe({1: LEFT}) == [(1, Memory.START)]


def test_more_tracks_than_places_get_masks_without_memory_and_push_nobody_out() -> None:
    stage = Stage("track", seats=Seats(2))
    rows: dict[int, Box] = {number: (100.0 * number, 10, 100.0 * number + 60, 90) for number in range(1, 6)}
    for _ in range(5):
        stage.record(rows)
        asked = dict(stage.keyframe(rows))
    assert sorted(asked.values()) == [Memory.GO_ON] * 2 + [Memory.NONE] * 3
    assert stage.events("evicted") == []
    del rows[1], rows[2]
    for _ in range(3):
        stage.record(rows)
        stage.keyframe(rows)
    assert sorted(dict(stage.keyframe(rows)).values()) == []
    assert len(stage.seats) == 2
    assert {number for kind, number in stage.events("lost", "evicted") if kind == "evicted"} == {1, 2}


def test_an_object_of_another_camera_gives_way_to_a_prompt() -> None:
    seats = Seats(1)
    first, second = Stage("track", seats=seats), Stage("prompt", seats=seats)
    first.record({1: LEFT})
    first.keyframe({1: LEFT})
    second.record({4: RIGHT})
    assert second.camera.prompt(box_prompt(*RIGHT), None, None, second.now_s) == 4
    # Both stages are called the same; what counts is that the place has gone over.
    assert len(seats) == 1
    job = job_of(second)
    assert job.given_back() == (("door", 1),)
    second.camera.cancel(job, second.now_s)
    second.record({4: RIGHT})
    assert job_of(second).given_back() == (("door", 1),)


def test_who_insists_takes_the_place_of_one_that_was_to_go_on_in_the_same_keyframe() -> None:
    stage = Stage("track", seats=Seats(1))
    stage.record({1: LEFT})
    stage.keyframe({1: LEFT})
    stage.record({1: LEFT, 2: RIGHT})
    stage.camera.protect(2, stage.now_s)
    assert stage.keyframe({1: LEFT, 2: RIGHT}) == [(2, Memory.START)]
    stage.record({1: LEFT, 2: RIGHT})
    assert stage.keyframe({1: LEFT, 2: RIGHT}) == [(2, Memory.GO_ON), (1, Memory.NONE)]


def test_a_beginning_that_was_not_remembered_is_made_again() -> None:
    stage = Stage("track")
    stage.record({1: LEFT})
    job = job_of(stage)
    stage.camera.on_result(
        KeyframeResult("door", job.frame_seq, (mask_of(1, LEFT, remembered=False),)), stage.now_s
    )
    stage.record({1: LEFT})
    assert stage.keyframe({1: LEFT}) == [(1, Memory.START)]


def test_what_has_neither_track_nor_memory_is_forgotten() -> None:
    stage = Stage("boxes")
    stage.record({1: LEFT, 2: RIGHT})
    stage.keyframe({1: LEFT, 2: RIGHT})
    stage.record({2: RIGHT})
    assert stage.camera.object_ids() == (1, 2), "a track may be back at once"
    stage.record({2: RIGHT}, pass_s=1.5)
    assert stage.camera.object_ids() == (2,)
    assert stage.camera.drain_gone() == (1,)


def test_another_picture_size_takes_masks_along() -> None:
    stage = followed()
    stage.record({2: RIGHT})
    stage.keyframe({1: LEFT, 2: RIGHT})
    stage.camera.on_tracks(tracks_of({}), meta_of(stage.seq + 1, 320, 240), stage.now_s)
    rows = stage.camera.objects(tracks_of({}))
    assert rows.track_ids.tolist() == [1, 2]
    assert rows.boxes_xyxy.tolist() == [[5, 5, 55, 105], [200, 50, 250, 150]]


def test_an_evicted_object_with_a_track_goes_on_without_memory() -> None:
    stage = followed()
    stage.record({1: LEFT, 2: RIGHT})
    job = job_of(stage)
    done = answer(job, lambda one: LEFT if one.object_id == 1 else RIGHT)
    stage.camera.on_result(KeyframeResult("door", job.frame_seq, done.masks, evicted=(2,)), stage.now_s)
    assert stage.events() == [("evicted", 2)]
    assert stage.record({1: LEFT, 2: RIGHT}) == [1, 2]


def test_a_job_that_was_not_run_is_asked_again() -> None:
    stage = followed()
    own = stage.camera.prompt(box_prompt(*LOW), None, None, stage.now_s)
    stage.camera.remove(2, stage.now_s)
    stage.record({1: LEFT, 2: RIGHT})
    before = job_of(stage)
    stage.camera.cancel(before, stage.now_s)
    stage.record({1: LEFT, 2: RIGHT})
    again = job_of(stage)
    assert [(one.object_id, one.memory) for one in again.requests] == [(own, Memory.START), (1, Memory.GO_ON)]
    assert again.forget == before.forget == (2,)
    assert stage.camera.requests.cancelled == 2


def test_an_answer_to_an_object_that_has_gone_meanwhile_changes_nothing() -> None:
    stage = followed()
    stage.record({1: LEFT, 2: RIGHT})
    job = job_of(stage)
    stage.camera.remove(1, stage.now_s)
    placed = stage.camera.on_result(answer(job, lambda _: RIGHT), stage.now_s)
    assert [mask.object_id for mask in placed.place] == [2]
    assert stage.camera.requests.orphaned == 1
    assert stage.camera.drain_gone() == (1,)


def test_detector_masks_are_handed_over_under_their_objects_ids() -> None:
    stage = Stage("boxes", rules=CameraRules(detector_masks=True, labels=("a", "b"), classes=("a",)))
    grids = [np.ones((4, 4), np.bool_), np.ones((4, 4), np.bool_), np.zeros((0, 0), np.bool_)]
    rows = tracks_of({1: LEFT, 2: RIGHT, 3: LOW}, {2: 1})
    tracks = replace(rows, masks=Masks.of_grids(rows.boxes_xyxy, grids))
    stage.camera.on_tracks(tracks, meta_of(1), 1.0)
    masks = stage.camera.detector_masks(tracks)
    assert [(mask.object_id, mask.source.name, mask.confidence) for mask in masks] == [(1, "DETECTOR", 1.0)]
    assert masks[0].rect_xyxy.tolist() == list(LEFT)


def test_pointers_of_the_scenario_differ() -> None:
    a, b = pointer(1), pointer(2)
    assert abs(float(a @ b)) < 0.3 * float(np.linalg.norm(a) * np.linalg.norm(b))
