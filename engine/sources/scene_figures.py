"""People of the rendered world: limbs of `ptz.simulator.figure` as shaded, clothed outlines with opacity.

One person is drawn into a small BGRA picture of their own, far limbs first; `scene_render` puts it into the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from engine.sources.scene_panorama import SUN
from engine.sources.scene_textures import clouds
from engine.sources.scene_wardrobe import Colour, Wardrobe, wardrobe_of
from engine.types import U8
from ptz.simulator.actors import Looks
from ptz.simulator.figure import Part
from ptz.simulator.truth import Bodies

SHIFT = 4
"""Bits of a pixel's fraction in OpenCV's drawing."""
SMALL_PX = 110
"""Who is smaller is drawn at twice the size and reduced."""
ARC = np.linspace(0.0, 1.0, 9)
OVAL = np.stack([np.cos(np.linspace(0, 2 * np.pi, 20)), np.sin(np.linspace(0, 2 * np.pi, 20))], axis=-1)

# Plain numbers: looking an enumeration's member up costs more than drawing it.
_HEAD, _HAIR, _HAT, _HIPS, _TRUNK_MIDDLE = (
    int(part) for part in (Part.HEAD, Part.HAIR, Part.HAT, Part.HIPS, Part.TORSO_MIDDLE)
)
_UPPER = [int(part) for part in (Part.TORSO_LEFT, Part.TORSO_RIGHT, Part.TORSO_MIDDLE, Part.SHOULDERS)]
_CHAINS: list[tuple[int, ...]] = [
    tuple(int(part) for part in chain)
    for chain in (
        (Part.FOOT_LEFT, Part.SHIN_LEFT, Part.THIGH_LEFT), (Part.FOOT_RIGHT, Part.SHIN_RIGHT, Part.THIGH_RIGHT),
        (Part.HAND_LEFT, Part.FOREARM_LEFT, Part.UPPER_ARM_LEFT),
        (Part.HAND_RIGHT, Part.FOREARM_RIGHT, Part.UPPER_ARM_RIGHT),
        (Part.NECK,), (Part.LONG_HAIR,), (Part.BACKPACK,), (Part.BAG,),
    )
]  # fmt: skip
_SKIRT = [int(Part.SKIRT_LEFT), int(Part.SKIRT_RIGHT)]


@dataclass(frozen=True, slots=True)
class Sprite:
    """One person in a picture of their own.

    left, top  where its first pixel lies in the frame; even numbers
    bgr        uint8 (height, width, 3); height and width even
    opacity    uint8 (height, width)
    """

    left: int
    top: int
    bgr: U8
    opacity: U8


@dataclass(frozen=True, slots=True)
class Lighting:
    """How light falls in a view: unit vector in the picture towards the light, and how much comes from the front."""

    right: float
    down: float
    front: float


def lighting(pan_deg: float, tilt_deg: float) -> Lighting:
    """The sun as seen by a camera that looks there."""
    pan, tilt = np.radians(pan_deg), np.radians(tilt_deg)
    right = np.array([np.cos(pan), -np.sin(pan), 0.0])
    forward = np.array([np.sin(pan) * np.cos(tilt), np.cos(pan) * np.cos(tilt), np.sin(tilt)])
    down = np.cross(forward, right)
    return Lighting(float(SUN @ right), float(SUN @ down), float(-(SUN @ forward)))


def outlines(
    start: np.ndarray, end: np.ndarray, start_radius: np.ndarray, end_radius: np.ndarray
) -> np.ndarray:
    """Outlines (m, 18, 2) of tapered capsules between points (m, 2) with these radii (m,)."""
    along = end - start
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)
    theta = np.arctan2(along[:, 1], along[:, 0])[:, None]
    alpha = np.arccos(np.clip((start_radius - end_radius) / length, -1, 1))[:, None]
    around = np.empty((len(start), 18))
    around[:, :9] = theta + alpha + ARC * (2 * np.pi - 2 * alpha)
    around[:, 9:] = theta - alpha + ARC * 2 * alpha
    hulls = np.empty((len(start), 18, 2))
    np.cos(around, out=hulls[..., 0])
    np.sin(around, out=hulls[..., 1])
    hulls[:, :9] *= start_radius[:, None, None]
    hulls[:, 9:] *= end_radius[:, None, None]
    hulls[:, :9] += start[:, None]
    hulls[:, 9:] += end[:, None]
    return hulls


class FigurePainter:
    """Draws the people of one frame."""

    def __init__(
        self, bodies: Bodies, looks: tuple[Looks, ...], turns_deg: np.ndarray, light: Lighting
    ) -> None:
        """`turns_deg` (n,): heading less the azimuth from the camera to the person; 180 = facing the camera."""
        self.bodies, self.looks, self.turns_deg, self.light = bodies, looks, turns_deg, light
        people, parts = bodies.from_radius_px.shape
        start, end = bodies.from_px[..., :2].reshape(-1, 2), bodies.to_px[..., :2].reshape(-1, 2)
        start_radius, end_radius = bodies.from_radius_px.ravel(), bodies.to_radius_px.ravel()
        # A narrower outline, moved towards the light, makes a limb round.
        push = np.array([light.right, light.down]) * 0.32
        lit = outlines(
            start + push * start_radius[:, None], end + push * end_radius[:, None],
            0.62 * start_radius, 0.62 * end_radius,
        )  # fmt: skip
        shape = (people, parts, 18, 2)
        self._hulls = outlines(start, end, start_radius, end_radius).reshape(shape)
        self._lit = lit.reshape(shape)

    def sprite(self, person: int, size: tuple[int, int], margin_px: float = 0.0) -> Sprite | None:
        """Somebody as far as they reach into a frame of `size` (width, height); None where they do not."""
        left, top, right, bottom = self.bodies.full_boxes_xyxy[person]
        if not self.bodies.in_front[person] or bottom - top > 6 * size[1]:
            return None
        margin = 3 + margin_px
        west, north = (int(max(0, np.floor(low - margin))) // 2 * 2 for low in (left, top))
        east = min(size[0] + size[0] % 2, int(np.ceil(right + margin)) // 2 * 2 + 2)
        south = min(size[1] + size[1] % 2, int(np.ceil(bottom + margin)) // 2 * 2 + 2)
        if east - west < 2 or south - north < 2:
            return None
        scale = 2 if bottom - top < SMALL_PX else 1
        canvas = _Canvas((west, north), (east - west, south - north), scale, self.light)
        hulls, lit = canvas.placed(self._hulls[person]), canvas.placed(self._lit[person])
        canvas.draw(self.bodies, person, hulls, lit, wardrobe_of(self.looks[person]), self._facing(person))
        bgr, opacity = canvas.finished(self.looks[person].seed, float(bottom - top))
        return Sprite(west, north, bgr, opacity)

    def _facing(self, person: int) -> tuple[float, float]:
        """(towards the camera, towards the right of the picture), -1..1."""
        turn = np.radians(self.turns_deg[person])
        return float(-np.cos(turn)), float(np.sin(turn))


class _Canvas:
    """A BGRA picture that limbs are painted into."""

    def __init__(self, origin: tuple[int, int], size: tuple[int, int], scale: int, light: Lighting) -> None:
        self.origin, self.scale, self.light = np.array(origin, float), scale, light
        self.picture: U8 = np.empty((size[1] * scale, size[0] * scale, 4), np.uint8)
        front = max(0.0, light.front)
        self._dark, self._bright = 0.56 + 0.14 * front, 0.92 + 0.2 * front

    def placed(self, points: np.ndarray) -> np.ndarray:
        """Points of the frame (…, 2) in pixels of this picture."""
        return np.asarray((points - self.origin) * self.scale)

    def draw(
        self,
        bodies: Bodies,
        person: int,
        hulls: np.ndarray,
        lit: np.ndarray,
        wardrobe: Wardrobe,
        facing: tuple[float, float],
    ) -> None:
        """All limbs, the far ones first; outlines (parts, 18, 2) of them and of their bright sides."""
        ground = [0.5 * top + 0.3 * legs for top, legs in zip(wardrobe.top, wardrobe.trousers, strict=True)]
        self.picture[:] = np.array([*ground, 0], np.uint8)
        fixed, fixed_lit = _fixed(hulls), _fixed(lit)
        depth = (bodies.from_px[person, :, 2] + bodies.to_px[person, :, 2]) / 2
        depth[_TRUNK_MIDDLE] += 0.01
        colours = _colours(wardrobe)
        worn = bodies.figures.worn[person]
        chains = [chain for chain in _CHAINS if worn[chain[0]]]
        trunk, far = len(chains), depth.tolist()
        depths = [sum(far[part] for part in chain) / len(chain) for chain in chains] + [far[_TRUNK_MIDDLE]]
        for chosen in sorted(range(len(depths)), key=depths.__getitem__, reverse=True):
            if chosen == trunk:
                self._trunk(hulls, lit, wardrobe, facing)
            else:
                self._chain(chains[chosen], fixed, fixed_lit, colours)
        if worn[_SKIRT[0]]:
            self._polygon(_hull(hulls[_SKIRT].reshape(-1, 2)), wardrobe.trousers, self._dark)
            self._polygon(_hull(lit[_SKIRT].reshape(-1, 2)), wardrobe.trousers, self._bright)
        end_radius = bodies.to_radius_px[person] * self.scale
        self._soften(float(end_radius[_HEAD]))
        crown = self.placed(bodies.to_px[person, _HEAD, :2])
        self._head(hulls, crown, float(end_radius[_HEAD]), wardrobe, facing)
        if worn[_HAT]:
            self._paint(fixed[_HAT], wardrobe.carried, self._dark)
            self._paint(fixed_lit[_HAT], wardrobe.carried, self._bright)

    def _chain(
        self, chain: tuple[int, ...], hulls: np.ndarray, lit: np.ndarray, colours: dict[int, Colour]
    ) -> None:
        """Limbs that hang together: the dark sides of all before the bright ones, so that no joint shows."""
        for part in chain:
            self._paint(hulls[part], colours[part], self._dark)
        for part in chain:
            self._paint(lit[part], colours[part], self._bright)

    def _soften(self, head_px: float) -> None:
        """Round limbs have no edges between light and shade."""
        side = max(1, round(0.45 * head_px))
        if side > 1:
            softened = np.asarray(cv2.blur(self.picture, (side, side)), np.uint8)
            cv2.mixChannels([self.picture], [softened], [3, 3])
            self.picture = softened

    def _polygon(self, points: np.ndarray, colour: Colour, brightness: float) -> None:
        self._paint(_fixed(points), colour, brightness)

    def _paint(self, fixed: np.ndarray, colour: Colour, brightness: float) -> None:
        """Fill an outline (m, 2) in OpenCV's fractions of pixels."""
        blue, green, red = colour
        shade = (
            min(255.0, blue * brightness), min(255.0, green * brightness), min(255.0, red * brightness), 255.0
        )  # fmt: skip
        cv2.fillConvexPoly(self.picture, fixed, shade, cv2.LINE_AA, SHIFT)

    def _trunk(
        self, hulls: np.ndarray, lit: np.ndarray, wardrobe: Wardrobe, facing: tuple[float, float]
    ) -> None:
        self._polygon(_hull(hulls[_HIPS]), wardrobe.trousers, self._dark)
        upper = _hull(hulls[_UPPER].reshape(-1, 2))
        self._polygon(upper, wardrobe.top, self._dark)
        self._polygon(
            _hull(lit[_UPPER].reshape(-1, 2)), wardrobe.top, 0.95 + 0.15 * max(0.0, self.light.front)
        )
        if wardrobe.pattern == "plain":
            return
        low, high = np.floor(upper.min(axis=0)).astype(int), np.ceil(upper.max(axis=0)).astype(int)
        low = np.maximum(low, 0)
        high = np.minimum(high, (self.picture.shape[1], self.picture.shape[0]))
        if (high - low < 4).any():
            return
        area = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillConvexPoly(area, np.round(upper - low).astype(np.int32), 255)
        down = np.arange(area.shape[0])[:, None] / area.shape[0]
        across = np.arange(area.shape[1])[None, :] / area.shape[1]
        chosen = (area > 0) & _pattern(wardrobe.pattern, down, across, facing)
        window = self.picture[low[1] : high[1], low[0] : high[0]]
        light = 0.78 + 0.22 * window[..., :3].max(axis=-1, keepdims=True) / 255.0
        second = np.clip(np.array(wardrobe.second) * light, 0, 255).astype(np.uint8)
        window[..., :3] = np.where(chosen[..., None], second, window[..., :3])

    def _head(
        self,
        hulls: np.ndarray,
        crown: np.ndarray,
        radius: float,
        wardrobe: Wardrobe,
        facing: tuple[float, float],
    ) -> None:
        """Hair all round, and the face on the side that it looks to."""
        towards, aside = facing
        self._polygon(_hull(np.concatenate([hulls[_HEAD], hulls[_HAIR]])), wardrobe.hair, 0.9)
        chin = hulls[_HEAD].max(axis=0)[1]
        if towards < -0.75:
            return
        share = float(np.clip(0.55 + 0.45 * towards, 0.25, 1.0))
        centre = np.array([crown[0] + aside * radius * 0.45, (crown[1] + chin) / 2 - 0.05 * radius])
        axes = np.array([radius * 0.86 * share, (chin - crown[1]) * 0.56])
        self._polygon(centre + OVAL * axes, wardrobe.skin, 0.85)
        lit = centre + np.array([self.light.right, self.light.down]) * 0.2 * radius
        self._polygon(lit + OVAL * axes * 0.62, wardrobe.skin, 1.05)
        if radius > 9 and towards > -0.2:
            for eye in (-0.34, 0.34):
                spot = centre + np.array([eye * axes[0] + aside * 0.25 * radius, -0.12 * axes[1]])
                self._polygon(spot + OVAL * (0.13 * radius, 0.08 * radius), (50, 45, 45), 1.0)
            mouth = centre + np.array([aside * 0.25 * radius, 0.5 * axes[1]])
            self._polygon(mouth + OVAL * (0.26 * radius, 0.06 * radius), (75, 80, 150), 1.0)

    def finished(self, seed: int, height_px: float) -> tuple[U8, U8]:
        """Colours with folds and light from one side, and opacity, at their final size."""
        picture = self.picture
        if self.scale > 1:
            size = (picture.shape[1] // self.scale, picture.shape[0] // self.scale)
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        rows, columns = picture.shape[:2]
        stretch = 128.0 / max(height_px, 16.0)
        offset = seed * 37 % 251
        across = ((np.arange(columns) * stretch).astype(np.intp) + offset) % 256
        along = ((np.arange(rows) * stretch).astype(np.intp) + 3 * offset) % 256
        slope = np.linspace(-0.12, 0.12, columns, dtype=np.float32) * np.float32(self.light.right)
        folds = _folds()[along][:, across] * (1 + slope)
        bgr = cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR)
        shaded = cv2.multiply(bgr, cv2.cvtColor(folds, cv2.COLOR_GRAY2BGR), dtype=cv2.CV_8U)
        return np.asarray(shaded, np.uint8), np.asarray(cv2.extractChannel(picture, 3), np.uint8)


@lru_cache(maxsize=1)
def _folds() -> np.ndarray:
    """Of cloth: float32 (256, 256) around 1."""
    return np.asarray(0.84 + 0.32 * clouds(np.random.default_rng(5), 256, 256, 8), np.float32)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points (…, 2) in OpenCV's fractions of pixels."""
    return np.asarray(np.rint(points * (1 << SHIFT)), np.int32)


def _hull(points: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.convexHull(points.astype(np.float32)))[:, 0]


def _pattern(name: str, down: np.ndarray, across: np.ndarray, facing: tuple[float, float]) -> np.ndarray:
    """Where a top has its second colour; `down` and `across` run from 0 to 1 over the trunk."""
    everywhere = (down + across) >= 0
    if name == "stripes":
        return np.asarray(((down * 9) % 1 < 0.42) & everywhere)
    if name == "checks":
        return np.asarray(((down * 8) % 1 < 0.35) ^ ((across * 6) % 1 < 0.35))
    centre = 0.5 + 0.3 * facing[1]
    if name == "jacket":
        return np.asarray((abs(across - centre) < 0.13 * max(0.0, facing[0])) & everywhere)
    wide = 0.22 * max(abs(facing[0]), 0.2)
    return np.asarray((abs(across - 0.5) < wide) & (abs(down - 0.33) < 0.14))


@lru_cache(maxsize=4096)
def _colours(wardrobe: Wardrobe) -> dict[int, Colour]:
    """Colours of the limbs that are painted one by one."""
    sleeve = wardrobe.skin if wardrobe.short_sleeves else wardrobe.top
    shin = wardrobe.skin if wardrobe.shorts else wardrobe.trousers
    by_colour = {
        (Part.NECK, Part.HAND_LEFT, Part.HAND_RIGHT): wardrobe.skin,
        (Part.LONG_HAIR,): wardrobe.hair,
        (Part.UPPER_ARM_LEFT, Part.UPPER_ARM_RIGHT): wardrobe.top,
        (Part.FOREARM_LEFT, Part.FOREARM_RIGHT): sleeve,
        (Part.THIGH_LEFT, Part.THIGH_RIGHT): wardrobe.trousers,
        (Part.SHIN_LEFT, Part.SHIN_RIGHT): shin,
        (Part.FOOT_LEFT, Part.FOOT_RIGHT): wardrobe.shoes,
        (Part.BACKPACK, Part.BAG): wardrobe.carried,
    }
    return {int(part): colour for parts, colour in by_colour.items() for part in parts}
