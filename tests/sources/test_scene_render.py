"""Rendered frames: where truth says people are, there they are drawn; backdrop and people keep to the geometry."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from engine.sources.scene_figures import outlines
from engine.sources.scene_lens import Backdrop
from engine.sources.scene_panorama import Panorama
from engine.sources.scene_render import SceneRenderer, Shot
from engine.types import U8
from ptz.geometry import pixel_to_angles
from ptz.simulator.scenes import SCENES
from ptz.simulator.truth import truth
from ptz.simulator.world import World
from ptz.types import View
from tests.sources.clips import slot_planes

WORLD = World(SCENES["plaza"])
OVERVIEW, PTZ = WORLD.scene.cameras[:2]
VIEW = View(960, 540, 0.0, -14.0, 62.0)


@pytest.fixture(scope="module")
def renderer() -> SceneRenderer:
    return SceneRenderer(WORLD, OVERVIEW, px_per_deg=8)


def drawn(renderer: SceneRenderer, shot: Shot) -> tuple[U8, U8, U8]:
    _, y, uv = slot_planes(shot.view.width, shot.view.height)
    instances = np.full((shot.view.height, shot.view.width), 99, np.uint8)
    renderer.draw(shot, y, uv, instances)
    return y.copy(), uv.copy(), instances


@pytest.mark.parametrize("time_s", [3.0, 41.0, 77.5])
def test_masks_lie_in_the_boxes_of_the_truth(renderer: SceneRenderer, time_s: float) -> None:
    _, _, instances = drawn(renderer, Shot(VIEW, time_s))
    exact = truth(WORLD, OVERVIEW, VIEW, time_s)
    compared = 0
    for person, number in enumerate(exact.ids.tolist()):
        rows, columns = np.nonzero(instances == number)
        if exact.visibility[person] < 0.02:
            assert len(rows) < 40
            continue
        box = exact.visible_boxes_xyxy[person]
        mask = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        # Truth of what is hidden in part comes from a grid of points.
        height = exact.full_boxes_xyxy[person, 3] - exact.full_boxes_xyxy[person, 1]
        tolerance = 2.0 if exact.visibility[person] == 1 else max(4.0, 0.12 * height)
        assert np.abs(mask - box).max() <= tolerance
        compared += 1
    assert compared >= 8
    assert set(np.unique(instances)) <= {0, *exact.ids.tolist()}


def test_the_nearer_one_is_in_front() -> None:
    world = World(SCENES["cross_two"])
    head = world.scene.heads[0]
    view = View(960, 540, 0.0, -12.0, 40.0)
    time_s = next(t for t in np.arange(4, 9, 0.05) if abs(np.diff(world.people(t).feet_xyz_m[:, 0])[0]) < 0.1)
    _, _, instances = drawn(SceneRenderer(world, head, px_per_deg=4), Shot(view, float(time_s)))
    counts = [int((instances == number).sum()) for number in (1, 2)]
    assert counts[0] > 4 * counts[1] > 0


def test_the_same_shot_is_the_same_picture_and_noise_is_new_each_frame(renderer: SceneRenderer) -> None:
    first, again = drawn(renderer, Shot(VIEW, 5.0, 3)), drawn(renderer, Shot(VIEW, 5.0, 3))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    later = drawn(renderer, Shot(VIEW, 5.0, 4))
    assert not np.array_equal(first[0], later[0])
    assert np.abs(first[0].astype(int) - later[0]).mean() < 4


@pytest.mark.parametrize(("width", "height"), [(321, 181), (640, 360)])
def test_any_size_fits_its_planes(renderer: SceneRenderer, width: int, height: int) -> None:
    view = replace(VIEW, width=width, height=height)
    y, uv, instances = drawn(renderer, Shot(view, 5.0))
    assert y.std() > 20 and uv.std() > 3 and instances.max() > 0


def test_the_backdrop_is_where_the_geometry_says() -> None:
    """A panorama that holds its own azimuth and elevation as grey levels, read back through views."""
    per_degree = 8
    columns = np.arange(360 * per_degree) / per_degree
    rows = 28.0 - np.arange(118 * per_degree) / per_degree
    grey = np.broadcast_to(columns % 20 * 12, (len(rows), len(columns))).astype(np.uint8)
    level = np.broadcast_to((rows[:, None] + 90) * 2, grey.shape).astype(np.uint8)
    chroma = np.full((len(rows) // 2, len(columns) // 2, 2), 128, np.uint8)
    for view in (
        View(640, 360, 355.0, -10.0, 50.0),
        View(600, 340, 100.0, -60.0, 60.0),
        View(640, 360, 7.0, 0.0, 5.0),
    ):
        _, y, uv = slot_planes(view.width, view.height)
        Backdrop(Panorama(np.ascontiguousarray(level), chroma), per_degree).draw(view, (0.0, 0.0), y, uv)
        across = y.copy()
        Backdrop(Panorama(np.ascontiguousarray(grey), chroma), per_degree).draw(view, (0.0, 0.0), across, uv)
        for u, v in ((20, 30), (333, 200), (view.width - 10, view.height - 5)):
            pan, tilt = pixel_to_angles(u + 0.5, v + 0.5, view)
            if tilt < 27:
                assert y[v, u] == pytest.approx((tilt + 90) * 2, abs=1.6)
            if 1 < pan % 20 < 19:
                assert across[v, u] == pytest.approx(pan % 360 % 20 * 12, abs=4)


def sharpness(y: U8, rows: slice) -> float:
    """Mean step from pixel to pixel, without what the sensor's noise makes of it."""
    quiet = cv2.blur(y[rows], (1, 5)).astype(np.float32)
    return float(np.abs(np.diff(np.asarray(quiet), axis=1)).mean())


def test_turning_smears_the_backdrop(renderer: SceneRenderer) -> None:
    still, _, _ = drawn(renderer, Shot(VIEW, 5.0))
    turning, _, _ = drawn(renderer, Shot(VIEW, 5.0, pan_deg_s=60.0, exposure_s=0.02))
    town = slice(0, 150)
    assert sharpness(turning, town) < 0.7 * sharpness(still, town)


def test_who_walks_along_with_the_head_stays_sharp() -> None:
    world = World(SCENES["pan_wrap_360"])
    head = world.scene.heads[0]
    view = View(640, 360, 324.0, -16.0, 20.0)
    renderer = SceneRenderer(world, head, px_per_deg=4)
    edges = []
    for pan_deg_s in (12.0, -12.0):
        y, _, instances = drawn(renderer, Shot(view, 2.0, pan_deg_s=pan_deg_s, exposure_s=0.04))
        inside = cv2.erode((instances > 0).astype(np.uint8), np.ones((3, 3), np.uint8))[:, 1:].astype(bool)
        edges.append(float(np.abs(np.diff(y.astype(int), axis=1))[inside].mean()))
    assert edges[0] > 1.1 * edges[1]


def test_a_lens_out_of_focus_blurs_everything(renderer: SceneRenderer) -> None:
    sharp, _, _ = drawn(renderer, Shot(VIEW, 5.0))
    blurred, _, _ = drawn(renderer, Shot(VIEW, 5.0, defocus_px=4.0))
    assert sharpness(blurred, slice(0, 500)) < 0.7 * sharpness(sharp, slice(0, 500))


def test_people_throw_shadows(renderer: SceneRenderer) -> None:
    """North-east of their feet the ground is darker than without them."""
    shot = Shot(VIEW, 5.0)
    y, _, instances = drawn(renderer, shot)
    empty = SceneRenderer(World(replace(WORLD.scene, actors=())), OVERVIEW, px_per_deg=8)
    bare, _, _ = drawn(empty, shot)
    ground = (instances == 0) & (bare > 90)
    darker = ground & (y.astype(int) < bare.astype(int) - 15)
    assert 0.0005 < darker.mean() < 0.05


def test_a_photograph_can_stand_in_for_the_drawing() -> None:
    red = np.zeros((200, 80, 4), np.uint8)
    red[..., 2] = 255
    red[20:, :, 3] = 255
    renderer = SceneRenderer(WORLD, OVERVIEW, [red], px_per_deg=4)
    _, uv, instances = drawn(renderer, Shot(VIEW, 5.0))
    inside = cv2.erode((instances > 0).astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    assert inside.sum() > 2000
    assert np.median(uv[..., 1][inside[::2, ::2]]) > 200


def test_from_above_people_are_drawn_too() -> None:
    world = World(SCENES["nadir_pass"])
    head = world.scene.heads[0]
    view = View(640, 360, 0.0, -75.0, 59.0)
    _, _, instances = drawn(SceneRenderer(world, head, px_per_deg=4), Shot(view, 9.3))
    assert (instances == 1).sum() > 300


def test_outlines_hold_both_circles() -> None:
    hull = outlines(np.array([[10.0, 10.0]]), np.array([[40.0, 10.0]]), np.array([6.0]), np.array([3.0]))[0]
    assert hull.min(axis=0) == pytest.approx([4.0, 4.0], abs=0.15)
    assert hull.max(axis=0) == pytest.approx([43.0, 16.0], abs=0.15)
