"""How large people are shown, and what speaks against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ptz.framing.base import Framing, across, field_of
from ptz.framing.zoom import Peak, Sight, ZoomRule
from ptz.settings import ZoomSettings

ASPECT = 16 / 9
PERSON = Framing(
    members=(1,), time_s=10.0, seen_s=10.0, pan_deg=0.0, tilt_deg=0.0, measured_pan_deg=0.0,
    measured_tilt_deg=0.0, width_deg=2.7, height_deg=8.0, why="", body_deg=8.0, pan_sigma_deg_s=0.0,
    tilt_sigma_deg_s=0.0,
)  # fmt: skip
SIGHT = Sight(now_s=10.0, hfov_deg=60.0, aspect=ASPECT, reaction_s=0.6, off_middle=0.0)
SIZE_DEG = across(field_of(8.0, 0.45), ASPECT)


def wanted(framing: Framing = PERSON, sight: Sight = SIGHT, settings: ZoomSettings | None = None) -> float:
    return ZoomRule(settings or ZoomSettings()).hfov_deg(framing, sight)


def test_a_person_takes_the_wanted_share_of_the_height() -> None:
    assert wanted() == pytest.approx(SIZE_DEG)
    assert wanted() == pytest.approx(31.0, abs=0.3)  # 8° of a vertical 17.7°
    assert wanted(settings=ZoomSettings(body_height=0.35)) > SIZE_DEG


def test_a_wide_group_has_margins() -> None:
    group = replace(PERSON, members=(1, 2, 3), width_deg=30.0)
    hfov_deg = wanted(group)
    assert hfov_deg == pytest.approx(field_of(30.0, 0.76))
    assert 30.0 / hfov_deg < 0.8


def test_a_target_crosses_no_more_than_the_lead_in_one_reaction() -> None:
    hfov_deg = wanted(replace(PERSON, pan_deg_s=20.0))
    assert 20.0 * 0.6 / hfov_deg == pytest.approx(0.18)


def test_late_pictures_need_a_wider_view() -> None:
    runner = replace(PERSON, pan_deg_s=12.0)
    assert wanted(runner, replace(SIGHT, reaction_s=1.0)) > 1.5 * wanted(runner)


def test_speed_is_remembered_while_a_runner_turns_round() -> None:
    rule = ZoomRule(ZoomSettings())
    rule.saw(replace(PERSON, pan_deg_s=20.0), 0.0, 0.0, SIGHT)
    wide = rule.hfov_deg(PERSON, replace(SIGHT, now_s=15.0))
    assert wide == pytest.approx(20.0 * 0.6 / 0.18)
    assert rule.hfov_deg(PERSON, replace(SIGHT, now_s=60.0)) == pytest.approx(SIZE_DEG)


def test_who_strays_far_from_the_middle_gets_room() -> None:
    rule = ZoomRule(ZoomSettings())
    rule.saw(PERSON, 0.0, 0.0, SIGHT)
    rule.saw(PERSON, 15.0, 0.0, replace(SIGHT, now_s=11.0, off_middle=0.3))
    assert rule.hfov_deg(PERSON, replace(SIGHT, now_s=12.0)) == pytest.approx(2 * 15.0 / 0.7 + 2.7)


def test_the_first_turn_towards_somebody_is_not_their_straying() -> None:
    rule = ZoomRule(ZoomSettings())
    for step in range(5):
        off_deg = 25.0 - 5 * step
        rule.saw(PERSON, off_deg, 0.0, replace(SIGHT, now_s=10 + 0.1 * step, off_middle=off_deg / 60))
    assert rule.hfov_deg(PERSON, replace(SIGHT, now_s=10.5)) < SIZE_DEG * 1.01


def test_small_changes_of_size_move_nothing() -> None:
    rule = ZoomRule(ZoomSettings())
    first = rule.hfov_deg(PERSON, SIGHT)
    for scale in (0.95, 1.04, 0.97, 1.05):
        assert rule.hfov_deg(replace(PERSON, body_deg=8.0 * scale), SIGHT) == first
    assert rule.hfov_deg(replace(PERSON, body_deg=8.0 * 0.85), SIGHT) < first


def test_no_zooming_in_on_what_is_off_the_middle_or_not_seen() -> None:
    assert wanted(sight=replace(SIGHT, off_middle=0.2)) == 60.0
    assert wanted(sight=replace(SIGHT, certain=False)) == 60.0
    closer = replace(SIGHT, hfov_deg=10.0, off_middle=0.2)
    assert wanted(sight=closer) == pytest.approx(SIZE_DEG)  # out is always allowed


def test_an_unsure_place_gets_room_and_the_far_end_has_a_limit() -> None:
    assert wanted(replace(PERSON, pan_sigma_deg=10.0)) > 50.0
    far = replace(PERSON, width_deg=0.01, height_deg=0.03, body_deg=0.03)
    assert wanted(far) == ZoomSettings().narrowest_deg


def test_a_peak_is_kept_and_then_fades() -> None:
    peak = Peak(4.0)
    peak.see(10.0, 0.0)
    peak.see(3.0, 1.0)
    assert peak.at(4.0) == 10.0
    assert 0.0 < peak.at(6.0) < 5.0
    assert peak.at(30.0) < 1e-6


def test_a_speed_that_nobody_is_sure_of_is_none() -> None:
    assert wanted(replace(PERSON, pan_deg_s=20.0, pan_sigma_deg_s=25.0)) == pytest.approx(SIZE_DEG)
