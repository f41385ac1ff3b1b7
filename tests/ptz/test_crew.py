"""Several cameras over one scene: what a fixed camera teaches a head, and who owns a person who walks past two."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ptz.crew import Crew
from ptz.follower import Follower
from ptz.geometry import wrap_deg
from ptz.handoff import Station
from ptz.laws.base import create_law
from ptz.lens import Lens
from ptz.pose_log import Plant
from ptz.settings import FollowSettings
from ptz.simulator.oracle import Oracle
from ptz.simulator.scenes import SCENES
from ptz.simulator.truth import truth
from ptz.simulator.world import CameraMount, World
from ptz.types import FollowState, GoTo, Pose, Sightings, View

WIDTH, HEIGHT = 1280, 720
FPS = 10


class Stage:
    """A scene with cameras that stand still: what each sees at a time."""

    def __init__(self, scene: str, *, identities: bool = True) -> None:
        self.world = World(SCENES[scene])
        self.mounts = {mount.name: mount for mount in SCENES[scene].cameras}
        self.oracle = Oracle(seed=1, identities=identities, false=0.0)

    def sees(self, camera: str, time_s: float) -> Sightings:
        mount = self.mounts[camera]
        return self.oracle.sightings(truth(self.world, mount, view_of(mount), time_s))

    def direction(self, camera: str, time_s: float) -> tuple[float, float]:
        """Where the first person really is from there."""
        found = truth(self.world, self.mounts[camera], view_of(self.mounts[camera]), time_s)
        return float(found.pan_deg[0]), float(found.tilt_deg[0])

    def follower(self, camera: str) -> Follower:
        mount = self.mounts[camera]
        settings = FollowSettings(image_latency_s=0.0)
        follower = Follower(settings, Lens(mount.hfov_wide_deg), Plant(), create_law())
        follower.reported(Pose(0.0, mount.pan_deg, mount.tilt_deg, mount.zoom))
        return follower


def view_of(mount: CameraMount) -> View:
    hfov_deg = Lens(mount.hfov_wide_deg).hfov_deg(mount.zoom)
    return View(WIDTH, HEIGHT, mount.pan_deg, mount.tilt_deg, hfov_deg)


def times(from_s: float, to_s: float) -> list[float]:
    return [float(time_s) for time_s in np.arange(from_s, to_s, 1 / FPS)]


@pytest.mark.parametrize("identities", [True, False])
def test_a_fixed_camera_shows_a_head_where_to_look(identities: bool) -> None:
    stage = Stage("walk_across", identities=identities)
    follower = stage.follower("ptz")
    crew = Crew({"ptz": follower}, [Station("ptz")], {"ptz": ("overview",)})
    member = crew.member("ptz")
    for time_s in times(1, 31):
        member.observe(stage.sees("ptz", time_s), time_s)
        crew.observe("overview", stage.sees("overview", time_s), time_s)
    assert crew.mappings["overview", "ptz"].trust > 0.5
    # The head sees nobody any more; the fixed camera does.
    blind, place = None, None
    for time_s in times(31, 45):
        seen = stage.sees("ptz", time_s)
        blind = Sightings(time_s, WIDTH, HEIGHT, *(getattr(seen, name)[:0] for name in (
            "boxes_xyxy", "scores", "track_ids", "gids", "seen", "class_ids")))  # fmt: skip
        member.observe(blind, time_s)
        crew.observe("overview", stage.sees("overview", time_s), time_s)
        decision = member.decide(time_s)
        if isinstance(decision, GoTo) and member.state is not FollowState.FOLLOWING:
            pan_deg, tilt_deg = stage.direction("ptz", time_s)
            if len(stage.sees("overview", time_s)):
                place = decision
                assert abs(wrap_deg(decision.pan_deg - pan_deg)) < 4 and abs(decision.tilt_deg - tilt_deg) < 6
    assert place is not None, "the head was never sent anywhere"
    assert "waiting at" in member.explain() or member.state is FollowState.FOLLOWING


def test_a_person_who_walks_past_two_heads_changes_hands_once() -> None:
    stage = Stage("two_cameras_handoff")
    names = ("left", "right")
    crew = Crew({name: stage.follower(name) for name in names}, [Station(name) for name in names])
    members = {name: crew.member(name) for name in names}
    owners: list[str] = []
    for time_s in times(0, SCENES["two_cameras_handoff"].duration_s / 2):
        for name, member in members.items():
            member.observe(stage.sees(name, time_s), time_s)
            member.decide(time_s)
        owners += [owned.owner for owned in crew.owned if owned.owner]
    changes = sum(a != b for a, b in pairwise(owners))
    assert set(owners) == set(names) and changes == 1


def test_who_is_chosen_on_one_camera_is_chosen_on_all() -> None:
    stage = Stage("two_cameras_handoff")
    names = ("left", "right")
    crew = Crew({name: stage.follower(name) for name in names}, [Station(name) for name in names])
    member = crew.member("left")
    time_s, gid = next(
        (time_s, int(seen.gids[0])) for time_s in times(0, 40) if len(seen := stage.sees("left", time_s))
    )
    member.observe(stage.sees("left", time_s), time_s)
    member.select(gid=gid)
    assert {name: follower.settings.policy for name, follower in crew.followers.items()} == dict.fromkeys(
        names, "selected"
    )
    assert crew._wanted("right") == gid
