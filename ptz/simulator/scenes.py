"""Scenes with names: the standard suite that following is measured in; `plaza` and `court`, which are for looking at.

In all of them `scene.heads[0]` is the camera that follows, at the origin, looking north at first; the first camera is a
fixed one that sees everything.
"""

from __future__ import annotations

import math
from typing import Any

from ptz.simulator.actors import (
    Actor,
    Area,
    Beside,
    Looks,
    Orbit,
    Path,
    Sway,
    journey,
    jumps,
    wander,
    waypoints,
)
from ptz.simulator.world import CameraMount, Occluder, Scene

SUITE = (
    "stand", "sway", "walk_across", "run_reverse", "sprint_start", "step_teleport", "cross_two",
    "group_5_merge_split", "occlude_2s", "leave_return", "nadir_pass", "pan_wrap_360", "limit_stop", "zoom_in_far",
    "two_cameras_handoff",
)  # fmt: skip
"""The standard suite, in order."""

HEAD = CameraMount("ptz", 0.0, 0.0, 4.0, 0.0, -12.0, 1.0, profile="hik-8425ix")
OVERVIEW = CameraMount("overview", 0.0, -9.0, 8.0, 0.0, -15.0, hfov_wide_deg=82.0)
WALK_M_S, RUN_M_S = 1.4, 6.0


def _actor(number: int, path: Path, enters_s: float = -math.inf, leaves_s: float = math.inf) -> Actor:
    height = 1.58 + 0.32 * ((number * 0.618) % 1.0)
    return Actor(number, path, height, Looks(100 + number), enters_s, leaves_s)


def _scene(name: str, about: str, duration_s: float, paths: list[Path], **more: Any) -> Scene:
    actors = tuple(_actor(number, path) for number, path in enumerate(paths, start=1))
    cameras = (OVERVIEW, *more.pop("heads", (HEAD,)))
    return Scene(name, about, duration_s, actors, cameras, **more)


def _at(azimuth_deg: float, distance_m: float) -> tuple[float, float]:
    """East and north of a place seen from the origin."""
    angle = math.radians(azimuth_deg)
    return distance_m * math.sin(angle), distance_m * math.cos(angle)


def _group() -> list[Path]:
    """Five who come together, walk on as one, and part."""
    far = [(-7.0, 16.0), (-3.5, 19.0), (0.0, 21.0), (3.5, 19.0), (7.0, 16.0)]
    near = [(-1.6, 15.0), (-0.8, 15.6), (0.0, 15.0), (0.8, 15.6), (1.6, 15.0)]
    paths: list[Path] = []
    for place, beside in zip(far, near, strict=True):
        walked = (beside[0] - 5.0, beside[1] + 1.0)
        parted = (place[0] * 0.8 - 5.0, place[1])
        paths.append(
            journey(
                [(0, *place), (4, *place), (12, *beside), (18, *beside), (24, *walked), (28, *walked), (36, *parted),
                 (42, *parted), (52, *place), (60, *place)],
                smooth_s=0.5,
            )
        )  # fmt: skip
    return paths


def _round_s(places_m: list[tuple[float, float]], speed_m_s: float, rounds: int) -> float:
    """How long so many rounds of these places take, so that a scene ends where it began."""
    return rounds * sum(math.dist(places_m[n - 1], places_m[n]) for n in range(len(places_m))) / speed_m_s


def _walking(
    name: str,
    about: str,
    places_m: list[tuple[float, float]],
    rounds: int,
    speed_m_s: float = WALK_M_S,
    **more: Any,
) -> Scene:
    """One person who walks to and fro, or round and round."""
    duration_s = _round_s(places_m, speed_m_s, rounds)
    path = waypoints(places_m, speed_m_s, until_s=duration_s)
    return _scene(name, about, duration_s, [path], **more)


def _suite() -> list[Scene]:
    wall = Occluder("wall", 0.0, 9.0, 2.0, 0.3, 3.0)
    limited = CameraMount("ptz", 0.0, 0.0, 4.0, 160.0, -15.0, hfov_wide_deg=99.4, profile="hik-de2a404")
    steep = CameraMount("ptz", 0.0, 0.0, 6.0, 0.0, -30.0, hfov_wide_deg=59.0, profile="hik-2sf8c442")
    left = CameraMount("left", -14.0, 0.0, 4.5, 20.0, -12.0, profile="hik-8425ix")
    right = CameraMount("right", 14.0, 0.0, 4.5, 340.0, -12.0, profile="hik-8425ix")
    crossing = [(-9.0, 13.0), (9.0, 13.0)]
    crossing_s = _round_s(crossing, WALK_M_S, 2)
    return [
        _scene("stand", "one person stands still", 30.0, [Sway(0.0, 12.0)]),
        _scene("sway", "standing, shifting from foot to foot", 60.0, [Sway(0.0, 12.0, 0.15, 4.0)]),
        _walking("walk_across", "walking to and fro at 12 m", [(-12.0, 12.0), (12.0, 12.0)], 2),
        _walking(
            "run_reverse", "running at 15 m, turning round in no time",
            [(-10.0, 15.0), (8.0, 15.0), (-4.0, 15.0), (11.0, 15.0)], 6, RUN_M_S, policy="runner",
        ),
        _scene(
            "sprint_start", "standing, then sprinting off at 7 m/s", 30.0,
            [journey([(0, -8, 15), (5, -8, 15), (8, 13, 15), (15, 13, 15), (18, -8, 15), (30, -8, 15)], smooth_s=1.0)],
            policy="runner",
        ),
        _scene(
            "step_teleport", "12° to the side in no time, every 8 s", 48.0,
            [jumps([_at(-6, 14.0), _at(6, 14.0)], 8.0, 48.0)],
        ),
        _scene(
            "cross_two", "two walk towards each other and pass; the first is followed", crossing_s,
            [waypoints(crossing, WALK_M_S, until_s=crossing_s),
             waypoints([(9.0, 14.2), (-9.0, 14.2)], WALK_M_S, until_s=crossing_s)],
            target_ids=(1,), policy="selected",
        ),
        _scene("group_5_merge_split", "five meet, walk on together and part", 60.0, _group()),
        _walking(
            "occlude_2s", "walking behind a wall for two seconds", [(-8.0, 14.0), (8.0, 14.0)], 2, occluders=(wall,),
        ),
        Scene(
            "leave_return", "gone for 8 s, and back where he went", 50.0,
            (_actor(1, journey([(0, -6, 12), (12, 8, 12), (15, 8, 12)]), leaves_s=15.0),
             Actor(1, journey([(23, 8, 12), (38, -6, 12), (50, -6, 12)]), 1.78, Looks(101), enters_s=23.0)),
            (OVERVIEW, HEAD),
        ),
        _walking("nadir_pass", "walking past below the camera", [(0.5, 14.0), (0.5, -14.0)], 1, heads=(steep,)),
        _scene("pan_wrap_360", "round the camera, again and again", 60.0, [Orbit(0.0, 0.0, 11.0, 12.0, 300.0)]),
        _scene(
            "limit_stop", "walking past the stop of a head that does not turn all the way", 50.0,
            [Orbit(0.0, 0.0, 10.0, 7.2, 130.0)], heads=(limited,),
        ),
        _walking("zoom_in_far", "walking at 60 m, too small without zoom", [(-8.0, 60.0), (8.0, 58.0)], 3),
        _walking(
            "two_cameras_handoff", "walking from one camera's side to the other's, past a kiosk",
            [(-24.0, 11.0), (24.0, 11.0)], 1, heads=(left, right),
            occluders=(Occluder("kiosk", 0.0, 8.0, 3.0, 2.4, 3.0),),
        ),
    ]  # fmt: skip


PLAZA_S = 120.0


def _plaza() -> Scene:
    """A square in the middle of a town: strollers, runners, a group, people who wait."""
    occluders = (
        Occluder("pillar", -4.6, 13.0, 0.6, 0.6, 4.2),
        Occluder("pillar", 3.6, 14.5, 0.6, 0.6, 4.2),
        Occluder("kiosk", 9.0, 18.5, 2.8, 2.2, 2.9, 20.0),
        Occluder("wall", -10.5, 17.0, 4.0, 0.35, 1.15, 75.0),
        Occluder("planter", 0.4, 9.6, 2.0, 0.8, 0.6, 10.0),
        Occluder("trunk", -7.5, 24.5, 0.4, 0.4, 5.0),
        Occluder("trunk", 1.8, 25.0, 0.4, 0.4, 5.0),
        Occluder("trunk", 12.0, 25.5, 0.4, 0.4, 5.0),
        Occluder("van", -15.0, 29.0, 4.6, 1.9, 2.1, 8.0),
        Occluder("car", 14.0, 31.0, 4.3, 1.8, 1.45, -6.0),
    )
    blocked = tuple(
        (box.x_m - side, box.y_m - side, box.x_m + side, box.y_m + side)
        for box in occluders
        for side in [0.4 + math.hypot(box.width_m, box.depth_m) / 2]
    )
    square = Area(-9.5, 7.5, 9.5, 23.0, blocked)
    paths: list[Path] = [
        wander(number, square, PLAZA_S, speed_m_s=1.1 + 0.07 * number) for number in range(6)
    ]
    lane = waypoints([(-15.0, 26.8), (14.0, 26.8)], 29.0 / 20.0, until_s=PLAZA_S, smooth_s=0.8)
    lap = [(-10.0, 11.3), (10.0, 11.3), (10.0, 15.6), (-10.0, 15.2)]
    # Nine laps exactly, so that the end is the beginning.
    lap_m = sum(math.dist(lap[corner - 1], lap[corner]) for corner in range(4))
    runner = waypoints(lap, 9 * lap_m / PLAZA_S, until_s=PLAZA_S, smooth_s=0.6)
    friends = journey(
        [(0, -3, 20), (8, -3, 20), (24, 5, 11), (44, 5, 11), (62, -7, 14.5), (84, -7, 14.5), (104, -3, 20),
         (120, -3, 20)],
        smooth_s=0.8,
    )  # fmt: skip
    paths += [lane, runner, friends, Beside(friends, 0.9, 0.3), Beside(friends, 0.35, -0.75)]
    paths += [Sway(6.8, 16.2, 0.06, 6.0, 110.0, 215.0), Sway(-6.0, 10.0, 0.08, 5.0, 80.0, 190.0)]
    actors = tuple(_actor(number, path) for number, path in enumerate(paths, start=1))
    cameras = (
        CameraMount("overview", 0.0, -2.5, 5.5, 0.0, -14.0, hfov_wide_deg=62.0),
        CameraMount("ptz", 0.0, 0.0, 4.0, 0.0, -12.0, profile="hik-8425ix"),
        CameraMount("ptz2", 15.0, 9.0, 4.2, 300.0, -12.0, profile="onvif-fov"),
        CameraMount("ptz3", -15.0, 11.0, 4.2, 60.0, -12.0, profile="hik-de7a432"),
    )
    about = "a square in a town: a dozen people walk, stand, run and meet"
    return Scene("plaza", about, PLAZA_S, actors, cameras, occluders, target_ids=(8,), policy="runner")


COURT_S = 20 * math.pi
"""How long the court takes to begin anew: also a whole number of times that somebody who stands sways."""
COURT_M = (0.0, 9.2)
"""Its middle, east and north of the head."""
JOGGED_LAPS, JOGGED_CYCLES = 7, 67
"""Of one who jogs in that time: whole numbers, so that the last step leads to the first."""


def _jogger() -> Path:
    """Round the court, without an end and a beginning."""
    # The length at which so many cycles of a gait (`stride_m`) fill the time exactly.
    jogged_m = 0.8 * JOGGED_CYCLES / (1 - 0.54 * JOGGED_CYCLES / COURT_S)
    oval = [
        (3.75 * math.cos(angle), 1.8 * math.sin(angle))
        for angle in (2 * math.pi * number / 32 for number in range(32))
    ]
    lap_m = jogged_m / JOGGED_LAPS
    scale = lap_m / sum(math.dist(oval[number - 1], oval[number]) for number in range(32))
    corners = [(COURT_M[0] + scale * east_m, COURT_M[1] + scale * north_m) for east_m, north_m in oval]
    lap_s = COURT_S / JOGGED_LAPS
    return waypoints(corners, lap_m / lap_s, start_s=-lap_s, until_s=COURT_S + lap_s, smooth_s=0.3)


def _again_and_again(legs: list[tuple[float, float, float]], every_s: float) -> Path:
    """A journey before and after itself, so that turns and steps are round where it begins anew."""
    return journey(
        [(time_s + turn * every_s, x_m, y_m) for turn in (-1, 0, 1) for time_s, x_m, y_m in legs],
        smooth_s=0.8,
    )


def _court() -> Scene:
    """A small court from near: for a first look at the engine and at what a head does."""
    occluders = (
        Occluder("pillar", -1.25, 8.55, 0.42, 0.42, 3.4),
        Occluder("planter", -0.75, 8.15, 0.9, 0.45, 0.45, 8.0),
        Occluder("wall", -6.4, 11.6, 2.6, 0.3, 1.1, 80.0),
        Occluder("kiosk", 6.0, 15.6, 2.6, 2.0, 2.8, -24.0),
        Occluder("trunk", -4.0, 15.6, 0.4, 0.4, 4.6),
        Occluder("trunk", 1.0, 17.0, 0.4, 0.4, 4.6),
        Occluder("car", -9.5, 21.0, 4.3, 1.8, 1.45, 12.0),
        Occluder("van", 8.0, 23.0, 4.6, 1.9, 2.1, -8.0),
    )
    one = _again_and_again(
        [(2, -2.4, 9.1), (6.5, 0.1, 8.9), (14, 0.1, 8.9), (19, -2.35, 9.0), (27, -2.35, 9.0), (33, 0.1, 8.9),
         (38, 0.1, 8.9), (44, -2.4, 9.1)],
        COURT_S,
    )  # fmt: skip
    other = _again_and_again(
        [(2, 0.5, 10.2), (6.5, 0.85, 9.05), (14, 0.85, 9.05), (19, -1.85, 9.8), (27, -1.85, 9.8),
         (33, 0.8, 9.3), (38, 0.8, 9.3), (41, 0.5, 10.2)],
        COURT_S,
    )  # fmt: skip
    stroller = _again_and_again(
        [(15, 2.45, 8.95), (19, 0.4, 9.3), (23, 0.4, 9.3), (28, 2.45, 8.95), (38, 2.45, 8.95),
         (45, 0.2, 9.05), (50, -1.3, 9.6), (53, -0.7, 9.8), (54.5, -0.7, 9.8), (61.3, 2.45, 8.95)],
        COURT_S,
    )  # fmt: skip
    paths: list[Path] = [_jogger(), one, other, stroller, Sway(1.9, 10.05, 0.06, COURT_S / 10, 110.0, 200.0)]
    actors = tuple(
        Actor(number, path, height_m, Looks(seed))
        for number, (path, height_m, seed) in enumerate(
            zip(paths, COURT_HEIGHTS_M, COURT_LOOKS, strict=True), start=1
        )
    )
    cameras = (
        CameraMount("overview", -1.8, -0.4, 3.2, 11.0, -10.5, hfov_wide_deg=50.0),
        CameraMount("ptz", 0.0, 0.0, 3.2, 0.0, -13.0, profile="hik-8425ix"),
    )
    about = "a court from near: one jogs round it, two meet and walk on together, one strolls, one waits"
    return Scene("court", about, COURT_S, actors, cameras, occluders, target_ids=(1,), policy="runner")


COURT_HEIGHTS_M = (1.80, 1.66, 1.83, 1.72, 1.76)
COURT_LOOKS = (119, 103, 112, 133, 110)
"""Clothes that are told from the ground and from each other's."""

SCENES: dict[str, Scene] = {scene.name: scene for scene in (*_suite(), _plaza(), _court())}
"""All scenes by name."""
