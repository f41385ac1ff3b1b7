"""Limbs painted as labels and as light, far ones first, then coloured; one sprite for each person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from engine.sources.scene_figures import outlines
from engine.types import U8
from tools.nano import pictures_clothes as worn
from tools.nano.pictures_clothes import Clothes, folds_tile, pattern_tile
from tools.nano.pictures_lens import NEAREST_M, Lens
from tools.nano.pictures_people import Person

SMALL_PX = 130
"""Who is smaller is painted at twice the size and reduced."""
_OVAL = np.stack([np.cos(np.linspace(0, 6.283, 18)), np.sin(np.linspace(0, 6.283, 18))], axis=-1)
_GROUPS = {
    "legL": ("footL", "shinL", "thighL"), "legR": ("footR", "shinR", "thighR"),
    "armL": ("handL", "forearmL", "upper armL"), "armR": ("handR", "forearmR", "upper armR"),
    "trunk": ("belly",), "head": ("head",), "backpack": ("backpack",), "bag": ("bag",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Light:
    """Unit vector towards the light (world), how much darker the far side of things is, how dark shadows are."""

    towards: tuple[float, float, float]
    contrast: float
    shadow: float


@dataclass(frozen=True, slots=True)
class Sprite:
    """Somebody in a picture of their own.

    left, top  where its first pixel lies in the frame
    ahead_m    along the optical axis
    """

    left: int
    top: int
    bgr: U8
    opacity: U8
    full_box_xyxy: np.ndarray
    ahead_m: float


def sprite(person: Person, lens: Lens, time_s: float, light: Light) -> Sprite | None:
    """Somebody as far as the lens sees them; None where they are out of the picture or too near."""
    names, joints, radii_m = person.limbs(time_s)
    seen = lens.project(joints)
    if seen[..., 2].min() < NEAREST_M:
        return None
    shown = _shown(names, person.clothes)
    radii = radii_m * lens.focal_px / seen[..., 2]
    pixels = seen[..., :2]
    low = (pixels - radii[..., None])[shown].min(axis=(0, 1))
    high = (pixels + radii[..., None])[shown].max(axis=(0, 1))
    box = np.concatenate([low, high]).astype(np.float32)
    west, north = max(0, math.floor(low[0]) - 1), max(0, math.floor(low[1]) - 1)
    east, south = min(lens.width, math.ceil(high[0]) + 1), min(lens.height, math.ceil(high[1]) + 1)
    tall = float(high[1] - low[1])
    if east - west < 2 or south - north < 2 or tall > 8 * lens.height:
        return None
    scale = 2 if tall < SMALL_PX else 1
    canvas = _Canvas((east - west, south - north), scale, light, lens)
    canvas.paint(person, names, ((pixels - (west, north)) * scale, radii * scale, seen[..., 2]))
    bgr, opacity = canvas.finished(person, tall)
    return Sprite(west, north, bgr, opacity, box, float(seen[names["belly"], :, 2].mean()))


def _shown(names: dict[str, int], clothes: Clothes) -> list[int]:
    hidden = {"backpack": not clothes.backpack, "long hair": clothes.hair != 2, "brim": clothes.hat != 1}
    return [index for name, index in names.items() if not hidden.get(name, False)]


class _Canvas:
    """Labels and light of one person."""

    def __init__(self, size: tuple[int, int], scale: int, light: Light, lens: Lens) -> None:
        self.scale = scale
        shape = (size[1] * scale, size[0] * scale)
        self.labels: U8 = np.zeros(shape, np.uint8)
        self.shade: U8 = np.full(shape, 128, np.uint8)
        right, down, _ = lens.axes() @ np.array(light.towards)
        self.push = np.array([right, down]) * 0.36
        self.dark, self.bright = 128 * (1 - light.contrast), 128 * (1 + 0.35 * light.contrast)
        self.trunk = np.eye(2, 3, dtype=np.float32)
        self.head_px = 1.0

    def paint(
        self, person: Person, names: dict[str, int], seen: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> None:
        """All limbs, far groups first."""
        pixels, radii, ahead = seen
        clothes = person.clothes
        lit = pixels + self.push * radii[..., None]
        self.hulls = outlines(pixels[:, 0], pixels[:, 1], radii[:, 0], radii[:, 1])
        self.lit = outlines(lit[:, 0], lit[:, 1], 0.6 * radii[:, 0], 0.6 * radii[:, 1])
        self.names, self.pixels, self.radii = names, pixels, radii
        self.head_px = float(radii[names["head"], 1])
        depths = {
            group: float(ahead[[names[name] for name in limbs]].mean())
            for group, limbs in _GROUPS.items()
            if limbs[0] in names
        }
        depths["trunk"] += 0.01
        depths["head"] -= 0.02
        if not clothes.backpack:
            del depths["backpack"]
        for group in sorted(depths, key=lambda name: -depths[name]):
            if group == "trunk":
                self._trunk(person)
            elif group == "head":
                self._head(person)
            else:
                self._chain(_GROUPS[group], clothes)

    def _fill(self, points: np.ndarray, label: int, value: float, lit: np.ndarray | None = None) -> None:
        fixed = np.round(points * 16).astype(np.int32)
        cv2.fillConvexPoly(self.labels, fixed, label, cv2.LINE_8, 4)
        cv2.fillConvexPoly(self.shade, fixed, value, cv2.LINE_8, 4)
        if lit is not None:
            cv2.fillConvexPoly(self.shade, np.round(lit * 16).astype(np.int32), self.bright, cv2.LINE_8, 4)

    def _chain(self, limbs: tuple[str, ...], clothes: Clothes) -> None:
        for name in limbs:
            self._fill(self.hulls[self.names[name]], _label(name, clothes), self.dark)
        for name in limbs:
            lit = np.round(self.lit[self.names[name]] * 16).astype(np.int32)
            cv2.fillConvexPoly(self.shade, lit, self.bright, cv2.LINE_8, 4)

    def _hull(self, names: tuple[str, ...], label: int) -> None:
        indices = [self.names[name] for name in names]
        self._fill(_hull(self.hulls[indices]), label, self.dark, _hull(self.lit[indices]))

    def _trunk(self, person: Person) -> None:
        clothes = person.clothes
        self._hull(("hips",), worn.TROUSERS)
        coat = "hemL" in self.names
        if coat and person.build.coat > 0.3:
            self._hull(("hemL", "hemR", "hips"), worn.SKIRT)
        self._hull(("trunkL", "trunkR", "belly", "shoulders"), worn.TOP)
        if coat and person.build.coat <= 0.3:
            self._hull(("hemL", "hemR", "hips"), worn.TOP)
        chest, hips = self.pixels[self.names["belly"]]
        down = hips - chest
        length = max(float(np.hypot(*down)), 2.0)
        along = down / length
        # From the sprite's pixels to shares of the trunk: across and along it.
        across = np.array([along[1], -along[0]])
        self.trunk = np.array([[*across, -across @ chest], [*along, -along @ chest]], np.float32) / length
        if clothes.front:
            self._front(person, chest, hips, length)

    def _front(self, person: Person, chest: np.ndarray, hips: np.ndarray, length: float) -> None:
        """What an open jacket shows, where the chest faces the lens."""
        left, right = self.pixels[self.names["shoulders"]]
        towards = float(left[0] - right[0]) / length
        if towards < 0.2:
            return
        half = person.clothes.front * 0.5 * (left - right)
        corners = np.stack([chest + 1.3 * half, chest - 1.3 * half, hips - half, hips + half])
        fixed = np.round(corners * 16).astype(np.int32)
        cv2.fillConvexPoly(self.labels, fixed, worn.SECOND, cv2.LINE_8, 4)

    def _head(self, person: Person) -> None:
        clothes, names = person.clothes, self.names
        self._hull(("neck",), worn.TOP if clothes.hair == 3 else worn.SKIN)
        back = worn.SKIN if clothes.hair == 0 else worn.TOP if clothes.hair == 3 else worn.HAIR
        if clothes.hair == 2:
            self._hull(("long hair",), worn.HAIR)
        self._hull(("head", "hair"), back)
        chin, crown = self.pixels[names["head"]]
        radius = self.head_px
        left, right = self.pixels[names["shoulders"]]
        # The face is on the side that the chest looks to, turned a little.
        turn = math.atan2(left[0] - right[0], 1e-6 + abs(float(left[0] - right[0])) + radius)
        towards = float(left[0] - right[0]) / (3.4 * radius)
        face = chin - self.pixels[names["hair"]][0]
        if towards < -0.45 + 0.3 * (abs(face[0]) > 0.5 * radius):
            self._hat(clothes)
            return
        aside = float(np.clip(face[0] / radius, -0.9, 0.9)) + 0.4 * math.sin(person.doing.head_turn) * turn
        centre = (chin + crown) / 2 + np.array([0.35 * aside * radius, 0.12 * radius])
        share = float(np.clip(0.6 + 0.35 * towards, 0.35, 0.92))
        axes = np.array([radius * share, 0.6 * (abs(chin[1] - crown[1]) + 1.35 * radius)])
        self._fill(centre + _OVAL * axes, worn.SKIN, 0.5 * (self.dark + 128))
        lit = centre + self.push * radius * 0.7 + _OVAL * axes * 0.62
        cv2.fillConvexPoly(self.shade, np.round(lit * 16).astype(np.int32), self.bright, cv2.LINE_8, 4)
        if radius > 7:
            self._features(clothes, centre, axes, aside)
        self._hat(clothes)

    def _features(self, clothes: Clothes, centre: np.ndarray, axes: np.ndarray, aside: float) -> None:
        shift = 0.35 * aside * axes[0]
        size = (0.3, 0.16) if clothes.glasses else (0.15, 0.08)
        for eye in (-0.4, 0.4):
            spot = centre + np.array([eye * axes[0] * (1 - 0.3 * abs(aside)) + shift, -0.12 * axes[1]])
            self._mark(spot, axes * size, worn.DARK)
        if clothes.beard:
            self._mark(centre + np.array([0.5 * shift, 0.62 * axes[1]]), axes * (0.72, 0.36), worn.HAIR)
        self._mark(centre + np.array([shift, 0.5 * axes[1]]), axes * (0.3, 0.06), worn.DARK)

    def _mark(self, centre: np.ndarray, axes: np.ndarray, label: int) -> None:
        cv2.fillConvexPoly(
            self.labels, np.round((centre + _OVAL * axes) * 16).astype(np.int32), label, cv2.LINE_8, 4
        )

    def _hat(self, clothes: Clothes) -> None:
        if not clothes.hat:
            return
        crown = self.pixels[self.names["head"]][1]
        radius = self.head_px
        around = crown + _OVAL[9:] * (1.12 * radius, 1.15 * radius) + (0, -0.05 * radius)
        self._fill(around, worn.HAT, self.dark, around * 0.6 + (crown + self.push * radius) * 0.4)
        if clothes.hat == 1:
            self._hull(("brim",), worn.HAT)

    def finished(self, person: Person, tall_px: float) -> tuple[U8, U8]:
        """Colours and opacity at the final size."""
        clothes, labels = person.clothes, self.labels
        soft = max(1, round(0.5 * self.head_px)) | 1
        shade = cv2.blur(self.shade, (soft, soft)) if soft > 1 else self.shade
        palette = np.zeros((1, 256, 3), np.uint8)
        palette[0, :12] = clothes.palette
        palette[0, 0] = clothes.palette[worn.TOP]
        if tall_px > 36:
            self._pattern(person)
        bgr = cv2.LUT(cv2.merge([labels, labels, labels]), palette)
        if self.scale > 1:
            size = (labels.shape[1] // 2, labels.shape[0] // 2)
            opacity = cv2.resize(
                np.where(labels > 0, np.uint8(255), np.uint8(0)), size, interpolation=cv2.INTER_AREA
            )
            bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
            shade = cv2.resize(shade, size, interpolation=cv2.INTER_AREA)
        else:
            opacity = cv2.blur(np.where(labels > 0, np.uint8(255), np.uint8(0)), (3, 3))
            bgr = cv2.blur(bgr, (3, 3))
        light = np.asarray(shade, np.float32) * np.float32(1 / 128)
        light *= 1 + np.float32(clothes.folds) * _creases(person.seed, light.shape, tall_px)
        bgr = cv2.multiply(bgr, cv2.merge([light, light, light]), dtype=cv2.CV_8U)
        return np.asarray(bgr, np.uint8), np.asarray(opacity, np.uint8)

    def _pattern(self, person: Person) -> None:
        clothes = person.clothes
        for label, name in ((worn.TOP, clothes.pattern), (worn.TROUSERS, clothes.trouser_pattern)):
            if name == "plain":
                continue
            if name == "print":
                matrix = self.trunk
                grid = np.indices(self.labels.shape, dtype=np.float32)
                across = matrix[0, 0] * grid[1] + matrix[0, 1] * grid[0] + matrix[0, 2]
                along = matrix[1, 0] * grid[1] + matrix[1, 1] * grid[0] + matrix[1, 2]
                chosen = (abs(across) < 0.25) & (abs(along - 0.35) < 0.2 * clothes.pattern_scale)
            else:
                tile = pattern_tile(name, person.seed % 8)
                matrix = self.trunk * np.float32(128 / clothes.pattern_scale)
                size = (self.labels.shape[1], self.labels.shape[0])
                flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                moved = cv2.warpAffine(tile, matrix, size, flags=flags, borderMode=cv2.BORDER_WRAP)
                chosen = np.asarray(moved) > 127
            self.labels[chosen & (self.labels == label)] = worn.SECOND


def _creases(seed: int, shape: tuple[int, ...], tall_px: float) -> np.ndarray:
    stretch = 150.0 / max(tall_px, 20.0)
    offset = seed % 241
    across = ((np.arange(shape[1]) * stretch).astype(np.intp) + offset) % 256
    along = ((np.arange(shape[0]) * stretch).astype(np.intp) + 3 * offset) % 256
    return folds_tile(seed % 8)[along][:, across]


def _hull(points: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.convexHull(points.reshape(-1, 2).astype(np.float32)))[:, 0]


def _label(limb: str, clothes: Clothes) -> int:
    part = limb.rstrip("LR")
    if part == "upper arm":
        return worn.TOP if clothes.sleeves else worn.SKIN
    if part == "forearm":
        return worn.TOP if clothes.sleeves == 2 else worn.SKIN
    if part == "shin":
        return worn.SOCKS if clothes.legs else worn.TROUSERS
    fixed = {
        "hand": worn.SKIN,
        "thigh": worn.TROUSERS,
        "foot": worn.SHOES,
        "backpack": worn.CARRIED,
        "bag": worn.CARRIED,
    }
    return fixed[part]
