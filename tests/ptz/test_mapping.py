"""Where to look for what another camera shows, learned from pairs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from engine.errors import PtzRefused
from ptz.geometry import wrap_deg
from ptz.mapping import MOST_CELLS, PER_CELL, Mapping
from ptz.types import F64

HEAD = np.array([8.0, 15.0, 7.0])
"""Where the PTZ camera stands: in the middle of what the fixed one sees."""
OTHER = np.array([-9.0, 4.0, 5.0])


def pixel(place: F64) -> tuple[float, float]:
    """The fixed camera: 1280 x 720, 70° wide, 6 m up, looking 25° down."""
    focal = 640 / math.tan(math.radians(35))
    east, north, up = place - np.array([0.0, -10.0, 6.0])
    down = math.radians(25)
    depth = north * math.cos(down) - up * math.sin(down)
    return float(640 + focal * east / depth), float(
        360 - focal * (north * math.sin(down) + up * math.cos(down)) / depth
    )


def direction(place: F64, camera: F64 = HEAD) -> tuple[float, float]:
    east, north, up = place - camera
    return math.degrees(math.atan2(east, north)) % 360, math.degrees(math.atan2(up, math.hypot(east, north)))


def places(count: int, seed: int = 0) -> list[F64]:
    random = np.random.default_rng(seed)
    return [np.array([random.uniform(-10, 10), random.uniform(0, 25), 0.0]) for _ in range(count)]


def learned(wrong: float = 0.0, count: int = 200) -> Mapping:
    """From pairs with 3 px and 0.2° of noise, `wrong` of which are not of the same person."""
    random = np.random.default_rng(1)
    mapping = Mapping(1280, 720)
    for place, stranger in zip(places(count), places(count, seed=9), strict=True):
        u, v = pixel(place)
        pan, tilt = direction(stranger if random.random() < wrong else place)
        mapping.learn(
            (u + random.normal(0, 3), v + random.normal(0, 3)),
            pan + random.normal(0, 0.2),
            tilt + random.normal(0, 0.2),
        )
    return mapping


def errors(mapping: Mapping) -> F64:
    found = []
    for place in places(100, seed=5):
        told, (pan, tilt) = mapping.direction(pixel(place)), direction(place)
        assert told is not None
        flat = math.cos(math.radians(tilt))
        found.append(math.hypot(wrap_deg(told.pan_deg - pan) * flat, told.tilt_deg - tilt))
    return np.array(found)


@pytest.mark.parametrize("wrong", [0.0, 0.2, 0.4])
def test_directions_are_found_in_spite_of_wrong_pairs(wrong: float) -> None:
    wrongs = errors(learned(wrong))
    assert np.median(wrongs) < 1.0
    assert np.percentile(wrongs, 95) < 3.5


def test_it_says_how_far_it_can_be_trusted() -> None:
    good, poor = learned(), learned(0.6)
    assert good.trust > 0.6
    assert poor.trust < 0.6 * good.trust
    assert "pairs fit" in good.explain()
    near, far = good.direction(pixel(np.array([0.0, 12.0, 0.0]))), good.direction((-2000.0, 700.0))
    assert near is not None
    assert far is None or far.trust < 0.3 * near.trust


def test_too_few_pairs_say_nothing() -> None:
    mapping = learned(count=5)
    assert mapping.direction((640.0, 400.0)) is None
    assert mapping.trust == 0.0
    assert "are needed" in mapping.explain()


def test_people_on_one_line_are_enough_for_that_line() -> None:
    mapping = Mapping(1280, 720)
    for east in np.linspace(-8, 8, 40):
        place = np.array([east, 12 + 0.2 * east, 0.0])
        mapping.learn(pixel(place), *direction(place))
    told = mapping.direction(pixel(np.array([1.0, 12.2, 0.0])))
    assert told is not None
    assert (told.pan_deg, told.tilt_deg) == pytest.approx(direction(np.array([1.0, 12.2, 0.0])), abs=0.1)
    beside = mapping.direction(pixel(np.array([1.0, 17.0, 0.0])))
    assert beside is None or beside.trust < 0.5 * told.trust


def test_directions_of_another_head_are_an_input_too() -> None:
    mapping = Mapping()
    for place in places(120):
        mapping.learn(direction(place, OTHER), *direction(place))
    for place in places(30, seed=5):
        told = mapping.direction(direction(place, OTHER))
        assert told is not None
        assert wrap_deg(told.pan_deg - direction(place)[0]) == pytest.approx(0.0, abs=0.5)
        assert told.tilt_deg == pytest.approx(direction(place)[1], abs=0.5)


def test_a_camera_that_was_moved_is_learned_anew() -> None:
    mapping = learned(count=300)
    for place in places(1500, seed=3):
        pan, tilt = direction(place)
        mapping.learn(pixel(place), pan + 40.0, tilt)
    told = mapping.direction(pixel(np.array([0.0, 12.0, 0.0])))
    assert told is not None
    assert wrap_deg(told.pan_deg - direction(np.array([0.0, 12.0, 0.0]))[0] - 40.0) == pytest.approx(
        0.0, abs=1.5
    )


def test_memory_is_bounded_and_pairs_that_are_none_are_counted() -> None:
    mapping = Mapping(1280, 720)
    random = np.random.default_rng(0)
    for _ in range(3000):
        mapping.learn(
            (random.uniform(-5000, 5000), random.uniform(-5000, 5000)), random.uniform(0, 360), -20.0
        )
    assert len(mapping) <= MOST_CELLS * PER_CELL
    for place, pan, tilt in (
        ((math.nan, 1.0), 1.0, -5.0),
        ((1.0, 1.0), math.inf, -5.0),
        ((1.0, 1.0), 1.0, 5.0),
    ):
        mapping.learn(place, pan, tilt)
    assert mapping.refused == 3
    assert mapping.direction((math.nan, 1.0)) is None
    assert Mapping().direction((10.0, 20.0)) is None


@pytest.mark.parametrize("mapping", [learned(), Mapping(1280, 720)], ids=["learned", "empty"])
def test_it_is_the_same_after_json(mapping: Mapping) -> None:
    again = Mapping.from_json(json.loads(json.dumps(mapping.to_json())))
    assert len(again) == len(mapping)
    assert again.trust == pytest.approx(mapping.trust, abs=0.05)


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"pairs": "x"}, {"width": 1, "height": 1, "pairs": [[1, 2, 3]]},
     {"width": -1, "height": 1, "pairs": []}, {"width": 1, "height": 1, "pairs": [[1, 2, 3, float("nan")]]},
     {"width": 1, "height": 1, "pairs": [["a", 2, 3, 4]]}],
)  # fmt: skip
def test_json_that_is_no_mapping_is_refused(data: object) -> None:
    with pytest.raises(PtzRefused):
        Mapping.from_json(data)
