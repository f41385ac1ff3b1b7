"""Parts of the painted pictures: lens, bodies, things, sensor, dress."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tools.nano.pictures_bodies import ACTIONS, body, draw_build, draw_doing
from tools.nano.pictures_lens import Lens, shots
from tools.nano.pictures_painting import Light, sprite
from tools.nano.pictures_people import draw_person
from tools.nano.pictures_sensor import draw_sensor, expose
from tools.nano.pictures_things import KINDS, draw_thing, paint, ridden

LENS = Lens(320, 180, 300.0, 3.0, 0.1, -0.2, 0.05)
LIGHT = Light((0.3, -0.4, 0.87), 0.3, 0.3)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_ground_and_pixels_are_inverse() -> None:
    places = np.array([[0.0, 8.0, 0.0], [-3.0, 12.0, 0.0], [2.0, 5.0, 0.0]])
    pixels = LENS.project(places)
    ground = LENS.to_ground() @ np.stack([pixels[:, 0], pixels[:, 1], np.ones(3)])
    np.testing.assert_allclose((ground[:2] / ground[2]).T, places[:, :2], atol=1e-6)
    # Twice as far is half as large.
    tall = LENS.project(np.array([[0, 10.0, 0.0], [0, 10, 1.7]]))
    assert tall[0, 1] > tall[1, 1] and tall[0, 2] > 5


def test_a_turned_lens_is_a_homography() -> None:
    other = replace(LENS, pan_rad=0.25, tilt_rad=-0.3, focal_px=360.0)
    places = np.array([[1.0, 9.0, 0.4], [-2.0, 14.0, 2.0]])
    before, after = LENS.project(places), other.project(places)
    moved = LENS.seen_from(other) @ np.stack([before[:, 0], before[:, 1], np.ones(2)])
    np.testing.assert_allclose((moved[:2] / moved[2]).T, after[:, :2], atol=1e-6)


def test_wide_lens_holds_all_frames() -> None:
    for seed in range(20):
        moves = shots(rng(seed), LENS, 8)
        assert moves.wide.width >= LENS.width and moves.wide.width % 2 == 0
        assert moves.wide.width <= 2.4 * LENS.width
        assert len(moves.lenses) == 8


@pytest.mark.parametrize("action", ACTIONS)
def test_bodies_stand_on_the_ground(action: str) -> None:
    random = rng(3)
    for _ in range(5):
        build, doing = draw_build(random), replace(draw_doing(random), action=action)
        for phase in (0.0, 0.3, 0.7):
            limbs = body(build, doing, phase).limbs
            points = np.array([limb[:2] for limb in limbs.values()])
            lowest = min(limbs["footL"][1][2], limbs["footR"][1][2])
            assert -0.05 < lowest / build.height_m < 0.35
            assert points[..., 2].max() < 1.5 * build.height_m
            if action in ("walk", "stand") and "raised" not in doing.arms:
                assert 0.8 < limbs["head"][1][2] / build.height_m < 1.05


def test_somebody_is_as_tall_as_the_lens_says() -> None:
    person = draw_person(rng(1), (0.0, 10.0))
    build = replace(person.build, height_m=1.8)
    person = replace(person, build=build, doing=replace(person.doing, action="stand", arms=("hang", "hang")))
    found = sprite(person, LENS, 0.0, LIGHT)
    assert found is not None
    left, top, right, bottom = found.full_box_xyxy
    pixels = LENS.project(np.array([[0, 10.0, 0.0], [0, 10.0, 1.8]]))
    assert bottom - top == pytest.approx(pixels[0, 1] - pixels[1, 1], rel=0.12)
    assert 0.15 < (right - left) / (bottom - top) < 0.8
    rows, columns = np.nonzero(found.opacity > 127)
    assert abs(columns.min() + found.left - left) < 4 and abs(rows.max() + 1 + found.top - bottom) < 4


def test_nobody_behind_the_lens() -> None:
    assert sprite(draw_person(rng(2), (0.0, -5.0)), LENS, 0.0, LIGHT) is None
    assert sprite(draw_person(rng(2), (500.0, 5.0)), LENS, 0.0, LIGHT) is None


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_things_cover_what_they_paint(kind: str) -> None:
    before = np.full((180, 320, 3), 128, np.uint8)
    picture, covered = before.copy(), np.zeros((180, 320), np.uint8)
    paint(draw_thing(rng(4), (0.0, 14.0), kind), LENS, picture, covered)
    changed = (picture != before).any(axis=-1)
    assert changed.sum() > 3
    assert not (changed & (covered == 0)).any()
    behind = np.zeros_like(covered)
    paint(draw_thing(rng(4), (0.0, -14.0), kind), LENS, picture, behind)
    assert not behind.any()


def test_riders_have_something_to_ride() -> None:
    assert ridden("walk", (0.0, 5.0), 0.0, 1) is None
    bicycle = ridden("ride", (1.0, 5.0), 0.5, 1)
    assert bicycle is not None and len(bicycle.lines) >= 4
    assert (bicycle.x_m, bicycle.y_m) == (1.0, 5.0)


def test_the_sensor_has_its_own_noise_in_each_frame() -> None:
    picture = np.full((90, 160, 3), 120, np.uint8)
    sensor = replace(draw_sensor(rng(5), 90, gentle=True), noise=8.0, smaller=1.0, quality=0)
    frames = [expose(sensor, picture, random) for random in [rng(6)] for _ in range(2)]
    assert frames[0].shape == picture.shape and not np.array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[0], expose(sensor, picture, rng(6)))


def test_a_grey_camera_is_grey_and_every_camera_keeps_the_size() -> None:
    random = rng(7)
    picture = random.integers(0, 255, (90, 160, 3)).astype(np.uint8)
    for _ in range(60):
        sensor = draw_sensor(random, 90, gentle=False)
        assert expose(sensor, picture, random).shape == picture.shape
    grey = expose(replace(sensor, grey=True, quality=0, stamp="", noise=0.0), picture, random)
    assert (grey[..., 0] == grey[..., 2]).all()


def test_streets_are_mostly_dark_and_grey() -> None:
    from tools.nano.pictures_clothes import TOP, TROUSERS, draw_clothes

    random = rng(8)
    palettes = np.array([draw_clothes(random).palette for _ in range(300)])
    dull = np.ptp(palettes[:, (TOP, TROUSERS)], axis=-1) < 60
    assert 0.6 < dull.mean() < 0.95
    assert math.isfinite(float(palettes.mean()))
