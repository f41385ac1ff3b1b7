"""The body of a person as rounded limbs in space: what truth measures and what pictures are drawn from.

Each limb is a tapered capsule between two joints. Proportions are shares of the height, about those of the 50th
percentile of common anthropometric tables; the gait is a pair of sines with bent knees, good enough for a silhouette.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np

from ptz.simulator.actors import Looks, unit
from ptz.types import F64, Bools


class Part(IntEnum):
    """Limbs, by their place in the arrays."""

    HEAD = 0
    HAIR = 1
    LONG_HAIR = 2
    HAT = 3
    NECK = 4
    TORSO_LEFT = 5
    TORSO_RIGHT = 6
    TORSO_MIDDLE = 7
    SHOULDERS = 8
    HIPS = 9
    UPPER_ARM_LEFT = 10
    UPPER_ARM_RIGHT = 11
    FOREARM_LEFT = 12
    FOREARM_RIGHT = 13
    HAND_LEFT = 14
    HAND_RIGHT = 15
    THIGH_LEFT = 16
    THIGH_RIGHT = 17
    SHIN_LEFT = 18
    SHIN_RIGHT = 19
    FOOT_LEFT = 20
    FOOT_RIGHT = 21
    SKIRT_LEFT = 22
    SKIRT_RIGHT = 23
    BACKPACK = 24
    BAG = 25


PARTS = len(Part)


@dataclass(frozen=True, slots=True)
class Build:
    """What of somebody's looks changes the outline.

    girth     1 = average
    gesture   how the arms are held in standing: 0 hanging, 1 telephone, 2 hands on the hips, 3 arms folded
    """

    girth: float
    long_hair: bool
    hat: bool
    skirt: bool
    backpack: bool
    bag: bool
    gesture: int


@lru_cache(maxsize=4096)
def build_of(looks: Looks) -> Build:
    """The build that belongs to these looks."""
    random = np.random.default_rng((looks.seed, 11))
    chances = random.random(6)
    return Build(
        girth=float(random.uniform(0.88, 1.22)),
        long_hair=bool(chances[0] < 0.35),
        hat=bool(chances[1] < 0.15),
        skirt=bool(chances[2] < 0.18),
        backpack=bool(chances[3] < 0.25),
        bag=bool(chances[4] < 0.2),
        gesture=int(random.choice(4, p=(0.55, 0.2, 0.1, 0.15))),
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """Limbs of n people in the world.

    from_xyz_m, to_xyz_m      (n, PARTS, 3) joints
    from_radius_m, to_radius_m (n, PARTS)
    worn                      bool (n, PARTS): whether somebody has this part
    """

    from_xyz_m: F64
    to_xyz_m: F64
    from_radius_m: F64
    to_radius_m: F64
    worn: Bools


@dataclass(frozen=True, slots=True)
class Gait:
    """How people move at one moment, as parallel arrays (n,)."""

    phase: F64
    speed_m_s: F64
    time_s: float


def figures(
    feet_xyz_m: F64, height_m: F64, heading_deg: F64, gait: Gait, looks: tuple[Looks, ...]
) -> Figures:
    """The limbs of people that stand at `feet_xyz_m` (n, 3) and face `heading_deg` (n,)."""
    builds = [build_of(look) for look in looks]
    local = _Skeleton(gait, builds)
    from_local, to_local, radii = local.limbs()
    forward, n = unit(heading_deg), len(builds)
    right = np.stack([forward[:, 1], -forward[:, 0]], axis=-1)
    height = height_m[:, None, None]

    def world(points: F64) -> F64:
        scaled = points * height
        ground = scaled[..., :1] * forward[:, None] + scaled[..., 1:2] * right[:, None]
        return np.asarray(np.concatenate([ground, scaled[..., 2:]], axis=-1) + feet_xyz_m[:, None])

    radii = radii * height
    worn = np.ones((n, PARTS), bool)
    for part, has in _choices(builds).items():
        worn[:, part] = has
    return Figures(world(from_local), world(to_local), radii[..., 0], radii[..., 1], worn)


def _choices(builds: list[Build]) -> dict[Part, list[bool]]:
    return {
        Part.LONG_HAIR: [build.long_hair for build in builds],
        Part.HAT: [build.hat for build in builds],
        Part.SKIRT_LEFT: [build.skirt for build in builds],
        Part.SKIRT_RIGHT: [build.skirt for build in builds],
        Part.BACKPACK: [build.backpack for build in builds],
        Part.BAG: [build.bag for build in builds],
    }


class _Skeleton:
    """Joints in shares of the height: forward, right, up from the point between the feet."""

    def __init__(self, gait: Gait, builds: list[Build]) -> None:
        self.walk = np.clip((gait.speed_m_s - 0.2) / 0.8, 0.0, 1.0)
        self.run = np.clip((gait.speed_m_s - 2.0) / 1.5, 0.0, 1.0)
        self.turn = 2 * np.pi * gait.phase
        self.girth = np.array([build.girth for build in builds])
        self.gesture = np.array([build.gesture for build in builds])
        self.lean = 0.03 * self.walk + 0.16 * self.run
        # Nobody stands like a post.
        self.idle = 0.012 * np.sin(0.9 * gait.time_s + 2.4 * np.arange(len(builds)))
        self.from_joints: dict[Part, F64] = {}
        self.to_joints: dict[Part, F64] = {}
        self.radii: dict[Part, tuple[F64, F64]] = {}

    def limbs(self) -> tuple[F64, F64, F64]:
        """(n, PARTS, 3), (n, PARTS, 3), (n, PARTS, 2)."""
        for side, left in ((-1.0, True), (1.0, False)):
            self._leg(side, left=left)
        lowest = np.minimum(self.to_joints[Part.SHIN_LEFT][:, 2], self.to_joints[Part.SHIN_RIGHT][:, 2])
        self._trunk()
        self._head()
        for side, left in ((-1.0, True), (1.0, False)):
            self._arm(side, left=left)
        self._carried()
        ordered = list(Part)
        starts = np.stack([self.from_joints[part] for part in ordered], axis=1)
        ends = np.stack([self.to_joints[part] for part in ordered], axis=1)
        # The lower ankle stands on the ground; everything above bobs with it.
        drop = (lowest - 0.042)[:, None]
        starts[..., 2] -= drop
        ends[..., 2] -= drop
        radii = np.stack([np.stack(self.radii[part], axis=-1) for part in ordered], axis=1)
        return starts, ends, radii

    def _limb(
        self, part: Part, start: F64, end: F64, radii: tuple[float, float], *, fat: bool = True
    ) -> None:
        girth = self.girth if fat else np.ones_like(self.girth)
        self.from_joints[part], self.to_joints[part] = start, end
        self.radii[part] = (radii[0] * girth, radii[1] * girth)

    def _point(self, forward: F64 | float, right: F64 | float, up: F64 | float) -> F64:
        zero = np.zeros_like(self.walk)
        return np.stack([forward + zero, right + zero, up + zero], axis=-1)

    def _leaning(self, forward: F64 | float, right: F64 | float, up: float) -> F64:
        """A point of the trunk, which leans forward from the hips and sways a little."""
        rise = up - 0.5
        return self._point(
            forward + rise * np.sin(self.lean), right + rise * self.idle, 0.5 + rise * np.cos(self.lean)
        )

    def _leg(self, side: float, *, left: bool) -> None:
        turn = self.turn + (0.0 if left else np.pi)
        thigh = self.walk * ((0.40 + 0.28 * self.run) * np.sin(turn) + 0.04 + 0.18 * self.run)
        bend = self.walk * (
            0.08 + 0.25 * self.run + (0.85 + 0.75 * self.run) * np.maximum(0, np.cos(turn - 0.35))
        )
        shin = thigh - bend
        hip = self._point(0.0, side * 0.05, 0.5)
        apart = side * (0.05 + 0.012 * (1 - self.walk))
        knee = self._point(0.245 * np.sin(thigh), apart, 0.5 - 0.245 * np.cos(thigh))
        ankle = knee + self._point(0.216 * np.sin(shin), 0.0, -0.216 * np.cos(shin))
        # The foot lies flat under a leg that stands and hangs behind one that swings.
        pitch = np.clip(shin * 0.6, -1.1, 0.4)
        toe = ankle + self._point(0.10 * np.cos(pitch), side * 0.012, 0.10 * np.sin(pitch) - 0.018)
        heel = ankle + self._point(-0.02, 0.0, -0.02)
        thigh_part, shin_part, foot_part = (
            (Part.THIGH_LEFT, Part.SHIN_LEFT, Part.FOOT_LEFT)
            if left
            else (Part.THIGH_RIGHT, Part.SHIN_RIGHT, Part.FOOT_RIGHT)
        )
        self._limb(thigh_part, hip, knee, (0.050, 0.037))
        self._limb(shin_part, knee, ankle, (0.036, 0.026))
        self._limb(foot_part, heel, toe, (0.022, 0.017), fat=False)
        hem = hip + (knee - hip) * 0.85 + self._point(0.0, side * 0.02, 0.0)
        self._limb(Part.SKIRT_LEFT if left else Part.SKIRT_RIGHT, hip, hem, (0.054, 0.052))

    def _trunk(self) -> None:
        for part, side in ((Part.TORSO_LEFT, -1.0), (Part.TORSO_RIGHT, 1.0)):
            chest, hips = self._leaning(0.0, side * 0.062, 0.775), self._leaning(0.0, side * 0.036, 0.52)
            self._limb(part, chest, hips, (0.052, 0.055))
        self._limb(
            Part.TORSO_MIDDLE, self._leaning(0.0, 0.0, 0.775), self._leaning(0.0, 0.0, 0.52), (0.058, 0.06)
        )
        self._limb(
            Part.SHOULDERS,
            self._leaning(0.0, -0.088, 0.795),
            self._leaning(0.0, 0.088, 0.795),
            (0.036, 0.036),
        )
        self._limb(
            Part.HIPS, self._leaning(0.0, -0.045, 0.505), self._leaning(0.0, 0.045, 0.505), (0.056, 0.056)
        )

    def _head(self) -> None:
        self._limb(
            Part.NECK,
            self._leaning(0.0, 0.0, 0.82),
            self._leaning(0.008, 0.0, 0.87),
            (0.036, 0.032),
            fat=False,
        )
        self._limb(
            Part.HEAD,
            self._leaning(0.018, 0.0, 0.893),
            self._leaning(0.008, 0.0, 0.937),
            (0.041, 0.051),
            fat=False,
        )
        self._limb(
            Part.HAIR,
            self._leaning(-0.014, 0.0, 0.925),
            self._leaning(0.004, 0.0, 0.945),
            (0.047, 0.054),
            fat=False,
        )
        self._limb(
            Part.LONG_HAIR,
            self._leaning(-0.02, 0.0, 0.93),
            self._leaning(-0.045, 0.0, 0.83),
            (0.05, 0.045),
            fat=False,
        )
        self._limb(
            Part.HAT,
            self._leaning(0.05, 0.0, 0.953),
            self._leaning(-0.01, 0.0, 0.955),
            (0.018, 0.056),
            fat=False,
        )

    def _arm(self, side: float, *, left: bool) -> None:
        turn = self.turn + (np.pi if left else 0.0)
        still = 1 - self.walk
        upper = self.walk * (0.38 + 0.35 * self.run) * np.sin(turn) - 0.05
        bend = 0.12 + self.walk * 0.2 + 1.2 * self.run
        phone = still * (self.gesture == 1) * (not left)
        folded = still * (self.gesture == 3)
        on_hips = still * (self.gesture == 2)
        upper = upper + 0.35 * phone + 0.25 * folded - 0.2 * on_hips
        bend = bend + 1.9 * phone + 1.3 * folded + 0.5 * on_hips
        outward = side * (0.02 + 0.09 * on_hips)
        shoulder = self._leaning(0.0, side * 0.108, 0.792)
        elbow = shoulder + self._point(0.17 * np.sin(upper), outward, -0.17 * np.cos(upper))
        fore = upper + bend
        inward = -side * (0.01 + 0.02 * self.run + 0.11 * folded + 0.08 * on_hips)
        wrist = elbow + self._point(0.135 * np.sin(fore), inward, -0.135 * np.cos(fore))
        finger = wrist + (wrist - elbow) * 0.35
        parts = (
            (Part.UPPER_ARM_LEFT, Part.FOREARM_LEFT, Part.HAND_LEFT)
            if left
            else (Part.UPPER_ARM_RIGHT, Part.FOREARM_RIGHT, Part.HAND_RIGHT)
        )
        self._limb(parts[0], shoulder, elbow, (0.032, 0.026))
        self._limb(parts[1], elbow, wrist, (0.026, 0.019))
        self._limb(parts[2], wrist, finger, (0.019, 0.016), fat=False)

    def _carried(self) -> None:
        self._limb(
            Part.BACKPACK,
            self._leaning(-0.095, 0.0, 0.76),
            self._leaning(-0.105, 0.0, 0.62),
            (0.06, 0.072),
            fat=False,
        )
        hand = self.to_joints[Part.HAND_RIGHT]
        self._limb(
            Part.BAG,
            hand - self._point(0.0, 0.0, 0.04),
            hand - self._point(0.0, 0.0, 0.12),
            (0.04, 0.06),
            fat=False,
        )
