"""What stands and drives about and is no person: vehicles, bicycles, posts, lamps, signs, bins, chairs, boxes, fences.

A thing is flat faces and lines in space, metres right, ahead and up from its foot; it is painted far faces first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from engine.types import U8
from tools.nano.pictures_lens import NEAREST_M, Lens

KINDS = (
    "post", "post", "lamp", "light", "sign", "sign", "bin", "hydrant", "bicycle", "bicycle", "chair", "bench", "table",
    "box", "box", "pillar", "trunk", "fence", "car", "car", "car", "van", "bus", "parasol", "cabinet", "stand",
)  # fmt: skip
LARGE = ("car", "van", "bus", "box", "fence", "parasol", "cabinet", "table")
"""What covers much, and so mostly stands behind the people."""
_CIRCLE = np.linspace(0, 2 * np.pi, 17)


@dataclass(frozen=True, slots=True)
class Thing:
    """faces: (corners (n, 3), colour BGR); lines: (points (n, 3), colour, thickness in metres), in the world."""

    x_m: float
    y_m: float
    faces: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    lines: list[tuple[np.ndarray, np.ndarray, float]] = field(default_factory=list)

    def moved(self, x_m: float, y_m: float) -> Thing:
        """The same elsewhere."""
        offset = np.array([x_m, y_m, 0.0])
        return Thing(
            self.x_m + x_m, self.y_m + y_m,
            [(corners + offset, colour) for corners, colour in self.faces],
            [(points + offset, colour, thick) for points, colour, thick in self.lines],
        )  # fmt: skip


def paint(thing: Thing, lens: Lens, picture: U8, covered: U8 | None = None) -> None:
    """Into a picture, and 255 into `covered` where it is. Nothing where any of it is at the lens or behind it."""
    parts: list[tuple[float, np.ndarray, np.ndarray, int]] = []
    for corners, colour in thing.faces:
        seen = lens.project(corners)
        if seen[:, 2].min() < NEAREST_M:
            return
        parts.append((float(seen[:, 2].mean()), seen[:, :2], colour, 0))
    for points, colour, thick_m in thing.lines:
        seen = lens.project(points)
        if seen[:, 2].min() < NEAREST_M:
            return
        ahead = float(seen[:, 2].mean())
        parts.append((ahead, seen[:, :2], colour, max(1, round(thick_m * lens.focal_px / ahead))))
    for _, pixels, colour, thick in sorted(parts, key=lambda part: -part[0]):
        fixed = np.round(np.clip(pixels, -4000, 4000) * 8).astype(np.int32)
        for target, value in ((picture, colour.tolist()), (covered, 255)):
            if target is None:
                continue
            if thick:
                cv2.polylines(target, [fixed], False, value, min(thick, 255), cv2.LINE_AA, 3)
            else:
                cv2.fillConvexPoly(target, fixed, value, cv2.LINE_AA, 3)


def draw_thing(
    rng: np.random.Generator,
    place_xy_m: tuple[float, float],
    kind: str = "",
    heading_rad: float | None = None,
) -> Thing:
    """Something at this place, turned anyhow unless told."""
    turned = float(rng.uniform(-math.pi, math.pi)) if heading_rad is None else heading_rad
    maker = _Maker(rng, place_xy_m, turned)
    maker.make(kind or str(rng.choice(KINDS)))
    return maker.thing


def ridden(action: str, place_xy_m: tuple[float, float], heading_rad: float, seed: int) -> Thing | None:
    """What somebody at this place sits on, if they do."""
    kind = {"ride": "bicycle", "sit": "chair"}.get(action)
    if kind is None:
        return None
    maker = _Maker(np.random.default_rng((seed, 94)), place_xy_m, math.pi / 2 - heading_rad)
    maker.make(kind)
    return maker.thing


class _Maker:
    def __init__(self, rng: np.random.Generator, place_xy_m: tuple[float, float], heading_rad: float) -> None:
        self.rng = rng
        self.thing = Thing(*place_xy_m)
        sine, cosine = math.sin(heading_rad), math.cos(heading_rad)
        self.turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
        hsv = np.array(
            [[[rng.integers(180), rng.choice((15, 60, 190), p=(0.5, 0.35, 0.15)), rng.uniform(20, 240)]]],
            np.uint8,
        )
        self.colour = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), float)[0, 0]

    def make(self, kind: str) -> None:
        rng = self.rng
        makers = {
            "car": self.car, "van": self.van, "bus": self.bus, "bicycle": self.bicycle, "chair": self.chair,
            "table": self.table, "fence": self.fence, "sign": self.sign, "light": self.traffic_light,
            "parasol": self.parasol,
        }  # fmt: skip
        if kind in makers:
            makers[kind]()
            return
        boxes = {
            "post": ((0.08, 0.08), (0.7, 1.3)), "lamp": ((0.14, 0.14), (3.5, 7.0)), "bin": ((0.45, 0.45), (0.8, 1.2)),
            "hydrant": ((0.3, 0.3), (0.6, 1.1)), "bench": ((1.7, 0.5), (0.4, 0.9)), "pillar": ((0.5, 0.5), (3.0, 4.0)),
            "trunk": ((0.35, 0.3), (2.5, 4.0)), "cabinet": ((0.8, 0.5), (1.2, 2.1)), "stand": ((0.5, 0.35), (1.5, 1.9)),
        }  # fmt: skip
        sides, heights = boxes.get(kind, ((1.0, 0.8), (0.3, 2.2)))
        scale = rng.uniform(0.7, 1.5)
        if kind == "trunk":
            self.colour = np.array([50.0, 68, 85]) * rng.uniform(0.4, 1.4)
        elif kind in ("post", "lamp", "pillar") and rng.random() < 0.75:
            self.colour = rng.uniform(20, 200) * np.array([1.0, 1.0, 1.0]) + rng.normal(0, 6, 3)
        self.box((0, 0, 0), (sides[0] * scale, sides[1] * scale, rng.uniform(*heights)), self.colour)

    def face(self, corners: list[tuple[float, float, float]], colour: np.ndarray) -> None:
        foot = np.array([self.thing.x_m, self.thing.y_m, 0.0])
        self.thing.faces.append((np.array(corners) @ self.turn.T + foot, np.clip(colour, 0, 255)))

    def line(self, points: np.ndarray, colour: np.ndarray, thick_m: float) -> None:
        foot = np.array([self.thing.x_m, self.thing.y_m, 0.0])
        self.thing.lines.append((np.asarray(points, float) @ self.turn.T + foot, colour, thick_m))

    def box(
        self,
        middle: tuple[float, float, float],
        size: tuple[float, float, float],
        colour: np.ndarray,
        narrow: float = 1.0,
    ) -> None:
        """Its lower face's middle; `narrow` is the upper face's share of the lower one."""
        x, y, z = middle
        a, b, top = size[0] / 2, size[1] / 2, z + size[2]
        low = [(x - a, y - b, z), (x + a, y - b, z), (x + a, y + b, z), (x - a, y + b, z)]
        high = [(x + (px - x) * narrow, y + (py - y) * narrow, top) for px, py, _ in low]
        for side, light in enumerate((0.8, 1.0, 0.7, 0.9)):
            after = (side + 1) % 4
            self.face([low[side], low[after], high[after], high[side]], colour * light)
        self.face(high, colour * 1.12)

    def wheels(self, length: float, width: float, radius: float) -> None:
        dark = np.array([28.0, 28, 28])
        for x in (-0.3 * length, 0.32 * length):
            for y in (-width / 2 - 0.01, width / 2 + 0.01):
                ring = [(x + radius * math.cos(t), y, radius + radius * math.sin(t)) for t in _CIRCLE[:-1]]
                self.face(ring, dark)
                hub = [
                    (x + 0.5 * radius * math.cos(t), y * 1.02, radius * (1 + 0.5 * math.sin(t)))
                    for t in _CIRCLE[:-1]
                ]
                self.face(hub, np.array([120.0, 120, 122]))

    def car(self) -> None:
        length, width = self.rng.uniform(3.8, 4.9), self.rng.uniform(1.65, 1.9)
        self.box((0, 0, 0.25), (length, width, 0.62), self.colour, 0.97)
        self.box(
            (-0.15, 0, 0.86),
            (0.6 * length, 0.92 * width, 0.55),
            np.array([70.0, 62, 55]) * self.rng.uniform(0.5, 1.4),
            0.72,
        )
        self.box((-0.15, 0, 1.38), (0.42 * length, 0.66 * width, 0.05), self.colour)
        for y in (-0.35 * width, 0.35 * width):
            self.box((length / 2, y, 0.55), (0.03, 0.3, 0.15), np.array([215.0, 230, 235]))
            self.box((-length / 2, y, 0.55), (0.03, 0.3, 0.15), np.array([40.0, 40, 190]))
        self.wheels(length, width, 0.32)

    def van(self) -> None:
        length, width, high = self.rng.uniform(4.6, 6.0), 1.95, self.rng.uniform(1.5, 2.3)
        self.box((0, 0, 0.3), (length, width, high), self.colour, 0.96)
        self.glass_band(length, width, 0.3 + 0.55 * high, 0.3 + 0.9 * high, (0.22, 0.48))
        self.wheels(length, width, 0.34)

    def bus(self) -> None:
        length, high = self.rng.uniform(9, 12.5), self.rng.uniform(2.5, 2.8)
        self.box((0, 0, 0.35), (length, 2.5, high), self.colour, 0.99)
        self.glass_band(length, 2.5, 0.35 + 0.4 * high, 0.35 + 0.85 * high, (-0.48, 0.48))
        self.wheels(length, 2.5, 0.48)

    def glass_band(
        self, length: float, width: float, low: float, high: float, part: tuple[float, float]
    ) -> None:
        glass = np.array([75.0, 66, 58]) * self.rng.uniform(0.5, 1.6)
        x0, x1 = part[0] * length, part[1] * length
        for y in (-width / 2 - 0.02, width / 2 + 0.02):
            self.face([(x0, y, low), (x1, y, low), (x1, y, high), (x0, y, high)], glass)
        front = length / 2 + 0.02
        half = 0.44 * width
        self.face(
            [(front, -half, low), (front, half, low), (front, half, high), (front, -half, high)], glass * 1.1
        )

    def bicycle(self) -> None:
        dark, radius = np.array([30.0, 30, 32]), 0.34
        for x in (-0.52, 0.52):
            ring = np.stack(
                [x + radius * np.cos(_CIRCLE), 0 * _CIRCLE, radius + radius * np.sin(_CIRCLE)], axis=-1
            )
            self.line(ring, dark, 0.035)
        for points in (
            [(-0.52, 0, 0.34), (-0.1, 0, 0.3), (-0.2, 0, 0.82)],
            [(-0.1, 0, 0.3), (0.4, 0, 0.78), (-0.18, 0, 0.74), (-0.52, 0, 0.34)],
            [(0.52, 0, 0.34), (0.38, 0, 0.98)],
        ):
            self.line(np.array(points), self.colour, 0.035)
        self.line(np.array([(0.38, -0.28, 1.0), (0.38, 0.28, 1.0)]), dark, 0.03)
        self.box((-0.2, 0, 0.84), (0.26, 0.15, 0.06), dark)

    def chair(self) -> None:
        seat = self.rng.uniform(0.42, 0.5)
        for x in (-0.2, 0.2):
            for y in (-0.2, 0.2):
                self.line(np.array([(x, y, 0), (x, y, seat)]), self.colour * 0.7, 0.035)
        self.box((0, 0, seat), (0.46, 0.46, 0.05), self.colour)
        self.box((-0.21, 0, seat + 0.05), (0.05, 0.44, 0.45), self.colour)

    def table(self) -> None:
        self.line(np.array([(0, 0, 0), (0, 0, 0.72)]), self.colour * 0.6, 0.08)
        self.box((0, 0, 0.72), (self.rng.uniform(0.6, 1.8), 0.8, 0.05), self.colour)

    def fence(self) -> None:
        length, high = self.rng.uniform(2, 7), self.rng.uniform(0.8, 1.8)
        for share in np.linspace(-0.5, 0.5, int(self.rng.integers(5, 26))):
            self.line(np.array([(share * length, 0, 0), (share * length, 0, high)]), self.colour * 0.8, 0.035)
        for up in (0.15 * high, high):
            self.line(np.array([(-0.5 * length, 0, up), (0.5 * length, 0, up)]), self.colour, 0.045)

    def sign(self) -> None:
        high = self.rng.uniform(1.5, 3.0)
        self.line(np.array([(0, 0, 0), (0, 0, high)]), np.array([130.0, 130, 130]), 0.06)
        size = self.rng.uniform(0.2, 0.5)
        if self.rng.random() < 0.5:
            board = [(size * math.cos(t), 0.03, high + size * math.sin(t)) for t in _CIRCLE[:-1]]
        else:
            low = high - self.rng.uniform(0.4, 1.2)
            board = [(-size, 0.03, low), (size, 0.03, low), (size, 0.03, high), (-size, 0.03, high)]
        self.face(board, self.colour)

    def traffic_light(self) -> None:
        high = self.rng.uniform(2.2, 3.2)
        self.line(np.array([(0, 0, 0), (0, 0, high)]), np.array([90.0, 95, 90]), 0.1)
        self.box((0, 0, high - 0.75), (0.3, 0.25, 0.8), np.array([35.0, 38, 35]))
        for up, colour in ((0.6, (40, 40, 200)), (0.35, (40, 150, 200)), (0.1, (80, 170, 60))):
            ring = [(0.09 * math.cos(t), -0.14, high - 0.65 + up + 0.09 * math.sin(t)) for t in _CIRCLE[:-1]]
            self.face(ring, np.array(colour, float) * self.rng.uniform(0.3, 1.1))

    def parasol(self) -> None:
        self.line(np.array([(0, 0, 0), (0, 0, 2.4)]), np.array([150.0, 150, 150]), 0.05)
        radius = self.rng.uniform(0.5, 1.4)
        for first, second in zip(_CIRCLE[:-1:2], _CIRCLE[2::2], strict=True):
            rim = [(radius * math.cos(t), radius * math.sin(t), 2.1) for t in (first, second)]
            self.face([(0, 0, 2.5), *rim], self.colour * (0.8 + 0.2 * math.cos(first)))
