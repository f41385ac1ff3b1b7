"""Lines: what counts as crossing, which way, and what does not count."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.regions import Line
from engine.types import FrameFlag, TrackState
from tests.events.scenes import Scene, Told, quiet, straight

GATE = Line("gate", ((0.5, 0.2), (0.5, 0.8)))
"""Down the middle: seen along it, the left of the picture is on its right."""


def crossings(found: list[Told]) -> list[float]:
    return [one.value for one in found if one.kind == "CROSSED"]


def test_there_and_back_again_counts_each_way() -> None:
    scene = Scene(lines=[GATE])
    assert crossings(scene.walk(straight((300, 500), (700, 500), 40))) == [-1.0]
    assert crossings(scene.walk(straight((700, 500), (300, 500), 40))) == [1.0]
    line = scene.events.counters.lines[0]
    assert (line.left_to_right, line.right_to_left) == (1, 1)


def test_the_event_says_who_where_and_at_once() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (500, 500), 20))
    first = scene.frame({1: (515.0, 500.0)})
    assert first == [Told("CROSSED", 1, 0, -1.0)], "more than a tenth of its height beyond"
    assert scene.frame({1: (530.0, 500.0)}) == []


def test_trembling_on_the_line_is_nothing() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (498, 500), 20))
    for k in range(100):
        assert crossings(scene.frame({1: (500.0 + (-1) ** k * 8.0, 500.0)})) == []
    assert crossings(scene.walk(straight((492, 500), (300, 500), 20))) == [], "turned back"


def test_trembling_and_then_through_counts_once() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (498, 500), 20))
    scene.walk([(500.0 + (-1) ** k * 8.0, 500.0) for k in range(99)])
    assert crossings(scene.walk(straight((508, 500), (700, 500), 20))) == [-1.0]


@pytest.mark.parametrize(
    "way",
    [
        [(300, 500), (500, 500), (300, 500)],
        [(300, 500), (500, 300), (500, 700), (300, 700)],
        [(300, 500), (502, 300), (498, 500), (502, 700), (300, 700)],
        [(300, 100), (700, 100)],
        [(300, 100), (700, 100), (700, 900), (300, 900)],
        [(300, 500), (500, 200), (300, 300)],
    ],
    ids=["touches", "goes along", "goes along and trembles", "passes above", "goes round", "touches an end"],
)
def test_what_is_no_crossing(way: list[tuple[float, float]]) -> None:
    scene = Scene(lines=[GATE])
    for start, end in itertools.pairwise(way):
        scene.walk(straight(start, end, 30))
    assert crossings(scene.all) == []


def test_a_fast_one_may_jump_over_the_line() -> None:
    scene = Scene(lines=[GATE], fps=10)
    assert crossings(scene.walk([(300, 500), (400, 500), (620, 500)])) == [-1.0]


def test_who_was_lost_and_comes_back_on_the_other_side_counts_once() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (470, 500), 20))
    for _ in range(50):
        scene.frame({})
    assert crossings(scene.walk(straight((560, 500), (700, 500), 20))) == [-1.0]


def test_who_was_gone_for_too_long_does_not() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (470, 500), 20))
    for _ in range(130):
        scene.frame({})
    assert crossings(scene.walk(straight((560, 500), (700, 500), 20))) == []
    assert crossings(scene.walk(straight((700, 500), (300, 500), 40))) == [1.0], "but it is known again"


def test_coasting_rows_say_nothing() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (470, 500), 20))
    coasting = {1: TrackState.COASTING}
    assert crossings(scene.walk(straight((470, 500), (700, 500), 20), states=coasting)) == []
    assert crossings(scene.walk([(470, 500), (450, 500)])) == []


def test_a_jump_across_the_picture_is_no_way() -> None:
    scene = Scene(lines=[GATE])
    assert crossings(scene.walk([(100, 500), (110, 500), (950, 500), (940, 500)], height=50.0)) == []


def test_a_discontinuity_joins_nothing() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (450, 500), 20))
    assert crossings(scene.frame({1: (550.0, 500.0)}, flags=FrameFlag.DISCONTINUITY)) == []
    assert crossings(scene.walk([(560, 500), (570, 500)])) == []


def test_time_that_goes_back_joins_nothing() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (450, 500), 20))
    assert crossings(scene.frame({1: (550.0, 500.0)}, time_s=3.0)) == []


def test_lines_scale_with_the_picture() -> None:
    scene = Scene(lines=[GATE])
    scene.walk(straight((300, 500), (450, 500), 20))
    scene.size = (500, 500)
    found = scene.walk(straight((225, 250), (350, 250), 20), height=50.0)
    assert crossings(found) == [-1.0]


def test_first_seen_on_the_line_is_no_crossing() -> None:
    scene = Scene(lines=[GATE])
    assert crossings(scene.walk(straight((497, 500), (700, 500), 20))) == []


def test_only_wanted_classes_count() -> None:
    cars = Line("cars", GATE.points, classes=("car",))
    scene = Scene(lines=[GATE, cars], settings=quiet(classes=("person",)))
    for x in range(300, 700, 10):
        scene.frame({1: (x, 400.0), 2: (x, 600.0)}, classes={2: 1})
    assert [(one.track_id, one.region) for one in scene.all if one.kind == "CROSSED"] == [(1, 0), (2, 1)]
    assert [one.track_id for one in scene.all if one.kind == "APPEARED"] == [1]


def test_a_polyline_counts_once_however_it_bends() -> None:
    bent = Line("bent", ((0.2, 0.5), (0.5, 0.4), (0.8, 0.5)))
    for x in (300, 499, 500, 501, 700):
        scene = Scene(lines=[bent])
        scene.walk(straight((x, 200), (x, 700), 50))
        assert crossings(scene.all) == [1.0], x


def test_many_points_and_many_lines_at_once() -> None:
    lines = [Line(f"{k}", ((0.1, k / 40), (0.9, k / 40))) for k in range(1, 40)]
    scene = Scene(lines=lines)
    scene.walk(straight((500, 5), (500, 995), 60), height=20.0)
    assert [one.region for one in scene.all if one.kind == "CROSSED"] == list(range(39))


RELATIVE = st.floats(0.0, 1.0).map(lambda value: round(value, 3))
POINTS = st.tuples(RELATIVE, RELATIVE)
WAYS = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda p: (float(p[0]), float(p[1]))),
    min_size=2,
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(start=POINTS, end=POINTS, way=WAYS)
def test_crossings_alternate_for_a_line_across_the_picture(
    start: tuple[float, float], end: tuple[float, float], way: list[tuple[float, float]]
) -> None:
    """A line nobody can walk round is crossed to and fro, never twice the same way, and its side is known."""
    across = Line("across", ((start[0], 0.0), (end[0], 1.0)))
    scene = Scene(lines=[across], fps=1.0)
    scene.walk(way)
    signs = crossings(scene.all)
    assert all(one == -other for one, other in itertools.pairwise(signs))
    sides = [side_of(across, point) for point in way]
    clear = [side for side, distance in sides if distance >= 10.0]
    if clear:
        changes = [later - earlier for earlier, later in itertools.pairwise(clear) if earlier != later]
        assert signs == [math.copysign(1.0, change) for change in changes]


def side_of(line: Line, point: tuple[float, float]) -> tuple[int, float]:
    (ax, ay), (bx, by) = (np.array(each) * 1000.0 for each in line.points)
    turn = (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)
    return (1 if turn > 0 else -1), abs(turn) / math.hypot(bx - ax, by - ay)


@settings(max_examples=80, deadline=None)
@given(way=WAYS, line=st.tuples(POINTS, POINTS).filter(lambda ends: math.dist(*ends) > 0.05))
def test_the_other_way_round_gives_the_same_with_the_sign_turned(
    way: list[tuple[float, float]], line: tuple[tuple[float, float], tuple[float, float]]
) -> None:
    scene = Scene(lines=[Line("there", line), Line("back", (line[1], line[0]))], fps=1.0)
    scene.walk(way)
    there, back = ([one.value for one in scene.all if one.region == k] for k in (0, 1))
    assert there == [-value for value in back]


@settings(max_examples=60, deadline=None)
@given(
    way=WAYS,
    line=st.tuples(POINTS, POINTS).filter(lambda ends: math.dist(*ends) > 0.05),
    noise=st.lists(st.tuples(st.floats(-4.0, 4.0), st.floats(-4.0, 4.0)), min_size=30, max_size=30),
)
def test_a_closed_walk_crosses_as_often_there_as_back(
    way: list[tuple[float, float]],
    line: tuple[tuple[float, float], tuple[float, float]],
    noise: list[tuple[float, float]],
) -> None:
    """Along a path and back the same way, trembling: what was crossed is crossed back."""
    scene = Scene(lines=[Line("line", line)], fps=1.0)
    there = [(x + dx, y + dy) for (x, y), (dx, dy) in zip(way, noise, strict=False)]
    scene.walk([way[0], *there[1:], *reversed(there[1:]), way[0]], height=100.0)
    signs = crossings(scene.all)
    distance = distance_to(line, way[0])
    if distance >= 10.0:
        assert sum(signs) == 0.0


def distance_to(line: tuple[tuple[float, float], tuple[float, float]], point: tuple[float, float]) -> float:
    a, b, p = (np.array(each, float) for each in (np.array(line[0]) * 1000, np.array(line[1]) * 1000, point))
    share = float(np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0.0, 1.0))
    return float(np.hypot(*(p - a - share * (b - a))))
