"""Surfaces of a scenery: the ground with its ways, lines and shadows, the sky, walls; painted through one lens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from engine.types import U8
from tools.nano import pictures_textures as textures
from tools.nano.pictures_lens import NEAREST_M, Lens
from tools.nano.pictures_things import Thing

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


class SurfacePainter:
    """Paints into a still picture; what comes later lies over what was before."""

    def __init__(self, rng: np.random.Generator, lens: Lens, still: Still) -> None:
        self.rng, self.lens, self.still = rng, lens, still
        self.haze = rng.uniform(150, 240) * np.array([1.04, 1.0, 0.96])

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
        return np.asarray(np.round(np.clip(pixels, -16000, 16000)), np.int32)

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
        for low, upper in itertools.pairwise(ends):
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
