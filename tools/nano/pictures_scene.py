"""Clips of the rendered world of `scene://`: its square, its figures and its lens, with people and places by chance.

None of the named scenes is shown: what stands on the square, who walks there and where the cameras are is drawn anew.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from engine.sources.scene_figures import outlines
from engine.sources.scene_render import SceneRenderer, Shot
from engine.types import U8
from ptz.geometry import focal_px
from ptz.simulator.actors import Actor, Beside, Looks, Path, Sway, waypoints
from ptz.simulator.truth import Bodies, bodies
from ptz.simulator.world import CameraMount, Occluder, Scene, World
from ptz.types import View
from tools.nano.footage import Footage

PLACES = 20
"""Different squares with a camera each; the directions that it looks in are free."""
PX_PER_DEG = 13
_KINDS = (
    ("pillar", 0.6, 0.6, 4.2), ("pillar", 0.45, 0.45, 3.2), ("kiosk", 2.8, 2.2, 2.9), ("wall", 3.5, 0.35, 1.15),
    ("wall", 2.0, 0.3, 3.0), ("planter", 2.0, 0.8, 0.6), ("planter", 1.2, 1.2, 0.9), ("trunk", 0.4, 0.4, 5.0),
    ("van", 4.6, 1.9, 2.1), ("car", 4.3, 1.8, 1.45),
)  # fmt: skip


def scene_footage(rng: np.random.Generator, frames: int, width: int, height: int) -> Footage:
    """A clip of somewhere in the rendered world."""
    renderer, mount = _place(int(rng.integers(PLACES)))
    hfov_deg = float(np.exp(rng.uniform(np.log(18), np.log(80))))
    step_s = float(rng.uniform(0.03, 0.25))
    pan_deg, pan_deg_s = float(rng.uniform(0, 360)), 0.0
    if rng.random() < 0.4:
        pan_deg_s = float(rng.normal(0, 6))
    person_px = height * float(np.exp(rng.uniform(np.log(0.18), np.log(0.95))))
    away_m = 1.7 * focal_px(width, hfov_deg) / person_px
    away_m = min(max(away_m, 0.5 * mount.z_m + 1.0), 22.0)
    tilt_deg = -math.degrees(math.atan2(mount.z_m - 0.9, away_m)) + float(rng.uniform(-0.12, 0.12)) * hfov_deg
    zoom_s = float(rng.normal(0, 0.1)) if rng.random() < 0.2 else 0.0
    people = 0 if rng.random() < 0.1 else 1 + int(rng.geometric(0.22) - 1) % 10
    actors = tuple(
        _actor(rng, number, (mount, pan_deg, hfov_deg), away_m, step_s * frames)
        for number in range(1, people + 1)
    )
    place = renderer.world.scene
    renderer.world = World(Scene("pictures", "", 60.0, actors, place.cameras, place.occluders))
    made = np.empty((frames, height, width, 3), np.uint8)
    ids = np.zeros((frames, height, width), np.uint8)
    boxes = np.full((frames, people, 4), np.nan, np.float32)
    body_px = np.zeros((frames, people), np.float32)
    y, uv = np.empty((height, width), np.uint8), np.empty((height // 2, width // 2, 2), np.uint8)
    exposure_s = float(rng.uniform(0.004, 0.02))
    for frame in range(frames):
        time_s = 20.0 + frame * step_s
        shown_deg = min(90.0, hfov_deg * math.exp(-zoom_s * frame * step_s))
        view = View(width, height, (pan_deg + pan_deg_s * frame * step_s) % 360, tilt_deg, shown_deg)
        shot = Shot(view, time_s, int(rng.integers(1000)), pan_deg_s, 0.0, exposure_s)
        renderer.draw(shot, y, uv, ids[frame])
        cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12, dst=made[frame])
        seen = bodies(renderer.world.people(time_s), mount, view)
        for person in np.flatnonzero(seen.in_front):
            boxes[frame, person] = seen.full_boxes_xyxy[person]
            body_px[frame, person] = _silhouette_px(seen, int(person), (width, height))
    return Footage(made, ids, boxes, body_px)


@lru_cache(maxsize=PLACES)
def _place(number: int) -> tuple[SceneRenderer, CameraMount]:
    """A square with things on it all around the camera, and who draws it."""
    rng = np.random.default_rng((number, 81))
    height_m = float((1.7, 2.4, 3.2, 4.0, 5.5, 7.5)[number % 6] * rng.uniform(0.85, 1.15))
    mount = CameraMount("camera", float(rng.uniform(-6, 6)), float(rng.uniform(-6, 6)), height_m)
    things = []
    for _ in range(int(rng.integers(8, 18))):
        kind, wide, deep, high = _KINDS[int(rng.integers(len(_KINDS)))]
        angle, away_m = rng.uniform(0, 2 * np.pi), rng.uniform(3.5 if wide < 2.5 else 8.0, 24)
        things.append(
            Occluder(
                kind,
                mount.x_m + float(away_m * np.sin(angle)),
                mount.y_m + float(away_m * np.cos(angle)),
                wide,
                deep,
                high,
                float(rng.uniform(0, 360)),
            )
        )
    scene = Scene(f"place{number}", "", 60.0, (), (mount,), tuple(things))
    return SceneRenderer(World(scene), mount, px_per_deg=PX_PER_DEG), mount


def _actor(
    rng: np.random.Generator,
    number: int,
    look: tuple[CameraMount, float, float],
    away_m: float,
    lasts_s: float,
) -> Actor:
    """Somebody in the field of view, most of them at about this distance."""
    mount, pan_deg, hfov_deg = look
    away_m = max(0.5 * mount.z_m, away_m * float(np.exp(rng.normal(0.1, 0.4))))
    away_m = min(away_m, 28.0)
    azimuth = math.radians(pan_deg + float(rng.uniform(-0.48, 0.48)) * hfov_deg)
    x_m, y_m = mount.x_m + away_m * math.sin(azimuth), mount.y_m + away_m * math.cos(azimuth)
    path: Path = Sway(x_m, y_m, 0.05, 5.0, float(rng.uniform(0, 180)), float(rng.uniform(0, 360)))
    kind = rng.random()
    if kind > 0.25:
        speed = float(rng.uniform(0.7, 1.8)) if kind < 0.85 else float(rng.uniform(2.5, 6.0))
        heading = float(rng.uniform(0, 2 * np.pi))
        half = speed * (10 + lasts_s)
        ahead = (half * math.sin(heading), half * math.cos(heading))
        # In the middle of the way, which is where they should be, half of the clip has gone by.
        start_s = 20.0 + lasts_s / 2 - half / speed
        path = waypoints(
            [(x_m - ahead[0], y_m - ahead[1]), (x_m + ahead[0], y_m + ahead[1])], speed, start_s=start_s
        )
    if rng.random() < 0.2:
        path = Beside(path, float(rng.normal(0, 0.4)), float(rng.normal(0, 0.4)))
    return Actor(
        number, path, float(np.clip(rng.normal(1.72, 0.11), 1.1, 2.0)), Looks(int(rng.integers(1 << 30)))
    )


def _silhouette_px(seen: Bodies, person: int, size: tuple[int, int]) -> float:
    """Pixels of somebody's limbs in the picture, whatever stands before them."""
    left, top, right, bottom = seen.full_boxes_xyxy[person]
    west, north = max(0, math.floor(left)), max(0, math.floor(top))
    wide, high = min(size[0], math.ceil(right)) - west, min(size[1], math.ceil(bottom)) - north
    if wide < 1 or high < 1:
        return 0.0
    worn = seen.figures.worn[person]
    start, end = seen.from_px[person, worn, :2], seen.to_px[person, worn, :2]
    hulls = outlines(start, end, seen.from_radius_px[person, worn], seen.to_radius_px[person, worn])
    mask: U8 = np.zeros((high, wide), np.uint8)
    for hull in np.round((hulls - (west, north)) * 16).astype(np.int32):
        cv2.fillConvexPoly(mask, hull, 1, cv2.LINE_8, 4)
    return float(cv2.countNonZero(mask))
