"""Textures: grounds, walls with and without windows, foliage, formless noise; each a pure function of its variant."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from engine.sources.scene_textures import clouds
from engine.types import U8

GROUNDS = ("asphalt", "paving", "cobbles", "grass", "tiles", "sand", "wood", "carpet")
GROUND_M = 6.0
"""Side of a ground's tile, 512 pixels."""
WALLS = ("windows", "windows", "shops", "bricks", "plaster", "glass", "panels", "room", "shelves")
VARIANTS = 8


def noise(rng: np.random.Generator, height: int, width: int, coarsest: int = 4) -> np.ndarray:
    """float32 of 0..1."""
    return np.asarray(clouds(rng, height, width, coarsest), np.float32)


@lru_cache(maxsize=64)
def ground_tile(kind: str, variant: int) -> tuple[U8, ...]:
    """Tiles of 512, 128, 32 and 8 pixels of the same piece of ground, BGR, that repeat."""
    rng = np.random.default_rng((variant, GROUNDS.index(kind), 90))
    shade = 0.85 + 0.3 * _wrapped(noise(rng, 512, 512, 4))
    grain = rng.normal(
        0, {"asphalt": 0.08, "grass": 0.14, "sand": 0.06, "carpet": 0.07}.get(kind, 0.03), (512, 512)
    )
    shade += grain.astype(np.float32)
    bases = {
        "asphalt": (92, 90, 88), "paving": (150, 155, 160), "cobbles": (120, 122, 126), "grass": (50, 105, 80),
        "tiles": (175, 180, 182), "sand": (130, 165, 190), "wood": (75, 115, 155), "carpet": (90, 80, 110),
    }  # fmt: skip
    slabs = {"paving": 12, "cobbles": 40, "tiles": 10, "wood": 32}.get(kind, 0)
    if slabs:
        shade *= _slabs(rng, slabs, kind)
    if kind == "tiles" and variant % 2:
        shade *= 1 - 0.35 * ((np.indices((512, 512)) // 51).sum(axis=0) % 2)
    base = np.array(bases[kind], np.float32) * rng.uniform(0.65, 1.2) + rng.normal(0, 9, 3)
    picture = np.clip(shade[..., None] * base, 0, 255).astype(np.uint8)
    if kind == "grass":
        dry = noise(rng, 512, 512, 8)[..., None]
        picture = np.clip(picture * (1 - 0.5 * dry) + np.array([35.0, 65, 70]) * dry, 0, 255).astype(np.uint8)
    tiles = [np.asarray(picture, np.uint8)]
    for side in (128, 32, 8):
        tiles.append(np.asarray(cv2.resize(tiles[-1], (side, side), interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(tiles)


def _wrapped(field: np.ndarray) -> np.ndarray:
    """Without a seam at the lower edge, either."""
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[:, None]
    field[-64:] = field[-64:] * (1 - ramp) + field[:64][::-1] * ramp
    return field


def _slabs(rng: np.random.Generator, count: int, kind: str) -> np.ndarray:
    side = 512 // count
    rows = count if kind != "wood" else 4
    each = rng.normal(1, 0.05, (rows, count)).astype(np.float32)
    shade = np.asarray(cv2.resize(each, (512, 512), interpolation=cv2.INTER_NEAREST), np.float32)
    joint = 1 if side < 20 else 2
    for start in range(0, 512, side):
        shade[:, start : start + joint] *= 0.8
        if kind != "wood":
            shade[start : start + joint] *= 0.8
    return shade


@lru_cache(maxsize=96)
def wall(kind: str, variant: int) -> U8:
    """uint8 (256, 384, 3): a piece of a wall, upright."""
    rng = np.random.default_rng((variant, len(kind), ord(kind[0]), 91))
    hue = rng.normal(14, 6) % 180 if rng.random() < 0.7 else rng.integers(180)
    hsv = np.array([[[hue, rng.uniform(0, 100), rng.uniform(60, 225)]]], np.uint8)
    colour = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.float32)[0, 0]
    shade = 0.88 + 0.22 * noise(rng, 256, 384, 4) + rng.normal(0, 0.02, (256, 384)).astype(np.float32)
    picture: U8 = np.clip(shade[..., None] * colour, 0, 255).astype(np.uint8)
    if kind in ("windows", "shops"):
        _windows(rng, picture, 0 if kind == "windows" else 1)
    elif kind == "bricks":
        _bricks(rng, picture)
    elif kind in ("glass", "panels"):
        _panes(rng, picture, glass=kind == "glass")
    elif kind == "room":
        _room_things(rng, picture)
    elif kind == "shelves":
        _shelves(rng, picture)
    if kind not in ("plaster", "panels") and variant % 2:
        _clutter(rng, picture)
    return picture


def _clutter(rng: np.random.Generator, picture: U8) -> None:
    """Boards, pipes, balconies, stains: small and anywhere."""
    for _ in range(int(rng.integers(5, 45))):
        x, y = int(rng.integers(384)), int(rng.integers(256))
        wide, high = int(np.exp(rng.uniform(0.5, 3.5))), int(np.exp(rng.uniform(0.5, 3.5)))
        colour = (rng.uniform(0, 245) + rng.normal(0, 25, 3)).clip(0, 255).tolist()
        if rng.random() < 0.7:
            cv2.rectangle(picture, (x, y), (x + wide, y + high), colour, cv2.FILLED)
        else:
            end = (x, y + 4 * high) if rng.random() < 0.5 else (x + 4 * wide, y)
            cv2.line(picture, (x, y), end, colour, int(rng.integers(1, 4)))


def _windows(rng: np.random.Generator, picture: U8, shops: int) -> None:
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(3, 10))
    step = (384 / columns, 256 / rows)
    wide, high = rng.uniform(0.35, 0.7) * step[0], rng.uniform(0.4, 0.75) * step[1]
    frame = tuple(int(level) for level in rng.integers(60, 240, 3))
    for row in range(rows - shops):
        for column in range(columns):
            left, top = (column + 0.5) * step[0] - wide / 2, (row + 0.45) * step[1] - high / 2
            first, last = (round(left), round(top)), (round(left + wide), round(top + high))
            cv2.rectangle(
                picture, first, last, (rng.uniform(15, 150) * np.array([1.1, 1, 0.9])).tolist(), cv2.FILLED
            )
            cv2.rectangle(picture, first, last, frame, 1 + int(rng.random() < 0.3))
            if rng.random() < 0.5:
                middle = round(left + wide / 2)
                cv2.line(picture, (middle, first[1]), (middle, last[1]), frame, 1)
    if shops:
        _shop_row(rng, picture, round(256 - step[1]))


def _shop_row(rng: np.random.Generator, picture: U8, top: int) -> None:
    left = 0
    while left < 384:
        wide = int(rng.integers(40, 120))
        colour = rng.integers(20, 240, 3).tolist()
        cv2.rectangle(
            picture, (left, top), (left + wide, 256), (rng.uniform(15, 120) * np.ones(3)).tolist(), cv2.FILLED
        )
        cv2.rectangle(picture, (left, top), (left + wide, top + 14), colour, cv2.FILLED)
        for _ in range(int(rng.integers(2, 9))):
            x, y = left + int(rng.integers(wide)), top + int(rng.integers(18, max(20, 250 - top)))
            size = int(rng.integers(3, 14))
            cv2.rectangle(
                picture, (x, y), (x + size, y + 2 * size), rng.integers(20, 240, 3).tolist(), cv2.FILLED
            )
        text = "".join(chr(int(letter)) for letter in rng.integers(65, 91, 6))
        cv2.putText(
            picture,
            text,
            (left + 4, top + 11),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            rng.integers(0, 255, 3).tolist(),
        )
        left += wide + int(rng.integers(2, 12))


def _bricks(rng: np.random.Generator, picture: U8) -> None:
    for row in range(0, 256, 8):
        picture[row] = (picture[row] * 0.72).astype(np.uint8)
        for column in range(8 * (row // 8 % 2), 384, 16):
            picture[row : row + 8, column] = (picture[row : row + 8, column] * 0.75).astype(np.uint8)
    if rng.random() < 0.5:
        left = int(rng.integers(20, 300))
        cv2.rectangle(picture, (left, 90), (left + 60, 256), rng.integers(20, 120, 3).tolist(), cv2.FILLED)


def _panes(rng: np.random.Generator, picture: U8, *, glass: bool) -> None:
    columns, rows = int(rng.integers(3, 12)), int(rng.integers(2, 7))
    for row in range(rows):
        for column in range(columns):
            first = (column * 384 // columns + 2, row * 256 // rows + 2)
            last = ((column + 1) * 384 // columns - 2, (row + 1) * 256 // rows - 2)
            level = rng.uniform(40, 170) if glass else rng.uniform(0.85, 1.1)
            colour = level * np.array([1.15, 1.05, 0.9]) if glass else picture[5, 5] * level
            cv2.rectangle(picture, first, last, np.clip(colour, 0, 255).tolist(), cv2.FILLED)


def _room_things(rng: np.random.Generator, picture: U8) -> None:
    """Doors, pictures, posters, a skirting board."""
    for _ in range(int(rng.integers(1, 5))):
        left, top = int(rng.integers(0, 340)), int(rng.integers(40, 130))
        wide, high = int(rng.integers(15, 80)), int(rng.integers(20, 80))
        colour = rng.integers(15, 240, 3).tolist()
        cv2.rectangle(picture, (left, top), (left + wide, top + high), colour, cv2.FILLED)
        cv2.rectangle(picture, (left, top), (left + wide, top + high), rng.integers(20, 120, 3).tolist(), 2)
    for _ in range(int(rng.integers(0, 3))):
        left = int(rng.integers(0, 340))
        cv2.rectangle(picture, (left, 90), (left + 48, 256), rng.integers(25, 200, 3).tolist(), cv2.FILLED)
        cv2.rectangle(picture, (left, 90), (left + 48, 256), rng.integers(25, 200, 3).tolist(), 2)
    picture[246:] = rng.integers(20, 200, 3)


def _shelves(rng: np.random.Generator, picture: U8) -> None:
    for top in range(20, 250, 34):
        left = 0
        while left < 384:
            wide, high = int(rng.integers(4, 16)), int(rng.integers(14, 30))
            cv2.rectangle(
                picture,
                (left, top + 30 - high),
                (left + wide, top + 30),
                rng.integers(10, 245, 3).tolist(),
                cv2.FILLED,
            )
            left += wide + int(rng.integers(0, 5))
        picture[top + 30 : top + 34] = rng.integers(40, 160)


@lru_cache(maxsize=48)
def foliage(variant: int) -> U8:
    """uint8 (256, 256, 4): a crown, a bush or bare branches, with opacity."""
    rng = np.random.default_rng((variant, 92))
    rows, columns = (np.indices((256, 256), dtype=np.float32) - 128) / 118
    lumps = noise(rng, 256, 256, int(rng.choice((4, 8, 16))))
    fine = noise(rng, 256, 256, 32)
    round_off = np.sqrt(rows**2 + columns**2)
    inside = lumps * 0.7 + fine * 0.5 > 0.15 + 0.75 * round_off
    season = int(rng.integers(4))
    colour = np.array([(40, 110, 70), (35, 80, 50), (45, 120, 150), (60, 75, 85)][season]) * rng.uniform(
        0.6, 1.2
    )
    light = 0.45 + 0.7 * fine + 0.25 * (lumps - 0.5) - 0.25 * rows
    picture = np.zeros((256, 256, 4), np.uint8)
    picture[..., :3] = np.clip(light[..., None] * colour, 0, 255)
    if season == 3:
        inside[:] = False
        for _ in range(70):
            angle, reach = rng.uniform(0, 6.28), rng.uniform(40, 120)
            end = (int(128 + reach * np.cos(angle)), int(128 + reach * np.sin(angle)))
            branch = np.zeros((256, 256), np.uint8)
            cv2.line(branch, (128 + int(rng.normal(0, 20)), 200), end, 255, int(rng.integers(1, 4)))
            inside |= branch > 0
    picture[..., 3] = np.where(inside, 255, 0)
    return picture


def formless(rng: np.random.Generator, width: int, height: int) -> U8:
    """A background of nothing: noise between colours, with polygons and lines."""
    field = noise(rng, height // 2, width // 2, int(rng.choice((2, 4, 8, 16))))
    field = np.clip((field - 0.5) * rng.uniform(0.8, 3.0) + 0.5, 0, 1)
    first, second = rng.uniform(10, 245, 3), rng.uniform(10, 245, 3)
    if rng.random() < 0.7:
        first, second = 0.8 * first.mean() + 0.2 * first, 0.8 * second.mean() + 0.2 * second
    small = field[..., None] * first + (1 - field[..., None]) * second
    picture = np.asarray(cv2.resize(small.astype(np.uint8), (width, height)), np.uint8)
    for _ in range(int(rng.integers(0, 30))):
        centre, size = rng.uniform((0, 0), (width, height)), np.exp(rng.uniform(2, 5))
        points = centre + rng.normal(0, 1, (int(rng.integers(3, 7)), 2)) * size * rng.uniform(0.2, 1, 2)
        hull = cv2.convexHull(points.astype(np.int32))
        colour = rng.uniform(5, 250, 3).tolist()
        if rng.random() < 0.75:
            cv2.fillConvexPoly(picture, hull, colour, cv2.LINE_AA)
        else:
            cv2.polylines(picture, [hull], True, colour, int(rng.integers(1, 9)), cv2.LINE_AA)
    return picture
