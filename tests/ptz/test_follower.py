"""What a follower decides: whom it follows, what it does when they are lost, and what it never does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import PtzRefused
from ptz.follower import Follower
from ptz.geometry import wrap_deg
from ptz.laws.base import create_law
from ptz.pose_log import Plant
from ptz.settings import FollowSettings, Limits, LossSettings, ManualSettings, TourSettings
from ptz.types import Decision, FollowState, GoTo, GoToPreset, Pose, Sightings, Stay, Turn, Velocity
from tests.ptz.people import LENS, Person, sight

LATE_S = 0.25
PLANT = Plant(zoom_range=(1.0, 20.0))
Script = Callable[[float], Sequence[Person]]


class Loop:
    """A follower with a head that does what it is told after 0.06 s, and a camera that tells where it points.

    Pictures are taken at 15 fps and arrive 0.25 s later; decisions are made at 10 Hz.
    """

    def __init__(
        self, settings: FollowSettings | None = None, law: str = "predictive", plant: Plant = PLANT
    ) -> None:
        self.follower = Follower(settings or FollowSettings(), LENS, plant, create_law(law))
        self.now_s = 100.0
        self.pan, self.tilt, self.octaves = 0.0, 0.0, 0.0
        self.speed = np.zeros(3)
        self.orders: list[tuple[float, Velocity]] = []
        self.past: dict[int, Pose] = {}
        self.decisions: list[tuple[float, Decision, FollowState]] = []
        self.pictures_come = True
        self.spoil: Callable[[Sightings], Sightings] = lambda seen: seen
        self._tick = 0

    @property
    def zoom(self) -> float:
        return float(2.0**self.octaves)

    def run(self, seconds: float, script: Script) -> Loop:
        """Time goes on, in steps of 1/60 s."""
        for _ in range(round(seconds * 60)):
            self._tick += 1
            self.now_s = 100.0 + self._tick / 60
            self._move()
            self.past[self._tick] = Pose(self.now_s, self.pan % 360.0, self.tilt, self.zoom)
            if self._tick % 4 == 0 and self.pictures_come and self._tick > 15:
                taken = self.past[self._tick - 15]
                seen = sight(script(taken.time_s - 100.0), taken.time_s, taken)
                self.follower.observe(self.spoil(replace(seen, time_s=taken.time_s + LATE_S)), self.now_s)
            if self._tick % 15 == 0:
                self.follower.reported(
                    Pose(self.now_s, round(self.pan % 360, 1), round(self.tilt, 1), self.zoom)
                )
            if self._tick % 6 == 0:
                self._decide()
        return self

    def _decide(self) -> None:
        decision = self.follower.decide(self.now_s)
        self.decisions.append((self.now_s, decision, self.follower.state))
        if isinstance(decision, Turn):
            self.orders.append((self.now_s + 0.06, decision.velocity))
            self.follower.commanded(self.now_s, decision.velocity)

    def _move(self) -> None:
        due = [velocity for when, velocity in self.orders if when <= self.now_s]
        wanted = due[-1] if due else Velocity()
        most = np.array([80.0, 60.0, 1.16])
        goal = np.clip([wanted.pan_deg_s, wanted.tilt_deg_s, wanted.zoom_octaves_s], -most, most)
        change = np.array([200.0, 200.0, 12.0]) / 60
        self.speed += np.clip(goal - self.speed, -change, change)
        self.pan += self.speed[0] / 60
        self.tilt += self.speed[1] / 60
        self.octaves = float(np.clip(self.octaves + self.speed[2] / 60, 0.0, math.log2(20.0)))

    @property
    def state(self) -> FollowState:
        return self.follower.state

    def began(self, state: str, after_s: float = 0.0) -> float:
        """Seconds of the run when it was first in this state after `after_s`."""
        return next(
            when - 100.0 for when, _, was in self.decisions if was == state and when - 100.0 >= after_s
        )

    def off(self, person: Person) -> float:
        """Degrees from the middle of the picture."""
        return math.hypot(wrap_deg(person.pan_deg - self.pan), person.tilt_deg - self.tilt)


def still(*people: Person) -> Script:
    return lambda time_s: people


def walker(speed: float, until_s: float = 1e9, track_id: int = 1) -> Script:
    return lambda time_s: [Person(track_id, -10 + speed * time_s)] if time_s < until_s else []


def test_it_turns_to_somebody_and_shows_them_as_large_as_wished() -> None:
    loop = Loop().run(8.0, still(Person(1, 15.0, 4.0)))
    assert loop.state == "following"
    assert loop.off(Person(1, 15.0, 4.0)) < 2.5
    assert LENS.hfov_deg(loop.zoom) == pytest.approx(31.0, rel=0.2)


def test_it_stands_still_in_front_of_who_stands_still() -> None:
    loop = Loop().run(15.0, still(Person(1, 15.0)))
    before = len(loop.decisions)
    loop.run(10.0, lambda time_s: [Person(1, 15.0 + 0.3 * math.sin(1.6 * time_s))])
    turned = [
        one for _, one, _ in loop.decisions[before:] if isinstance(one, Turn) and not one.velocity.is_zero
    ]
    assert not turned


def test_a_walker_stays_near_the_middle() -> None:
    loop = Loop().run(6.0, walker(6.0))
    for _ in range(40):
        loop.run(0.1, walker(6.0))
        assert abs(wrap_deg(-10 + 6.0 * (loop.now_s - 100.0) - loop.pan)) < 4.0


def test_the_shortest_way_across_north() -> None:
    loop = Loop()
    loop.run(10.0, lambda time_s: [Person(1, (355.0 + 3.0 * time_s) % 360.0)])
    assert 15.0 < loop.pan < 35.0


@pytest.mark.parametrize("law", ["predictive", "p", "pid", "ema", "stop_and_go"])
def test_every_law_gets_a_turn(law: str) -> None:
    loop = Loop(law=law).run(3.0, still(Person(1, 20.0)))
    moved = [
        one
        for _, one, _ in loop.decisions
        if isinstance(one, GoTo) or (isinstance(one, Turn) and one.velocity.pan_deg_s > 0)
    ]
    assert moved


# Losing


def test_the_ladder_of_a_lost_target() -> None:
    settings = FollowSettings(loss=LossSettings(return_preset="1"))
    loop = Loop(settings).run(22.0, walker(5.0, until_s=6.0))
    lost_s = 6.0 + LATE_S
    assert loop.began("coasting", lost_s) == pytest.approx(lost_s + 0.2, abs=0.3)
    assert loop.began("holding") == pytest.approx(lost_s + 0.6, abs=0.3)
    assert loop.began("widening") == pytest.approx(lost_s + 1.5, abs=0.3)
    assert loop.began("returning") == pytest.approx(lost_s + 8.0, abs=0.3)
    presets = [one for _, one, _ in loop.decisions if isinstance(one, GoToPreset)]
    assert presets == [GoToPreset("1")]
    assert loop.state == "idle"


def test_it_stands_while_it_holds_and_widens_as_told() -> None:
    settings = FollowSettings(loss=LossSettings(widen_by=1.8, return_s=0.0))
    loop = Loop(settings).run(7.3, walker(5.0, until_s=6.0))
    assert loop.state == "holding"
    assert not loop.speed.any()
    pan, zoom = loop.pan, loop.zoom
    loop.run(4.0, still())
    assert zoom / loop.zoom == pytest.approx(1.8, rel=0.1)
    assert loop.pan == pan


def test_who_comes_back_under_another_track_is_followed_as_the_same() -> None:
    def script(time_s: float) -> Sequence[Person]:
        if 6.0 < time_s < 8.0:
            return []
        return [Person(1 if time_s <= 6 else 9, -10 + 5 * time_s)]

    loop = Loop(FollowSettings(policy="selected")).run(2.0, script)
    key = loop.follower.select(track_id=1)
    loop.run(10.0, script)
    assert loop.state == "following"
    target = loop.follower.targets.find(key)
    assert target is not None
    assert (target.track_id, target.epoch) == (9, 1)


def test_without_pictures_the_head_stops() -> None:
    loop = Loop().run(6.0, walker(8.0))
    assert loop.speed[0] > 4.0
    loop.pictures_come = False
    stopped_s = next(n * 0.05 for n in range(1, 40) if not loop.run(0.05, still()).speed.any())
    assert stopped_s <= 0.85  # 0.8 s, and what is between two ticks of this loop
    assert "no pictures" in loop.follower.explain()
    loop.run(5.0, still())
    assert loop.state == "holding"
    loop.pictures_come = True
    loop.run(3.0, still(Person(1, loop.pan + 8.0)))
    assert loop.state == "following"


def test_nobody_ever_is_idle_and_moves_nothing() -> None:
    loop = Loop().run(3.0, still())
    assert loop.state == "idle"
    assert all(isinstance(one, Stay) for _, one, _ in loop.decisions)


# Bad input


def test_boxes_that_are_none_and_late_pictures_do_not_disturb_it() -> None:
    loop = Loop().run(6.0, walker(5.0))

    def spoiled(seen: Sightings) -> Sightings:
        index = round(seen.time_s * 15)
        if index % 3 == 0:
            return replace(seen, boxes_xyxy=np.full_like(seen.boxes_xyxy, np.nan))
        return replace(seen, time_s=seen.time_s - 0.4) if index % 7 == 0 else seen

    loop.spoil = spoiled
    loop.run(6.0, walker(5.0))
    assert loop.state == "following"
    assert abs(wrap_deg(-10 + 5.0 * (loop.now_s - 100.0) - loop.pan)) < 5.0
    dropped = loop.follower.targets.dropped
    assert dropped["box is none"] > 20
    assert dropped["picture late"] > 5


@pytest.mark.parametrize("jump_s", [-500.0, 500.0])
def test_a_clock_that_jumps_is_survived(jump_s: float) -> None:
    loop = Loop().run(4.0, walker(3.0))
    loop.spoil = lambda seen: replace(seen, time_s=seen.time_s + jump_s)
    loop.run(1.0, walker(3.0))
    loop.spoil = lambda seen: seen
    loop.run(4.0, walker(3.0))
    assert loop.state == "following"
    assert abs(wrap_deg(-10 + 3.0 * (loop.now_s - 100.0) - loop.pan)) < 5.0


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="time"):
        Loop().follower.decide(float("nan"))


def test_image_motion_that_is_none_is_counted() -> None:
    follower = Loop().follower
    follower.image_moved(1.0, 1.1, float("nan"), 0.0)
    follower.image_moved(1.1, 1.0, 1.0, 0.0)
    assert follower.targets.dropped["image motion that is none"] == 2


# Limits


def test_soft_limits_are_never_crossed() -> None:
    settings = FollowSettings(limits=Limits(pan_deg=(340.0, 20.0), tilt_deg=(-8.0, 3.0), zoom=(1.0, 2.0)))
    loop = Loop(settings)
    for n in range(150):
        loop.run(
            0.1, lambda time_s: [Person(1, 35 * math.sin(0.7 * time_s), 15 * math.sin(0.4 * time_s), 2.0)]
        )
        assert -20.5 <= loop.pan <= 20.5, n
        assert -8.5 <= loop.tilt <= 3.5, n
        assert loop.zoom <= 2.06, n


def test_behind_a_stop_it_watches_from_there_and_then_goes_all_the_way_round() -> None:
    """Somebody walks past the stop of a head that reaches 0 to 330°: no turn while they are seen from the stop, then
    the long way, on which they are out of sight and not lost."""

    def script(time_s: float) -> Sequence[Person]:
        return [Person(1, (300.0 + 6.0 * time_s) % 360.0, height_deg=14.0)]

    loop = Loop(plant=replace(PLANT, pan_range_deg=(0.0, 330.0)))
    loop.pan = 300.0
    loop.run(6.5, script)
    assert loop.pan == pytest.approx(330.0, abs=1.5)
    assert loop.state == "following"
    loop.run(12.5, script)
    assert loop.pan % 360 == pytest.approx((300.0 + 6.0 * 19.0) % 360, abs=8.0)
    assert loop.state == "following"
    assert min(pose.pan_deg for pose in loop.past.values()) >= 0.0
    assert max(pose.pan_deg for pose in loop.past.values()) < 331.0


def test_zoom_and_tilt_stay_where_the_scope_says_so() -> None:
    loop = Loop(FollowSettings(scope="p")).run(5.0, still(Person(1, 15.0, 10.0)))
    assert loop.pan > 10.0
    assert (loop.tilt, loop.zoom) == (0.0, 1.0)


# People at the controls


def test_an_operator_wins_and_following_resumes_later() -> None:
    loop = Loop(FollowSettings(manual=ManualSettings(resume_s=3.0))).run(4.0, walker(5.0))
    loop.follower.operator(loop.now_s)
    before = len(loop.decisions)
    loop.run(2.5, walker(5.0))
    assert {type(one) for _, one, _ in loop.decisions[before:]} == {Stay}
    assert loop.state == "manual"
    loop.run(1.0, walker(5.0))
    assert loop.state == "following"


def test_without_a_time_to_resume_only_a_person_gives_it_back() -> None:
    loop = Loop(FollowSettings(manual=ManualSettings(resume_s=0.0))).run(4.0, walker(2.0))
    loop.follower.operator(loop.now_s)
    loop.run(20.0, walker(2.0))
    assert loop.state == "manual"
    loop.follower.resume()
    loop.run(0.5, walker(2.0))
    assert loop.state != "manual"


def test_off_stops_and_pauses() -> None:
    loop = Loop().run(6.0, walker(8.0))
    loop.follower.set_policy("off")
    loop.run(1.0, walker(8.0))
    assert loop.state == "paused"
    assert not loop.speed.any()


def test_a_click_selects_the_one_in_whose_box_it_is() -> None:
    loop = Loop().run(0.6, still(Person(1, -15.0), Person(2, 12.0)))
    left, top, right, _ = (float(value) for value in sight([Person(2, 12.0)], 0.0).boxes_xyxy[0])
    with pytest.raises(PtzRefused):
        loop.follower.select(point=(1.0, 1.0))
    loop.follower.select(point=((left + right) / 2, top + 4))
    loop.run(4.0, still(Person(1, -15.0), Person(2, 12.0)))
    assert loop.off(Person(2, 12.0)) < 3.0


def test_a_drawn_box_selects_whom_it_covers_best() -> None:
    loop = Loop().run(0.6, still(Person(1, -15.0), Person(2, 12.0)))
    left, top, right, bottom = (float(value) for value in sight([Person(1, -15.0)], 0.0).boxes_xyxy[0])
    key = loop.follower.select(box_xyxy=(left - 9, top + 5, right + 3, bottom - 8))
    target = loop.follower.targets.find(key)
    assert target is not None
    assert target.track_id == 1


def test_an_identity_may_be_selected_before_it_is_seen() -> None:
    loop = Loop()
    loop.follower.select(gid=7)
    loop.run(2.0, still(Person(1, 10.0, gid=3)))
    assert loop.state == "idle"
    assert "person 7" in loop.follower.explain()
    loop.run(2.0, still(Person(1, 10.0, gid=3), Person(2, 20.0, gid=7)))
    assert "following person 7" in loop.follower.explain()


def test_settings_and_policies_change_while_it_runs() -> None:
    loop = Loop().run(4.0, still(Person(1, 0.0), Person(2, 12.0)))
    loop.follower.set_policy("zone", box_deg=[350, 10, -10, 0], follow=False)
    loop.run(5.0, still(Person(1, 0.0), Person(2, 12.0)))
    assert abs(wrap_deg(loop.pan)) < 2.5
    wide = loop.zoom
    loop.follower.settings = replace(
        loop.follower.settings, zoom=replace(loop.follower.settings.zoom, side_margin=0.3)
    )
    loop.run(3.0, still(Person(1, 0.0), Person(2, 12.0)))
    assert loop.zoom < 0.8 * wide


@pytest.mark.parametrize(
    ("name", "options"),
    [("gruop", {}), ("group", {"grace": 1}), ("group", {"grace_s": "long"}), ("tour", {}), ("off", {"x": 1}),
     ("zone", {"box_deg": [1, 2]}), ("selected", {"nonsense": 1}), ("selected", {"gid": "x"}),
     ("selected", {"point": [1]}), ("selected", {"point": ["a", 2]}), ("selected", {"track_id": 99}),
     ("group", {"grace_s": float("nan")}), ("tour", {"presets": [1]})],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_and_changes_nothing(name: str, options: dict[str, object]) -> None:
    follower = Loop().follower
    before = follower.settings
    with pytest.raises(PtzRefused):
        follower.set_policy(name, **options)
    assert follower.settings is before


def test_a_tour_calls_each_preset_once_and_stays() -> None:
    settings = FollowSettings(policy="tour", tour=TourSettings(("1", "2"), dwell_s=3.0))
    loop = Loop(settings).run(8.5, still(Person(1, 10.0)))
    called = [one for _, one, _ in loop.decisions if not isinstance(one, Stay)]
    assert called == [GoToPreset("1"), GoToPreset("2"), GoToPreset("1")]
    assert loop.state == "touring"


def test_a_wrong_image_latency_is_found_out() -> None:
    loop = Loop(FollowSettings(image_latency_s=0.6))
    loop.run(20.0, lambda time_s: [Person(1, 12 * math.sin(0.9 * time_s))])
    assert loop.follower.latency.measured
    assert loop.follower.image_latency_s == pytest.approx(LATE_S, abs=0.06)


def test_what_it_says_is_plain() -> None:
    loop = Loop().run(4.0, walker(5.0))
    assert "track 1" in loop.follower.explain()
    told = json.loads(json.dumps(loop.follower.told()))
    assert told["state"] == "following"
    assert told["targets"][0]["track_id"] == 1
