"""Where a camera stands and how it moves over a clip: still, panning, zooming, shaken by a hand.

Metres, x right of the first view, y ahead, z up; the camera is above the origin. A camera turns and zooms but does not
travel, so all that stands still is one picture seen through a homography.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

NEAREST_M = 0.35


@dataclass(frozen=True, slots=True)
class Lens:
    """A pinhole.

    pan_rad   to the right of straight ahead
    tilt_rad  upwards
    roll_rad  of the camera, clockwise as seen from behind it
    """

    width: int
    height: int
    focal_px: float
    height_m: float
    pan_rad: float = 0.0
    tilt_rad: float = 0.0
    roll_rad: float = 0.0

    def axes(self) -> np.ndarray:
        """(3, 3): unit vectors right, down and forward of the picture, in the world."""
        return _axes(self.pan_rad, self.tilt_rad, self.roll_rad)

    def project(self, points_xyz_m: np.ndarray) -> np.ndarray:
        """World points (…, 3) as (…, 3): pixels right and down, drawn no nearer than `NEAREST_M`; metres ahead."""
        seen = (points_xyz_m - (0.0, 0.0, self.height_m)) @ self.axes().T
        ahead = np.maximum(seen[..., 2:], NEAREST_M)
        pixels = seen[..., :2] * (self.focal_px / ahead) + (self.width / 2, self.height / 2)
        return np.concatenate([pixels, seen[..., 2:]], axis=-1)

    def to_rays(self) -> np.ndarray:
        """(3, 3): homogeneous pixels to directions in the world."""
        inverse = np.array(
            [
                [1 / self.focal_px, 0, -self.width / 2 / self.focal_px],
                [0, 1 / self.focal_px, -self.height / 2 / self.focal_px],
                [0, 0, 1],
            ]
        )
        return np.asarray(self.axes().T @ inverse)

    def to_ground(self) -> np.ndarray:
        """(3, 3): homogeneous pixels to homogeneous (x, y) of the ground; valid below the horizon."""
        return np.asarray(np.diag([-self.height_m, -self.height_m, 1.0]) @ self.to_rays())

    def seen_from(self, other: Lens) -> np.ndarray:
        """(3, 3): pixels of this lens to pixels of another one at the same place."""
        camera = np.array(
            [
                [other.focal_px, 0, other.width / 2],
                [0, other.focal_px, other.height / 2],
                [0, 0, 1],
            ]
        )
        return np.asarray(camera @ other.axes() @ self.to_rays())


@lru_cache(maxsize=64)
def _axes(pan_rad: float, tilt_rad: float, roll_rad: float) -> np.ndarray:
    right = np.array([math.cos(pan_rad), -math.sin(pan_rad), 0.0])
    flat = math.cos(tilt_rad)
    forward = np.array([math.sin(pan_rad) * flat, math.cos(pan_rad) * flat, math.sin(tilt_rad)])
    down = np.cross(forward, right)
    cosine, sine = math.cos(roll_rad), math.sin(roll_rad)
    return np.asarray(np.stack([cosine * right + sine * down, cosine * down - sine * right, forward]))


@dataclass(frozen=True, slots=True)
class Shots:
    """The lenses of a clip, one a frame, and the wide one that what stands still is painted for."""

    lenses: tuple[Lens, ...]
    wide: Lens
    step_s: float


def shots(rng: np.random.Generator, first: Lens, frames: int) -> Shots:
    """How the camera moves in a clip that begins with this lens."""
    step_s = float(rng.uniform(0.04, 0.22)) if rng.random() < 0.85 else float(rng.uniform(0.22, 0.6))
    times = np.arange(frames) * step_s
    view_rad = 2 * math.atan(first.width / 2 / first.focal_px)
    kind = rng.random()
    pan, tilt, roll, zoom = _axes_of(frames)
    if frames > 1 and kind > 0.5:
        if kind < 0.75:
            pan = times * rng.normal(0, 0.25) * view_rad
            tilt = times * rng.normal(0, 0.04) * view_rad
        if kind > 0.65:
            shake = float(np.exp(rng.uniform(np.log(0.002), np.log(0.03)))) * view_rad
            for axis in (pan, tilt, roll):
                for hertz in (0.7, 1.9, 4.3):
                    axis += (
                        shake
                        * rng.normal()
                        / hertz**0.7
                        * np.sin(hertz * 6.28 * times + rng.uniform(0, 6.28))
                    )
        if rng.random() < 0.25:
            zoom = times * rng.normal(0, 0.2)
    # The wide picture does not grow without end: a quick camera turns less.
    room = 0.35 * view_rad
    for axis in (pan, tilt):
        axis *= min(1.0, room / max(float(np.abs(axis).max()), 1e-6))
    zoom = np.clip(zoom, -0.25, 0.8)
    lenses = tuple(
        replace(
            first,
            pan_rad=first.pan_rad + pan[frame],
            tilt_rad=max(first.tilt_rad + tilt[frame], -1.5),
            roll_rad=first.roll_rad + roll[frame],
            focal_px=first.focal_px * math.exp(zoom[frame]),
        )
        for frame in range(frames)
    )
    return Shots(lenses, _wide(first, lenses), step_s)


def _axes_of(frames: int) -> list[np.ndarray]:
    return [np.zeros(frames) for _ in range(4)]


def _wide(first: Lens, lenses: tuple[Lens, ...]) -> Lens:
    """A lens as the first one, with margins that hold the corners of all."""
    corners = np.array(
        [[0, 0, 1], [first.width, 0, 1], [0, first.height, 1], [first.width, first.height, 1.0]]
    ).T
    reach = np.zeros(2)
    for lens in lenses:
        seen = lens.seen_from(first) @ corners
        pixels = (seen[:2] / np.maximum(seen[2], 1e-3)).T
        away = np.abs(pixels - (first.width / 2, first.height / 2)).max(axis=0)
        reach = np.maximum(reach, away)
    half = np.minimum(np.ceil(reach), (1.2 * first.width, 1.2 * first.height)).astype(int)
    return replace(
        first, width=max(first.width, 2 * int(half[0])), height=max(first.height, 2 * int(half[1]))
    )


def first_lens(
    rng: np.random.Generator, size: tuple[int, int], person_px: float, ahead_m: float | None = None
) -> tuple[Lens, float]:
    """A camera that shows somebody 1.7 m tall about `person_px` tall near its middle, and how far away that is."""
    kind = rng.random()
    if kind < 0.38:
        height_m = float(rng.uniform(1.1, 2.2))
    elif kind < 0.85:
        height_m = float(rng.uniform(2.2, 8.0))
    else:
        height_m = float(np.exp(rng.uniform(np.log(6.0), np.log(20.0))))
    view_rad = math.radians(float(np.exp(rng.uniform(np.log(22), np.log(95)))))
    focal_px = size[0] / 2 / math.tan(view_rad / 2)
    away_m = max(1.7 * focal_px / person_px, 0.35 * height_m, 1.0) if ahead_m is None else ahead_m
    away_m = min(away_m, 60.0)
    # Where the middle of such a person should be in the picture.
    at = float(np.clip(rng.normal(0.52, 0.12), 0.25, 0.8)) * size[1]
    below = math.atan2(height_m - 0.9, away_m) - math.atan((at - size[1] / 2) / focal_px)
    roll_rad = math.radians(float(rng.normal(0, 1.5) if rng.random() < 0.7 else rng.normal(0, 6)))
    return Lens(size[0], size[1], focal_px, height_m, 0.0, -below, roll_rad), away_m
