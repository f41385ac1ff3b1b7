"""Levels and speeds: there and back within a level, between measured points, and tables that are none."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptz.speed_table import FAMILIES, AxisTable, SpeedTable
from ptz.types import Levels, Velocity

TABLES = {name: SpeedTable.family(name) for name in FAMILIES}
MEASURED = AxisTable([(1.0, 10, 3.0), (1.0, 50, 20.0), (1.0, 100, 90.0), (8.0, 10, 0.5), (8.0, 100, 12.0)], 4)


@given(st.sampled_from(FAMILIES), st.integers(-100, 100), st.floats(1, 200))
def test_a_level_comes_back(name: str, level: int, zoom: float) -> None:
    levels = Levels(level, -level, level)
    back = TABLES[name].levels(TABLES[name].velocity(levels, zoom), zoom)
    assert back == (levels if abs(level) >= 3 else Levels())


@given(st.floats(-100, 100), st.floats(1, 30))
def test_the_nearest_level_is_chosen(speed: float, zoom: float) -> None:
    level = MEASURED.level(speed, zoom)
    found = abs(MEASURED.speed(level, zoom) - speed)
    for other in range(-100, 101):
        assert found <= abs(MEASURED.speed(other, zoom) - speed) + 1e-9


def test_measured_points_are_met_and_logarithms_lie_between() -> None:
    assert MEASURED.speed(50, 1.0) == pytest.approx(20.0)
    assert MEASURED.speed(-100, 8.0) == pytest.approx(-12.0)
    assert MEASURED.speed(10, math.sqrt(8)) == pytest.approx(math.sqrt(3.0 * 0.5))
    assert MEASURED.speed(100, 30.0) == pytest.approx(12.0)
    assert MEASURED.speed(3, 1.0) == 0.0
    assert MEASURED.level(0.01, 1.0) == 0


def test_families() -> None:
    linear, quadratic, oem = (TABLES[name] for name in FAMILIES)
    half = linear.velocity(Levels(50, 50, 50), 1.0)
    assert (half.pan_deg_s, half.tilt_deg_s, half.zoom_octaves_s) == pytest.approx((40.0, 30.0, 0.58))
    assert quadratic.velocity(Levels(50, 0, 0), 1.0).pan_deg_s == pytest.approx(20.0)
    assert oem.pan.speed(52, 1.0) / 80 == pytest.approx(20 / 70, rel=0.05)
    assert linear.most(5.0).pan_deg_s == pytest.approx(80 / 5**0.8)
    assert linear.most(1e5).pan_deg_s == pytest.approx(1.6)
    assert linear.most(20.0).zoom_octaves_s == pytest.approx(1.16)
    assert SpeedTable.family(proportional=0.0).most(20.0).pan_deg_s == pytest.approx(80.0)
    with pytest.raises(ValueError, match="cubic"):
        SpeedTable.family("cubic")


def test_a_table_survives_being_written_down() -> None:
    table = SpeedTable(MEASURED, MEASURED, AxisTable([(1.0, 100, 1.2)]), "measured on a Tuesday")
    back = SpeedTable.from_json(json.loads(json.dumps(table.to_json())))
    assert back.source == "measured on a Tuesday"
    for level in range(-100, 101, 7):
        assert back.velocity(Levels(level, level, level), 3.0) == table.velocity(
            Levels(level, level, level), 3.0
        )


@pytest.mark.parametrize("data", [{}, {"version": 2}, {"version": 1, "source": "", "pan": 3}])
def test_what_is_no_table(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="table"):
        SpeedTable.from_json(data)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(1.0, 50, 0.0)],
        [(1.0, 10, 5.0), (1.0, 20, 4.0)],
        [(1.0, 0, 5.0)],
        [(1.0, 50, math.nan)],
        [(0.0, 50, 1.0)],
    ],
)
def test_points_that_make_no_table(points: list[tuple[float, int, float]]) -> None:
    with pytest.raises(ValueError, match="speed table"):
        AxisTable(points)


def test_a_velocity_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="no velocity"):
        TABLES["linear"].levels(Velocity(math.nan), 1.0)
