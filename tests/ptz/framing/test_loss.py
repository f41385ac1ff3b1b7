"""The steps after a target is lost."""

from __future__ import annotations

import pytest

from ptz.framing.base import Framing
from ptz.framing.loss import Ladder, coasting_share, step_of
from ptz.settings import FollowSettings, Limits, LossSettings
from ptz.types import FollowState, GoToPreset, Pose, Stay, Turn
from tests.ptz.people import LENS

STEPS = [
    (0.1, "following"), (0.4, "coasting"), (0.59, "coasting"), (0.7, "holding"), (1.4, "holding"),
    (1.6, "widening"), (7.9, "widening"), (8.1, "returning"), (100.0, "returning"),
]  # fmt: skip
WENT_RIGHT = Framing(
    members=(1,), time_s=10.0, seen_s=10.0, pan_deg=20.0, tilt_deg=0.0, measured_pan_deg=20.0,
    measured_tilt_deg=0.0, width_deg=2.7, height_deg=8.0, why="", pan_deg_s=6.0, body_deg=8.0,
)  # fmt: skip


def ladder(loss: LossSettings, limits: Limits | None = None) -> Ladder:
    made = Ladder(FollowSettings(loss=loss, limits=limits or Limits()), LENS, (1.0, 25.0))
    made.remember(WENT_RIGHT, Pose(10.0, 20.0, 0.0, 4.0))
    return made


@pytest.mark.parametrize(("unseen_s", "step"), STEPS)
def test_the_steps_come_in_order(unseen_s: float, step: str) -> None:
    assert step_of(unseen_s, LossSettings()) == step


def test_steps_that_are_not_wanted_are_left_out() -> None:
    loss = LossSettings(widen_s=0.0, return_s=0.0)
    assert {step_of(unseen_s, loss) for unseen_s in (0.7, 5.0, 500.0)} == {FollowState.HOLDING}
    assert step_of(9.0, LossSettings(return_to="stay")) is FollowState.IDLE
    assert step_of(4.0, LossSettings(search=True)) is FollowState.SEARCHING
    assert step_of(0.1, LossSettings(coast_s=0.0)) is FollowState.HOLDING


def test_coasting_slows_down_to_nothing() -> None:
    loss = LossSettings(coast_s=0.6)
    shares = [coasting_share(unseen_s, loss) for unseen_s in (0.0, 0.2, 0.4, 0.6, 1.0)]
    assert shares == pytest.approx([1.0, 1.0, 0.5, 0.0, 0.0])


def test_widening_ends_at_the_ratio_that_was_asked_for() -> None:
    steps = ladder(LossSettings(widen_by=2.0))
    turn = steps.decide(FollowState.WIDENING, Pose(12.0, 20.0, 0.0, 4.0), False, 2.0)
    assert isinstance(turn, Turn)
    assert -1.0 <= turn.velocity.zoom_octaves_s < -0.3
    done = steps.decide(FollowState.WIDENING, Pose(13.0, 20.0, 0.0, 2.0), False, 3.0)
    assert isinstance(done, Turn)
    assert done.velocity.is_zero


def test_a_search_turns_to_where_they_went_and_ends() -> None:
    steps = ladder(LossSettings(search=True, search_deg=30.0))
    turn = steps.decide(FollowState.SEARCHING, Pose(14.0, 20.0, 0.0, 2.2), False, 4.0)
    assert isinstance(turn, Turn)
    assert turn.velocity.pan_deg_s > 3.0
    end = steps.decide(FollowState.SEARCHING, Pose(18.0, 50.0, 0.0, 2.2), False, 6.0)
    assert isinstance(end, Turn)
    assert end.velocity.pan_deg_s == 0.0


def test_a_search_does_not_turn_the_long_way_round_a_stop() -> None:
    steps = ladder(LossSettings(search=True, search_deg=120.0), Limits(pan_deg=(270.0, 90.0)))
    turn = steps.decide(FollowState.SEARCHING, Pose(14.0, 90.0, 0.0, 2.2), False, 4.0)
    assert isinstance(turn, Turn)
    assert turn.velocity.pan_deg_s == 0.0


def test_it_goes_back_to_its_preset_once() -> None:
    steps = ladder(LossSettings(return_preset="3"))
    pose = Pose(18.0, 20.0, 0.0, 2.2)
    assert steps.decide(FollowState.RETURNING, pose, False, 8.1) == GoToPreset("3")
    assert steps.decide(FollowState.RETURNING, pose, False, 8.2) == Stay()
    assert not steps.returned
    steps.decide(FollowState.RETURNING, pose, True, 11.0)
    assert steps.returned


def test_a_return_that_never_arrives_is_given_up() -> None:
    steps = ladder(LossSettings(return_preset="3"))
    pose = Pose(18.0, 20.0, 0.0, 2.2)
    steps.decide(FollowState.RETURNING, pose, False, 8.1)
    steps.decide(FollowState.RETURNING, pose, False, 24.0)
    assert steps.returned


def test_it_shows_as_much_as_it_can_from_where_it_stands() -> None:
    steps = ladder(LossSettings(return_to="wide"))
    turn = steps.decide(FollowState.RETURNING, Pose(18.0, 20.0, 0.0, 2.2), False, 8.1)
    assert isinstance(turn, Turn)
    assert turn.velocity.zoom_octaves_s < 0
    steps.decide(FollowState.RETURNING, Pose(20.0, 20.0, 0.0, 1.0), False, 10.0)
    assert steps.returned


def test_without_a_preset_it_turns_back_to_where_it_began() -> None:
    steps = ladder(LossSettings())
    steps.start = Pose(0.0, 350.0, -10.0, 3.0)
    pan, tilt, octaves = 20.0, -45.0, 1.0
    for tick in range(100):
        pose = Pose(18.0, pan % 360, tilt, 2.0**octaves)
        turn = steps.decide(FollowState.RETURNING, pose, False, 8.1 + tick / 10)
        assert isinstance(turn, Turn)
        pan += turn.velocity.pan_deg_s / 10
        tilt += turn.velocity.tilt_deg_s / 10
        octaves += turn.velocity.zoom_octaves_s / 10
    assert steps.returned
    assert (pan, tilt) == pytest.approx((-10.0, -10.0), abs=1.1)
    assert octaves < 0.1
