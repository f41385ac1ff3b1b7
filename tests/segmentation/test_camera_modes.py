"""What each mode asks for, and what a switch keeps."""

from __future__ import annotations

import pytest

from engine.config.segment import SEGMENT_MODES
from engine.errors import PromptError
from engine.segmentation.identities import FIRST_OWN_ID
from engine.segmentation.jobs import KeyframeResult, Memory
from engine.segmentation.modes import Mode
from engine.segmentation.order import Allowance
from engine.segmentation.scene import CameraRules
from engine.segmentation.seats import Seats
from engine.types import MaskSource
from tests.segmentation.scenario import ALL, Box, Stage, answer, box_prompt, mask_of, point_prompt

LEFT: Box = (10, 10, 110, 210)
RIGHT: Box = (400, 100, 500, 300)
LOW: Box = (200, 380, 260, 460)


def test_modes_are_those_of_the_configuration() -> None:
    assert tuple(str(mode) for mode in Mode) == SEGMENT_MODES


def test_off_asks_for_nothing() -> None:
    stage = Stage("off")
    assert stage.record({1: LEFT}) == [1]
    assert not stage.camera.demand(stage.now_s).wants
    assert stage.keyframe({1: LEFT}) == []


def test_boxes_prompts_every_track_and_remembers_nothing() -> None:
    stage = Stage("boxes")
    stage.record({1: LEFT, -1: LOW, 2: RIGHT})
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    assert [(one.object_id, one.memory, one.source) for one in job.requests] == [
        (1, Memory.NONE, MaskSource.BOX), (2, Memory.NONE, MaskSource.BOX),
    ]  # fmt: skip
    assert job.requests[0].prompt is not None
    assert job.requests[0].prompt.box_xyxy is not None
    assert job.requests[0].prompt.box_xyxy.tolist() == list(LEFT)
    placed = stage.camera.on_result(answer(job, lambda one: {1: LEFT}.get(one.object_id)), stage.now_s)
    assert [mask.object_id for mask in placed.place] == [1]
    assert placed.hide == (2,)
    assert len(stage.seats) == 0


def test_a_frame_is_segmented_once() -> None:
    stage = Stage("boxes")
    stage.record({1: LEFT})
    assert stage.keyframe({1: LEFT})
    assert stage.keyframe({1: LEFT}) == []


def test_track_starts_from_the_box_and_goes_on_from_memory() -> None:
    stage = Stage("track")
    stage.record({1: LEFT})
    assert stage.keyframe({1: LEFT}) == [(1, Memory.START)]
    stage.record({1: LEFT, 2: RIGHT})
    assert sorted(stage.keyframe({1: LEFT, 2: RIGHT})) == [(1, Memory.GO_ON), (2, Memory.START)]
    assert stage.events("added") == [("added", 1), ("added", 2)]


def test_prompt_segments_only_what_somebody_points_at() -> None:
    stage = Stage("prompt")
    stage.record({1: LEFT, 2: RIGHT})
    assert stage.keyframe({}) == []
    stage.record({1: LEFT, 2: RIGHT})
    assert stage.camera.prompt(point_prompt((450, 200, 1)), None, None, stage.now_s) == 2
    assert stage.keyframe({2: RIGHT}) == [(2, Memory.START)]


def test_only_chosen_classes_are_segmented() -> None:
    stage = Stage("track", rules=CameraRules(labels=("person", "car"), classes=("car",)))
    stage.record({1: LEFT, 2: RIGHT}, classes={1: 0, 2: 1})
    assert stage.keyframe({2: RIGHT}) == [(2, Memory.START)]
    assert CameraRules(labels=("person",), classes=("boat",)).class_ids() == frozenset()


def test_auto_goes_through_the_whole_grid_and_follows_what_it_finds() -> None:
    stage = Stage("auto", rules=CameraRules(grid=4))
    points = set()
    budgeted = Allowance(0.1, ALL.costs)
    for _ in range(40):
        stage.record({1: LEFT})
        job = stage.camera.plan(stage.now_s, budgeted)
        assert job is not None
        assert job.automatic_points_xy is not None
        points |= {(float(x), float(y)) for x, y in job.automatic_points_xy}
        stage.camera.on_result(answer(job, lambda one: LEFT if one.object_id == 1 else None), stage.now_s)
    inside = {(80.0, 60.0), (80.0, 180.0)}
    assert len(points | inside) == 16
    assert stage.camera.to_dict()["grid_sweeps"] >= 1


def test_what_the_grid_finds_is_an_object_unless_it_is_known() -> None:
    stage = Stage("auto", rules=CameraRules(grid=4))
    stage.record({1: LEFT})
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    found = (
        mask_of(0, LEFT),
        mask_of(0, LOW),
        mask_of(0, (202, 381, 259, 459), confidence=0.95),
        mask_of(0, None),
    )
    done = answer(job, lambda _: LEFT)
    placed = stage.camera.on_result(KeyframeResult("door", job.frame_seq, (*done.masks, *found)), stage.now_s)
    assert [mask.object_id for mask in placed.place] == [1, FIRST_OWN_ID]
    assert stage.record({1: LEFT}) == [1, FIRST_OWN_ID]
    assert sorted(stage.keyframe({1: LEFT, FIRST_OWN_ID: LOW})) == [
        (1, Memory.GO_ON),
        (FIRST_OWN_ID, Memory.START),
    ]


def test_the_grid_finds_no_more_than_there_is_room_for() -> None:
    stage = Stage("auto", seats=Seats(1), rules=CameraRules(grid=2))
    stage.record({})
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    found = (mask_of(0, LEFT), mask_of(0, RIGHT))
    stage.camera.on_result(KeyframeResult("door", job.frame_seq, found), stage.now_s)
    assert len(stage.camera.object_ids()) == 1
    assert stage.camera.surplus == 1


def both(mode: str) -> Stage:
    """A tracked object, a tracked one that is protected, and one that only a prompt stands for."""
    stage = Stage("track")
    stage.record({1: LEFT, 2: RIGHT})
    stage.camera.protect(2, stage.now_s)
    assert stage.camera.prompt(box_prompt(*LOW), None, None, stage.now_s) == FIRST_OWN_ID
    everything = {1: LEFT, 2: RIGHT, FIRST_OWN_ID: LOW}
    stage.keyframe(everything)
    stage.record({1: LEFT, 2: RIGHT})
    stage.keyframe(everything)
    stage.camera.set_mode(mode, stage.now_s)
    return stage


@pytest.mark.parametrize(
    ("mode", "kept", "asked"),
    [
        ("off", (), []),
        ("boxes", (1, 2), [(2, Memory.NONE), (1, Memory.NONE)]),
        ("prompt", (2, FIRST_OWN_ID), [(2, Memory.GO_ON), (FIRST_OWN_ID, Memory.GO_ON)]),
        ("auto", (1, 2, FIRST_OWN_ID), [(2, Memory.GO_ON), (FIRST_OWN_ID, Memory.GO_ON), (1, Memory.GO_ON)]),
    ],
)
def test_a_switch_keeps_what_the_mode_can_keep(
    mode: str, kept: tuple[int, ...], asked: list[tuple[int, Memory]]
) -> None:
    stage = both(mode)
    assert stage.camera.object_ids() == kept
    stage.record({1: LEFT, 2: RIGHT})
    assert stage.camera.demand(stage.now_s).wants
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    assert [(one.object_id, one.memory) for one in job.requests] == asked
    remembers = {number for number, memory in asked if memory is Memory.GO_ON}
    assert set(job.forget) == {1, 2, FIRST_OWN_ID} - remembers
    assert len(stage.seats) == len(remembers)
    assert ("mode changed", 0) in stage.events()


def test_to_prompt_and_back_to_track_keeps_the_memory() -> None:
    stage = both("prompt")
    stage.camera.set_mode("track", stage.now_s)
    stage.record({1: LEFT, 2: RIGHT})
    assert stage.keyframe({1: LEFT, 2: RIGHT, FIRST_OWN_ID: LOW}) == [
        (2, Memory.GO_ON), (FIRST_OWN_ID, Memory.GO_ON), (1, Memory.START),
    ]  # fmt: skip


def test_ids_stay_through_off() -> None:
    stage = both("track")
    stage.record({1: LEFT, 2: RIGHT, 7: LOW})
    assert stage.ids() == [1, 2, FIRST_OWN_ID]
    stage.camera.set_mode("off", stage.now_s)
    assert stage.record({1: LEFT, 2: RIGHT, 7: LOW}) == [1, 2, FIRST_OWN_ID]


def test_the_detectors_own_masks() -> None:
    stage = Stage("boxes", rules=CameraRules(detector_masks=True))
    stage.record({1: LEFT})
    assert stage.camera.plan(stage.now_s, ALL) is None
    assert stage.camera.detector_masks(stage.tracks) == ()
    with pytest.raises(PromptError, match="needs a segmenter"):
        stage.camera.set_mode("track", stage.now_s)
    with pytest.raises(PromptError, match="detector"):
        stage.camera.prompt(box_prompt(*LOW), None, None, stage.now_s)


def test_an_unknown_mode_changes_nothing() -> None:
    stage = both("track")
    with pytest.raises(PromptError, match="use one of: off, boxes"):
        stage.camera.set_mode("magic", stage.now_s)
    assert stage.camera.mode == "track"
