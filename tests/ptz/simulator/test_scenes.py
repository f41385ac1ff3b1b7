"""Every scene does what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from ptz.simulator.profiles import PROFILES
from ptz.simulator.scenes import SCENES, SUITE
from ptz.simulator.truth import Truth, truth
from ptz.simulator.world import World
from ptz.types import F64, View


def seen(name: str, times_s: F64) -> list[Truth]:
    world = World(SCENES[name])
    head = world.scene.heads[0]
    view = View(1280, 720, head.pan_deg, head.tilt_deg, head.hfov_wide_deg)
    return [truth(world, head, view, float(time_s)) for time_s in times_s]


def test_the_suite_the_plaza_and_the_court_are_there() -> None:
    assert set(SCENES) == {*SUITE, "plaza", "court"}
    for name, scene in SCENES.items():
        assert scene.name == name and scene.about and scene.duration_s > 0
        assert not scene.cameras[0].is_ptz and scene.heads
        assert all(head.profile in PROFILES for head in scene.heads)
        assert {actor.actor_id for actor in scene.actors} >= set(scene.target_ids)


@pytest.mark.parametrize("name", sorted(SCENES))
def test_the_lens_of_a_mount_is_that_of_its_profile(name: str) -> None:
    for head in SCENES[name].heads:
        assert head.hfov_wide_deg == pytest.approx(PROFILES[head.profile].optics.hfov_wide_deg, abs=2.5)


def test_the_step_is_of_12_degrees() -> None:
    before, after = seen("step_teleport", np.array([7.9, 8.1]))
    assert abs((after.pan_deg[0] - before.pan_deg[0] + 180) % 360 - 180) == pytest.approx(12.0)


def test_the_runner_runs_and_turns_in_no_time() -> None:
    world = World(SCENES["run_reverse"])
    velocities = np.array([world.people(time_s).velocity_xy_m_s[0, 0] for time_s in np.arange(0.1, 20, 0.2)])
    quick = abs(velocities) > 5.9
    assert quick.mean() > 0.9
    assert (np.diff(np.sign(velocities)) != 0).sum() >= 4


def test_the_wall_hides_for_about_two_seconds() -> None:
    hidden = np.array([shown.visibility[0] < 0.05 for shown in seen("occlude_2s", np.arange(0, 11, 0.1))])
    assert 1.5 <= hidden.sum() * 0.1 <= 3.0


def test_the_group_meets_and_parts() -> None:
    world = World(SCENES["group_5_merge_split"])
    spread = [np.ptp(world.people(time_s).feet_xyz_m[:, 0]) for time_s in (2.0, 15.0, 40.0)]
    assert len(world.people(0.0)) == 5
    assert spread[1] < 4 < spread[0] and spread[2] > 8


def test_the_nadir_is_passed_below_the_camera() -> None:
    assert min(shown.tilt_deg[0] for shown in seen("nadir_pass", np.arange(0, 20, 0.1))) < -80


def test_pan_goes_all_the_way_round() -> None:
    pans = np.unwrap([np.radians(shown.pan_deg[0]) for shown in seen("pan_wrap_360", np.arange(0, 35, 0.5))])
    assert np.degrees(pans[-1] - pans[0]) > 360


def test_far_is_small() -> None:
    shown = seen("zoom_in_far", np.array([5.0]))[0]
    assert shown.full_boxes_xyxy[0, 3] - shown.full_boxes_xyxy[0, 1] < 45


def test_the_plaza_has_a_dozen_people_in_sight_of_its_overview() -> None:
    world = World(SCENES["plaza"])
    camera = world.scene.cameras[0]
    view = View(1280, 720, camera.pan_deg, camera.tilt_deg, camera.hfov_wide_deg)
    shares = [
        (truth(world, camera, view, float(time_s)).visibility > 0.3).sum() for time_s in range(0, 120, 10)
    ]
    assert min(shares) >= 8 and max(shares) >= 12


@pytest.mark.parametrize("name", sorted(SCENES))
def test_scenes_end_where_they_begin(name: str) -> None:
    world = World(SCENES[name])
    end, start = world.people(world.scene.duration_s - 0.01), world.people(0.0)
    assert end.ids.tolist() == start.ids.tolist()
    # The one who jumps does so at this moment, too.
    assert name == "step_teleport" or np.abs(end.feet_xyz_m - start.feet_xyz_m).max() < 1.0


def test_the_court_begins_anew_without_a_jump() -> None:
    """Places, turns, steps and the sway of who stands: all of it."""
    world = World(SCENES["court"])
    length_s = world.scene.duration_s
    end, start = world.people(length_s - 1e-6), world.people(0.0)
    assert np.abs(end.feet_xyz_m - start.feet_xyz_m).max() < 1e-4
    assert np.abs((end.heading_deg - start.heading_deg + 180) % 360 - 180).max() < 1e-3
    moving = start.speed_m_s > 0.3
    assert moving.any()
    assert np.abs((end.phase - start.phase + 0.5) % 1 - 0.5)[moving].max() < 1e-3
    assert 0.9 * length_s % (2 * np.pi) == pytest.approx(0.0, abs=1e-9)


def test_the_court_is_seen_from_near_and_people_keep_apart() -> None:
    world = World(SCENES["court"])
    camera = world.scene.cameras[0]
    view = View(640, 360, camera.pan_deg, camera.tilt_deg, camera.hfov_wide_deg)
    hidden = np.zeros(5)
    for time_s in np.arange(0.0, world.scene.duration_s, 0.25):
        shown = truth(world, camera, view, float(time_s))
        heights = shown.full_boxes_xyxy[:, 3] - shown.full_boxes_xyxy[:, 1]
        assert shown.fully_in_frame.all() and heights.min() > 95 and heights.max() < 220
        hidden += 0.25 * (shown.visibility < 0.5)
        feet = world.people(float(time_s)).feet_xyz_m[:, :2]
        apart = np.linalg.norm(feet[:, None] - feet[None], axis=-1) + 9 * np.eye(5)
        assert apart.min() > 0.5
    assert ((hidden > 0.2) & (hidden < 12)).all(), hidden


def test_the_jogger_of_the_court_is_the_fastest_all_the_time() -> None:
    world = World(SCENES["court"])
    speeds = np.array([world.people(float(t)).speed_m_s for t in np.arange(0.0, world.scene.duration_s, 0.5)])
    assert (speeds[:, 0] > 1.3 * speeds[:, 1:].max(axis=1)).all()
    assert world.scene.target_ids == (1,) and world.scene.policy == "runner"
