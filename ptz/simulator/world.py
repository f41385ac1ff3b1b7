"""A small world to point cameras at: people on flat ground, things that hide them, places for cameras.

Metres, x east, y north, z up; azimuth 0 is north and grows clockwise. All is a pure function of time, so that every
process of a machine sees the same world at the same moment with nothing said between them. Knows nothing of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptz.geometry import focal_px
from ptz.simulator.actors import FASTEST_M_S, Actor, Looks
from ptz.types import F64, I64, View

TURNING_S = 0.4
"""Who changes direction turns around over this time."""


@dataclass(frozen=True, slots=True)
class CameraMount:
    """A camera's place, and the direction and lens it starts with.

    x_m, y_m, z_m   where the lens is
    pan_deg, tilt_deg, zoom  where it looks at first; a fixed camera always
    hfov_wide_deg   horizontal field of view at zoom 1
    profile         device profile of its head (`ptz.simulator.profiles`); empty = a fixed camera
    """

    name: str
    x_m: float
    y_m: float
    z_m: float
    pan_deg: float = 0.0
    tilt_deg: float = 0.0
    zoom: float = 1.0
    hfov_wide_deg: float = 59.8
    profile: str = ""

    @property
    def is_ptz(self) -> bool:
        """It has a head that turns."""
        return bool(self.profile)


@dataclass(frozen=True, slots=True)
class Occluder:
    """A box that stands on the ground, or above it, and hides what is behind.

    kind             wall, pillar, kiosk, …: how it looks
    x_m, y_m         centre of its footprint
    width_m, depth_m sides of its footprint; the depth runs along `heading_deg`
    height_m         its upper edge above the ground
    base_m           its lower edge above the ground
    """

    kind: str
    x_m: float
    y_m: float
    width_m: float
    depth_m: float
    height_m: float
    heading_deg: float = 0.0
    base_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """A script: who walks where, what stands in the way, which cameras there are.

    duration_s  after which all begins anew
    target_ids  whom the cameras should keep in the picture, for scores; empty = everybody
    policy      framing policy that the scene is meant for
    about       one line
    """

    name: str
    about: str
    duration_s: float
    actors: tuple[Actor, ...]
    cameras: tuple[CameraMount, ...]
    occluders: tuple[Occluder, ...] = ()
    target_ids: tuple[int, ...] = ()
    policy: str = "group"

    @property
    def heads(self) -> tuple[CameraMount, ...]:
        """The cameras that turn."""
        return tuple(camera for camera in self.cameras if camera.is_ptz)


@dataclass(frozen=True, slots=True)
class People:
    """Who is there at one moment, as parallel arrays.

    ids          int64 (n,): the same person always has the same, from 1
    feet_xyz_m   (n, 3): the point of the ground below the hips
    height_m     (n,) from sole to crown
    heading_deg  (n,) azimuth that the person faces
    speed_m_s    (n,) over ground
    velocity_xy_m_s  (n, 2)
    phase        (n,) of the gait, 0..1 for two steps
    looks        body and clothes, one for each
    """

    time_s: float
    ids: I64
    feet_xyz_m: F64
    height_m: F64
    heading_deg: F64
    speed_m_s: F64
    velocity_xy_m_s: F64
    phase: F64
    looks: tuple[Looks, ...]

    def __len__(self) -> int:
        return len(self.ids)


class World:
    """A scene in time."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def people(self, time_s: float) -> People:
        """Who is there `time_s` seconds after the scene's start, and how they move."""
        present = [actor for actor in self.scene.actors if actor.enters_s <= time_s < actor.leaves_s]
        rows = [_state(actor, time_s) for actor in present]
        states = np.array(rows, float).reshape(-1, 6)
        feet = np.zeros((len(present), 3))
        feet[:, :2] = states[:, :2]
        velocity = states[:, 2:4]
        return People(
            time_s=time_s,
            ids=np.array([actor.actor_id for actor in present], np.int64),
            feet_xyz_m=feet,
            height_m=np.array([actor.height_m for actor in present], float),
            heading_deg=states[:, 4],
            speed_m_s=np.hypot(velocity[:, 0], velocity[:, 1]),
            velocity_xy_m_s=velocity,
            phase=states[:, 5],
            looks=tuple(actor.looks for actor in present),
        )

    def scene_time_s(self, now_s: float, start_s: float = 0.0) -> float:
        """The scene's own time at `now_s` of the clock: it has begun at `start_s` and begins anew when it is over."""
        return (now_s - start_s) % self.scene.duration_s

    def mount(self, camera: int | str) -> CameraMount:
        """The camera with this number, from 1, or this name. Raises `KeyError`."""
        for number, mount in enumerate(self.scene.cameras, start=1):
            if camera in (number, mount.name, str(number)):
                return mount
        raise KeyError(camera)


def _state(actor: Actor, time_s: float) -> tuple[float, ...]:
    """East, north, velocity east and north, heading, phase."""
    path, step_s = actor.path, 0.05
    places = path.places(np.array([time_s - step_s, time_s, time_s + step_s]))
    velocity = (places[2] - places[0]) / (2 * step_s)
    if np.hypot(*velocity) > FASTEST_M_S:
        velocity = np.zeros(2)
    facing = path.facing(time_s + np.linspace(-0.5, 0.5, 7) * TURNING_S).mean(axis=0)
    heading = float(np.degrees(np.arctan2(facing[0], facing[1]))) % 360
    phase = float(path.cycles(np.array([time_s]))[0]) % 1.0
    return float(places[1, 0]), float(places[1, 1]), float(velocity[0]), float(velocity[1]), heading, phase


def to_camera(points_xyz_m: F64, mount: CameraMount, view: View) -> F64:
    """World points (…, 3) in the camera's own axes (…, 3): right, down, and forward along the optical axis; metres."""
    relative = np.asarray(points_xyz_m, float) - (mount.x_m, mount.y_m, mount.z_m)
    pan, tilt = np.radians(view.pan_deg), np.radians(view.tilt_deg)
    right = (np.cos(pan), -np.sin(pan), 0.0)
    forward = (np.sin(pan) * np.cos(tilt), np.cos(pan) * np.cos(tilt), np.sin(tilt))
    down = (np.sin(pan) * np.sin(tilt), np.cos(pan) * np.sin(tilt), -np.cos(tilt))
    return np.asarray(relative @ np.array([right, down, forward]).T)


def project(points_xyz_m: F64, mount: CameraMount, view: View) -> F64:
    """World points (…, 3) in a view, (…, 3): pixels right, pixels down, metres along the optical axis.

    Points at or behind the lens (third value not above 0) have no pixels: these are NaN.
    """
    axes = to_camera(points_xyz_m, mount, view)
    focal = focal_px(view.width, view.hfov_deg)
    depth = axes[..., 2]
    scale = focal / np.where(depth > 1e-6, depth, np.nan)
    return np.stack(
        [view.width / 2 + axes[..., 0] * scale, view.height / 2 + axes[..., 1] * scale, depth], axis=-1
    )
