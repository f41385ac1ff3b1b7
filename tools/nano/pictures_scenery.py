"""What stands still in a clip: a street, a field, a room or nothing with a name, trees and things, painted once."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np

from engine.types import U8
from tools.nano import pictures_textures as textures
from tools.nano.pictures_lens import Lens
from tools.nano.pictures_surfaces import FAR_M, Stage, Still, SurfacePainter
from tools.nano.pictures_things import KINDS, LARGE, Thing, draw_thing, paint


def scenery(rng: np.random.Generator, lens: Lens, stage: Stage) -> Still:
    """A street, a square, a field, a room or nothing that has a name."""
    still = Still(
        np.zeros((lens.height, lens.width, 3), np.uint8),
        np.full((lens.height, lens.width), FAR_M, np.float32),
    )
    painter = _Painter(rng, lens, still)
    kind = rng.random()
    if kind < 0.64:
        painter.street(stage)
    elif kind < 0.79:
        painter.field(stage)
    elif kind < 0.91:
        painter.room(stage)
    else:
        still.picture[:] = textures.formless(rng, lens.width, lens.height)
    crowd = int(rng.choice((0, 2, 4, 8, 14), p=(0.15, 0.3, 0.3, 0.17, 0.08)))
    painter.things(stage, crowd)
    if rng.random() < 0.08:
        painter.polygons(stage)
    return still


class _Painter(SurfacePainter):
    def street(self, stage: Stage) -> None:
        """Road and pavement, houses at the end and often along the sides."""
        rng = self.rng
        self.ground(str(rng.choice(textures.GROUNDS[:6], p=(0.35, 0.3, 0.12, 0.06, 0.14, 0.03))))
        if rng.random() < 0.6:
            self.strip(str(rng.choice(textures.GROUNDS[:6])), stage)
        self.markings(stage)
        self.shade(stage)
        self.sky()
        if rng.random() < 0.5:
            self.treeline(stage.farthest_m * 2.5 + 30)
        end_m = stage.farthest_m * rng.uniform(1.15, 3.0) + 2
        side_m = max(stage.farthest_m * rng.uniform(0.25, 1.2), 3.0)
        if rng.random() < 0.65:
            self.row((-120.0, end_m), (120.0, end_m + rng.normal(0, 20)), rng.uniform(4, 25))
        for side in (-1.0, 1.0):
            if rng.random() < 0.45:
                self.row(
                    (side * side_m, 1.0),
                    (side * side_m * rng.uniform(0.9, 1.5), end_m * 1.5),
                    rng.uniform(4, 20),
                )
        if rng.random() < 0.4:
            self.parked(stage)

    def parked(self, stage: Stage) -> None:
        """Cars one behind the other, or side by side."""
        rng = self.rng
        x_m = float(rng.choice((-1, 1))) * float(rng.uniform(0.1, 0.7)) * stage.farthest_m
        y_m = stage.farthest_m * float(rng.uniform(0.8, 1.6)) + 3
        heading = float(rng.choice((0.0, math.pi / 2))) + float(rng.normal(0, 0.1))
        step = (5.6, 0.0) if rng.random() < 0.5 else (0.0, 5.6)
        for number in range(int(rng.integers(2, 7)) - 1, -1, -1):
            kind = str(rng.choice(("car", "car", "car", "van", "bus"), p=(0.35, 0.25, 0.2, 0.15, 0.05)))
            place = (x_m + number * step[0], y_m + number * step[1])
            self._thing(draw_thing(rng, place, kind, heading), hides=True)

    def field(self, stage: Stage) -> None:
        """Grass, sand or a square, trees around."""
        rng = self.rng
        self.ground(str(rng.choice(("grass", "grass", "sand", "paving", "asphalt"))))
        if rng.random() < 0.5:
            self.strip(str(rng.choice(("asphalt", "paving", "sand", "grass"))), stage)
        self.markings(stage)
        self.shade(stage)
        self.sky()
        for _ in range(int(rng.integers(1, 4))):
            self.treeline(stage.farthest_m * rng.uniform(1.2, 3) + 5)

    def room(self, stage: Stage) -> None:
        """Floor, walls and ceiling."""
        rng = self.rng
        self.still.picture[:] = rng.integers(60, 220, 3)
        self.ground(str(rng.choice(("tiles", "wood", "carpet", "tiles", "paving"))))
        high = max(self.lens.height_m + 0.4, rng.uniform(2.5, 5.0))
        end_m, side_m = (
            stage.farthest_m * rng.uniform(1.1, 1.7) + 1,
            max(2.0, stage.farthest_m * rng.uniform(0.3, 0.9)),
        )
        self.plane_above(high)
        corners = [(-side_m, 0.4), (-side_m, end_m), (side_m, end_m), (side_m, 0.4)]
        kind = str(rng.choice(("room", "room", "plaster", "shelves", "panels", "glass")))
        for first, second in itertools.pairwise(corners):
            own = kind if rng.random() < 0.7 else str(rng.choice(textures.WALLS[2:]))
            self.wall(first, second, high, own, rng.uniform(3, 9))

    def treeline(self, away_m: float) -> None:
        """Trees or bushes side by side."""
        rng = self.rng
        first, high = int(rng.integers(12)), rng.uniform(1.5, 14)
        half_view = self.lens.width / 2 / self.lens.focal_px
        for number in range(int(rng.integers(4, 16))):
            x_m = rng.uniform(-1.2, 1.2) * half_view * away_m
            size = high * rng.uniform(0.7, 1.3)
            self.tree(x_m, away_m * rng.uniform(0.9, 1.1), size, first + number % 3, hides=False)

    def tree(self, x_m: float, y_m: float, size_m: float, variant: int, *, hides: bool) -> None:
        """A crown on a trunk, or a bush on the ground."""
        bush = size_m < 2.2
        foot = self.lens.project(np.array([[x_m, y_m, 0.0 if bush else 0.25 * size_m], [x_m, y_m, size_m]]))
        if foot[0, 2] < 1.0:
            return
        if not bush:
            trunk = draw_thing(self.rng, (x_m, y_m), "trunk")
            self._thing(trunk, hides=hides)
        side = abs(float(foot[1, 1] - foot[0, 1])) * 1.15
        left, top = float(foot[0, 0]) - side / 2, min(float(foot[0, 1]), float(foot[1, 1])) - 0.07 * side
        self._leaves(textures.foliage(variant), (left, top, side), float(foot[0, 2]) if hides else FAR_M)

    def _leaves(self, crown: U8, box: tuple[float, float, float], ahead_m: float) -> None:
        left, top, side = box
        low = np.maximum(np.floor([left, top]), 0).astype(int)
        high = np.minimum(np.ceil([left + side, top + side]), (self.lens.width, self.lens.height)).astype(int)
        if (high - low < 2).any() or side > 0.9 * self.lens.height:
            return
        while crown.shape[0] > 1.7 * side and crown.shape[0] > 8:
            crown = np.asarray(
                cv2.resize(crown, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8
            )
        scale = side / crown.shape[0]
        matrix = np.array([[scale, 0, left - low[0]], [0, scale, top - low[1]]])
        moved = np.asarray(cv2.warpAffine(crown, matrix, (int(high[0] - low[0]), int(high[1] - low[1]))))
        area = slice(low[1], high[1]), slice(low[0], high[0])
        covered = moved[..., 3]
        cv2.copyTo(np.ascontiguousarray(moved[..., :3]), covered, self.still.picture[area])
        if ahead_m < FAR_M:
            window = self.still.ahead_m[area]
            window[covered > 127] = np.minimum(window[covered > 127], ahead_m)

    def things(self, stage: Stage, count: int) -> None:
        """Anything anywhere, some of it before the people; then what the stage asks for."""
        rng = self.rng
        half_view = self.lens.width / 2 / self.lens.focal_px
        placed = list(stage.things)
        for _ in range(count):
            low, high = math.log(max(1.8, 0.65 * stage.nearest_m)), math.log(1.8 * stage.farthest_m + 4)
            away, kind = float(np.exp(rng.uniform(low, high))), str(rng.choice(KINDS))
            if kind in LARGE and away < stage.farthest_m and rng.random() < 0.85:
                away = stage.farthest_m * float(rng.uniform(1.0, 2.0)) + 2
            placed.append(draw_thing(rng, (float(rng.uniform(-1.1, 1.1)) * half_view * away, away), kind))
        trees = [
            (rng.uniform(-1.1, 1.1) * half_view * away, away)
            for away in rng.uniform(
                stage.nearest_m * 0.9 + 1, stage.farthest_m * 2 + 6, int(rng.choice((0, 0, 1, 3)))
            )
        ]
        jobs: list[tuple[float, Thing | None]] = [(thing.y_m, thing) for thing in placed]
        jobs += [(away, None) for _, away in trees]
        sides = dict((away, x_m) for x_m, away in trees)
        for away, thing in sorted(jobs, key=lambda job: -job[0]):
            if thing is not None:
                self._thing(thing, hides=True)
            else:
                self.tree(sides[away], away, float(rng.uniform(0.8, 7)), int(rng.integers(48)), hides=True)

    def _thing(self, thing: Thing, *, hides: bool) -> None:
        covered = np.zeros(self.still.ahead_m.shape, np.uint8)
        paint(thing, self.lens, self.still.picture, covered)
        if hides:
            ahead = float(self.lens.project(np.array([thing.x_m, thing.y_m, 0.8]))[2])
            self.still.ahead_m[covered > 127] = ahead

    def polygons(self, stage: Stage) -> None:
        """Flat shapes of any colour, some of them before everybody."""
        rng, lens = self.rng, self.lens
        for _ in range(int(rng.integers(1, 5))):
            centre = rng.uniform((0, 0), (lens.width, lens.height))
            points = centre + rng.normal(0, 1, (4, 2)) * np.exp(rng.uniform(2.5, 5)) * (
                rng.uniform(0.2, 1),
                1,
            )
            hull = cv2.convexHull(points.astype(np.int32))
            covered = np.zeros(self.still.ahead_m.shape, np.uint8)
            cv2.fillConvexPoly(covered, hull, 255)
            cv2.fillConvexPoly(self.still.picture, hull, rng.uniform(5, 250, 3).tolist(), cv2.LINE_AA)
            self.still.ahead_m[covered > 0] = rng.uniform(0.3, 1.5) * stage.farthest_m
