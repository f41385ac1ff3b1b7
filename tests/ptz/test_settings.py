"""Settings that no head can follow are refused with one line."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from engine.errors import PtzRefused
from ptz.settings import (
    FollowSettings,
    GroupSettings,
    Limits,
    LossSettings,
    TargetSettings,
    TourSettings,
    ZoneSettings,
    ZoomSettings,
    with_options,
)

WRONG: list[Callable[[], object]] = [
    lambda: Limits(tilt_deg=(10.0, -40.0)),
    lambda: Limits(tilt_deg=(math.nan, 10.0)),
    lambda: Limits(zoom=(8.0, 2.0)),
    lambda: Limits(zoom=(0.0, 2.0)),
    lambda: Limits(pan_deg=(20.0, 380.0)),
    lambda: Limits(pan_deg=(20.0, 20.0)),
    lambda: ZoomSettings(body_height=0.0),
    lambda: ZoomSettings(body_height=math.nan),
    lambda: ZoomSettings(narrowest_deg=0.0),
    lambda: LossSettings(return_to="home"),
    lambda: LossSettings(coast_s=-1.0),
    lambda: TargetSettings(most=0),
    lambda: GroupSettings(grace_s=math.inf),
    lambda: ZoneSettings(box_deg=(10.0, 10.0, 0.0, 5.0)),
    lambda: ZoneSettings(box_deg=(10.0, 20.0, 5.0, 0.0)),
    lambda: FollowSettings(policy="gruop"),
    lambda: FollowSettings(policy="zone"),
    lambda: FollowSettings(policy="tour"),
    lambda: FollowSettings(scope="zoom"),
    lambda: FollowSettings(image_latency_s=math.nan),
]


@pytest.mark.parametrize("make", WRONG)
def test_what_cannot_be_meant_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(PtzRefused) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_defaults_are_accepted() -> None:
    assert FollowSettings().policy == "group"
    assert Limits(pan_deg=(300.0, 60.0)).pan_deg == (300.0, 60.0)


def test_options_from_outside_are_of_the_right_type() -> None:
    settings = FollowSettings()
    assert with_options(settings, "group", {"grace_s": 3}).group.grace_s == 3.0
    toured = with_options(settings, "tour", {"presets": ["1", "2"], "dwell_s": 5, "interrupt": True})
    assert toured.tour == TourSettings(("1", "2"), 5.0, True)
    zoned = with_options(settings, "zone", {"box_deg": [350, 10, -10, 0]})
    assert zoned.zone.box_deg == (350.0, 10.0, -10.0, 0.0)
    with pytest.raises(PtzRefused, match="did you mean 'grace_s'"):
        with_options(settings, "group", {"grace": 3})
    with pytest.raises(PtzRefused, match="interrupt"):
        with_options(toured, "tour", {"interrupt": 1})
