"""What stands still in a clip: ground, walls, sky, foliage and things, painted once, with how far away each is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from engine.types import U8
from tools.nano import pictures_textures as textures
from tools.nano.pictures_lens import NEAREST_M, Lens
from tools.nano.pictures_things import KINDS, LARGE, Thing, draw_thing, paint

FAR_M = 1e6


@dataclass(frozen=True, slots=True)
class Still:
    """picture uint8 (H, W, 3); ahead_m float32 (H, W): of what could hide somebody, `FAR_M` where nothing can."""

    picture: U8
    ahead_m: np.ndarray


@dataclass(frozen=True, slots=True)
class Stage:
    """Where people are: distances from the camera, and things that must stand there."""

    nearest_m: float
    farthest_m: float
    things: tuple[Thing, ...]


def scenery(rng: np.random.Generator, lens: Lens, stage: Stage) -> Still:
    """A street, a square, a field, a room or nothing that has a name."""
    still = Still(
        np.zeros((lens.height, lens.width, 3), np.uint8),
        np.full((lens.height, lens.width), FAR_M, np.float32),
    )
    painter = _Painter(rng, lens, still)
    kind = rng.random()
    if kind < 0.52:
        painter.street(stage)
    elif kind < 0.68:
        painter.field(stage)
    elif kind < 0.84:
        painter.room(stage)
    else:
        still.picture[:] = textures.formless(rng, lens.width, lens.height)
    crowd = int(rng.choice((0, 2, 4, 8, 14), p=(0.15, 0.3, 0.3, 0.17, 0.08)))
    painter.things(stage, crowd)
    if rng.random() < 0.08:
        painter.polygons(stage)
    return still


class _Painter:
    def __init__(self, rng: np.random.Generator, lens: Lens, still: Still) -> None:
        self.rng, self.lens, self.still = rng, lens, still
        self.haze = rng.uniform(150, 240) * np.array([1.04, 1.0, 0.96])

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
        for first, second in zip(corners[:-1], corners[1:], strict=True):
            own = kind if rng.random() < 0.7 else str(rng.choice(textures.WALLS[2:]))
            self.wall(first, second, high, own, rng.uniform(3, 9))

    def ground(self, kind: str, mask: U8 | None = None) -> None:
        """A texture on the plane z = 0, coarser the farther; where `mask` is not 0."""
        lens, rng = self.lens, self.rng
        tiles = textures.ground_tile(kind, int(rng.integers(textures.VARIANTS)))
        angle, scale = rng.uniform(0, 6.28), 512 / textures.GROUND_M / rng.uniform(0.7, 1.8)
        sine, cosine = scale * math.sin(angle), scale * math.cos(angle)
        layout = np.array(
            [[cosine, -sine, rng.uniform(0, 512)], [sine, cosine, rng.uniform(0, 512)], [0, 0, 1]]
        )
        to_tile = layout @ lens.to_ground()
        target = self.still.picture if mask is None else np.empty_like(self.still.picture)
        levels = self._levels(scale)
        start = 0
        while start < lens.height:
            level = int(levels[start])
            same = np.flatnonzero(levels[start:] != level)
            stop = start + int(same[0]) if len(same) else lens.height
            if level >= 0:
                shrunk = np.diag([0.25**level, 0.25**level, 1.0])
                shift = np.array([[1.0, 0, 0], [0, 1, start], [0, 0, 1]])
                cv2.warpPerspective(
                    tiles[level], shrunk @ to_tile @ shift, (lens.width, stop - start), dst=target[start:stop],
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_WRAP,
                )  # fmt: skip
            start = stop
        if mask is not None:
            cv2.copyTo(target, mask, self.still.picture)

    def _levels(self, scale: float) -> np.ndarray:
        """Which of the smaller tiles each row of the picture needs; -1 above the horizon."""
        lens = self.lens
        rays = lens.to_rays()
        rows = np.arange(lens.height)
        middle = rays @ np.stack([np.full(lens.height, lens.width / 2), rows, np.ones(lens.height)])
        edges = [
            rays[2] @ np.stack([np.full(lens.height, x), rows, np.ones(lens.height)]) for x in (0, lens.width)
        ]
        away_m = lens.height_m / np.maximum(-middle[2], 1e-3)
        footprint = away_m * np.sqrt(np.maximum(away_m / lens.height_m, 1.0)) / lens.focal_px * scale
        levels = np.clip(np.round(np.log(np.maximum(footprint, 1e-3)) / math.log(4.0)), 0, 3)
        return np.where(np.minimum(*edges) < 0, levels, -1).astype(int)

    def strip(self, kind: str, stage: Stage) -> None:
        """A way across or along, of another ground."""
        mask = np.zeros(self.still.ahead_m.shape, np.uint8)
        self._band(lambda points: cv2.fillConvexPoly(mask, points, 255), stage, self.rng.uniform(1.5, 12))
        self.ground(kind, mask)

    def markings(self, stage: Stage) -> None:
        """Lines, kerbs and a crossing."""
        rng, picture = self.rng, self.still.picture
        for _ in range(int(rng.choice((0, 1, 3, 7), p=(0.4, 0.25, 0.2, 0.15)))):
            colour = (
                rng.uniform(0.5, 1.0) * np.array((235, 238, 240) if rng.random() < 0.7 else (60, 190, 220))
            ).tolist()
            self._band(
                lambda points, colour=colour: cv2.fillConvexPoly(picture, points, colour, cv2.LINE_AA),  # type: ignore[misc]  # lambda
                stage, rng.uniform(0.08, 0.5),
            )  # fmt: skip

    def shade(self, stage: Stage) -> None:
        """Shadows of houses and trees on the ground."""
        rng, picture = self.rng, self.still.picture
        if rng.random() < 0.55:
            return
        mask = np.zeros(self.still.ahead_m.shape, np.uint8)
        for _ in range(int(rng.integers(1, 4))):
            self._band(lambda points: cv2.fillConvexPoly(mask, points, 255), stage, rng.uniform(1, 25))
        if rng.random() < 0.4:
            leaves = textures.noise(rng, self.lens.height // 3, self.lens.width // 3, 16) > rng.uniform(
                0.45, 0.65
            )
            spots = np.asarray(cv2.resize(leaves.astype(np.uint8) * 255, (self.lens.width, self.lens.height)))
            mask = np.asarray(cv2.bitwise_and(mask, spots), np.uint8)
        soft = int(rng.choice((1, 3, 7)))
        light = 1 - np.asarray(cv2.blur(mask, (soft, soft)), np.float32) * np.float32(
            rng.uniform(0.25, 0.65) / 255
        )
        picture[:] = cv2.multiply(picture, cv2.merge([light, light, light]), dtype=cv2.CV_8U)

    def _band(self, fill: Callable[[np.ndarray], object], stage: Stage, width_m: float) -> None:
        rng = self.rng
        middle = np.array([rng.normal(0, 4), rng.uniform(0.6 * stage.nearest_m, 1.3 * stage.farthest_m)])
        angle = rng.choice((0.0, np.pi / 2)) + rng.normal(0, 0.3)
        along, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        reach = rng.uniform(2, 90)
        corners = [
            middle + a * reach * along + b * width_m / 2 * aside
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        pixels = self._outline(np.array([[*corner, 0.0] for corner in corners]))
        if pixels is not None:
            fill(pixels)

    def _outline(self, corners: np.ndarray) -> np.ndarray | None:
        """A flat polygon's pixels, cut off at the lens."""
        axes = self.lens.axes()
        eye = np.array([0, 0, self.lens.height_m])
        ahead = (corners - eye) @ axes[2] - NEAREST_M
        kept: list[np.ndarray] = []
        for index in range(len(corners)):
            after = (index + 1) % len(corners)
            if ahead[index] > 0:
                kept.append(corners[index])
            if (ahead[index] > 0) != (ahead[after] > 0):
                share = ahead[index] / (ahead[index] - ahead[after])
                kept.append(corners[index] + share * (corners[after] - corners[index]))
        if len(kept) < 3:
            return None
        pixels = self.lens.project(np.array(kept))[:, :2]
        return np.round(np.clip(pixels, -16000, 16000)).astype(np.int32)

    def sky(self) -> None:
        """Above the horizon, and haze at it."""
        lens, rng = self.lens, self.rng
        across, down, level = lens.to_rays()[2]
        up = (
            across * np.arange(0, lens.width, 8)[None] + down * np.arange(0, lens.height, 8)[:, None] + level
        ).astype(np.float32)
        up = np.asarray(cv2.resize(up, (lens.width, lens.height)))
        above = up > -0.01
        if not above.any():
            return
        zenith = np.array(
            [(215, 160, 110), (200, 195, 190), (235, 232, 228), (60, 45, 40)][int(rng.integers(4))]
        )
        zenith = zenith * rng.uniform(0.7, 1.1)
        share = np.clip(up[above] * 2.2, 0, 1)[:, None]
        colours = self.haze * (1 - share) + zenith * share
        if rng.random() < 0.6:
            cover = textures.noise(rng, lens.height // 4, lens.width // 4, 2)
            cover = np.clip(
                (np.asarray(cv2.resize(cover, (lens.width, lens.height)))[above] - 0.45) * 2, 0, 0.8
            )
            colours = colours * (1 - cover[:, None]) + 240 * cover[:, None]
        self.still.picture[above] = np.clip(colours, 0, 255)

    def row(self, first: tuple[float, float], second: tuple[float, float], high: float) -> None:
        """Houses side by side."""
        rng = self.rng
        ends = np.sort(np.concatenate([[0, 1], rng.random(int(rng.integers(0, 5)))]))
        start, along = np.array(first), np.array(second) - np.array(first)
        kind = str(rng.choice(textures.WALLS[:7]))
        for low, upper in zip(ends[:-1], ends[1:], strict=True):
            a, b = start + low * along, start + upper * along
            own = kind if rng.random() < 0.5 else str(rng.choice(textures.WALLS[:7]))
            self.wall((a[0], a[1]), (b[0], b[1]), high * rng.uniform(0.7, 1.3), own, rng.uniform(8, 22))

    def wall(
        self, first: tuple[float, float], second: tuple[float, float], high: float, kind: str, tile_m: float
    ) -> None:
        """An upright plane between two places on the ground; its texture repeats every `tile_m` along it."""
        length = math.dist(first, second)
        along = np.array(
            [(second[0] - first[0]) / max(length, 1e-3), (second[1] - first[1]) / max(length, 1e-3), 0]
        )
        foot = np.array([*first, 0.0])
        texture = textures.wall(kind, int(self.rng.integers(textures.VARIANTS)))
        repeats_up = max(1.0, round(high / (tile_m * 0.67)))
        size = (384 / tile_m, 256 * repeats_up / high)
        self._plane(
            (foot, along * length, np.array([0, 0, high])), texture, size, float(self.rng.uniform(0.6, 1.15))
        )

    def plane_above(self, high: float) -> None:
        """A ceiling."""
        texture = textures.wall("panels", int(self.rng.integers(textures.VARIANTS)))
        corner = np.array([-40.0, 0.0, high])
        self._plane((corner, np.array([80.0, 0, 0]), np.array([0, 80.0, 0])), texture, (48, 48), 1.2)

    def _plane(
        self,
        plane: tuple[np.ndarray, np.ndarray, np.ndarray],
        texture: U8,
        px_per_m: tuple[float, float],
        light: float,
    ) -> None:
        corner, right, up = plane
        pixels = self._outline(np.array([corner, corner + right, corner + right + up, corner + up]))
        if pixels is None:
            return
        lens = self.lens
        low = np.maximum(pixels.min(axis=0), 0)
        high = np.minimum(pixels.max(axis=0) + 1, (lens.width, lens.height))
        if (high - low < 1).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillConvexPoly(mask, pixels - low, 255, cv2.LINE_AA)
        # Plane metres (along, upwards) to directions; the inverse turns pixels into texture pixels.
        eye = np.array([0, 0, lens.height_m])
        spread = np.stack([right / np.linalg.norm(right), up / np.linalg.norm(up), corner - eye], axis=1)
        try:
            to_plane = np.linalg.inv(spread) @ lens.to_rays()
        except np.linalg.LinAlgError:
            return
        middle = self.lens.project(corner + right / 2 + up / 2)
        shrink = max(middle[2], 1.0) / lens.focal_px * max(px_per_m)
        scale = 1.0
        while shrink > 1.6 and min(texture.shape[:2]) > 8:
            texture = np.asarray(cv2.pyrDown(texture), np.uint8)
            shrink, scale = shrink / 2, scale / 2
        to_texture = (
            np.array([[px_per_m[0] * scale, 0, 0], [0, -px_per_m[1] * scale, 0], [0, 0, 1.0]]) @ to_plane
        )
        shift = np.array([[1.0, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (mask.shape[1], mask.shape[0])
        moved = cv2.warpPerspective(
            texture, to_texture @ shift, size, flags=flags, borderMode=cv2.BORDER_WRAP
        )
        moved = cv2.convertScaleAbs(moved, alpha=light)
        cv2.copyTo(moved, mask, self.still.picture[low[1] : high[1], low[0] : high[0]])

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
