"""What people wear: colours as streets show them, mostly dark and grey; patterns; hair, hats and what is carried."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from engine.sources.scene_textures import clouds
from engine.types import U8

Colour = tuple[float, float, float]
SKIN, HAIR, TOP, SECOND, TROUSERS, SHOES, CARRIED, HAT, DARK, SKIRT, SOCKS = range(1, 12)
"""Labels of what a pixel of somebody shows."""
PATTERNS = ("plain", "across", "along", "checks", "dots", "blotches", "print")
_SKINS = ((178, 200, 235), (150, 178, 222), (125, 155, 205), (95, 128, 180), (68, 95, 142), (45, 62, 95))
_HAIRS = (
    (20, 20, 22),
    (28, 34, 48),
    (38, 58, 90),
    (80, 118, 158),
    (120, 165, 200),
    (160, 162, 165),
    (40, 60, 120),
)


@dataclass(frozen=True, slots=True)
class Clothes:
    """Somebody's: a colour (BGR) for each label, and cuts.

    palette   float32 (12, 3); row 0 is unused
    pattern, trouser_pattern  of the top and of the trousers, from PATTERNS
    pattern_scale  of the pattern's repeats to the trunk
    sleeves   0 none, 1 short, 2 long
    legs      0 long trousers, 1 shorts
    hair      0 bald, 1 short, 2 long, 3 a hood over it
    hat       0 none, 1 cap with a brim, 2 without
    front     open jacket: width of what shows below it, 0 = closed
    folds     how much cloth is creased
    """

    palette: np.ndarray
    pattern: str
    trouser_pattern: str
    pattern_scale: float
    sleeves: int
    legs: int
    hair: int
    hat: int
    front: float
    folds: float
    backpack: bool
    bag: int
    glasses: bool
    beard: bool


def draw_clothes(rng: np.random.Generator) -> Clothes:
    """Somebody's clothes."""
    palette = np.zeros((12, 3), np.float32)
    palette[SKIN] = _near(rng, _SKINS, 9)
    palette[HAIR] = _near(rng, _HAIRS, 8)
    palette[TOP] = _cloth(rng, (0.36, 0.16, 0.16, 0.1, 0.22))
    palette[SECOND] = _cloth(rng, (0.2, 0.15, 0.3, 0.1, 0.25))
    palette[TROUSERS] = _cloth(rng, (0.42, 0.16, 0.07, 0.28, 0.07))
    palette[SHOES] = _cloth(rng, (0.55, 0.15, 0.2, 0.02, 0.08))
    palette[CARRIED] = _cloth(rng, (0.45, 0.15, 0.1, 0.1, 0.2))
    palette[HAT] = _cloth(rng, (0.4, 0.2, 0.15, 0.05, 0.2))
    palette[DARK] = rng.uniform(15, 60, 3)
    same = rng.random()
    palette[SKIRT] = palette[TOP] if same < 0.6 else palette[TROUSERS] if same < 0.75 else _cloth(rng)
    palette[SOCKS] = palette[SKIN] if rng.random() < 0.7 else _cloth(rng)
    if rng.random() < 0.08:
        palette[TROUSERS] = palette[TOP]
    pattern = str(rng.choice(PATTERNS, p=(0.55, 0.1, 0.05, 0.07, 0.04, 0.07, 0.12)))
    return Clothes(
        palette,
        pattern,
        "plain" if rng.random() < 0.93 else str(rng.choice(("along", "checks", "blotches"))),
        pattern_scale=float(np.exp(rng.uniform(np.log(0.5), np.log(2.0)))),
        sleeves=int(rng.choice(3, p=(0.05, 0.28, 0.67))),
        legs=int(rng.random() < 0.15),
        hair=int(rng.choice(4, p=(0.07, 0.52, 0.33, 0.08))),
        hat=int(rng.choice(3, p=(0.83, 0.09, 0.08))),
        front=float(rng.uniform(0.06, 0.25)) if rng.random() < 0.2 else 0.0,
        folds=float(rng.uniform(0.05, 0.45)),
        backpack=bool(rng.random() < 0.16),
        bag=int(rng.choice(3, p=(0.75, 0.14, 0.11))),
        glasses=bool(rng.random() < 0.2),
        beard=bool(rng.random() < 0.15),
    )


def _near(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float) -> np.ndarray:
    colour = np.array(colours[int(rng.integers(len(colours)))]) * rng.uniform(0.8, 1.15)
    return np.asarray(np.clip(colour + rng.normal(0, spread, 3), 8, 250))


def _cloth(rng: np.random.Generator, shares: tuple[float, ...] = (0.35, 0.17, 0.15, 0.13, 0.2)) -> np.ndarray:
    """Black and dark, grey, white, blue and navy, anything."""
    kind = int(rng.choice(5, p=np.array(shares) / sum(shares)))
    if kind == 0:
        return np.asarray(np.clip(rng.uniform(14, 58) + rng.normal(0, 6, 3), 6, 90))
    if kind == 1:
        return np.asarray(np.clip(rng.uniform(60, 170) + rng.normal(0, 8, 3) - (12, 3, 0), 20, 210))
    if kind == 2:
        return np.asarray(np.clip(rng.uniform(180, 245) + rng.normal(0, 7, 3), 120, 252))
    if kind == 3:
        level = rng.uniform(0.35, 1.1)
        return np.asarray(np.clip(np.array([135, 92, 62]) * level + rng.normal(0, 9, 3), 8, 240))
    hsv = np.array([[[rng.integers(180), rng.uniform(60, 240), rng.uniform(50, 235)]]], np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), float).reshape(3)


@lru_cache(maxsize=64)
def pattern_tile(name: str, variant: int) -> U8:
    """uint8 (128, 128): 255 where the second colour is; repeats."""
    rng = np.random.default_rng((variant, 84))
    tile: U8 = np.zeros((128, 128), np.uint8)
    across = np.arange(128)
    repeats = (4, 6, 8, 12)[variant % 4]
    bars = (((across * repeats) // 64) % 2 == 0) if variant % 2 else ((across * repeats) % 128 < 40)
    if name == "across":
        tile[bars] = 255
    elif name == "along":
        tile[:, bars] = 255
    elif name == "checks":
        tile[bars] = 150
        tile[:, bars] = np.maximum(tile[:, bars], 110)
        tile[np.ix_(bars, bars)] = 255
    elif name == "dots":
        for row in range(8):
            for column in range(8):
                cv2.circle(tile, (column * 16 + 8, row * 16 + 8), 4, 255, cv2.FILLED)
    elif name == "blotches":
        noise = clouds(rng, 128, 128, 4)
        tile[noise > 0.55] = 255
    return tile


@lru_cache(maxsize=8)
def folds_tile(variant: int) -> np.ndarray:
    """float32 (256, 256) of about -1..1: creases, longer downwards than across."""
    rng = np.random.default_rng((variant, 85))
    noise = np.asarray(cv2.resize(clouds(rng, 128, 256, 8), (256, 256))) - 0.5
    return np.asarray(2.0 * noise, np.float32)
