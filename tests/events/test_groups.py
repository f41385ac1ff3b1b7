"""Groups: who stays together, and for how long."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events.groups import close_pairs, connected
from tests.events.scenes import Scene, Told, quiet

TRIO = {1: (300.0, 500.0), 2: (360.0, 500.0), 3: (420.0, 500.0)}


def grouping(fps: float = 10.0, **more: object) -> Scene:
    return Scene(settings=quiet(group_size=3, group_for_s=2.0, **more), fps=fps)


def groups(found: list[Told]) -> list[tuple[str, int, int]]:
    return [(one.kind, one.group, one.track_id) for one in found if one.kind in ("GROUPED", "UNGROUPED")]


def stay(scene: Scene, people: dict[int, tuple[float, float]], frames: int) -> list[Told]:
    return [one for _ in range(frames) for one in scene.frame(people)]


@pytest.mark.parametrize("fps", [1.0, 10.0, 60.0])
def test_three_who_stay_together_are_a_group_and_then_are_none(fps: float) -> None:
    scene = grouping(fps)
    apart = {1: (100.0, 500.0), 2: (360.0, 900.0), 3: (900.0, 500.0)}
    assert groups(stay(scene, apart, round(3 * fps))) == []
    found = stay(scene, TRIO, round(4 * fps))
    assert groups(found) == [("GROUPED", 1, 1), ("GROUPED", 1, 2), ("GROUPED", 1, 3)]
    assert {one.value for one in found if one.kind == "GROUPED"} == {3.0}
    assert scene.events.counters.groups == 1 and scene.events.counters.kinds["grouped"] == 1
    (end,) = [one for one in stay(scene, apart, round(4 * fps)) if one.kind == "UNGROUPED"]
    assert (end.group, end.track_id) == (1, 0) and end.value == pytest.approx(4.0, abs=3.0)
    assert scene.events.counters.groups == 0
    assert groups(stay(scene, TRIO, round(4 * fps)))[0] == ("GROUPED", 2, 1), "another group, another number"


def test_who_passes_by_is_in_no_group() -> None:
    scene = grouping()
    found: list[Told] = []
    for k in range(60):
        found += scene.frame({**TRIO, 9: (100.0 + 20.0 * k, 510.0)})
    assert {track_id for _, _, track_id in groups(found)} == {1, 2, 3}


def test_two_are_no_group_of_three_and_distance_counts_in_heights() -> None:
    scene = grouping()
    assert groups(stay(scene, {1: TRIO[1], 2: TRIO[2]}, 50)) == []
    small = [one for _ in range(50) for one in scene.frame(TRIO, height=40.0)]
    assert groups(small) == [], "60 pixels are 1.5 heights of somebody far away"


def test_who_is_close_stays_so_a_little_farther_off() -> None:
    """One height makes a pair, one and a quarter keeps it."""

    def spread(heights: float) -> dict[int, tuple[float, float]]:
        return {k: (100.0 + 100.0 * heights * k, 500.0) for k in (1, 2, 3)}

    scene = grouping()
    assert groups(stay(scene, spread(1.1), 50)) == []
    assert len(groups(stay(scene, spread(0.95), 30))) == 3
    assert groups(stay(scene, spread(1.2), 30)) == []
    assert [kind for kind, _, _ in groups(stay(scene, spread(1.3), 30))] == ["UNGROUPED"]


def test_a_member_that_is_hidden_for_a_moment_stays() -> None:
    scene = grouping()
    stay(scene, TRIO, 30)
    for _ in range(4):
        assert groups(stay(scene, {1: TRIO[1], 2: TRIO[2]}, 6)) == []
        assert groups(stay(scene, TRIO, 6)) == []


def test_a_group_is_the_same_when_somebody_joins_or_goes() -> None:
    scene = grouping()
    stay(scene, TRIO, 30)
    four = {**TRIO, 4: (480.0, 500.0)}
    assert groups(stay(scene, four, 40)) == []
    assert groups(stay(scene, {key: four[key] for key in (2, 3, 4)}, 40)) == []
    assert scene.events.counters.groups == 1


def test_a_group_that_splits_keeps_its_number_in_the_larger_part() -> None:
    scene = grouping()
    row = {k: (100.0 + 60.0 * k, 500.0) for k in range(1, 9)}
    stay(scene, row, 30)
    parted = {k: (x + (300.0 if k > 5 else 0.0), y) for k, (x, y) in row.items()}
    assert groups(stay(scene, parted, 40)) == [("GROUPED", 2, 6), ("GROUPED", 2, 7), ("GROUPED", 2, 8)]
    assert scene.events.counters.groups == 2


def test_members_that_are_given_up_end_it() -> None:
    scene = grouping()
    stay(scene, TRIO, 30)
    scene.frame({}, removed=[1, 2, 3])
    stay(scene, {}, 10)
    assert [kind for kind, _, _ in groups(scene.all)][3:] == ["UNGROUPED"]


def test_different_classes_and_depths_do_not_mix() -> None:
    scene = grouping()
    for _ in range(40):
        scene.frame(TRIO, classes={3: 1})
    assert groups(scene.all) == []


def test_numbers_go_on_after_a_restart() -> None:
    scene = grouping()
    stay(scene, TRIO, 30)
    successor = Scene(settings=scene.events._settings, fps=10, before=scene.events.state())
    assert groups(stay(successor, TRIO, 30))[0] == ("GROUPED", 2, 1)


PEOPLE = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 400), st.sampled_from([20.0, 50.0, 90.0, 200.0])),
    max_size=25,
)


@settings(max_examples=50, deadline=None)
@given(PEOPLE)
def test_pairs_are_those_that_everybody_with_everybody_finds(people: list[tuple[int, int, float]]) -> None:
    points = np.array([person[:2] for person in people], float).reshape(-1, 2)
    heights = np.array([person[2] for person in people], float)
    first, second, _ = close_pairs(points, heights, 1.2)
    found = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(found) == len(first)
    expected = set()
    for a, b in itertools.combinations(range(len(people)), 2):
        apart = np.hypot(*(points[a] - points[b])) / ((heights[a] + heights[b]) / 2)
        if apart <= 1.2 and max(heights[a], heights[b]) <= 2.0 * min(heights[a], heights[b]):
            expected.add(frozenset((a, b)))
    assert found == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_connected_parts_are_those_of_a_search(pairs: list[tuple[int, int]]) -> None:
    near: dict[int, set[int]] = {}
    for a, b in pairs:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    expected = set()
    for start in near:
        part, front = {start}, [start]
        while front:
            fresh = near[front.pop()] - part
            part |= fresh
            front += fresh
        expected.add(frozenset(part))
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    assert {frozenset(part.tolist()) for part in connected(ends[:, 0], ends[:, 1])} == expected


def test_a_crowd_of_thousands_is_no_matter_of_its_square() -> None:
    rng = np.random.default_rng(3)
    points, heights = rng.uniform(0, 4000, (5000, 2)), np.full(5000, 40.0)
    begun = time.perf_counter()
    close_pairs(points, heights, 1.25)
    assert time.perf_counter() - begun < 1.0
