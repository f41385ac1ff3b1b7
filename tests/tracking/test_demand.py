"""Who is worth a look: someone new, someone who could be somebody else, and now and then everybody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from engine.tracking.demand import Demand, DemandSettings, Need, Wanted
from engine.tracking.settings import TrackerSettings
from engine.types import Detections

PERSON, DOG = 0, 1
SETTINGS = DemandSettings.of(TrackerSettings(), [PERSON], refresh_frames=10)
Box = tuple[float, float, float, float]


def person(x: float, y: float = 100.0, width: float = 40.0, height: float = 100.0) -> Box:
    return (x, y, x + width, y + height)


def found(*boxes: Box, scores: float | Iterable[float] = 0.9, class_id: int = PERSON) -> Detections:
    count = len(boxes)
    values = np.full(count, scores) if isinstance(scores, float) else np.array(list(scores))
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4), values.astype(np.float32), np.full(count, class_id, np.int32)
    )  # fmt: skip


def look(demand: Demand, detections: Detections) -> dict[int, Need]:
    """Needs by row of the next frame; everything that is wanted is granted."""
    wanted = demand.wanted(detections)
    demand.granted(wanted.rows)
    return needs(wanted)


def needs(wanted: Wanted) -> dict[int, Need]:
    return {row: Need(need) for row, need in zip(wanted.rows.tolist(), wanted.needs.tolist(), strict=True)}


def settled(*boxes: Box) -> Demand:
    """Somebody at each of these places for so long that nobody is new any more."""
    demand = Demand(SETTINGS)
    for _ in range(4):
        look(demand, found(*boxes))
    return demand


def test_someone_new_is_looked_at_in_the_first_frames_and_then_left_alone() -> None:
    demand = Demand(SETTINGS)
    seen = [look(demand, found(person(100 + 4 * frame))) for frame in range(9)]
    assert seen == [{0: Need.NEW}] * 3 + [{}] * 6


def test_after_so_many_frames_there_is_a_look_to_refresh() -> None:
    demand = Demand(SETTINGS)
    wanted_in = [frame for frame in range(40) if look(demand, found(person(100 + 4 * frame)))]
    assert wanted_in == [0, 1, 2, 12, 22, 32]
    every = Demand(replace(SETTINGS, refresh_frames=1))
    assert all(look(every, found(person(100), person(125))) for _ in range(20))


def test_one_frame_apart_covers_are_no_reason_to_skip_a_look_at_everything() -> None:
    demand = Demand(replace(SETTINGS, refresh_frames=1))
    for _ in range(12):
        assert set(look(demand, found(person(100), person(118)))) == {0, 1}


def test_what_the_budget_left_out_stays_in_need() -> None:
    demand = Demand(SETTINGS)
    for _ in range(5):
        assert needs(demand.wanted(found(person(100)))) == {0: Need.NEW}
    seen = [look(demand, found(person(100))) for _ in range(4)]
    assert seen == [{0: Need.NEW}] * 3 + [{}]


def test_far_from_everybody_else_nothing_is_unclear() -> None:
    demand = settled(person(100), person(300), person(500))
    for frame in range(5):
        assert look(demand, found(person(100 + 5 * frame), person(300), person(500 - 5 * frame))) == {}


def test_two_who_could_have_changed_places_are_looked_at() -> None:
    demand = settled(person(100), person(140))
    assert look(demand, found(person(118), person(124))) == {0: Need.AMBIGUOUS, 1: Need.AMBIGUOUS}


def test_two_boxes_where_one_was_and_one_where_two_were_are_unclear() -> None:
    one, two = settled(person(100)), settled(person(100), person(136))
    assert look(one, found(person(86), person(113)))[1] == Need.AMBIGUOUS
    assert look(two, found(person(119))) == {0: Need.AMBIGUOUS}


def test_a_look_to_refresh_waits_while_another_covers_it_but_not_for_ever() -> None:
    demand = settled(person(100), person(300))
    for _ in range(2):
        look(demand, found(person(100), person(300)))
    seen = [look(demand, found(person(100), person(120))) for _ in range(20)]
    waited = [frame for frame, rows in enumerate(seen) if 0 in rows]
    assert waited[0] == 15 and seen[15][0] == Need.REFRESH, "19 frames after the last look, in frame 2"


def test_two_side_by_side_who_stay_where_they_are_are_not() -> None:
    demand = settled(person(100), person(125))
    for _ in range(5):
        assert look(demand, found(person(100), person(125))) == {}


def test_one_who_comes_out_from_behind_another_is_looked_at() -> None:
    """Two meet, one box is left, then there are two again."""
    demand = settled(person(100), person(200))
    steps = [(100, 185), (100, 170), (100, 155), (100, 140), (100, 128)]
    for left, right in steps:
        look(demand, found(person(left), person(right)))
    for _ in range(3):
        look(demand, found(person(100)))
    assert look(demand, found(person(100), person(70))).get(1) in (Need.NEW, Need.AMBIGUOUS)


def test_one_who_was_missed_for_a_frame_is_looked_at_again() -> None:
    demand = settled(person(100))
    assert look(demand, found()) == {}
    seen = [look(demand, found(person(102))) for _ in range(4)]
    assert seen == [{0: Need.AMBIGUOUS}] * 2 + [{}] * 2


def test_one_who_was_missed_for_long_is_new() -> None:
    demand = settled(person(100))
    for _ in range(SETTINGS.keep_frames + 1):
        look(demand, found())
    assert look(demand, found(person(102))) == {0: Need.NEW}


def test_who_stands_before_another_is_looked_at_when_the_two_part() -> None:
    demand = settled(person(100), person(200))
    look(demand, found(person(100), person(180)))
    look(demand, found(person(100), person(160)))
    while_covered = [look(demand, found(person(100), person(120))) for _ in range(3)]
    assert while_covered[1:] == [{}, {}], "a look would be of both"
    assert set(look(demand, found(person(100), person(141)))) == {0, 1}


def test_a_cut_makes_everybody_new() -> None:
    demand = settled(person(100), person(300))
    assert look(demand, found(person(600), person(800))) == {0: Need.NEW, 1: Need.NEW}
    demand.forget()
    assert look(demand, found(person(600), person(800))) == {0: Need.NEW, 1: Need.NEW}


def test_steady_motion_faster_than_its_own_width_is_one_chain() -> None:
    demand = Demand(SETTINGS)
    steps = [0, 20, 55, 105, 155, 205, 255]
    seen = [look(demand, found(person(100 + step))) for step in steps]
    assert seen[-3:] == [{}, {}, {}]


def test_only_boxes_that_are_not_hidden_by_half_are_looked_at() -> None:
    tracker = TrackerSettings(high_score=0.5, start_score=0.7)
    demand = Demand(DemandSettings.of(tracker, [PERSON], 10))
    scores = (0.37, 0.38, 0.05)
    assert look(demand, found(person(100), person(300), person(500), scores=scores)) == {1: Need.NEW}


def test_a_box_that_was_too_unsure_is_looked_at_when_it_is_sure() -> None:
    demand = Demand(SETTINGS)
    for _ in range(4):
        assert look(demand, found(person(100), scores=0.3)) == {}
    assert look(demand, found(person(100), scores=0.8)) == {0: Need.NEW}


def test_other_classes_and_tiny_boxes_are_not_looked_at() -> None:
    demand = Demand(SETTINGS)
    assert look(demand, found(person(100), class_id=DOG)) == {}
    assert look(demand, found(person(100, height=23.0), person(300, width=7.0))) == {}


def test_the_most_needed_come_first() -> None:
    demand = settled(person(100), person(140), person(900))
    for _ in range(8):
        look(demand, found(person(100), person(140), person(900)))
    wanted = demand.wanted(found(person(118), person(124), person(900), person(500)))
    assert wanted.needs.tolist() == sorted(wanted.needs.tolist())
    assert needs(wanted) == {0: Need.AMBIGUOUS, 1: Need.AMBIGUOUS, 2: Need.REFRESH, 3: Need.NEW}


def test_a_box_that_is_there_twice_is_one() -> None:
    demand = settled(person(100))
    assert look(demand, found(person(100), person(101), scores=(0.9, 0.8))) == {}


BAD: list[Box] = [
    (np.nan, 0, 10, 10), (0, 0, np.inf, 50), (-np.inf, 0, 5, 5), (50, 50, 50, 90), (90, 90, 50, 50), (0, 0, 3e38, 3e38),
    (1e-30, 1e-30, 2e-30, 2e-30),
]  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_boxes_that_are_none_are_passed_over() -> None:
    demand = Demand(SETTINGS)
    for _ in range(3):
        assert look(demand, found(*BAD, person(100))) == {len(BAD): Need.NEW}
        assert look(demand, found(person(100), scores=float("nan"))) == {}
        assert look(demand, found(person(100), scores=float("inf"))) == {}
    assert look(demand, found()) == {}


def test_thousands_of_boxes_are_followed_as_far_as_the_tracker_follows_them() -> None:
    random = np.random.default_rng(1)
    corners = random.uniform(0, 4000, (5000, 2))
    boxes = np.concatenate((corners, corners + random.uniform(30, 90, (5000, 2))), axis=1).astype(np.float32)
    demand = Demand(SETTINGS)
    for _ in range(12):
        moved = boxes + random.normal(0, 400, (5000, 1)).astype(np.float32)
        crowd = Detections(moved, random.uniform(0.5, 1, 5000).astype(np.float32), np.zeros(5000, np.int32))
        look(demand, crowd)
        assert len(demand) <= 3 * SETTINGS.most_boxes


def test_the_same_frames_give_the_same_answers() -> None:
    random = np.random.default_rng(2)
    frames = [found(*(person(*xy) for xy in random.uniform(0, 300, (12, 2)))) for _ in range(30)]
    answers = []
    for _ in range(2):
        demand = Demand(SETTINGS)
        answers.append([list(look(demand, frame).items()) for frame in frames])
    assert answers[0] == answers[1]
