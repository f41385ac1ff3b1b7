"""Field of view by zoom: the ideal law, a data sheet's table, and nonsense."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptz.lens import Lens

IDEAL = Lens(59.8)
REAL = Lens(59.8, ((1.0, 59.8), (10.0, 7.2), (25.0, 3.3)))


def test_the_ideal_law() -> None:
    found = [IDEAL.hfov_deg(zoom) for zoom in (1, 2, 5, 10, 25)]
    assert found == pytest.approx([59.8, 32.1, 13.1, 6.6, 2.6], abs=0.05)


def test_a_table_is_met_exactly_and_followed_beyond_its_end() -> None:
    assert REAL.hfov_deg(10.0) == pytest.approx(7.2)
    assert REAL.hfov_deg(25.0) == pytest.approx(3.3)
    assert REAL.hfov_deg(50.0) == pytest.approx(1.65, abs=0.01)
    assert 3.3 < REAL.hfov_deg(15.0) < 7.2
    assert Lens(60.0, ((4.0, 20.0),)).hfov_deg(1.0) == pytest.approx(60.0)


@given(st.sampled_from([IDEAL, REAL]), st.floats(1, 60))
def test_there_and_back(lens: Lens, zoom: float) -> None:
    assert lens.zoom_of(lens.hfov_deg(zoom)) == pytest.approx(zoom, rel=1e-6)


def test_a_view_wider_than_the_lens_is_a_zoom_below_one() -> None:
    assert IDEAL.zoom_of(80.0) < 1


@pytest.mark.parametrize("hfov", [0.0, math.nan, 180.0, -1.0, None])
def test_no_field_of_view(hfov: float) -> None:
    with pytest.raises(ValueError, match="hfov_deg"):
        Lens(hfov)


@pytest.mark.parametrize("table", [((2.0, 20.0), (1.5, 30.0)), ((1.0, 20.0), (2.0, 30.0)), ((0.5, 70.0),)])
def test_tables_out_of_order(table: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="lens table"):
        Lens(60.0, table)


@pytest.mark.parametrize("zoom", [0.0, -1.0, math.nan, math.inf])
def test_a_ratio_that_is_none(zoom: float) -> None:
    with pytest.raises(ValueError, match="zoom ratio"):
        IDEAL.hfov_deg(zoom)
