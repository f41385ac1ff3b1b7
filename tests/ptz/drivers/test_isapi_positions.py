"""Positions of ISAPI: units and signs, there and back."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptz.drivers.isapi_positions import Place, Scale, Signs, scale_like, scale_of_ranges

SIGN = st.sampled_from([1, -1])
SIGNS = st.builds(Signs, SIGN, SIGN)
PAN = st.floats(0, 360, exclude_max=True)
TILT = st.floats(-90, 90)
ZOOM = st.floats(1, 42)


def apart(a_deg: float, b_deg: float) -> float:
    turn = abs(a_deg - b_deg) % 360.0
    return min(turn, 360.0 - turn)


def test_the_recorded_position_of_an_8425ix() -> None:
    """/status 182, 3202, 172: 18.2° down, azimuth 320.2°, 17.2×."""
    pose = Signs().pose(Scale().place(3202, 182, 172), 5.0, 1.0)
    assert (pose.time_s, pose.pan_deg, pose.tilt_deg, pose.zoom) == (5.0, 320.2, -18.2, 17.2)
    assert Scale().numbers(Signs().place(320.2, -18.2, 17.2)) == (3202, 182, 172)


@given(SIGNS, PAN, TILT, ZOOM)
def test_places_and_poses_undo_each_other(signs: Signs, pan: float, tilt: float, zoom: float) -> None:
    place = signs.place(pan, tilt, zoom)
    assert 0 <= place.azimuth_deg < 360
    pose = signs.pose(place, 0.0, 1.0)
    assert 0 <= pose.pan_deg < 360 and -90 <= pose.tilt_deg <= 90
    assert apart(pose.pan_deg, pan) < 1e-9 and pose.tilt_deg == pytest.approx(tilt) and pose.zoom == zoom


@given(SIGNS, st.sampled_from([1, 10, 100]), st.sampled_from([10, 100]), PAN, TILT, ZOOM)
def test_numbers_are_as_near_as_they_can_be(
    signs: Signs, per_deg: int, per_ratio: int, pan: float, tilt: float, zoom: float
) -> None:
    scale = Scale(per_deg, per_ratio)
    azimuth, elevation, ratio = scale.numbers(signs.place(pan, tilt, zoom))
    assert 0 <= azimuth < 360 * per_deg
    pose = signs.pose(scale.place(azimuth, elevation, ratio), 0.0, 1.0)
    assert apart(pose.pan_deg, pan) <= 0.5001 / per_deg and abs(pose.tilt_deg - tilt) <= 0.5001 / per_deg
    assert abs(pose.zoom - zoom) <= 0.5001 / per_ratio


@given(st.integers(0, 3599), st.integers(-900, 900), st.integers(10, 420), SIGNS)
def test_the_camera_gets_back_what_it_said(azimuth: int, elevation: int, zoom: int, signs: Signs) -> None:
    pose = signs.pose(Scale().place(azimuth, elevation, zoom), 0.0, 1.0)
    assert Scale().numbers(signs.place(pose.pan_deg, pose.tilt_deg, pose.zoom)) == (azimuth, elevation, zoom)


@given(st.floats(90, 270), PAN, SIGNS)
def test_past_the_nadir_the_head_looks_the_other_way(elevation: float, azimuth: float, signs: Signs) -> None:
    pose = signs.pose(Place(azimuth, elevation), 0.0, 1.0)
    assert -90 <= pose.tilt_deg <= 90

    def axis(pan_deg: float, raw_deg: float) -> tuple[float, float, float]:
        """Where an axis points whose raw elevation is positive downwards."""
        pan, raw = math.radians(pan_deg), math.radians(raw_deg)
        return math.cos(raw) * math.sin(pan), math.cos(raw) * math.cos(pan), signs.tilt * -math.sin(raw)

    assert axis(pose.pan_deg, -signs.tilt * pose.tilt_deg) == pytest.approx(
        axis(signs.pan * azimuth, elevation), abs=1e-9
    )


def test_a_missing_zoom_is_what_it_was() -> None:
    assert Signs().pose(Place(0, 0, None), 0.0, 4.0).zoom == 4.0
    assert Signs().pose(Place(0, 0, 0.5), 0.0, 4.0).zoom == 1.0


def test_ranges_with_signs() -> None:
    assert Signs().tilt_range(-50, 60) == (-60, 50) and Signs(1, -1).tilt_range(-50, 60) == (-50, 60)
    assert Signs().tilt_range(-90, 270) == (-90, 90)
    assert Signs().pan_range(0, 360) is None and Signs(-1).pan_range(0, 359.5) is None
    assert Signs().pan_range(0, 330) == (0, 330)
    assert Signs(-1).pan_range(10, 330) == (30, 350)


@given(SIGNS, st.floats(0, 100), st.floats(110, 350))
def test_what_is_in_the_cameras_range_is_in_ours(signs: Signs, first: float, last: float) -> None:
    ends = signs.pan_range(first, last)
    assert ends is not None and ends[0] < ends[1]
    for azimuth in (first, (first + last) / 2, last):
        pan = signs.pose(Place(azimuth, 0), 0.0, 1.0).pan_deg
        assert (pan - ends[0]) % 360 <= ends[1] - ends[0] + 1e-6 or apart(pan, ends[0]) < 1e-6


@pytest.mark.parametrize(
    ("pan_most", "zoom_least", "expected"),
    [(3600, 10, Scale(10, 10)), (3300, None, Scale(10, 10)), (None, None, Scale(10, 10)),
     (36000, 100, Scale(100, 100)), (360, 1, Scale(1, 1)), (33000, 10, Scale(100, 10))],
)  # fmt: skip
def test_scales_from_ranges(pan_most: float | None, zoom_least: float | None, expected: Scale) -> None:
    assert scale_of_ranges(pan_most, zoom_least) == expected


def test_scales_from_the_same_position_told_twice() -> None:
    place = Place(239.58, -12.5)
    assert scale_like(2396, -125, place, Scale()).per_deg == 10
    assert scale_like(23958, -1250, place, Scale()).per_deg == 100
    assert scale_like(240, -12, place, Scale()).per_deg == 1
    # Near zero, or turned away meanwhile, that cannot be told.
    assert scale_like(0, 0, Place(0, 0), Scale(10)).per_deg == 10
    assert scale_like(1000, 0, place, Scale(10)).per_deg == 10


@given(st.integers(0, 35999), st.integers(-9000, 9000))
def test_hundredths_are_noticed_where_tenths_cannot_be(azimuth: int, elevation: int) -> None:
    scale = Scale()
    if not scale.fits(azimuth, elevation):
        scale = scale.finer()
    assert scale.fits(azimuth, elevation)
    assert (scale.per_deg == 100) == (azimuth > 3780 or abs(elevation) > 945)


def test_scales_end() -> None:
    assert [scale.per_deg for scale in itertools.accumulate(range(4), lambda s, _: s.finer(), initial=Scale(1))] == [
        1, 10, 100, 100, 100,
    ]  # fmt: skip
