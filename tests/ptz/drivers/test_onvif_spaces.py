"""ONVIF's spaces: degrees and ratios of positions, both ways, and what cameras tell of their ranges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from engine.errors import PtzRefused
from ptz.drivers.onvif_spaces import (
    UNIT,
    PanTiltScale,
    Space,
    ZoomScale,
    degrees_scale,
    named,
    scaled,
    space_of,
    zoom_scales,
)
from ptz.xml import parse

PAN_TILT = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/"
ZOOM = "http://www.onvif.org/ver10/tptz/ZoomSpaces/"
GENERIC = Space(PAN_TILT + "PositionGenericSpace")
GENERIC_ZOOM = Space(ZOOM + "PositionGenericSpace", (0.0, 1.0))


def described(x: str = "", y: str = "") -> bytes:
    return f"<S><URI>{GENERIC.uri}</URI>{x}{y}</S>".encode()


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ("<XRange><Min>-100</Min><Max>100</Max></XRange>", (-100.0, 100.0)),
        ("<XRange><Min>0</Min><Max>0</Max></XRange>", UNIT),
        ("<XRange><Min>1</Min><Max>-1</Max></XRange>", UNIT),
        ("<XRange><Min>NaN</Min><Max>1</Max></XRange>", UNIT),
        ("<XRange><Max>1</Max></XRange>", UNIT),
        ("", UNIT),
    ],
)
def test_ranges_that_are_none_are_taken_for_the_usual(x: str, expected: tuple[float, float]) -> None:
    assert space_of(parse(described(x), "camera"), UNIT).x == expected


def test_shares_of_a_range() -> None:
    assert [scaled(share, UNIT) for share in (-1, -0.5, 0, 1, 2)] == [-1, -0.5, 0, 1, 1]
    assert scaled(0.5, (-100, 100)) == 50 and scaled(-0.5, (-100, 100)) == -50
    assert scaled(-0.5, (0, 64)) == -32, "a range of sizes only"
    assert scaled(-1, (-20, 80)) == -20 and scaled(1, (-20, 80)) == 80


def test_spaces_are_found_by_name_in_the_order_of_wishes() -> None:
    fov, plain = Space(PAN_TILT + "TranslationSpaceFov"), Space(PAN_TILT + "TranslationGenericSpace")
    assert named([plain, fov], "TranslationSpaceFov") is fov
    assert named([plain, fov], "nothing", "generic") is plain
    assert named([], "generic") is None


def test_a_generic_position_is_what_the_options_say() -> None:
    scale = PanTiltScale(GENERIC, (0.0, 350.0), (-90.0, 20.0))
    assert scale.position(175.0, -35.0) == pytest.approx((0, 0))
    assert scale.degrees(-1, -1) == pytest.approx((0, -90))
    assert scale.degrees(1, 1) == pytest.approx((350, 20))
    assert not scale.endless


def test_a_direction_behind_the_stop_is_refused_and_one_at_it_is_not() -> None:
    scale = PanTiltScale(GENERIC, (0.0, 350.0), (-90.0, 20.0))
    assert scale.position(350.3, 20.2) == pytest.approx((1, 1))
    with pytest.raises(PtzRefused, match=r"azimuth 355.0° is outside"):
        scale.position(355.0, 0.0)
    with pytest.raises(PtzRefused, match=r"elevation 30.0° is outside"):
        scale.position(10.0, 30.0)


def test_degrees_that_count_down_positive() -> None:
    scale = degrees_scale(Space(PAN_TILT + "SphericalPositionSpace", (-180, 180), (-20, 90)), 1, -1)
    assert scale.tilt_deg == (-90.0, 20.0) and scale.endless
    assert scale.position(10.0, -45.0) == pytest.approx((10, 45))
    assert scale.degrees(-10, 45) == pytest.approx((350, -45))


def test_degrees_whose_range_is_not_told() -> None:
    scale = degrees_scale(Space(PAN_TILT + "SphericalPositionSpace"), 1, 1)
    assert scale.position(270.0, -80.0) == pytest.approx((-90, -80))


@given(
    st.floats(0, 359.99),
    st.floats(-90, 90),
    st.sampled_from([(-180.0, 180.0), (0.0, 360.0), (-170.0, 170.0), (10.0, 350.0)]),
    st.sampled_from([1, -1]),
    st.sampled_from([1, -1]),
)
def test_directions_come_back(
    pan_deg: float, tilt_deg: float, pan_range: tuple[float, float], pan_sign: int, tilt_sign: int
) -> None:
    for scale in (
        PanTiltScale(GENERIC, pan_range, (-90.0, 90.0), pan_sign, tilt_sign),
        degrees_scale(Space("x/Spherical", pan_range, (-90.0, 90.0)), pan_sign, tilt_sign),
    ):
        try:
            x, y = scale.position(pan_deg, tilt_deg)
        except PtzRefused:
            reject()
        back, tilt = scale.degrees(x, y)
        assert abs((back - pan_deg + 180) % 360 - 180) <= 0.5 + 1e-6
        assert tilt == pytest.approx(tilt_deg, abs=1e-6)
        assert 0 <= back < 360


@pytest.mark.parametrize(("spread", "middle"), [("ratio", 13.0), ("log", 5.0), ("linear", 25 / 13)])
def test_generic_zoom(spread: str, middle: float) -> None:
    scale = ZoomScale(GENERIC_ZOOM, (1.0, 25.0), spread)
    assert [scale.ratio(x) for x in (0, 0.5, 1)] == pytest.approx([1, middle, 25])
    assert scale.position(middle) == pytest.approx(0.5)
    assert scale.position(100.0) == pytest.approx(1.0), "the nearest there is"
    assert scale.position(0.1) == pytest.approx(0.0)


@given(st.floats(1, 25), st.sampled_from(["ratio", "log", "linear"]))
def test_ratios_come_back(ratio: float, spread: str) -> None:
    scale = ZoomScale(GENERIC_ZOOM, (1.0, 25.0), spread)
    assert scale.ratio(scale.position(ratio)) == pytest.approx(ratio)


@given(st.floats(-1e6, 1e6), st.sampled_from(["ratio", "log", "linear"]))
def test_positions_outside_of_the_range_give_some_ratio(x: float, spread: str) -> None:
    assert math.isfinite(ZoomScale(GENERIC_ZOOM, (1.0, 25.0), spread).ratio(x))


def test_millimetres_tell_the_ratios() -> None:
    lens = Space(ZOOM + "PositionSpaceMillimeter", (4.8, 120.0))
    exact, generic = zoom_scales((GENERIC_ZOOM, lens), None, "log")
    assert exact.position(2.0) == pytest.approx(9.6) and exact.ratio(120.0) == pytest.approx(25)
    assert generic.ratio(1.0) == pytest.approx(25)
    assert zoom_scales((GENERIC_ZOOM,), None, "ratio") == (), "positions without a meaning are not read"


def test_options_that_are_none_are_refused() -> None:
    with pytest.raises(PtzRefused, match="zoom_scale must be one of ratio, log, linear, found 'lin'"):
        zoom_scales((), None, "lin")
    for ratios in ((25.0, 1.0), (0.0, 5.0), (1.0, math.nan), (1.0, math.inf)):
        with pytest.raises(PtzRefused, match="zoom_range must rise"):
            zoom_scales((), ratios, "ratio")
