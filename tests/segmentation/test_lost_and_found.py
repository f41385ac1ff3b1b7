"""Objects that go out of sight are kept, looked for, and have the same ID when they are back."""

from __future__ import annotations

import numpy as np
import pytest

from engine.segmentation.identities import FIRST_OWN_ID
from engine.segmentation.jobs import KeyframeResult, Memory
from engine.segmentation.planning import LOOK_EVERY_S
from engine.segmentation.scene import CameraRules
from engine.types import F32
from tests.segmentation.scenario import ALL, Box, Stage, box_prompt, mask_of, pointer

LEFT: Box = (10, 10, 110, 210)
RIGHT: Box = (400, 100, 500, 300)
LOW: Box = (200, 380, 260, 460)


def lost(mode: str = "track", lost_s: float = 30.0, classes: dict[int, int] | None = None) -> Stage:
    """Object 1 has been followed and has gone; object 2 is there all the time."""
    stage = Stage(mode, rules=CameraRules(lost_s=lost_s))
    stage.record({1: LEFT, 2: RIGHT}, classes)
    if mode == "prompt":
        stage.camera.prompt(box_prompt(*LEFT), None, None, stage.now_s)
        stage.camera.prompt(box_prompt(*RIGHT), None, None, stage.now_s)
    stage.keyframe({1: LEFT, 2: RIGHT})
    for _ in range(3):
        stage.record({2: RIGHT}, classes)
        stage.keyframe({2: RIGHT})
    assert stage.events("lost") == [("lost", 1)]
    return stage


def test_a_lost_object_is_not_shown_and_is_looked_for_now_and_then() -> None:
    stage = lost()
    looks = 0
    for _ in range(50):
        assert stage.record({2: RIGHT}, pass_s=0.2) == [2]
        looks += (1, Memory.LOOK) in stage.keyframe({2: RIGHT})
    assert 10 / LOOK_EVERY_S - 1 <= looks <= 10 / LOOK_EVERY_S + 1


def test_its_own_track_brings_it_back() -> None:
    stage = lost()
    assert stage.record({1: LOW, 2: RIGHT}) == [1, 2]
    assert dict(stage.keyframe({1: LOW, 2: RIGHT}))[1] is Memory.GO_ON
    assert stage.events() == [("found", 1)]


@pytest.mark.parametrize("mode", ["track", "prompt"])
def test_a_new_track_where_its_memory_shows_it_is_the_same_object(mode: str) -> None:
    stage = lost(mode)
    before = stage.now_s
    assert stage.record({2: RIGHT, 5: LOW}) == [2, 5]
    stage.keyframe({1: LOW, 2: RIGHT, 5: LOW}) if mode == "prompt" else same(stage, pointer(1))
    assert stage.now_s - before < LOOK_EVERY_S, "not waited for"
    assert stage.record({2: RIGHT, 5: LOW}) == [2, 1]
    assert ("found", 1) in stage.events()
    assert (5, 1) in stage.camera.drain_renamed()
    assert dict(stage.keyframe({1: LOW, 2: RIGHT}))[1] is Memory.GO_ON


def same(stage: Stage, of_new: F32) -> None:
    """A keyframe on which the lost object's memory falls on track 5, whose own pointer is `of_new`."""
    job = stage.camera.plan(stage.now_s, ALL)
    assert job is not None
    assert {(one.object_id, one.memory) for one in job.requests} >= {(1, Memory.LOOK), (5, Memory.START)}
    places = {1: LOW, 2: RIGHT, 5: LOW}
    masks = tuple(
        mask_of(
            one.object_id, places[one.object_id], pointer=of_new if one.object_id == 5 else pointer(one.object_id),
            remembered=one.memory is not Memory.LOOK,
        )
        for one in job.requests
    )  # fmt: skip
    stage.camera.on_result(KeyframeResult("door", job.frame_seq, masks), stage.now_s)


def test_who_looks_like_another_is_another() -> None:
    stage = lost()
    stage.record({2: RIGHT, 5: LOW})
    same(stage, pointer(99))
    assert stage.record({2: RIGHT, 5: LOW}) == [2, 5]
    assert stage.events("found") == []


def test_a_track_of_another_class_is_another() -> None:
    stage = lost()
    stage.record({2: RIGHT, 5: LOW}, {5: 3})
    stage.now_s += LOOK_EVERY_S
    stage.record({2: RIGHT, 5: LOW}, {5: 3})
    same(stage, pointer(1))
    assert stage.record({2: RIGHT, 5: LOW}, {5: 3}) == [2, 5]


def test_an_old_track_is_never_taken_for_the_lost_object() -> None:
    stage = lost()
    stage.record({2: RIGHT}, pass_s=LOOK_EVERY_S)
    assert (1, Memory.LOOK) in stage.keyframe({1: RIGHT, 2: RIGHT})
    assert stage.record({2: RIGHT}) == [2]
    assert stage.events("found") == []


def test_its_memory_alone_brings_it_back_where_nothing_else_is() -> None:
    stage = lost()
    stage.record({2: RIGHT}, pass_s=LOOK_EVERY_S)
    assert (1, Memory.LOOK) in stage.keyframe({1: LOW, 2: RIGHT})
    assert stage.record({2: RIGHT}) == [2, 1]
    assert stage.events() == [("found", 1)]


def test_what_stays_lost_is_given_up() -> None:
    stage = lost(lost_s=3.0)
    for _ in range(20):
        stage.record({2: RIGHT}, pass_s=0.2)
        stage.keyframe({2: RIGHT})
    assert stage.camera.object_ids() == (2,)
    assert stage.events() == [("removed", 1)]
    assert len(stage.seats) == 1
    assert stage.record({1: LEFT, 2: RIGHT}) == [1, 2], "the tracker still knows it"


def test_a_prompted_object_keeps_its_own_id_when_it_comes_back() -> None:
    stage = Stage("prompt")
    stage.record({})
    own = stage.camera.prompt(box_prompt(*LEFT), None, None, stage.now_s)
    stage.keyframe({own: LEFT})
    stage.record({})
    stage.keyframe({})
    assert stage.record({}) == []
    stage.record({3: LOW})
    stage.keyframe({own: LOW})
    assert stage.record({3: LOW}) == [own == FIRST_OWN_ID and own]


def test_state_survives_a_restart() -> None:
    stage = Stage("prompt")
    stage.record({1: LEFT, 2: RIGHT})
    own = stage.camera.prompt(box_prompt(*LOW), None, None, stage.now_s)
    stage.camera.prompt(box_prompt(*RIGHT), None, None, stage.now_s)
    stage.keyframe({own: LOW, 2: RIGHT})
    stage.record({1: LEFT, 2: RIGHT, 6: LOW})
    told = stage.camera.state()
    after = Stage("off")
    after.camera.restore(told, 0.0)
    assert after.camera.mode == "prompt"
    assert after.record({1: LEFT, 2: RIGHT, 6: LOW}) == [1, 2, own]
    assert dict(after.keyframe({own: LOW, 2: RIGHT})) == {own: Memory.START, 2: Memory.START}
    assert after.camera.prompt(box_prompt(300, 10, 380, 60), None, None, after.now_s) == own + 1
    assert after.camera.to_dict()["protected"] == [2, own, own + 1]


def test_state_is_plain_and_small() -> None:
    import json

    stage = Stage("track")
    for number in range(300):
        stage.record({number + 1: LEFT})
    stage.camera.protect(300, stage.now_s)
    text = json.dumps(stage.camera.state())
    assert len(text) < 8192
    assert json.loads(text) == stage.camera.state()


def test_an_empty_state_changes_nothing() -> None:
    stage = Stage("track")
    stage.camera.restore({}, 0.0)
    assert stage.camera.mode == "track"
    assert np.array(stage.record({4: LEFT})).tolist() == [4]
