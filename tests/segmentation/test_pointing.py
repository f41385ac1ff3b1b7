"""Prompts: what they mean, what they may not be, and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.errors import PromptError
from engine.segmentation.identities import FIRST_OWN_ID
from engine.segmentation.jobs import Memory
from engine.segmentation.order import Allowance
from engine.segmentation.pointing import joined
from engine.segmentation.seats import Seats
from engine.types import MaskSource, Prompt
from tests.segmentation.scenario import (
    ALL,
    HEIGHT,
    WIDTH,
    Box,
    Stage,
    answer,
    box,
    box_prompt,
    meta_of,
    point_prompt,
    tracks_of,
)  # fmt: skip

BUS: Box = (100, 50, 500, 350)
MAN: Box = (150, 200, 220, 340)
FREE: Box = (540, 380, 620, 470)
NAN = float("nan")


def mask_prompt(*edges: int, height: int = HEIGHT, width: int = WIDTH) -> Prompt:
    mask = np.zeros((height, width), np.bool_)
    left, top, right, bottom = edges
    mask[top:bottom, left:right] = True
    return Prompt(mask_hw=mask)


def stage_of(mode: str = "track", places: int = 8) -> Stage:
    stage = Stage(mode, seats=Seats(places))
    stage.record({1: BUS, 2: MAN})
    return stage


@pytest.mark.parametrize(
    ("prompt", "object_id"),
    [
        (point_prompt((160, 210, 1)), 2),
        (point_prompt((400, 100, 1)), 1),
        (point_prompt((160, 210, 1), (400, 100, 1)), 1),
        (point_prompt((160, 210, 1), (400, 100, 0)), 2),
        (box_prompt(145, 195, 225, 345), 2),
        (mask_prompt(150, 200, 220, 340), 2),
        (box_prompt(*FREE), FIRST_OWN_ID),
        (point_prompt((600, 400, 1)), FIRST_OWN_ID),
        (mask_prompt(540, 380, 620, 470), FIRST_OWN_ID),
    ],
)
def test_a_prompt_on_a_track_is_that_track(prompt: Prompt, object_id: int) -> None:
    stage = stage_of("prompt")
    assert stage.camera.prompt(prompt, None, None, stage.now_s) == object_id
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    assert [(one.object_id, one.memory, one.source) for one in job.requests] == [
        (object_id, Memory.START, MaskSource.PROMPT)
    ]


BAD: list[tuple[Callable[[], Prompt], str]] = [
    (lambda: point_prompt((700, 10, 1)), r"point \(700, 10\) is outside the picture of 640 × 480 pixels"),
    (lambda: point_prompt((NAN, 10, 1)), "not a number"),
    (lambda: point_prompt((10, 10, 0)), "where the object is not"),
    (lambda: point_prompt((10, 10, 7)), "labels of points"),
    (lambda: box_prompt(10, 10, 10, 50), "has no area"),
    (lambda: box_prompt(50, 10, 10, 50), "has no area"),
    (lambda: box_prompt(NAN, 10, 10, 50), "not a number"),
    (lambda: box_prompt(650, 10, 700, 50), "outside the picture"),
    (lambda: box_prompt(-50, 10, -10, 50), "outside the picture"),
    (lambda: mask_prompt(0, 0, 0, 0), "the mask is empty"),
    (lambda: mask_prompt(0, 0, WIDTH, HEIGHT), "covers 100 %"),
    (lambda: mask_prompt(0, 0, 9, 9, width=320), "320 × 480"),
]


@pytest.mark.parametrize(("make", "says"), BAD)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(make: Callable[[], Prompt], says: str) -> None:
    stage = stage_of("prompt")
    with pytest.raises(PromptError, match=says) as refused:
        stage.camera.prompt(make(), None, None, stage.now_s)
    assert "\n" not in str(refused.value)
    assert stage.camera.object_ids() == ()
    assert len(stage.seats) == 0
    assert stage.events() == []


def test_an_object_that_left_is_named_with_those_there_are() -> None:
    stage = stage_of()
    act: list[Callable[[], object]] = [
        lambda: stage.camera.prompt(box_prompt(*MAN), 9, None, stage.now_s),
        lambda: stage.camera.remove(9, stage.now_s),
        lambda: stage.camera.protect(9, stage.now_s),
    ]
    for call in act:
        with pytest.raises(
            PromptError, match="no object 9 on door: it has left or never was; there are 1, 2"
        ):
            call()


@pytest.mark.parametrize(("mode", "says"), [("off", "segmentation is off"), ("boxes", "remembers nothing")])
def test_modes_without_memory_take_no_prompts(mode: str, says: str) -> None:
    stage = stage_of(mode)
    with pytest.raises(PromptError, match=f"{says}.*switch it to `prompt` or `track` first"):
        stage.camera.prompt(box_prompt(*MAN), None, None, stage.now_s)


def test_before_the_first_picture() -> None:
    stage = Stage("prompt")
    with pytest.raises(PromptError, match="no picture of door has come yet"):
        stage.camera.prompt(box_prompt(*MAN), None, None, 0.0)


def test_more_objects_than_places() -> None:
    stage = stage_of("prompt", places=2)
    first = stage.camera.prompt(box_prompt(*FREE), None, None, stage.now_s)
    second = stage.camera.prompt(box_prompt(10, 380, 90, 470), None, None, stage.now_s)
    with pytest.raises(PromptError, match=r"all 2 places .* are protected"):
        stage.camera.prompt(box_prompt(300, 380, 390, 470), None, None, stage.now_s)
    assert stage.camera.object_ids() == (first, second)
    stage.camera.protect(first, stage.now_s, protected=False)
    third = stage.camera.prompt(box_prompt(300, 380, 390, 470), None, None, stage.now_s)
    assert stage.camera.object_ids() == (second, third)
    assert ("evicted", first) in stage.events()
    assert len(stage.seats) == 2


def test_refining_keeps_the_memory_and_the_others() -> None:
    stage = stage_of()
    stage.keyframe({1: BUS, 2: MAN})
    stage.record({1: BUS, 2: MAN})
    assert stage.camera.prompt(point_prompt((300, 300, 0)), 1, None, stage.now_s) == 1
    assert stage.keyframe({1: BUS, 2: MAN}) == [(1, Memory.REFINE), (2, Memory.GO_ON)]


def test_two_clicks_before_a_keyframe_are_one_prompt() -> None:
    stage = stage_of("prompt")
    stage.camera.prompt(point_prompt((160, 210, 1)), None, None, stage.now_s)
    stage.camera.prompt(point_prompt((400, 100, 0)), 2, None, stage.now_s)
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    assert job.requests[0].prompt is not None
    assert job.requests[0].prompt.labels.tolist() == [1, 0]
    with pytest.raises(PromptError, match="has not been taken over yet"):
        joined(mask_prompt(0, 0, 9, 9), point_prompt((1, 1, 1)))


def test_a_prompt_goes_with_its_object_to_the_keyframe() -> None:
    """Somebody clicks on a picture that is half a second old; the object has gone on since."""
    stage = Stage("prompt")
    for step in range(12):
        stage.record({1: (100 + 10 * step, 100, 140 + 10 * step, 180)})
    stage.camera.prompt(point_prompt((120, 140, 1)), None, 1, stage.now_s)
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    assert job.requests[0].object_id == 1
    assert job.requests[0].prompt is not None
    assert job.requests[0].prompt.points_xy.tolist() == [[230.0, 140.0]]


def test_a_prompt_has_a_keyframe_of_its_own_but_not_two_running() -> None:
    stage = stage_of()
    stage.keyframe({1: BUS, 2: MAN})
    some = Allowance(10.0, ALL.costs)
    asked = []
    for _ in range(4):
        stage.record({1: BUS, 2: MAN})
        stage.camera.prompt(point_prompt((160, 210, 1)), 2, None, stage.now_s)
        asked.append(len(stage.keyframe({1: BUS, 2: MAN}, some)))
    assert asked == [1, 2, 1, 2]


def test_removing_touches_no_other_and_lasts() -> None:
    stage = stage_of()
    stage.keyframe({1: BUS, 2: MAN})
    stage.camera.remove(2, stage.now_s)
    assert stage.camera.object_ids() == (1,)
    for _ in range(3):
        assert stage.record({1: BUS, 2: MAN}) == [1, 2], "the track is still there, under its ID"
        job = stage.camera.plan(stage.now_s, ALL)
        assert job is not None
        assert [one.object_id for one in job.requests] == [1]
        stage.camera.on_result(answer(job, lambda _: BUS), stage.now_s)
    assert stage.camera.prompt(box_prompt(*MAN), None, None, stage.now_s) == 2


def test_a_prompt_that_finds_nothing_is_said_and_gone() -> None:
    stage = stage_of("prompt")
    number = stage.camera.prompt(point_prompt((600, 400, 1)), None, None, stage.now_s)
    stage.keyframe({})
    assert stage.events() == [("added", number), ("removed", number)]
    assert stage.camera.object_ids() == ()


def test_another_picture_size_takes_prompts_and_boxes_along() -> None:
    stage = stage_of("prompt")
    number = stage.camera.prompt(point_prompt((600, 400, 1)), None, None, stage.now_s)
    stage.seq += 1
    stage.camera.on_tracks(tracks_of({}), meta_of(stage.seq, 320, 240), stage.now_s)
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    assert job.requests[0].prompt is not None
    assert job.requests[0].prompt.points_xy.tolist() == [[300.0, 200.0]]
    assert job.requests[0].object_id == number
    stage.camera.on_result(answer(job, lambda _: (270, 190, 310, 235)), stage.now_s)
    assert stage.camera.objects(tracks_of({})).boxes_xyxy.tolist() == [box(270, 190, 310, 235).tolist()]
