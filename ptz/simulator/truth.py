"""What a perfect observer would say of a picture: where everybody is, and how much of them is to be seen.

Boxes are those of the limbs (`ptz.simulator.figure`), from which pictures are drawn as well, so truth and pixels agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ptz.geometry import focal_px
from ptz.simulator.figure import Figures, Gait, figures
from ptz.simulator.world import CameraMount, Occluder, People, World, project, to_camera
from ptz.types import F32, F64, I64, Bools, View

COLUMNS, ROWS = 12, 32
"""Points of a box that are asked whether they are the body and whether something hides them."""
NEAREST_M = 0.3
"""What is nearer to the lens than this is not projected."""


@dataclass(frozen=True, slots=True)
class Truth:
    """All people that are there, in the picture or not, as parallel arrays.

    ids                 int64 (n,)
    in_front            bool (n,): False = behind the lens or at it; boxes are zeros then
    full_boxes_xyxy     float32 (n, 4): the whole body in pixels, as if nothing hid it and the picture had no edge
    visible_boxes_xyxy  float32 (n, 4): what is to be seen of it in the picture; zeros where nothing is
    visibility          float32 (n,): share of the body that is in the picture and not hidden, 0..1
    fully_in_frame      bool (n,): the full box is inside the picture
    pan_deg, tilt_deg   (n,): direction from the camera to the middle of the body, whether in the picture or not
    distance_m          (n,): to the middle of the body
    """

    time_s: float
    view: View
    ids: I64
    in_front: Bools
    full_boxes_xyxy: F32
    visible_boxes_xyxy: F32
    visibility: F32
    fully_in_frame: Bools
    pan_deg: F64
    tilt_deg: F64
    distance_m: F64

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Bodies:
    """People's limbs in a view.

    from_px, to_px             (n, PARTS, 3): pixels right, pixels down, metres along the optical axis
    from_radius_px, to_radius_px  (n, PARTS)
    worn                       bool (n, PARTS)
    in_front                   bool (n,)
    full_boxes_xyxy            (n, 4), zeros for those not in front
    depth_m                    (n,) of the middle of the body along the optical axis
    middles_xyz_m              (n, 3) middle of the body in the world
    """

    figures: Figures
    from_px: F64
    to_px: F64
    from_radius_px: F64
    to_radius_px: F64
    in_front: Bools
    full_boxes_xyxy: F64
    depth_m: F64
    middles_xyz_m: F64


def bodies(people: People, camera: CameraMount, view: View) -> Bodies:
    """The limbs of everybody, as the lens maps them."""
    gait = Gait(people.phase, people.speed_m_s, people.time_s)
    body = figures(people.feet_xyz_m, people.height_m, people.heading_deg, gait, people.looks)
    start = project(body.from_xyz_m, camera, view)
    end = project(body.to_xyz_m, camera, view)
    depths = np.concatenate([start[..., 2], end[..., 2]], axis=1)
    in_front = depths.min(axis=1) > NEAREST_M if len(people) else np.zeros(0, bool)
    focal = focal_px(view.width, view.hfov_deg)
    start_radius = focal * body.from_radius_m / np.maximum(start[..., 2], NEAREST_M)
    end_radius = focal * body.to_radius_m / np.maximum(end[..., 2], NEAREST_M)
    hidden = ~body.worn
    lows, highs = [], []
    for axis in (0, 1):
        low = np.minimum(start[..., axis] - start_radius, end[..., axis] - end_radius)
        high = np.maximum(start[..., axis] + start_radius, end[..., axis] + end_radius)
        lows.append(np.where(hidden, np.inf, low).min(axis=1, initial=np.inf))
        highs.append(np.where(hidden, -np.inf, high).max(axis=1, initial=-np.inf))
    boxes = np.stack([*lows, *highs], axis=-1)
    boxes[~in_front] = 0.0
    middle = middles(people)
    depth = to_camera(middle, camera, view)[..., 2]
    return Bodies(body, start, end, start_radius, end_radius, in_front, boxes, depth, middle)


def middles(people: People) -> F64:
    """The middle of everybody's body (n, 3)."""
    return np.asarray(people.feet_xyz_m + people.height_m[:, None] * (0.0, 0.0, 0.5))


def truth(world: World, camera: CameraMount, view: View, time_s: float) -> Truth:
    """What is to be seen from `camera` through `view`, `time_s` after the scene's start."""
    people = world.people(time_s)
    return truth_of(people, bodies(people, camera, view), world.scene.occluders, camera, view)


def truth_of(
    people: People, seen: Bodies, occluders: tuple[Occluder, ...], camera: CameraMount, view: View
) -> Truth:
    """The same for people that have been projected already."""
    full = seen.full_boxes_xyxy
    frame = np.array([view.width, view.height, view.width, view.height], float)
    clipped = np.clip(full, 0.0, frame)
    touches = seen.in_front & (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    visible, visibility = np.zeros_like(full), np.zeros(len(people))
    hiding = may_hide(occluders, seen.middles_xyz_m, camera)
    for person in np.flatnonzero(touches):
        near = tuple(occluders[box] for box in np.flatnonzero(hiding[person]))
        if not near and (clipped[person] == full[person]).all() and not _nearer(int(person), seen):
            visibility[person], visible[person] = 1.0, full[person]
            continue
        visibility[person], visible[person] = _seen_part(int(person), seen, near, camera, view)
    offset = seen.middles_xyz_m - (camera.x_m, camera.y_m, camera.z_m)
    ground = np.hypot(offset[:, 0], offset[:, 1])
    inside = (full[:, :2] >= 0).all(axis=1) & (full[:, 2:] <= frame[2:]).all(axis=1)
    return Truth(
        time_s=people.time_s,
        view=view,
        ids=people.ids,
        in_front=seen.in_front,
        full_boxes_xyxy=full.astype(np.float32),
        visible_boxes_xyxy=visible.astype(np.float32),
        visibility=visibility.astype(np.float32),
        fully_in_frame=np.asarray(seen.in_front & inside),
        pan_deg=np.degrees(np.arctan2(offset[:, 0], offset[:, 1])) % 360,
        tilt_deg=np.degrees(np.arctan2(offset[:, 2], ground)),
        distance_m=np.hypot(ground, offset[:, 2]),
    )


def _seen_part(
    person: int, seen: Bodies, occluders: tuple[Occluder, ...], camera: CameraMount, view: View
) -> tuple[float, F64]:
    """Visibility and visible box of one person."""
    left, top, right, bottom = box = seen.full_boxes_xyxy[person]
    columns = left + (np.arange(COLUMNS) + 0.5) * (right - left) / COLUMNS
    rows = top + (np.arange(ROWS) + 0.5) * (bottom - top) / ROWS
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    points = points[on_body(points, seen, person)]
    if not len(points):
        return 0.0, np.zeros(4)
    shown = ((points >= 0) & (points < (view.width, view.height))).all(axis=1)
    free = np.ones(len(points), bool)
    for other in _nearer(person, seen):
        free &= ~on_body(points, seen, other)
    for occluder in occluders:
        free &= ~hidden_by(occluder, points, seen.depth_m[person], camera, view)
    visible = points[shown & free]
    if not len(visible):
        return 0.0, np.zeros(4)
    share = len(visible) / len(points)
    clipped = np.clip(box, 0.0, [view.width, view.height, view.width, view.height])
    if free[shown].all():
        return share, clipped
    half = np.array([(right - left) / COLUMNS, (bottom - top) / ROWS]) / 2
    bounds = np.concatenate([visible.min(axis=0) - half, visible.max(axis=0) + half])
    bounds[:2] = np.maximum(bounds[:2], clipped[:2])
    bounds[2:] = np.minimum(bounds[2:], clipped[2:])
    return share, bounds


def _nearer(person: int, seen: Bodies) -> list[int]:
    """Who is nearer to the camera and overlaps in the picture."""
    mine, others = seen.full_boxes_xyxy[person], seen.full_boxes_xyxy
    overlap = (others[:, :2] < mine[2:]).all(axis=1) & (others[:, 2:] > mine[:2]).all(axis=1)
    nearer = seen.in_front & overlap & (seen.depth_m < seen.depth_m[person])
    return [int(other) for other in np.flatnonzero(nearer) if other != person]


def on_body(points_px: F64, seen: Bodies, person: int) -> Bools:
    """Which pixels (m, 2) lie on somebody's limbs: (m,)."""
    worn = seen.figures.worn[person]
    start, end = seen.from_px[person, worn, :2], seen.to_px[person, worn, :2]
    start_radius, end_radius = seen.from_radius_px[person, worn], seen.to_radius_px[person, worn]
    along = end - start
    length2 = np.maximum((along**2).sum(axis=1), 1e-9)
    offset = points_px[:, None] - start
    share = np.clip((offset * along).sum(axis=-1) / length2, 0.0, 1.0)
    away = offset - share[..., None] * along
    radius = start_radius + share * (end_radius - start_radius)
    return np.asarray(((away**2).sum(axis=-1) <= radius**2).any(axis=1))


def may_hide(occluders: tuple[Occluder, ...], places_xyz_m: F64, camera: CameraMount) -> Bools:
    """(n, m): which of m boxes could stand between the camera and somebody at each of n places (n, 3).

    Not where one of its sides has both on its outer side, nor where it is more than a metre beside the line of sight.
    """
    if not occluders or not len(places_xyz_m):
        return np.zeros((len(places_xyz_m), len(occluders)), bool)
    eye = np.array([[camera.x_m, camera.y_m, camera.z_m]])
    columns = []
    for occluder in occluders:
        half = half_sides(occluder)[:2]
        both = into_box(np.concatenate([eye, places_xyz_m]), occluder)[:, :2]
        seen_from, there = both[0], both[1:]
        outside = (abs(seen_from) > half) & (np.sign(seen_from) == np.sign(there)) & (abs(there) > half)
        along = there - seen_from
        length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
        beside = abs(along[:, 0] * seen_from[1] - along[:, 1] * seen_from[0]) / length
        columns.append(~outside.any(axis=1) & (beside < np.hypot(half[0], half[1]) + 1.0))
    return np.stack(columns, axis=1)


def hidden_by(occluder: Occluder, points_px: F64, depth_m: float, camera: CameraMount, view: View) -> Bools:
    """Which pixels (m, 2) of something at this depth lie behind a box: (m,)."""
    focal = focal_px(view.width, view.hfov_deg)
    right = (points_px[:, 0] - view.width / 2) / focal
    down = (points_px[:, 1] - view.height / 2) / focal
    axes = to_camera(_axes(occluder), CameraMount("", 0.0, 0.0, 0.0), view)
    rays = np.stack([right, down, np.ones(len(points_px))], axis=-1) @ axes.T
    origin = into_box(np.array([camera.x_m, camera.y_m, camera.z_m]), occluder)
    half = half_sides(occluder)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (-half - origin) / rays, (half - origin) / rays
    near = np.nanmax(np.minimum(first, second), axis=1)
    far = np.nanmin(np.maximum(first, second), axis=1)
    return np.asarray((near <= far) & (far > 0) & (near < depth_m))


@lru_cache(maxsize=1024)
def _axes(occluder: Occluder) -> F64:
    """(3, 3): unit vectors of its width, its depth and up, in the world."""
    angle = np.radians(occluder.heading_deg)
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


@lru_cache(maxsize=1024)
def half_sides(occluder: Occluder) -> F64:
    """(3,): half of its width, depth and height."""
    return np.array([occluder.width_m, occluder.depth_m, occluder.height_m - occluder.base_m]) / 2


def into_box(points_xyz_m: F64, occluder: Occluder) -> F64:
    """World points (…, 3) along a box's own axes, from its middle."""
    middle = (occluder.x_m, occluder.y_m, (occluder.base_m + occluder.height_m) / 2)
    return np.asarray((points_xyz_m - middle) @ _axes(occluder).T)
