"""Geometry against vectors computed elsewhere, round trips, wrap-around, the nadir, and bad fields of view."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ptz.geometry import (
    STEEP_DEG,
    AngleBox,
    angle_box,
    angles_to_pixel,
    azimuth_deg,
    focal_px,
    normalised_offset,
    offset_to_speed,
    pan_share,
    pixel_to_angles,
    px_per_deg,
    super_box,
    tilt_in_plane,
    turn_deg,
    vfov_deg,
    wrap_deg,
)
from ptz.types import View


def looking(pan_deg: float, tilt_deg: float) -> View:
    return View(1280, 720, pan_deg, tilt_deg, 60.0)


VECTORS = [  # u, v, pan, tilt, azimuth (-180..180), elevation
    (1280, 360, 0, 0, 30.0, 0.0),
    (1280, 360, 0, -45, 39.232, -37.761),
    (960, 540, 10, -20, 28.082, -28.003),
    (0, 0, 0, -60, -36.465, -35.917),
    (960, 360, 0, -80, 58.972, -71.115),
]

angles = st.floats(-720, 720)
azimuths = st.floats(0, 359.99)
views = st.builds(
    View,
    width=st.integers(160, 4096),
    height=st.integers(120, 2160),
    pan_deg=azimuths,
    tilt_deg=st.floats(-89, 60),
    hfov_deg=st.floats(1.5, 110),
)


@pytest.mark.parametrize("vector", VECTORS)
def test_pixels_become_the_directions_computed_elsewhere(vector: tuple[float, ...]) -> None:
    u, v, pan, tilt, azimuth, elevation = vector
    got = pixel_to_angles(float(u), float(v), looking(pan, tilt))
    assert wrap_deg(got[0]) == pytest.approx(azimuth, abs=6e-4)
    assert got[1] == pytest.approx(elevation, abs=6e-4)


def test_the_vector_of_a_real_camera() -> None:
    assert focal_px(1280, 60.0) == pytest.approx(1108.51, abs=0.005)
    pan, _ = pixel_to_angles(1600.0, 720.0, View(2560, 1440, 182.0, 0.0, 59.8))
    assert pan == pytest.approx(190.181, abs=6e-4)


@given(views, st.floats(0, 1), st.floats(0, 1))
def test_pixel_to_direction_and_back(view: View, across: float, down: float) -> None:
    u, v = across * view.width, down * view.height
    back = angles_to_pixel(*pixel_to_angles(u, v, view), view)
    assert back[2]
    assert back[0] == pytest.approx(u, abs=0.01)
    assert back[1] == pytest.approx(v, abs=0.01)


@given(views)
def test_arrays_give_what_numbers_give(view: View) -> None:
    u = np.array([0.0, view.width / 3, view.width])
    v = np.array([view.height, view.height / 2, 0.0])
    pan, tilt = pixel_to_angles(u, v, view)
    for index in range(3):
        one = pixel_to_angles(float(u[index]), float(v[index]), view)
        assert (pan[index], tilt[index]) == pytest.approx(one, abs=1e-9)
    back_u, _, front = angles_to_pixel(pan, tilt, view)
    assert front.all()
    assert back_u == pytest.approx(u, abs=0.01)


def test_behind_the_camera_there_is_no_pixel() -> None:
    u, v, front = angles_to_pixel(190.0, 0.0, looking(0.0, 0.0))
    assert not front
    assert math.isnan(u)
    assert math.isnan(v)


@pytest.mark.parametrize("hfov", [None, 0.0, -3.0, 180.0, math.nan, math.inf])
def test_a_field_of_view_that_is_none_is_one_clear_error(hfov: float | None) -> None:
    with pytest.raises(ValueError, match="hfov_deg") as told:
        focal_px(1280, hfov)
    assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match="hfov_deg"):
        px_per_deg(1280, hfov)


def test_nan_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        angle_box([0.0, math.nan, 3.0, 4.0], looking(0.0, 0.0))


@given(angles)
def test_wrapping_keeps_the_direction(angle: float) -> None:
    assert -180 <= wrap_deg(angle) < 180
    assert 0 <= azimuth_deg(angle) < 360
    assert math.cos(math.radians(wrap_deg(angle))) == pytest.approx(math.cos(math.radians(angle)), abs=1e-9)
    assert math.sin(math.radians(azimuth_deg(angle))) == pytest.approx(
        math.sin(math.radians(angle)), abs=1e-9
    )


def test_a_hair_below_north_is_not_360() -> None:
    assert azimuth_deg(-1e-20) == 0.0
    assert (azimuth_deg(np.array([-1e-20, 359.9])) < 360).all()


@given(azimuths, azimuths)
def test_without_stops_the_turn_is_the_short_one(start: float, end: float) -> None:
    turn = turn_deg(start, end)
    assert abs(turn) <= 180
    assert wrap_deg(start + turn - end) == pytest.approx(0.0, abs=1e-6)


@given(azimuths, st.floats(5, 355), st.floats(0, 1), st.floats(0, 1))
def test_with_stops_the_turn_stays_between_them(first: float, span: float, a: float, b: float) -> None:
    start, end = first + a * span, first + b * span
    turn = turn_deg(azimuth_deg(start), azimuth_deg(end), (first, azimuth_deg(first + span)))
    assert turn == pytest.approx(end - start, abs=1e-6)


def test_what_lies_beyond_a_stop_is_approached_as_far_as_it_goes() -> None:
    assert turn_deg(340.0, 352.0, (0.0, 350.0)) == pytest.approx(10.0)
    assert turn_deg(10.0, 358.0, (0.0, 350.0)) == pytest.approx(-10.0)
    assert turn_deg(350.0, 10.0, (0.0, 350.0)) == pytest.approx(-340.0)
    assert turn_deg(170.0, 190.0, (200.0, 160.0)) != pytest.approx(20.0)


@given(views, st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
@example(View(width=160, height=120, pan_deg=0.0, tilt_deg=-86.0, hfov_deg=11.0), 0.5, 1.0, 0.5, 0.5)
@example(View(width=160, height=127, pan_deg=0.0, tilt_deg=-49.0, hfov_deg=110.0), 0.0, 0.75, 0.25, 0.5)
def test_a_box_in_directions_holds_every_pixel_of_it(
    view: View, left: float, top: float, width: float, height: float
) -> None:
    box = np.array([left, top, left + width, top + height]) * (
        view.width,
        view.height,
        view.width,
        view.height,
    )
    found = angle_box(box, view)
    assert found.east_deg >= found.west_deg
    for across in (0.0, 0.3, 0.5, 1.0):
        for down in (0.0, 0.4, 1.0):
            u, v = box[0] + across * (box[2] - box[0]), box[1] + down * (box[3] - box[1])
            pan, tilt = pixel_to_angles(float(u), float(v), view)
            middle = (found.west_deg + found.east_deg) / 2
            assert abs(wrap_deg(pan - middle)) <= found.width_deg / 2 + 1e-6
            assert found.bottom_deg - 1e-6 <= tilt <= found.top_deg + 1e-6


def test_a_box_with_the_nadir_in_it_goes_all_around() -> None:
    view = looking(20.0, -85.0)
    found = angle_box([560, 200, 720, 600], view)
    assert found.width_deg == 360.0
    assert found.bottom_deg == pytest.approx(-90.0, abs=1e-4)


def test_a_box_around_north() -> None:
    both = super_box([AngleBox(350, 352, -5, 1), AngleBox(2, 8, -9, 0)])
    assert both == AngleBox(350, 368, -9, 1)
    assert both.centre_deg == (359.0, -4.0)
    assert super_box([AngleBox(355, 365, 0, 1), AngleBox(2, 4, 0, 1)]) == AngleBox(355, 365, 0, 1)
    assert super_box([AngleBox(359.9, 360.1, 0, 1)]).width_deg == pytest.approx(0.2)
    with pytest.raises(ValueError, match="nothing"):
        super_box([])


@given(st.lists(st.tuples(azimuths, st.floats(0, 40)), min_size=1, max_size=6), st.floats(0, 360))
def test_a_super_box_holds_its_boxes_wherever_north_is(
    arcs: list[tuple[float, float]], turned: float
) -> None:
    def around(by: float) -> AngleBox:
        wests = [azimuth_deg(west + by) for west, _ in arcs]
        return super_box(
            AngleBox(west, west + width, 0, 1) for west, (_, width) in zip(wests, arcs, strict=True)
        )

    found = around(0.0)
    assert found.width_deg == pytest.approx(around(turned).width_deg, abs=1e-6)
    for west, width in arcs:
        offset = azimuth_deg(west - found.west_deg + 1e-7)
        assert offset + width <= found.width_deg + 1e-6


def test_plain_formulas() -> None:
    assert px_per_deg(1280, 64.0) == 20.0
    assert normalised_offset(1280, 0, 1280, 720) == (1.0, 1.0)
    assert normalised_offset(0, 720, 1280, 720) == (-1.0, -1.0)
    assert offset_to_speed(0.05, gain=2.0, dead_zone=0.05) == 0.0
    assert offset_to_speed(0.3, gain=2.0, dead_zone=0.05) == pytest.approx(0.6)
    assert offset_to_speed(-0.9, gain=2.0, dead_zone=0.05) == -1.0
    assert offset_to_speed(math.nan) == 0.0


def test_the_plain_formula_is_as_wrong_as_it_is_said_to_be() -> None:
    for hfov, worst in ((40.0, 0.3), (60.0, 1.1), (99.4, 5.7)):
        u = np.linspace(640, 1280, 200)
        pan, _ = pixel_to_angles(u, np.full(200, 360.0), View(1280, 720, 0.0, 0.0, hfov))
        assert np.abs(pan - (u - 640) / px_per_deg(1280, hfov)).max() == pytest.approx(worst, abs=0.1)


def test_vertical_field_of_view() -> None:
    assert vfov_deg(View(1920, 1080, 0.0, 0.0, 59.0)) == pytest.approx(35.3, abs=0.1)


def test_steep_down_the_pan_is_held_back() -> None:
    assert pan_share(-30.0) == pan_share(-STEEP_DEG) == 1.0
    assert pan_share(-82.5) == pytest.approx(math.cos(math.radians(82.5)) / math.cos(math.radians(75)))
    assert pan_share(-90.0) == 0.25


@given(st.floats(-180, 180), st.floats(-89, -60))
def test_the_head_never_tilts_through_the_nadir(turn: float, tilt: float) -> None:
    seen = tilt_in_plane(turn, tilt)
    assert -90.0 <= seen <= 0.0
    if abs(turn) >= 90:
        assert seen == -90.0
    assume(abs(turn) < 1)
    assert seen == pytest.approx(tilt, abs=0.1)
