"""Colours and cuts of what people of the rendered world wear, from the seed of their looks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ptz.simulator.actors import Looks

Colour = tuple[float, float, float]

SKIN: tuple[Colour, ...] = (
    (180, 205, 238), (150, 180, 222), (125, 158, 205), (95, 130, 180), (70, 98, 145), (52, 70, 105),
)  # fmt: skip
HAIR: tuple[Colour, ...] = (
    (25, 25, 28), (30, 40, 60), (40, 62, 95), (80, 120, 160), (110, 160, 200), (150, 152, 155), (35, 55, 120),
)  # fmt: skip
TOPS: tuple[Colour, ...] = (
    (45, 45, 48), (200, 200, 205), (120, 60, 35), (40, 40, 165), (70, 110, 60), (60, 150, 200), (130, 130, 130),
    (150, 70, 110), (85, 125, 155), (170, 140, 60), (50, 75, 110), (190, 160, 175), (35, 90, 200), (90, 80, 30),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (45, 42, 40), (110, 75, 45), (135, 95, 65), (70, 70, 72), (90, 120, 150), (55, 75, 95), (150, 150, 150),
    (75, 50, 35),
)  # fmt: skip
SHOES: tuple[Colour, ...] = ((30, 30, 32), (220, 220, 222), (45, 65, 95), (60, 60, 170))


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """What somebody wears, colours BGR.

    pattern   of the top: plain, stripes, checks, jacket (open, `second` below it), print
    """

    skin: Colour
    hair: Colour
    top: Colour
    second: Colour
    trousers: Colour
    shoes: Colour
    carried: Colour
    pattern: str
    short_sleeves: bool
    shorts: bool


@lru_cache(maxsize=4096)
def wardrobe_of(looks: Looks) -> Wardrobe:
    """What belongs to these looks."""
    random = np.random.default_rng((looks.seed, 23))

    def one_of(colours: tuple[Colour, ...]) -> Colour:
        colour = np.array(colours[int(random.integers(len(colours)))]) * random.uniform(0.85, 1.12)
        colour = np.clip(colour + random.normal(0, 6, 3), 12, 250)
        return float(colour[0]), float(colour[1]), float(colour[2])

    patterns = ("plain", "stripes", "checks", "jacket", "print")
    return Wardrobe(
        skin=one_of(SKIN),
        hair=one_of(HAIR),
        top=one_of(TOPS),
        second=one_of(TOPS),
        trousers=one_of(TROUSERS),
        shoes=one_of(SHOES),
        carried=one_of(TOPS),
        pattern=str(random.choice(patterns, p=(0.34, 0.16, 0.12, 0.23, 0.15))),
        short_sleeves=bool(random.random() < 0.4),
        shorts=bool(random.random() < 0.2),
    )
