"""Somebody in a clip: body, clothes and a straight way over the ground, and the limbs at a moment."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tools.nano.pictures_bodies import Build, Doing, Limb, body, draw_build, draw_doing
from tools.nano.pictures_clothes import Clothes, draw_clothes


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody: body, clothes, and a straight way over the ground."""

    build: Build
    doing: Doing
    clothes: Clothes
    start_xy_m: tuple[float, float]
    heading_rad: float
    speed_m_s: float
    phase: float
    seed: int

    def place(self, time_s: float) -> tuple[float, float]:
        """Metres to the right and ahead."""
        way = self.speed_m_s * time_s
        return (
            self.start_xy_m[0] + way * math.sin(self.heading_rad),
            self.start_xy_m[1] + way * math.cos(self.heading_rad),
        )

    def limbs(self, time_s: float) -> tuple[dict[str, int], np.ndarray, np.ndarray]:
        """Index by name, joints (n, 2, 3) in the world, radii (n, 2)."""
        stride_m = (0.8 + 0.54 * self.speed_m_s) * self.build.height_m / 1.7 * self.doing.stride
        limbs = dict(body(self.build, self.doing, self.phase + self.speed_m_s * time_s / stride_m).limbs)
        if self.clothes.bag:
            limbs["bag"] = self._bag(limbs)
        joints = np.array([limb[:2] for limb in limbs.values()])
        radii = np.array([limb[2:] for limb in limbs.values()])
        sine, cosine = math.sin(self.heading_rad), math.cos(self.heading_rad)
        x_m, y_m = self.place(time_s)
        world = np.stack(
            [
                x_m + joints[..., 0] * sine + joints[..., 1] * cosine,
                y_m + joints[..., 0] * cosine - joints[..., 1] * sine,
                joints[..., 2],
            ],
            axis=-1,
        )
        return {name: index for index, name in enumerate(limbs)}, world, radii

    def _bag(self, limbs: dict[str, Limb]) -> Limb:
        """In the hand, or at the hip."""
        size = self.build.height_m
        if self.clothes.bag == 1:
            hand = limbs["handR"][1]
            return (
                (hand[0], hand[1], hand[2] - 0.05 * size),
                (hand[0], hand[1], hand[2] - 0.15 * size),
                0.05 * size,
                0.07 * size,
            )
        hip = limbs["hips"][1]
        side = hip[1] + 0.075 * size
        return (
            (hip[0] - 0.03 * size, side, hip[2] + 0.02 * size),
            (hip[0] + 0.04 * size, side, hip[2] - 0.02 * size),
            0.06 * size,
            0.06 * size,
        )


def draw_person(rng: np.random.Generator, place_xy_m: tuple[float, float]) -> Person:
    """Somebody at this place at time 0."""
    build, doing = draw_build(rng), draw_doing(rng)
    speed = {"walk": rng.uniform(0.6, 1.8), "run": rng.uniform(2.2, 5.5), "ride": rng.uniform(2, 6)}.get(
        doing.action, 0.0
    )
    return Person(
        build, doing, draw_clothes(rng), place_xy_m, float(rng.uniform(-math.pi, math.pi)), float(speed),
        float(rng.random()), int(rng.integers(1 << 16)),
    )  # fmt: skip
