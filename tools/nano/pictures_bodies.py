"""Bodies as tapered limbs: somebody's build, what they do, and the joints that follow from both at a moment.

Joints are metres forward, right and up from the point of the ground below the hips; proportions are shares of the
height, near those of common anthropometric tables. A limb is (start, end, radius at the start, radius at the end).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Limb = tuple[tuple[float, float, float], tuple[float, float, float], float, float]
ACTIONS = ("walk", "stand", "run", "sit", "crouch", "bend", "ride")
ARMS = ("swing", "hang", "pocket", "ear", "front", "folded", "hip", "raised", "behind", "reach")


@dataclass(frozen=True, slots=True)
class Build:
    """Proportions. Girths and looseness are factors on radii; 1 = slim, in tight clothes."""

    height_m: float
    girth: float
    head: float
    shoulders: float
    loose_top: float
    loose_legs: float
    coat: float
    """Where a coat or skirt ends: 0 none, otherwise share of the leg that it covers."""
    flare: float


@dataclass(frozen=True, slots=True)
class Doing:
    """What somebody does; angles that do not change in a clip."""

    action: str
    arms: tuple[str, str]
    stride: float
    lean: float
    side_lean: float
    head_turn: float
    head_nod: float
    variation: tuple[float, ...]


def draw_build(rng: np.random.Generator) -> Build:
    """Somebody."""
    child = rng.random() < 0.1
    height_m = float(rng.uniform(0.95, 1.5)) if child else float(np.clip(rng.normal(1.71, 0.1), 1.45, 2.02))
    dressed = rng.random()
    coat = 0.0
    if dressed < 0.14:
        coat = float(rng.uniform(0.25, 0.95))
    elif dressed < 0.3:
        coat = float(rng.uniform(0.05, 0.3))
    return Build(
        height_m,
        girth=float(np.clip(rng.lognormal(0.08, 0.15), 0.8, 1.7)),
        head=float(rng.uniform(0.95, 1.1)) * (1.25 if child else 1.0),
        shoulders=float(rng.uniform(0.88, 1.14)),
        loose_top=float(rng.uniform(1.0, 1.4)),
        loose_legs=float(rng.uniform(0.95, 1.55)),
        coat=coat,
        flare=float(rng.uniform(0.9, 1.7)),
    )


def draw_doing(rng: np.random.Generator) -> Doing:
    """An action and how the arms are held in it."""
    action = str(rng.choice(ACTIONS, p=(0.53, 0.27, 0.06, 0.05, 0.02, 0.03, 0.04)))
    if action in ("walk", "run") and rng.random() < 0.6:
        arms = ("swing", "swing")
    else:
        first = str(rng.choice(ARMS, p=(0.18, 0.25, 0.13, 0.08, 0.1, 0.08, 0.05, 0.03, 0.05, 0.05)))
        second = first if rng.random() < 0.6 else str(rng.choice(ARMS))
        arms = (first, second)
    if action == "ride":
        arms = ("front", "front")
    return Doing(
        action,
        arms,
        stride=float(rng.uniform(0.75, 1.2)),
        lean=float(rng.normal(0.04, 0.06)),
        side_lean=float(rng.normal(0, 0.04)),
        head_turn=float(rng.normal(0, 0.45)),
        head_nod=float(rng.normal(0.1, 0.2)),
        variation=tuple(float(value) for value in rng.normal(0, 1, 12)),
    )


@dataclass(frozen=True, slots=True)
class Body:
    """Limbs by name, and the groups that are painted together."""

    limbs: dict[str, Limb]


def body(build: Build, doing: Doing, phase: float) -> Body:
    """The limbs at a point of the gait, 0..1 for two steps."""
    return _Skeleton(build, doing, 2 * math.pi * phase).pose()


class _Skeleton:
    """Joints in shares of the height, scaled at the end."""

    def __init__(self, build: Build, doing: Doing, turn: float) -> None:
        self.build, self.doing, self.turn = build, doing, turn
        self.limbs: dict[str, Limb] = {}
        self.hips = {"walk": 0.5, "stand": 0.5, "run": 0.49, "sit": 0.27, "crouch": 0.22, "bend": 0.48}.get(
            doing.action, 0.54
        )
        extra = {"run": 0.2, "crouch": 0.45, "bend": 0.9, "ride": 0.5}.get(doing.action, 0.0)
        self.lean = doing.lean + extra + (0.05 * doing.variation[0] if doing.action != "bend" else 0.0)
        self.lean += 0.3 * doing.variation[0] if doing.action == "bend" else 0.0

    def pose(self) -> Body:
        for side in (-1.0, 1.0):
            self._leg(side)
        lowest = min(self.limbs[f"shin{side}"][1][2] for side in "LR")
        lift = 0.04 - lowest if self.doing.action not in ("sit", "ride") else 0.0
        self._trunk()
        self._head()
        for side in (-1.0, 1.0):
            self._arm(side)
        scale = self.build.height_m
        return Body(
            {
                name: (
                    (start[0] * scale, start[1] * scale, (start[2] + lift) * scale),
                    (end[0] * scale, end[1] * scale, (end[2] + lift) * scale),
                    first * scale,
                    second * scale,
                )
                for name, (start, end, first, second) in self.limbs.items()
            }
        )

    def _on_trunk(self, forward: float, right: float, up: float) -> tuple[float, float, float]:
        """A point of the upright trunk, after leaning from the hips."""
        rise = up - 0.5
        sine, cosine = math.sin(self.lean), math.cos(self.lean)
        return (
            forward * cosine + rise * sine,
            right + rise * self.doing.side_lean,
            self.hips + rise * cosine - forward * sine,
        )

    def _leg_angles(self, side: float) -> tuple[float, float, float]:
        """Thigh forward, knee bent, thigh outward."""
        doing, variation = self.doing, self.doing.variation
        turn = self.turn + (math.pi if side > 0 else 0.0)
        own = variation[1] if side < 0 else variation[2]
        if doing.action == "walk":
            thigh = 0.42 * doing.stride * math.sin(turn) + 0.05
            return thigh, 0.1 + 0.85 * doing.stride * max(0.0, math.cos(turn - 0.35)), 0.02
        if doing.action == "run":
            thigh = 0.7 * doing.stride * math.sin(turn) + 0.2
            return thigh, 0.3 + 1.5 * max(0.0, math.cos(turn - 0.35)), 0.02
        if doing.action == "sit":
            return 1.45 + 0.1 * own, 1.45 + 0.25 * own, 0.12 + 0.1 * abs(own)
        if doing.action == "crouch":
            return 1.5 + 0.2 * own, 2.1 + 0.15 * own, 0.15
        if doing.action == "ride":
            return 0.95 + 0.45 * math.sin(turn), 1.25 + 0.55 * math.sin(turn - 0.4), 0.04
        if doing.action == "bend":
            return 0.1 * own, 0.15 + 0.1 * abs(own), 0.05
        return 0.07 * own, 0.06 + 0.12 * max(0.0, own), 0.03 + 0.05 * abs(variation[3])

    def _leg(self, side: float) -> None:
        name = "L" if side < 0 else "R"
        thigh, knee_bend, outward = self._leg_angles(side)
        girth, loose = math.sqrt(self.build.girth), self.build.loose_legs
        hip = (0.0, side * 0.048 * girth, self.hips)
        knee = (
            hip[0] + 0.245 * math.sin(thigh),
            hip[1] + side * 0.245 * math.sin(outward),
            hip[2] - 0.245 * math.cos(thigh),
        )
        shin = thigh - knee_bend
        ankle = (knee[0] + 0.222 * math.sin(shin), knee[1], knee[2] - 0.222 * math.cos(shin))
        pitch = min(max(shin * 0.6, -1.1), 0.4)
        toe = (
            ankle[0] + 0.1 * math.cos(pitch),
            ankle[1] + side * 0.015,
            ankle[2] + 0.1 * math.sin(pitch) - 0.018,
        )
        heel = (ankle[0] - 0.02, ankle[1], ankle[2] - 0.018)
        self.limbs[f"thigh{name}"] = (hip, knee, 0.05 * girth * loose**0.4, 0.034 * girth * loose**0.7)
        self.limbs[f"shin{name}"] = (knee, ankle, 0.033 * girth * loose**0.7, 0.021 * loose)
        self.limbs[f"foot{name}"] = (heel, toe, 0.022, 0.017)
        if self.build.coat:
            low = self.build.coat / 0.5
            share = min(low, 1.0)
            hem = (
                hip[0] + (knee[0] - hip[0]) * share * 0.8,
                hip[1] + (knee[1] - hip[1]) * share,
                hip[2] - (hip[2] - knee[2]) * share,
            )
            if low > 1.0:
                down = (low - 1.0) * 0.222
                hem = (hem[0], hem[1], hem[2] - down)
            self.limbs[f"hem{name}"] = (hip, hem, 0.055 * girth, 0.05 * girth * self.build.flare)

    def _trunk(self) -> None:
        girth, wide = self.build.girth, self.build.shoulders
        loose = 0.85 + 0.15 * self.build.loose_top
        for name, side in (("L", -1.0), ("R", 1.0)):
            self.limbs[f"trunk{name}"] = (
                self._on_trunk(0.0, side * 0.062 * wide, 0.77),
                self._on_trunk(0.0, side * 0.036 * math.sqrt(girth), 0.53),
                0.05 * math.sqrt(girth) * loose,
                0.053 * girth * loose,
            )
        self.limbs["belly"] = (
            self._on_trunk(0.0, 0.0, 0.77),
            self._on_trunk(0.02 * (girth - 1), 0.0, 0.56),
            0.058 * math.sqrt(girth) * loose,
            0.06 * girth * loose,
        )
        self.limbs["shoulders"] = (
            self._on_trunk(0.0, -0.09 * wide, 0.797),
            self._on_trunk(0.0, 0.09 * wide, 0.797),
            0.034 * loose,
            0.034 * loose,
        )
        self.limbs["hips"] = (
            self._on_trunk(0.0, -0.042, 0.505),
            self._on_trunk(0.0, 0.042, 0.505),
            0.056 * girth,
            0.056 * girth,
        )

    def _head(self) -> None:
        head, nod = self.build.head, self.doing.head_nod
        ahead = 0.01 + 0.03 * nod
        self.limbs["neck"] = (self._on_trunk(0, 0, 0.81), self._on_trunk(ahead, 0, 0.87), 0.036, 0.03)
        chin, crown = self._on_trunk(ahead + 0.018, 0, 0.89), self._on_trunk(ahead, 0, 0.89 + 0.05 * head)
        self.limbs["head"] = (chin, crown, 0.04 * head, 0.05 * head)
        back = self._on_trunk(ahead - 0.016, 0, 0.895 + 0.04 * head)
        self.limbs["hair"] = (back, crown, 0.044 * head, 0.054 * head)
        self.limbs["long hair"] = (back, self._on_trunk(-0.045, 0, 0.83), 0.05 * head, 0.042)
        self.limbs["brim"] = (
            self._on_trunk(ahead + 0.06 * head, 0, 0.9 + 0.05 * head), crown, 0.012, 0.05 * head
        )  # fmt: skip
        self.limbs["backpack"] = (self._on_trunk(-0.1, 0, 0.75), self._on_trunk(-0.11, 0, 0.62), 0.055, 0.07)

    def _arm_angles(self, side: float) -> tuple[float, float, float, float]:
        """Upper arm forward, elbow bent, upper arm outward, forearm inward."""
        doing = self.doing
        turn = self.turn + (0.0 if side > 0 else math.pi)
        held = doing.arms[0] if side < 0 else doing.arms[1]
        own = doing.variation[4] if side < 0 else doing.variation[5]
        if held == "swing" and doing.action == "run":
            return 0.75 * math.sin(turn) - 0.1, 1.5, 0.12, 0.3
        if held == "swing":
            return 0.4 * doing.stride * math.sin(turn) - 0.05, 0.25 + 0.1 * own, 0.1, 0.05
        return {
            "hang": (0.05 + 0.06 * own, 0.15 + 0.1 * abs(own), 0.1 + 0.05 * abs(own), 0.05),
            "pocket": (-0.25, 0.8, 0.25, 0.25),
            "ear": (0.5 + 0.2 * own, 2.35, 0.35, 0.2),
            "front": (0.45 + 0.25 * own, 1.1 + 0.4 * own, 0.1, 0.35),
            "folded": (0.3, 1.55, 0.15, 1.1),
            "hip": (-0.2, 1.1, 0.75, 1.0),
            "raised": (2.6 + 0.4 * own, 0.3, 0.3, 0.0),
            "behind": (-0.45, 0.35, 0.1, 0.6),
            "reach": (1.3 + 0.3 * own, 0.25, 0.15 + 0.3 * abs(own), 0.1),
        }.get(held, (0.0, 0.2, 0.1, 0.0))

    def _arm(self, side: float) -> None:
        name = "L" if side < 0 else "R"
        upper, bend, outward, inward = self._arm_angles(side)
        upper += 0.55 * self.lean if self.doing.action == "ride" else 0.1 * self.lean
        shoulder = self._on_trunk(0.0, side * 0.11 * self.build.shoulders, 0.792)
        elbow = _step(shoulder, 0.172, upper, side * outward)
        wrist = _step(elbow, 0.14, upper + bend, side * (outward * 0.4 - inward))
        finger = tuple(wrist[axis] + (wrist[axis] - elbow[axis]) * 0.4 for axis in range(3))
        girth = math.sqrt(self.build.girth) * self.build.loose_top**0.8
        self.limbs[f"upper arm{name}"] = (shoulder, elbow, 0.032 * girth, 0.026 * girth)
        self.limbs[f"forearm{name}"] = (elbow, wrist, 0.026 * girth, 0.019 * girth)
        self.limbs[f"hand{name}"] = (wrist, (finger[0], finger[1], finger[2]), 0.018, 0.015)


def _step(
    start: tuple[float, float, float], length: float, forward: float, outward: float
) -> tuple[float, float, float]:
    """From a joint along a limb that hangs, turned forward and outward."""
    flat = math.cos(outward)
    return (
        start[0] + length * math.sin(forward) * flat,
        start[1] + length * math.sin(outward),
        start[2] - length * math.cos(forward) * flat,
    )
