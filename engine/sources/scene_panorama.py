"""What does not move in a rendered world, seen from one place: a picture of all directions in degrees.

Ground, sky, houses, trees, boards with the azimuth every 10°, and all that stands on the square. It is cast ray by ray
once per camera; a frame is then a warp of it (`scene_lens`). Knows no people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from engine.sources import scene_textures as textures
from engine.types import U8
from ptz.simulator.truth import half_sides
from ptz.simulator.world import CameraMount, Occluder, Scene

PX_PER_DEG = 17
TOP_DEG = 28.0
"""Elevation of the panorama's upper edge; the lowest is the nadir."""
SUN = np.array([-0.35, -0.42, 0.84]) / math.hypot(0.35, 0.42, 0.84)
"""Unit vector towards the sun: south-west, so that people north of a camera are lit."""
GROUND_PX_PER_M, GROUND_M = 12, 120.0
"""Resolution and side of the painted map of the ground; around the origin's north."""
GROUND_NORTH_M = 15.0


@dataclass(frozen=True, slots=True)
class Panorama:
    """All directions from one place as NV12-like planes.

    y    (height, width) luma; column 0 is azimuth 0, row 0 is `TOP_DEG`
    uv   (height/2, width/2, 2)
    """

    y: U8
    uv: U8


@dataclass(frozen=True, slots=True)
class Quad:
    """A flat picture in space: corner, and the edges to the right and down from it, in metres."""

    corner: np.ndarray
    right: np.ndarray
    down: np.ndarray
    texture: U8

    def middle(self) -> np.ndarray:
        """Its centre."""
        return np.asarray(self.corner + (self.right + self.down) / 2)


@lru_cache(maxsize=1)
def panorama(scene: Scene, camera: CameraMount, px_per_deg: int = PX_PER_DEG) -> Panorama:
    """Everything that stands still in a scene, from where this camera is.

    The last one is kept for whoever opens the source again; nobody writes into it.
    """
    rng = np.random.default_rng(3)
    eye = np.array([camera.x_m, camera.y_m, camera.z_m])
    painter = _Painter(eye, px_per_deg)
    painter.sky(rng)
    painter.ground(_ground_map(rng, scene), textures.paving(rng))
    quads = [*_town(rng, eye), *_signs(eye)]
    for occluder in scene.occluders:
        quads += _box(rng, occluder, eye)
    for quad in sorted(quads, key=lambda quad: -float(np.linalg.norm(quad.middle() - eye))):
        painter.quad(quad)
    return painter.planes()


class _Painter:
    """Casts rays from one place into a BGR picture of all directions."""

    def __init__(self, eye: np.ndarray, px_per_deg: int) -> None:
        self.eye, self.px_per_deg = eye, px_per_deg
        self.width, self.height = 360 * px_per_deg, round((90 + TOP_DEG) * px_per_deg) // 2 * 2
        self.picture: U8 = np.zeros((self.height, self.width, 3), np.uint8)
        self.azimuths = np.radians((np.arange(self.width) + 0.5) / px_per_deg).astype(np.float32)
        self.elevations = np.radians(TOP_DEG - (np.arange(self.height) + 0.5) / px_per_deg).astype(np.float32)

    def sky(self, rng: np.random.Generator) -> None:
        """Blue above, pale at the horizon, with clouds."""
        rows = int((self.elevations > 0).sum())
        height = (self.elevations[:rows] / self.elevations[0])[:, None, None]
        blue = np.array([225, 180, 130]) * height + np.array([228, 222, 212]) * (1 - height)
        cover = cv2.resize(textures.clouds(rng, 128, 1024), (self.width, rows))
        cover = np.clip((np.asarray(cover) - 0.45) * 2.2, 0, 0.75)[..., None].astype(np.float32)
        for start in range(0, rows, 64):
            band = slice(start, min(start + 64, rows))
            self.picture[band] = blue[band] * (1 - cover[band]) + 245 * cover[band]

    def ground(self, painted: U8, tile: np.ndarray) -> None:
        """The map of the ground with the tile's texture on it, finer the nearer."""
        sines, cosines = np.sin(self.azimuths), np.cos(self.azimuths)
        levels = [tile]
        while len(levels) < 7:
            levels.append(
                np.asarray(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
            )
        first = int((self.elevations > -0.004).sum())
        self.picture[int((self.elevations > 0).sum()) : first] = (212, 216, 214)
        side = painted.shape[0]
        for start in range(first, self.height, 32):
            band = slice(start, min(start + 32, self.height))
            away = (np.float32(self.eye[2]) / np.tan(-self.elevations[band]))[:, None]
            east = (self.eye[0] + away * sines).astype(np.float32)
            north = (self.eye[1] + away * cosines).astype(np.float32)
            map_x = east * GROUND_PX_PER_M + side / 2
            map_y = side / 2 - (north - GROUND_NORTH_M) * GROUND_PX_PER_M
            colour = cv2.remap(painted, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            # Metres of ground that a pixel covers, between along and across, against the tile's pixels.
            far = float(away.mean())
            cover_m = far / math.degrees(1) / self.px_per_deg * math.sqrt(max(1.0, far / self.eye[2]))
            level = levels[int(np.clip(math.log2(max(cover_m * 128, 1.0)), 0, len(levels) - 1))]
            scale = level.shape[0] / 8.0
            shade = cv2.remap(
                level, (east * scale) % level.shape[0], (north * scale) % level.shape[0], cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_WRAP,
            )  # fmt: skip
            haze = float(np.clip((far - 40) / 260, 0, 0.75))
            lit = np.asarray(colour, np.float32) * np.asarray(shade)[..., None]
            self.picture[band] = np.clip(lit * (1 - haze) + 215 * haze, 0, 255)

    def quad(self, quad: Quad) -> None:
        """Paint over what is behind; back sides are painted as well."""
        edges = np.linspace(0, 1, 12)
        outline = np.concatenate([
            quad.corner + edges[:, None] * quad.right, quad.corner + edges[:, None] * quad.down,
            quad.corner + quad.right + edges[:, None] * quad.down,
            quad.corner + quad.down + edges[:, None] * quad.right,
        ]) - self.eye  # fmt: skip
        towards = quad.middle() - self.eye
        centre = math.atan2(towards[0], towards[1])
        turned = (np.arctan2(outline[:, 0], outline[:, 1]) - centre + np.pi) % (2 * np.pi) - np.pi
        elevations = np.arctan2(outline[:, 2], np.hypot(outline[:, 0], outline[:, 1]))
        per_radian = math.degrees(1) * self.px_per_deg
        columns = (
            np.arange(
                math.floor((centre + turned.min()) * per_radian),
                math.ceil((centre + turned.max()) * per_radian) + 1,
            )
            % self.width
        )
        top = int(np.clip((math.radians(TOP_DEG) - elevations.max()) * per_radian - 1, 0, self.height))
        bottom = int(np.clip((math.radians(TOP_DEG) - elevations.min()) * per_radian + 2, 0, self.height))
        if top >= bottom:
            return
        self._fill(quad, slice(top, bottom), columns)

    def _fill(self, quad: Quad, rows: slice, columns: np.ndarray) -> None:
        up, azimuths = self.elevations[rows, None], self.azimuths[None, columns]
        rays = np.stack(
            np.broadcast_arrays(np.sin(azimuths) * np.cos(up), np.cos(azimuths) * np.cos(up), np.sin(up)),
            axis=-1,
        )
        normal = np.cross(quad.right, quad.down)
        slope = rays @ normal
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = float((quad.corner - self.eye) @ normal) / slope
        hit = rays * reach[..., None] + (self.eye - quad.corner)
        across = hit @ quad.right / float(quad.right @ quad.right)
        along = hit @ quad.down / float(quad.down @ quad.down)
        inside = (reach > 0) & (across >= 0) & (across <= 1) & (along >= 0) & (along <= 1)
        height, width = quad.texture.shape[:2]
        texture = quad.texture
        # As many pixels as there will be to see, so that nothing flickers or is jagged.
        shown = max(2, len(columns)), max(2, rows.stop - rows.start)
        if width > 1.5 * shown[0] or height > 1.5 * shown[1]:
            texture = np.asarray(cv2.resize(
                texture, (min(width, shown[0]), min(height, shown[1])), interpolation=cv2.INTER_AREA
            ))  # fmt: skip
            height, width = texture.shape[:2]
        map_x = np.where(inside, across * width - 0.5, 0).astype(np.float32)
        map_y = np.where(inside, along * height - 0.5, 0).astype(np.float32)
        sampled = np.asarray(
            cv2.remap(texture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )
        window = np.asarray(self.picture[rows][:, columns])
        opacity = inside[..., None].astype(np.float32)
        if texture.shape[2] == 4:
            opacity = opacity * (sampled[..., 3:] / 255.0)
        blended = window + (sampled[..., :3].astype(np.float32) - window) * opacity
        self.picture[rows.start : rows.stop, columns] = blended.astype(np.uint8)

    def planes(self) -> Panorama:
        """As luma and chroma."""
        converted = cv2.cvtColor(self.picture, cv2.COLOR_BGR2YUV_I420)
        planar = np.asarray(converted, np.uint8)
        luma = planar[: self.height]
        quarter = planar[self.height :].reshape(2, self.height // 2, self.width // 2)
        return Panorama(luma.copy(), np.ascontiguousarray(quarter.transpose(1, 2, 0)))


def _ground_map(rng: np.random.Generator, scene: Scene) -> U8:
    """The square, lawns, a road, stains and the shadows of what stands there, seen from above."""
    side = round(GROUND_M * GROUND_PX_PER_M)
    grass = textures.toned(0.8 + 0.4 * textures.clouds(rng, side, side, 16), (70, 120, 95))
    stone = textures.toned(0.88 + 0.2 * textures.clouds(rng, side, side, 8), (168, 176, 182))
    inside = np.zeros((side, side), np.uint8)
    cv2.rectangle(inside, _spot(-22, 25), _spot(22, -24), 255, cv2.FILLED)
    cv2.circle(inside, _spot(0, 8), round(21 * GROUND_PX_PER_M), 255, cv2.FILLED)
    painted = np.where(inside[..., None] > 0, stone, grass)
    cv2.rectangle(painted, _spot(-60, 35), _spot(60, 27.7), (92, 92, 94), cv2.FILLED)
    cv2.rectangle(painted, _spot(-60, 27.7), _spot(60, 25.4), (150, 154, 158), cv2.FILLED)
    for east in range(-60, 60, 6):
        cv2.rectangle(painted, _spot(east, 31.5), _spot(east + 3, 31.3), (225, 225, 225), cv2.FILLED)
    for _ in range(160):
        where = _spot(rng.uniform(-22, 22), rng.uniform(-10, 30))
        size = (round(rng.uniform(1, 9)), round(rng.uniform(1, 6)))
        cv2.ellipse(painted, where, size, rng.uniform(0, 180), 0, 360, (140, 148, 152), cv2.FILLED)
    for _ in range(8):
        cv2.circle(painted, _spot(rng.uniform(-15, 15), rng.uniform(4, 26)), 4, (85, 88, 90), cv2.FILLED)
    return _shaded(painted, scene)


def _shaded(painted: np.ndarray, scene: Scene) -> U8:
    shade = np.zeros(painted.shape[:2], np.uint8)
    for occluder in scene.occluders:
        corners = box_corners(occluder)
        fallen = corners - SUN * (corners[:, 2:] / SUN[2])
        hull = cv2.convexHull(np.array([_spot(x, y) for x, y in fallen[:, :2]], np.int32))
        cv2.fillConvexPoly(shade, hull, 255)
    soft = np.asarray(cv2.GaussianBlur(shade, (0, 0), 1.5), np.float32)[..., None] / 255
    return np.asarray(painted * (1 - 0.32 * soft), np.uint8)


def _spot(east_m: float, north_m: float) -> tuple[int, int]:
    side = GROUND_M * GROUND_PX_PER_M / 2
    return round(side + east_m * GROUND_PX_PER_M), round(side - (north_m - GROUND_NORTH_M) * GROUND_PX_PER_M)


def box_corners(occluder: Occluder) -> np.ndarray:
    """(8, 3): the corners of a box in the world."""
    half = half_sides(occluder)
    angle = math.radians(occluder.heading_deg)
    across = np.array([math.cos(angle), -math.sin(angle), 0.0]) * half[0]
    along = np.array([math.sin(angle), math.cos(angle), 0.0]) * half[1]
    middle = np.array([occluder.x_m, occluder.y_m, (occluder.base_m + occluder.height_m) / 2])
    up = np.array([0.0, 0.0, half[2]])
    return np.array(
        [middle + a * across + b * along + c * up for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    )


PAINT = {
    "wall": (120.0, 140.0, 165.0), "pillar": (150.0, 155.0, 158.0), "kiosk": (95.0, 120.0, 60.0),
    "planter": (75.0, 95.0, 125.0), "trunk": (62.0, 80.0, 92.0), "van": (205.0, 205.0, 200.0),
    "car": (60.0, 55.0, 160.0),
}  # fmt: skip


def _box(rng: np.random.Generator, occluder: Occluder, eye: np.ndarray) -> list[Quad]:
    """The faces of a box that look towards the camera, and what grows on it."""
    half = half_sides(occluder)
    angle = math.radians(occluder.heading_deg)
    across = np.array([math.cos(angle), -math.sin(angle), 0.0])
    along = np.array([math.sin(angle), math.cos(angle), 0.0])
    up, middle = np.array([0.0, 0.0, 1.0]), np.array([occluder.x_m, occluder.y_m, occluder.base_m + half[2]])
    quads = []
    for normal, side, depth, breadth in (
        (across, along, half[0], half[1]), (-across, -along, half[0], half[1]),
        (along, -across, half[1], half[0]), (-along, across, half[1], half[0]),
    ):  # fmt: skip
        face = middle + normal * depth
        if (eye - face) @ normal > 0:
            # Seen from outside the right hand is the other way round.
            corner = face - side * breadth + up * half[2]
            texture = _lit(_skin(rng, occluder.kind, long=breadth >= depth), normal)
            quads.append(Quad(corner, 2 * breadth * side, -2 * half[2] * up, texture))
    if eye[2] > occluder.height_m:
        corner = middle + up * half[2] - across * half[0] + along * half[1]
        texture = _lit(textures.planks(rng, PAINT.get(occluder.kind, PAINT["wall"])), up)
        quads.append(Quad(corner, 2 * half[0] * across, -2 * half[1] * along, texture))
    if occluder.kind == "trunk":
        quads.append(_billboard(middle + up * half[2], eye, (4.4, 4.2), textures.foliage(rng)))
    if occluder.kind == "planter":
        quads.append(
            _billboard(middle + up * (half[2] + 0.2), eye, (occluder.width_m, 0.7), textures.foliage(rng))
        )
    return quads


def _skin(rng: np.random.Generator, kind: str, *, long: bool) -> U8:
    colour = PAINT.get(kind, PAINT["wall"])
    if kind in ("van", "car"):
        return textures.bodywork(rng, colour, side=long)
    return textures.planks(rng, colour, 9 if kind == "kiosk" else 0)


def _lit(texture: U8, normal: np.ndarray) -> U8:
    light = 0.62 + 0.45 * max(0.0, float(normal @ SUN))
    return np.asarray(np.clip(texture.astype(np.float32) * light, 0, 255), np.uint8)


def _billboard(middle: np.ndarray, eye: np.ndarray, size_m: tuple[float, float], texture: U8) -> Quad:
    """A picture that faces the camera, upright."""
    away = np.array([middle[0] - eye[0], middle[1] - eye[1], 0.0])
    away /= max(float(np.linalg.norm(away)), 1e-6)
    right = np.array([away[1], -away[0], 0.0]) * size_m[0]
    down = np.array([0.0, 0.0, -size_m[1]])
    return Quad(middle - right / 2 - down / 2, right, down, texture)


def _town(rng: np.random.Generator, eye: np.ndarray) -> list[Quad]:
    """Houses and trees all round."""
    quads = []
    for number in range(30):
        azimuth = 2 * math.pi * (number + rng.uniform(-0.2, 0.2)) / 30
        away = rng.uniform(46, 62)
        width, height = rng.uniform(8, 13), rng.uniform(6, 17)
        middle = np.array([away * math.sin(azimuth), away * math.cos(azimuth) + 10, height / 2])
        quads.append(
            _billboard(
                middle, np.array([0.0, 10.0, 0.0]), (width, height), textures.facade(rng, width, height, 14)
            )
        )
    for number in range(26):
        azimuth = 2 * math.pi * (number + rng.uniform(-0.4, 0.4)) / 26
        away, size = rng.uniform(36, 44), rng.uniform(3.5, 6.0)
        place = np.array([away * math.sin(azimuth), away * math.cos(azimuth) + 10, 2.2 + size / 2])
        quads.append(_billboard(place, eye, (size, size), textures.foliage(rng)))
        trunk = np.array([place[0], place[1], 1.3])
        quads.append(_billboard(trunk, eye, (0.26, 2.6), textures.planks(rng, (92.0, 112.0, 112.0))))
    return quads


def _signs(eye: np.ndarray) -> list[Quad]:
    """Boards with the azimuth, every 10°: above the horizon in the distance, and small ones on the ground."""
    quads = []
    for azimuth in range(0, 360, 10):
        angle = math.radians(azimuth)
        towards = np.array([math.sin(angle), math.cos(angle), 0.0])
        colour = ((110, 70, 30), (40, 90, 40), (30, 40, 130))[azimuth // 10 % 3]
        board = textures.sign(str(azimuth), colour)
        place = eye + towards * 30.0
        quads.append(_billboard(np.array([place[0], place[1], eye[2] + 1.9]), eye, (1.6, 0.8), board))
        right = np.array([towards[1], -towards[0], 0.0])
        away = eye[2] / math.tan(math.radians(38))
        near = np.array([eye[0], eye[1], 0.01]) + towards * away
        quads.append(Quad(near + towards * 0.12 - right * 0.24, right * 0.48, -towards * 0.24, board))
    return quads
