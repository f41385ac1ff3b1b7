"""Boxes, visibility and directions of people in a view."""

from __future__ import annotations

import numpy as np
import pytest

from ptz.geometry import pixel_to_angles
from ptz.simulator.actors import Actor, Looks, Sway
from ptz.simulator.truth import hidden_by, may_hide, truth
from ptz.simulator.world import CameraMount, Occluder, Scene, World
from ptz.types import View

CAMERA = CameraMount("c", 0.0, 0.0, 2.0)
VIEW = View(1280, 720, 0.0, 0.0, 60.0)


def world(*places: tuple[float, float], occluders: tuple[Occluder, ...] = ()) -> World:
    actors = tuple(Actor(n, Sway(x, y), 1.8, Looks(n)) for n, (x, y) in enumerate(places, start=1))
    return World(Scene("t", "t", 10.0, actors, (CAMERA,), occluders))


def test_a_person_straight_ahead() -> None:
    shown = truth(world((0.0, 10.0)), CAMERA, VIEW, 1.0)
    left, top, right, bottom = shown.full_boxes_xyxy[0]
    assert (left + right) / 2 == pytest.approx(640, abs=8)
    assert bottom - top == pytest.approx(1108.5 * 1.8 / 10, rel=0.06)
    assert shown.visibility[0] == 1 and shown.fully_in_frame[0] and shown.in_front[0]
    assert shown.visible_boxes_xyxy[0] == pytest.approx(shown.full_boxes_xyxy[0])
    assert shown.pan_deg[0] == pytest.approx(0.0) and shown.distance_m[0] == pytest.approx(10.06, abs=0.01)


def test_the_middle_of_the_box_lies_in_the_direction_of_the_body() -> None:
    view = View(1280, 720, 20.0, -10.0, 40.0)
    shown = truth(world((4.0, 10.0)), CAMERA, view, 1.0)
    box = shown.full_boxes_xyxy[0]
    pan, tilt = pixel_to_angles(float((box[0] + box[2]) / 2), float((box[1] + box[3]) / 2), view)
    assert pan == pytest.approx(shown.pan_deg[0], abs=0.5)
    assert tilt == pytest.approx(shown.tilt_deg[0], abs=0.5)


def test_people_outside_the_picture_are_told_of_too() -> None:
    shown = truth(world((0.0, 10.0), (20.0, 5.0), (0.0, -10.0)), CAMERA, VIEW, 1.0)
    assert shown.ids.tolist() == [1, 2, 3]
    assert shown.visibility.tolist() == [1, 0, 0]
    assert shown.in_front.tolist() == [True, True, False]
    assert not shown.full_boxes_xyxy[2].any() and not shown.fully_in_frame[2]
    assert shown.pan_deg[2] == pytest.approx(180.0)


def test_the_edge_of_the_picture_cuts() -> None:
    edge_m = 10.0 * 640 / 1108.5
    shown = truth(world((edge_m, 10.0)), CAMERA, VIEW, 1.0)
    assert 0.3 < shown.visibility[0] < 0.7
    assert shown.visible_boxes_xyxy[0, 2] == 1280 < shown.full_boxes_xyxy[0, 2]


def test_who_is_nearer_hides_who_is_behind() -> None:
    shown = truth(world((0.0, 10.0), (0.0, 7.0)), CAMERA, VIEW, 1.0)
    assert shown.visibility[1] == 1
    assert shown.visibility[0] < 0.25


def test_a_wall_hides_from_behind_and_not_from_in_front() -> None:
    low = Occluder("wall", 0.0, 8.0, 4.0, 0.3, 1.0)
    behind = truth(world((0.0, 10.0), occluders=(low,)), CAMERA, VIEW, 1.0)
    before = truth(world((0.0, 7.0), occluders=(low,)), CAMERA, VIEW, 1.0)
    # The ray over the wall's edge reaches the person at 0.75 m.
    assert behind.visibility[0] == pytest.approx(0.62, abs=0.1)
    assert behind.visible_boxes_xyxy[0, 3] == pytest.approx(360 + 1108.5 * 1.25 / 10, abs=6)
    assert before.visibility[0] == 1


def test_may_hide_never_contradicts_the_rays() -> None:
    rng = np.random.default_rng(4)
    box = Occluder("kiosk", 1.0, 9.0, 2.0, 1.5, 2.5, 25.0)
    places = np.stack([rng.uniform(-8, 8, 300), rng.uniform(3, 18, 300), np.full(300, 0.9)], axis=1)
    possible = may_hide((box,), places, CAMERA)[:, 0]
    focal = 1108.5
    offset = places - (0.0, 0.0, 2.0)
    pixels = np.stack(
        [640 + focal * offset[:, 0] / offset[:, 1], 360 - focal * offset[:, 2] / offset[:, 1]], 1
    )
    inside = np.hypot(places[:, 0] - 1.0, places[:, 1] - 9.0) < 1.3
    for place, pixel, may in zip(places[~inside], pixels[~inside], possible[~inside], strict=True):
        if hidden_by(box, pixel[None], float(place[1]), CAMERA, VIEW)[0]:
            assert may


def test_nobody_there() -> None:
    shown = truth(world(), CAMERA, VIEW, 1.0)
    assert len(shown) == 0 and shown.full_boxes_xyxy.shape == (0, 4)
