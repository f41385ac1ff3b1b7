"""Zones: in, out, how long, how many."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.regions import Zone
from engine.types import FrameFlag
from tests.events.scenes import Scene, Told, quiet, straight

YARD = Zone("yard", ((0.4, 0.4), (0.8, 0.4), (0.8, 0.8), (0.4, 0.8)), dwell_s=2.0)


def of_zone(found: list[Told]) -> list[tuple[str, float]]:
    return [(one.kind, one.value) for one in found if one.kind in ("ENTERED", "EXITED", "DWELLED", "COUNT")]


def test_in_dwell_and_out() -> None:
    scene = Scene([YARD], fps=10)
    assert of_zone(scene.walk(straight((300, 600), (600, 600), 30))) == [("ENTERED", 0.0), ("COUNT", 1.0)]
    entered_s = scene.time_s - 19 * 0.1  # at 410, a tenth of its height inside
    assert of_zone(scene.walk([(600, 600)] * 10)) == [("DWELLED", 2.0)], "once a visit"
    found = of_zone(scene.walk(straight((600, 600), (300, 600), 30)))
    assert [kind for kind, _ in found] == ["EXITED", "COUNT"]
    assert found[0][1] == pytest.approx(scene.time_s - 9 * 0.1 - entered_s, abs=0.11)
    count = scene.events.counters.zones[0]
    assert (count.entries, count.exits, count.dwells, count.present) == (1, 1, 1, 0)


def test_each_visit_dwells_anew() -> None:
    scene = Scene([YARD], fps=10)
    for _ in range(2):
        scene.walk([(600, 600)] * 30)
        scene.walk([(300, 600)] * 5)
    assert scene.kinds().count("DWELLED") == 2


def test_trembling_on_the_edge_enters_once_at_most() -> None:
    scene = Scene([YARD])
    scene.walk([(400.0 + (-1) ** k * 9.0, 600.0) for k in range(100)])
    assert of_zone(scene.all) == []
    scene.walk([(412, 600)])
    scene.walk([(400.0 + (-1) ** k * 9.0, 600.0) for k in range(100)])
    assert [kind for kind, _ in of_zone(scene.all)] == ["ENTERED", "COUNT", "DWELLED"]


def test_who_appears_inside_has_entered() -> None:
    scene = Scene([YARD])
    assert [one.kind for one in scene.frame({1: (600.0, 600.0)})] == ["ENTERED", "COUNT", "APPEARED"]


def test_who_is_given_up_inside_has_left_when_last_seen() -> None:
    scene = Scene([YARD], fps=10)
    scene.walk([(600, 600)] * 11)
    for _ in range(20):
        scene.frame({})
    found = scene.frame({}, removed=[1])
    assert found == [Told("EXITED", 1, 0, 1.0), Told("COUNT", 0, 0, 0.0), Told("LEFT", 1, -1, 1.0)]
    assert scene.frame({}, removed=[1]) == [], "once"


def test_counts_change_once_a_frame() -> None:
    scene = Scene([YARD])
    people = {1: (600.0, 600.0), 2: (700.0, 600.0), 3: (100.0, 100.0)}
    assert ("COUNT", 2.0) in of_zone(scene.frame(people))
    swapped = scene.frame({1: (100.0, 100.0), 2: (700.0, 600.0), 3: (600.0, 600.0)})
    assert [one.kind for one in swapped] == ["ENTERED", "EXITED"], "as many as before"


def test_a_zone_at_the_edge_of_the_picture_has_none_there() -> None:
    lower = Zone("lower", ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
    scene = Scene([lower])
    assert scene.kinds() == []
    scene.walk([(500, 900), (500, 1000), (500, 1030), (1040, 1030)])
    assert scene.kinds() == ["ENTERED", "COUNT", "APPEARED"]
    assert scene.events.counters.zones[0].present == 1


def test_the_whole_picture_may_be_a_zone() -> None:
    whole = Zone("all", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
    scene = Scene([whole])
    scene.frame({1: (0.0, 0.0), 2: (500.0, 1040.0)})
    assert scene.events.counters.zones[0].present == 2


def test_a_narrow_zone_can_be_entered() -> None:
    narrow = Zone("kerb", ((0.1, 0.5), (0.9, 0.5), (0.9, 0.51), (0.1, 0.51)))
    scene = Scene([narrow])
    scene.walk(straight((500, 400), (500, 600), 100))
    assert [kind for kind, _ in of_zone(scene.all)] == ["ENTERED", "COUNT", "EXITED", "COUNT"]


def test_a_zone_with_a_bay_is_not_its_hull() -> None:
    bay = Zone(
        "u", ((0.2, 0.2), (0.4, 0.2), (0.4, 0.6), (0.6, 0.6), (0.6, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
    )
    scene = Scene([bay])
    scene.frame({1: (300.0, 300.0), 2: (500.0, 300.0), 3: (700.0, 300.0), 4: (500.0, 700.0)})
    assert [one.track_id for one in scene.all if one.kind == "ENTERED"] == [1, 3, 4]


def test_several_zones_and_classes() -> None:
    cars = Zone("cars", YARD.polygon, classes=("car",))
    scene = Scene([YARD, cars], settings=quiet(classes=("person",)))
    scene.frame({1: (600.0, 600.0), 2: (700.0, 700.0)}, classes={2: 1})
    assert [(one.track_id, one.region) for one in scene.all if one.kind == "ENTERED"] == [(1, 0), (2, 1)]


def test_zones_scale_with_the_picture() -> None:
    scene = Scene([YARD])
    scene.frame({1: (600.0, 600.0)})
    scene.size = (500, 500)
    assert scene.frame({1: (300.0, 300.0)}, height=50.0) == []
    assert [one.kind for one in scene.frame({1: (100.0, 100.0)}, height=50.0)] == ["EXITED", "COUNT"]


def test_a_gap_and_time_that_goes_back_do_not_make_anybody_dwell() -> None:
    scene = Scene([Zone("yard", YARD.polygon, dwell_s=30.0)])
    scene.frame({1: (600.0, 600.0)})
    scene.frame({1: (600.0, 600.0)}, time_s=1e6)
    scene.frame({1: (600.0, 600.0)}, time_s=5.0)
    scene.frame({1: (600.0, 600.0)}, flags=FrameFlag.DISCONTINUITY)
    assert "DWELLED" not in scene.kinds(), "an impossible step counts ten seconds"


@pytest.mark.parametrize("fps", [1.0, 120.0])
def test_the_same_at_any_rate(fps: float) -> None:
    scene = Scene([YARD], fps=fps)
    scene.walk(straight((300, 600), (700, 600), round(8 * fps)))
    scene.walk(straight((700, 600), (300, 600), round(8 * fps)))
    assert [kind for kind, _ in of_zone(scene.all)] == ["ENTERED", "COUNT", "DWELLED", "EXITED", "COUNT"]
    (spent_s,) = (value for kind, value in of_zone(scene.all) if kind == "EXITED")
    assert spent_s == pytest.approx(12.0, abs=1.1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.integers(1, 6),
            st.tuples(st.integers(-50, 1050), st.integers(-50, 1050)).map(
                lambda p: (float(p[0]), float(p[1]))
            ),
            max_size=6,
        ),
        max_size=25,
    ),
    st.lists(st.sets(st.integers(1, 6), max_size=2), min_size=25, max_size=25),
)
def test_the_books_balance(frames: list[dict[int, tuple[float, float]]], removed: list[set[int]]) -> None:
    """Entries are exits and present; the newest count told is the count there is; visits never overlap."""
    scene = Scene([YARD, Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), dwell_s=0.1)])
    there: set[tuple[int, int]] = set()
    shown = [0, 0]
    for people, gone in zip(frames, removed, strict=False):
        for one in scene.frame(people, removed=sorted(gone)):
            key = one.track_id, one.region
            if one.kind == "ENTERED":
                assert key not in there
                there.add(key)
            elif one.kind in ("EXITED", "DWELLED"):
                assert key in there
                there -= {key} if one.kind == "EXITED" else set()
            elif one.kind == "COUNT":
                shown[one.region] = round(one.value)
        for region, count in enumerate(scene.events.counters.zones):
            assert count.entries == count.exits + count.present
            assert shown[region] == count.present == sum(1 for _, each in there if each == region)
