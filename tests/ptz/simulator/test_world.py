"""The world is a pure function of time, and projection is that of `ptz.geometry`."""

from __future__ import annotations

import numpy as np
import pytest

from ptz.geometry import angles_to_pixel
from ptz.simulator.actors import Looks
from ptz.simulator.figure import PARTS, Gait, Part, figures
from ptz.simulator.scenes import SCENES
from ptz.simulator.world import CameraMount, World, project
from ptz.types import View


def test_two_worlds_agree_without_a_word_and_in_any_order() -> None:
    one, other = World(SCENES["plaza"]), World(SCENES["plaza"])
    times = [3.0, 77.7, 12.25]
    before = [one.people(time_s) for time_s in times]
    after = [other.people(time_s) for time_s in reversed(times)][::-1]
    for first, second in zip(before, after, strict=True):
        assert first.ids.tolist() == second.ids.tolist()
        assert np.array_equal(first.feet_xyz_m, second.feet_xyz_m)
        assert np.array_equal(first.phase, second.phase)


def test_the_scene_begins_anew() -> None:
    world = World(SCENES["walk_across"])
    assert world.scene_time_s(1000.0, 1000.0) == 0
    length_s = world.scene.duration_s
    assert world.scene_time_s(1005.0 + length_s, 1000.0) == pytest.approx(5.0)
    assert world.scene_time_s(3.0, 5.0) == pytest.approx(length_s - 2.0)


def test_speed_heading_and_presence() -> None:
    people = World(SCENES["walk_across"]).people(3.0)
    assert people.speed_m_s == pytest.approx([1.4])
    assert people.heading_deg == pytest.approx([90.0])
    gone = World(SCENES["leave_return"])
    assert [len(gone.people(time_s)) for time_s in (5.0, 18.0, 25.0)] == [1, 0, 1]
    assert gone.people(5.0).ids.tolist() == gone.people(25.0).ids.tolist()


def test_who_jumps_is_not_called_quick() -> None:
    assert World(SCENES["step_teleport"]).people(8.0).speed_m_s == pytest.approx([0.0])


def test_cameras_are_found_by_number_and_by_name() -> None:
    world = World(SCENES["plaza"])
    assert world.mount(1) == world.mount("overview") == world.mount("1")
    assert world.mount("ptz").is_ptz and not world.mount(1).is_ptz
    with pytest.raises(KeyError):
        world.mount("nowhere")


@pytest.mark.parametrize(("pan_deg", "tilt_deg"), [(0.0, 0.0), (359.0, -30.0), (123.0, -80.0), (200.0, 15.0)])
def test_projection_is_that_of_the_geometry(pan_deg: float, tilt_deg: float) -> None:
    mount = CameraMount("c", 3.0, -2.0, 4.0)
    view = View(1280, 720, pan_deg, tilt_deg, 60.0)
    rng = np.random.default_rng(0)
    points = rng.uniform(-20, 20, (200, 3))
    pixels = project(points, mount, view)
    offset = points - (3.0, -2.0, 4.0)
    azimuth = np.degrees(np.arctan2(offset[:, 0], offset[:, 1])) % 360
    elevation = np.degrees(np.arctan2(offset[:, 2], np.hypot(offset[:, 0], offset[:, 1])))
    u, v, in_front = angles_to_pixel(azimuth, elevation, view)
    assert np.array_equal(in_front, pixels[:, 2] > 0)
    ahead = pixels[:, 2] > 0.5
    assert np.allclose(pixels[ahead, 0], u[ahead], atol=1e-6)
    assert np.allclose(pixels[ahead, 1], v[ahead], atol=1e-6)
    assert np.isnan(pixels[pixels[:, 2] <= 0, 0]).all()


def test_a_body_is_as_tall_as_it_should_be_and_stands_on_the_ground() -> None:
    feet = np.array([[1.0, 2.0, 0.0], [4.0, 5.0, 0.0]])
    body = figures(
        feet,
        np.array([1.8, 1.6]),
        np.array([0.0, 90.0]),
        Gait(np.array([0.0, 0.3]), np.array([0.0, 1.4]), 0.0),
        (Looks(1), Looks(2)),
    )
    assert body.from_xyz_m.shape == (2, PARTS, 3)
    crown = body.to_xyz_m[:, Part.HAIR, 2] + body.to_radius_m[:, Part.HAIR]
    assert crown == pytest.approx([1.8, 1.6], abs=0.07)
    soles = np.minimum(
        (body.from_xyz_m[..., 2] - body.from_radius_m).min(axis=1),
        (body.to_xyz_m[..., 2] - body.to_radius_m).min(axis=1),
    )
    assert soles == pytest.approx([0.0, 0.0], abs=0.07)


def test_arms_and_legs_swing_against_each_other() -> None:
    body = figures(
        np.zeros((1, 3)),
        np.array([1.8]),
        np.array([0.0]),
        Gait(np.array([0.25]), np.array([1.4]), 0.0),
        (Looks(0),),
    )
    left_foot, right_foot = body.to_xyz_m[0, Part.FOOT_LEFT, 1], body.to_xyz_m[0, Part.FOOT_RIGHT, 1]
    left_hand, right_hand = body.to_xyz_m[0, Part.HAND_LEFT, 1], body.to_xyz_m[0, Part.HAND_RIGHT, 1]
    assert left_foot - right_foot > 0.5
    assert right_hand - left_hand > 0.2
