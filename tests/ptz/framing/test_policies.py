"""Whom the policies show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from engine.errors import PtzRefused
from ptz.framing.base import Choice, Framing, Moment, Policy, create_policy
from ptz.framing.targets import Targets
from ptz.geometry import wrap_deg
from ptz.settings import POLICIES, FollowSettings, GroupSettings, TargetSettings, TourSettings, ZoneSettings
from ptz.types import GoToPreset, Pose
from tests.ptz.people import LENS, Person, sight

DT = 1 / 15
POSE = Pose(0.0, 0.0, 0.0, 1.0)
Script = Callable[[float], Sequence[Person]]


class Show:
    """A policy in front of a script of people; the camera stands and sees 60°."""

    def __init__(self, policy: str, settings: FollowSettings | None = None, widest_deg: float = 60.0) -> None:
        self.settings = settings or FollowSettings(policy=policy)
        self.targets = Targets(TargetSettings())
        self.policy: Policy = create_policy(policy, self.settings)
        self.widest_deg = widest_deg
        self.time_s = 0.0
        self.choices: list[Choice] = []

    def run(self, seconds: float, script: Script) -> Choice:
        for _ in range(round(seconds / DT)):
            self.time_s += DT
            self.targets.observe(sight(script(self.time_s), self.time_s), POSE, LENS)
            moment = Moment(self.time_s, self.time_s + 0.3, POSE, self.widest_deg, 16 / 9)
            self.choices.append(self.policy.choose(self.targets.people, moment))
        return self.choices[-1]

    def members(self, framing: Choice) -> list[int]:
        """Track IDs of those who are framed."""
        assert isinstance(framing, Framing)
        found = [self.targets.find(key) for key in framing.members]
        return sorted(target.track_id for target in found if target is not None)

    def framed(self, seconds: float, script: Script) -> Framing:
        choice = self.run(seconds, script)
        assert isinstance(choice, Framing)
        return choice


def still(*people: Person) -> Script:
    return lambda time_s: people


def test_every_policy_of_the_settings_is_there() -> None:
    settings = FollowSettings()
    for name in POLICIES:
        assert create_policy(name, settings).explain()
    with pytest.raises(PtzRefused, match="did you mean 'group'"):
        create_policy("gruop", settings)


# group


def test_a_group_of_one_is_that_person() -> None:
    framing = Show("group").framed(1.0, still(Person(1, 7.0)))
    assert framing.pan_deg == pytest.approx(7.0, abs=0.1)
    assert framing.body_deg == pytest.approx(8.0, abs=0.2)


def test_a_group_is_framed_from_edge_to_edge() -> None:
    show = Show("group")
    framing = show.framed(2.0, still(Person(1, -12.0), Person(2, 4.0), Person(3, 16.0)))
    assert show.members(framing) == [1, 2, 3]
    assert framing.pan_deg == pytest.approx(2.0, abs=0.3)
    assert framing.width_deg == pytest.approx(28.0 + 8 / 3, abs=0.6)


def test_a_group_across_north_is_not_framed_the_long_way() -> None:
    framing = Show("group").framed(2.0, still(Person(1, 350.0), Person(2, 8.0)))
    assert wrap_deg(framing.pan_deg) == pytest.approx(-1.0, abs=0.3)
    assert framing.width_deg < 25.0


def test_who_was_hardly_seen_does_not_widen_the_group() -> None:
    show = Show("group")
    show.run(1.0, still(Person(1, 0.0), Person(2, 3.0)))
    framing = show.framed(2 * DT, still(Person(1, 0.0), Person(2, 3.0), Person(9, 25.0)))
    assert show.members(framing) == [1, 2]


def test_a_member_out_of_sight_is_kept_for_the_grace() -> None:
    show = Show("group")
    show.run(2.0, still(Person(1, 0.0), Person(2, 15.0)))
    assert show.members(show.run(1.0, still(Person(1, 0.0)))) == [1, 2]
    assert show.members(show.run(1.5, still(Person(1, 0.0)))) == [1]


def test_edges_grow_at_once_and_shrink_slowly() -> None:
    settings = FollowSettings(group=GroupSettings(shrink_s=2.0, lead_s=0.0))
    show = Show("group", settings)
    apart, together = still(Person(1, -10.0), Person(2, 10.0)), still(Person(1, -4.0), Person(2, 4.0))
    wide = show.framed(2.0, apart).width_deg
    soon = show.framed(0.5, together).width_deg
    later = show.framed(6.0, together).width_deg
    grown = show.framed(0.3, apart).width_deg
    assert soon > 0.75 * wide
    assert later < 0.55 * wide
    assert grown > 0.95 * wide


def test_a_walking_group_is_not_widened_by_its_own_slow_edges() -> None:
    def script(time_s: float) -> Sequence[Person]:
        return [Person(1, -22 + 7 * time_s), Person(2, -14 + 7 * time_s)]

    show = Show("group")
    framing = show.framed(5.0, script)
    assert framing.width_deg < 8.0 + 8 / 3 + 2.0
    assert wrap_deg(framing.pan_deg) == pytest.approx(17.0, abs=1.5)
    assert framing.pan_deg_s == pytest.approx(7.0, abs=1.0)


def test_members_who_part_widen_the_frame_ahead_of_them() -> None:
    def script(time_s: float) -> Sequence[Person]:
        return [Person(1, -5 - 3 * time_s), Person(2, 5 + 3 * time_s)]

    framing = Show("group").framed(3.0, script)
    assert framing.width_deg > 28.0 + 8 / 3 + 2.0


def test_somebody_far_from_many_is_let_go_after_the_grace() -> None:
    people = [Person(track, -20.0 + 2.0 * track) for track in range(1, 6)]
    show = Show("group")
    assert show.members(show.run(1.5, still(*people, Person(9, 26.0)))) == [1, 2, 3, 4, 5, 9]
    assert show.members(show.run(2.0, still(*people, Person(9, 26.0)))) == [1, 2, 3, 4, 5]


def test_two_far_from_each_other_are_no_outliers() -> None:
    show = Show("group")
    assert show.members(show.run(4.0, still(Person(1, -20.0), Person(2, 20.0)))) == [1, 2]


def test_where_not_all_fit_the_most_are_shown_and_kept() -> None:
    settings = FollowSettings(group=GroupSettings(outlier=0.0))
    show = Show("group", settings, widest_deg=30.0)
    many, few = [Person(1, -20.0), Person(2, -15.0), Person(3, -10.0)], [Person(4, 15.0), Person(5, 20.0)]
    assert show.members(show.run(2.0, still(*many, *few))) == [1, 2, 3]
    # One of the three walks over to the others: now those are the most.
    walked = [Person(1, -20.0), Person(2, -15.0), Person(3, 10.0)]
    assert show.members(show.run(2.0, still(*walked, *few))) == [3, 4, 5]


def test_the_group_is_where_it_was_lost() -> None:
    show = Show("group")
    show.run(1.0, still(Person(1, 7.0)))
    framing = show.framed(4.0, still())
    assert framing.pan_deg == pytest.approx(7.0, abs=0.3)
    assert show.time_s - framing.seen_s == pytest.approx(4.0, abs=0.1)


# selected


def test_the_selected_one_is_followed_through_a_new_track_id() -> None:
    show = Show("selected")
    show.run(1.0, still(Person(1, -5.0), Person(2, 5.0)))
    target = next(one for one in show.targets.people if one.track_id == 2)
    show.policy.key = target.key  # type: ignore[attr-defined]  # it is a `Selected`
    assert show.members(show.run(1.0, still(Person(1, -5.0), Person(2, 5.0)))) == [2]
    show.run(0.5, still(Person(1, -5.0)))
    assert show.members(show.run(0.5, still(Person(1, -5.0), Person(77, 5.2)))) == [77]


def test_nobody_selected_is_said() -> None:
    show = Show("selected")
    assert show.run(0.5, still(Person(1, 0.0))) is None
    assert show.policy.explain() == "nobody is selected"


# runner


def runners(slow: float, fast: float) -> Script:
    return lambda time_s: [Person(1, -20 + slow * time_s), Person(2, -25 + fast * time_s)]


def test_the_fastest_is_followed() -> None:
    show = Show("runner")
    assert show.members(show.run(2.5, runners(4.0, 12.0))) == [2]


def test_a_little_faster_is_not_enough_to_take_over() -> None:
    show = Show("runner")
    show.run(1.5, lambda time_s: [Person(1, -20 + 8 * time_s), Person(2, -25.0)])

    def both(time_s: float) -> Sequence[Person]:
        return [Person(1, -20 + 8 * time_s), Person(2, -25 + 9.0 * (time_s - 1.5))]

    assert show.members(show.run(3.0, both)) == [1]


def test_much_faster_takes_over_after_a_while() -> None:
    show = Show("runner")
    show.run(1.5, lambda time_s: [Person(1, -28 + 5 * time_s), Person(2, -28.0)])

    def both(time_s: float) -> Sequence[Person]:
        return [Person(1, -28 + 5 * time_s), Person(2, -28 + 12.0 * (time_s - 1.5))]

    assert show.members(show.run(1.4, both)) == [1]
    assert show.members(show.run(2.4, both)) == [2]


def test_a_turn_of_the_runner_is_not_a_stop() -> None:
    """Whoever runs to and fro has no net speed, and is the fastest all the same."""

    def script(time_s: float) -> Sequence[Person]:
        there = abs((12 * time_s) % 40 - 20) - 10
        return [Person(1, there), Person(2, -20 + 3 * time_s)]

    show = Show("runner")
    show.run(2.0, script)
    for _ in range(20):
        assert show.members(show.run(0.4, script)) == [1]


def test_a_runner_out_of_sight_does_not_keep_the_camera_for_long() -> None:
    show = Show("runner")
    show.run(2.0, runners(3.0, 12.0))
    alone: Script = lambda time_s: [Person(1, -20 + 3 * time_s)]  # noqa: E731 - a script like the others
    assert show.members(show.run(1.5, alone)) == [2]
    assert show.members(show.run(1.0, alone)) == [1]


# zone, tour


ZONE = FollowSettings(policy="zone", zone=ZoneSettings(box_deg=(350.0, 10.0, -10.0, 0.0)))


def test_an_empty_zone_is_shown_whole() -> None:
    framing = Show("zone", ZONE).framed(1.0, still(Person(1, 20.0)))
    assert framing.is_place
    assert (framing.pan_deg, framing.tilt_deg) == (0.0, -5.0)
    assert framing.width_deg == pytest.approx(20.0, abs=0.2)


def test_who_is_in_the_zone_is_framed_until_they_leave_it() -> None:
    def script(time_s: float) -> Sequence[Person]:
        return [Person(1, 3.0 * time_s), Person(2, -22.0)]

    show = Show("zone", ZONE)
    assert show.members(show.run(3.0, script)) == [1]
    assert show.members(show.run(0.8, script)) == [1]  # a little outside: no flapping at the edge
    assert show.framed(1.5, script).is_place


def test_a_zone_that_does_not_follow_stays_whole() -> None:
    settings = replace(ZONE, zone=replace(ZONE.zone, follow=False))
    assert Show("zone", settings).framed(1.0, still(Person(1, 0.0))).is_place


def test_a_tour_goes_round_and_stays_at_each_preset() -> None:
    show = Show("tour", FollowSettings(policy="tour", tour=TourSettings(("1", "7"), dwell_s=4.0)))
    show.run(13.0, still(Person(1, 0.0)))
    called = [choice.preset for choice in show.choices if isinstance(choice, GoToPreset)]
    assert len(called) == len(show.choices)
    changes = [index * DT for index in range(1, len(called)) if called[index] != called[index - 1]]
    assert called[0] == "1"
    assert changes == pytest.approx([4.0, 8.0, 12.0], abs=0.2)


def test_people_interrupt_a_tour_that_wants_it() -> None:
    settings = FollowSettings(policy="tour", tour=TourSettings(("1", "7"), dwell_s=4.0, interrupt=True))
    show = Show("tour", settings)
    assert show.run(1.0, still()) == GoToPreset("1")
    assert show.members(show.run(3.0, still(Person(1, 5.0)))) == [1]
    assert show.run(4.0, still()) == GoToPreset("1")
