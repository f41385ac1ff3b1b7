"""Ways over the ground are functions of time."""

from __future__ import annotations

import numpy as np
import pytest

from ptz.simulator.actors import Area, Beside, Orbit, Path, Sway, journey, jumps, stride_m, wander, waypoints
from ptz.types import F64


def at(path: Path, time_s: float) -> F64:
    return np.asarray(path.places(np.array([time_s]))[0])


def test_waypoints_are_walked_at_their_speed_round_and_round() -> None:
    path = waypoints([(0.0, 0.0), (10.0, 0.0)], 2.0, until_s=20.0)
    assert at(path, 2.5) == pytest.approx((5.0, 0.0))
    assert at(path, 7.5) == pytest.approx((5.0, 0.0))
    assert at(path, 10.0) == pytest.approx((0.0, 0.0))
    assert path.facing(np.array([2.0, 6.0])) == pytest.approx(np.array([[1.0, 0.0], [-1.0, 0.0]]))


def test_without_an_end_waypoints_are_walked_once_and_one_stands_before_and_after() -> None:
    path = waypoints([(0.0, 0.0), (4.0, 0.0)], 1.0, start_s=2.0)
    assert path.end_s == pytest.approx(6.0)
    assert at(path, 0.0) == pytest.approx((0.0, 0.0))
    assert at(path, 99.0) == pytest.approx((4.0, 0.0))


def test_steps_are_counted_while_walking_and_not_while_standing() -> None:
    path = journey([(0, 0, 0), (10, 14, 0), (20, 14, 0)])
    walked = path.cycles(np.array([0.0, 10.0, 20.0]))
    assert walked[1] == pytest.approx(14 / stride_m(1.4))
    assert walked[2] == walked[1]


def test_a_jump_takes_no_time_and_no_steps() -> None:
    path = jumps([(0.0, 0.0), (4.0, 0.0)], 5.0, 20.0)
    assert at(path, 4.99) == pytest.approx((0.0, 0.0))
    assert at(path, 5.0) == pytest.approx((4.0, 0.0))
    assert at(path, 10.0) == pytest.approx((0.0, 0.0))
    assert path.cycles(np.array([20.0]))[0] == 0


def test_smoothing_rounds_corners_and_keeps_the_way() -> None:
    sharp = waypoints([(0.0, 0.0), (10.0, 0.0)], 2.0, until_s=20.0)
    smooth = waypoints([(0.0, 0.0), (10.0, 0.0)], 2.0, until_s=20.0, smooth_s=1.0)
    assert at(smooth, 2.5) == pytest.approx(at(sharp, 2.5))
    assert at(smooth, 5.0)[0] == pytest.approx(10.0 - 0.5, abs=0.1)


def test_sway_and_orbit() -> None:
    sway = Sway(1.0, 12.0, 0.2, 4.0, along_deg=90.0)
    assert at(sway, 1.0) == pytest.approx((1.2, 12.0))
    orbit = Orbit(0.0, 0.0, 10.0, 90.0)
    assert at(orbit, 1.0) == pytest.approx((10.0, 0.0))
    assert orbit.facing(np.array([1.0]))[0] == pytest.approx((0.0, -1.0), abs=1e-9)


def test_beside_keeps_its_distance() -> None:
    way = waypoints([(0.0, 0.0), (10.0, 0.0)], 2.0)
    assert at(Beside(way, 0.5, -1.0), 2.0) - at(way, 2.0) == pytest.approx((0.5, -1.0))


def test_a_stroll_stays_inside_passes_no_wall_and_ends_where_it_began() -> None:
    area = Area(-8.0, 5.0, 8.0, 20.0, ((-1.0, 10.0, 1.0, 12.0),))
    for seed in range(6):
        path = wander(seed, area, 60.0)
        places = path.places(np.arange(0, 60, 0.05))
        assert (places >= (-8.0, 5.0)).all() and (places <= (8.0, 20.0)).all()
        # Corners are rounded, by less than the room that was left beside the wall.
        inside = (abs(places[:, 0]) < 0.7) & (places[:, 1] > 10.3) & (places[:, 1] < 11.7)
        assert not inside.any()
        assert at(path, 60.0) == pytest.approx(at(path, 0.0), abs=0.01)
        speeds = np.hypot(*np.diff(places, axis=0).T) / 0.05
        assert speeds.max() < 2.0
    assert at(wander(3, area, 60.0), 17.0) == pytest.approx(at(wander(3, area, 60.0), 17.0))
