"""One logical target per person, through changes of track IDs and bad sightings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptz.framing.targets import Target, Targets
from ptz.geometry import wrap_deg
from ptz.settings import TargetSettings
from ptz.types import Pose, Sightings
from tests.ptz.people import LENS, Person, sight

POSE = Pose(0.0, 0.0, 0.0, 1.0)
DT = 1 / 15


def targets_after(*pictures: Sightings, settings: TargetSettings | None = None) -> Targets:
    targets = Targets(settings or TargetSettings())
    feed(targets, *pictures)
    return targets


def feed(targets: Targets, *pictures: Sightings, pose: Pose = POSE) -> None:
    for picture in pictures:
        if targets.accepts(picture):
            targets.observe(picture, pose, LENS)


def walk(
    frames: range, speed: float = 6.0, track_id: int = 1, gid: int = 0, start: float = 0.0
) -> list[Sightings]:
    return [sight([Person(track_id, start + speed * n * DT, gid=gid)], n * DT) for n in frames]


def only(targets: Targets) -> Target:
    (target,) = targets.people
    return target


def test_direction_size_and_speed_of_a_walker() -> None:
    targets = targets_after(*walk(range(30)))
    target = only(targets)
    assert target.pan_deg == pytest.approx(6.0 * 29 * DT, abs=0.05)
    assert target.tilt_deg == pytest.approx(-5.0, abs=0.05)
    assert target.height_deg == pytest.approx(8.0, abs=0.15)
    assert target.at(29 * DT).pan_deg_s == pytest.approx(6.0, abs=0.6)
    assert target.confirmed


def test_a_turned_camera_sees_the_same_directions() -> None:
    targets = Targets(TargetSettings())
    for n in range(20):
        pose = Pose(n * DT, (352.0 + 1.5 * n) % 360.0, -4.0, 1.5)
        feed(targets, sight([Person(1, 5.0)], n * DT, pose), pose=pose)
    target = only(targets)
    assert wrap_deg(target.pan_deg - 5.0) == pytest.approx(0.0, abs=0.1)
    assert target.at(19 * DT).pan_deg_s == pytest.approx(0.0, abs=0.3)


def test_a_new_track_id_where_somebody_was_expected_is_the_same_target() -> None:
    targets = targets_after(*walk(range(15)))
    key = only(targets).key
    feed(targets, *[sight([], n * DT) for n in range(15, 24)], *walk(range(24, 30), track_id=77))
    target = only(targets)
    assert (target.key, target.track_id, target.epoch) == (key, 77, 1)


@pytest.mark.parametrize(
    "other",
    [
        Person(77, 25.0),
        Person(77, 6.0, height_deg=3.0),
        Person(77, 6.0, class_id=2),
        Person(77, 6.0, gid=9),
    ],
    ids=["elsewhere", "another size", "another class", "another identity"],
)
def test_a_new_track_that_does_not_fit_is_somebody_else(other: Person) -> None:
    targets = targets_after(
        *walk(range(15), gid=4), sight([], 15 * DT), settings=TargetSettings(class_ids=())
    )
    feed(targets, sight([other], 16 * DT))
    assert [target.epoch for target in targets.people] == [0, 0]


def test_an_expected_track_keeps_its_target_though_it_is_not_seen() -> None:
    """A tracker that coasts says that the track goes on: nobody else may take its place."""
    targets = targets_after(*walk(range(15)))
    coasting = Person(1, 6.0, seen=False)
    feed(targets, sight([coasting, Person(2, 6.5)], 16 * DT))
    assert [(one.track_id, one.seen) for one in targets.people] == [(1, False), (2, True)]


def test_identity_wins_over_the_track() -> None:
    """Two tracks swap: each target follows its person."""
    pictures = [sight([Person(1, -10.0, gid=5), Person(2, 10.0, gid=6)], n * DT) for n in range(10)]
    targets = targets_after(*pictures)
    feed(targets, sight([Person(2, -10.0, gid=5), Person(1, 10.0, gid=6)], 10 * DT))
    by_gid = {target.gid: target for target in targets.people}
    assert len(targets) == 2
    assert wrap_deg(by_gid[5].pan_deg) == pytest.approx(-10.0, abs=0.1)
    assert (by_gid[5].track_id, by_gid[5].epoch) == (2, 1)


def test_an_identity_told_late_joins_two_targets() -> None:
    targets = targets_after(*walk(range(15), gid=5))
    key = only(targets).key
    later = [sight([Person(9, -20.0)], n * DT) for n in range(15, 20)]
    named = [sight([Person(9, -20.0, gid=5)], n * DT) for n in range(20, 25)]
    feed(targets, *later)
    assert len(targets) == 2
    lost = next(target for target in targets.people if target.track_id == 9).key
    feed(targets, *named)
    target = only(targets)
    assert (target.key, target.track_id) == (key, 9)
    assert targets.find(lost) is target
    assert target.at(24 * DT).pan_deg_s == pytest.approx(0.0, abs=0.5)


def test_two_boxes_with_one_identity_stay_two_targets() -> None:
    targets = targets_after(sight([Person(1, -10.0, gid=5), Person(2, 10.0, gid=5)], 0.0))
    assert len(targets) == 2


def test_boxes_that_are_none_are_dropped_and_counted() -> None:
    good = sight([Person(track, 3.0 * track) for track in range(1, 7)], 1.0)
    boxes = good.boxes_xyxy.copy()
    boxes[0] = np.nan
    boxes[1] = boxes[1][[2, 1, 0, 3]]
    boxes[2, 2] = np.inf
    boxes[3] += 5000.0
    scores = good.scores.copy()
    scores[4] = np.nan
    targets = targets_after(replace(good, boxes_xyxy=boxes, scores=scores))
    assert only(targets).track_id == 6
    assert targets.dropped == {"box is none": 4, "score": 1}


def test_late_doubled_and_timeless_pictures_are_dropped_and_counted() -> None:
    targets = targets_after(*walk(range(10)))
    before = only(targets).pan_deg
    feed(targets, *walk(range(7, 10)), replace(sight([Person(1, 0.0)], 1.0), time_s=float("nan")))
    assert only(targets).pan_deg == before
    assert targets.dropped == {"picture late": 2, "picture doubled": 1, "picture without time or size": 1}


def test_a_clock_that_was_set_back_is_followed() -> None:
    targets = targets_after(*[sight([Person(1, 0.0)], 100.0 + n * DT) for n in range(5)])
    feed(targets, *[sight([Person(1, 1.0)], 10.0 + n * DT) for n in range(10)])
    assert targets.newest_s == pytest.approx(10.0 + 9 * DT)
    assert targets.dropped["clock set back"] == 1


def test_a_box_at_the_edge_is_completed_to_the_size_of_the_person() -> None:
    """Half of the person is beyond the right edge: the middle stays that of the person, and the size too."""
    targets = targets_after(*[sight([Person(1, 25.0)], n * DT) for n in range(10)])
    feed(targets, *[sight([Person(1, 29.5)], n * DT) for n in range(10, 20)])
    target = only(targets)
    assert target.pan_deg == pytest.approx(29.5, abs=0.2)
    assert target.width_deg == pytest.approx(8.0 / 3, abs=0.4)


def test_targets_are_bounded_and_the_longest_unseen_goes_first() -> None:
    settings = TargetSettings(most=3, confirm_s=0.0)
    targets = targets_after(settings=settings)
    for n in range(10):
        feed(targets, sight([Person(100 + n, -25.0 + 5 * n, gid=1 + n)], n * 0.1))
    assert [target.track_id for target in targets.people] == [107, 108, 109]
    assert targets.dropped["more targets than are remembered"] == 7


def test_who_was_hardly_seen_is_forgotten_soon_and_others_later() -> None:
    targets = targets_after(*walk(range(15)), sight([Person(1, 6.0), Person(5, -20.0)], 15 * DT))
    feed(targets, sight([], 3.0))
    assert [target.track_id for target in targets.people] == [1]
    feed(targets, sight([], 30.0))
    assert not targets.people


def test_the_speed_of_an_unseen_target_fades_to_nothing() -> None:
    target = only(targets_after(*walk(range(30))))
    soon, later, much_later = (target.at(29 * DT + seconds) for seconds in (0.1, 1.0, 5.0))
    assert soon.pan_deg_s > later.pan_deg_s > much_later.pan_deg_s == 0.0
    assert later.pan_deg > soon.pan_deg
    assert much_later.pan_deg - target.pan_deg < 6.0 * 0.8
