"""Soft limits are never commanded across."""

from __future__ import annotations

import numpy as np
import pytest

from ptz.framing.fence import Fence
from ptz.settings import Limits
from ptz.types import Pose, Velocity

ANY = Limits()
ENDS = Fence(Limits(pan_deg=(300.0, 60.0), tilt_deg=(-40.0, 10.0), zoom=(1.0, 8.0)), ANY, 200.0)


@pytest.mark.parametrize(
    ("azimuth", "inside"),
    [(350.0, 350.0), (59.0, 59.0), (61.0, 60.0), (170.0, 60.0), (190.0, 300.0), (299.0, 300.0)],
)
def test_the_nearest_direction_inside(azimuth: float, inside: float) -> None:
    assert ENDS.place(azimuth, -50.0) == pytest.approx((inside, -40.0))


def test_without_stops_everything_is_inside() -> None:
    assert Fence(ANY, ANY, 200.0).place(123.0, -80.0) == (123.0, -80.0)
    assert Fence(ANY, ANY, 200.0).way_round(0.0, 170.0) is None


def test_the_way_round_is_only_where_a_stop_is_between() -> None:
    assert ENDS.way_round(50.0, 310.0) is None
    stop = Fence(Limits(pan_deg=(0.0, 330.0)), ANY, 200.0).way_round(325.0, 10.0)
    assert stop == pytest.approx((330.0, 40.0))


def test_what_the_head_cannot_reach_is_no_limit_that_could_be_kept() -> None:
    fence = Fence(Limits(tilt_deg=(-90.0, 30.0)), Limits(tilt_deg=(-60.0, 5.0), zoom=(1.0, 4.0)), 200.0)
    assert fence.tilt_deg == (-60.0, 5.0)
    assert fence.zoom == (1.0, 4.0)
    assert Fence(Limits(tilt_deg=(20.0, 30.0)), Limits(tilt_deg=(-60.0, 5.0)), 200.0).tilt_deg == (5.0, 5.0)


def test_no_speed_carries_the_head_across_a_limit() -> None:
    """Whatever is wished for, on and on, with an honest head that brakes at 200 °/s² and obeys 0.1 s late."""
    random = np.random.default_rng(3)
    for _ in range(20):
        pan, tilt, zoom, speed = 0.0, -10.0, 2.0, np.zeros(3)
        asked = Velocity()
        for step in range(600):
            if step % 10 == 0:
                ahead = Pose(0.0, (pan + 0.1 * speed[0]) % 360.0, tilt + 0.1 * speed[1], zoom)
                pan_wish, tilt_wish = (float(value) for value in random.choice([-80.0, 80.0, 3.0], 2))
                wished = Velocity(pan_wish, tilt_wish, float(random.choice([-1.0, 1.0])))
                asked = ENDS.speed(wished, ahead)
            goal = np.array([asked.pan_deg_s, asked.tilt_deg_s, asked.zoom_octaves_s])
            change = np.array([200.0, 200.0, 12.0]) * 0.01
            speed += np.clip(goal - speed, -change, change)
            pan, tilt = pan + speed[0] * 0.01, tilt + speed[1] * 0.01
            zoom *= 2.0 ** (speed[2] * 0.01)
            assert -60.5 < pan < 60.5
            assert -40.5 < tilt < 10.5
            assert 0.93 < zoom < 8.5


def test_away_from_a_limit_every_speed_is_allowed() -> None:
    at_stop = Pose(0.0, 60.0, -40.0, 8.0)
    assert ENDS.speed(Velocity(-50.0, 20.0, -0.5), at_stop) == Velocity(-50.0, 20.0, -0.5)
    assert ENDS.speed(Velocity(50.0, -20.0, 0.5), at_stop).is_zero
