"""Equal shares of the detector, and the freshest frame among equals."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batching.turns import REMEMBERED, SLACK, Turns


def serve(rates: list[float], turns_count: int = 4000) -> list[float]:
    """Frames served per turn when every camera gives so many frames a turn and one is served each turn."""
    turns, rng = Turns(), random.Random(1)
    waiting: dict[str, int] = {}
    served, next_at = [0] * len(rates), [rng.random() for _ in rates]
    for now in range(turns_count):
        for number, rate in enumerate(rates):
            while next_at[number] <= now:
                waiting[str(number)] = round(next_at[number] * 1e6)
                next_at[number] += 1 / rate
        if waiting:
            name = turns.next(waiting.items())
            del waiting[name]
            served[int(name)] += 1
    return [count / turns_count for count in served]


@pytest.mark.parametrize(
    ("rates", "shares"),
    [
        ([1, 1, 1, 1], [0.25] * 4),
        ([2, 1, 0.5], [1 / 3] * 3),
        ([1, 1, 0.1], [0.45, 0.45, 0.1]),
        ([1, 0.5, 0.05, 0.05], [0.45, 0.45, 0.05, 0.05]),
        ([0.6, 0.5, 0.4], [1 / 3] * 3),
        ([1, 1, 1, 0.3], [0.25] * 4),
        ([0.2, 0.1], [0.2, 0.1]),
    ],
)
def test_shares_are_max_min_fair(rates: list[float], shares: list[float]) -> None:
    assert serve(rates) == pytest.approx(shares, abs=0.01)


def test_the_freshest_of_equals_comes_first() -> None:
    turns = Turns()
    assert [turns.next([("a", 10), ("b", 30), ("c", 20)])] == ["b"]
    assert turns.next([("a", 10), ("b", 31), ("c", 20)]) == "b", "within the slack"
    assert turns.next([("a", 10), ("b", 99), ("c", 20)]) == "c", "but no further"


def test_without_freshness_they_take_turns() -> None:
    turns = Turns()
    order = [turns.next([("a", 0), ("b", 0), ("c", 0)]) for _ in range(9)]
    assert order == ["a", "b", "c"] * 3


@given(st.lists(st.lists(st.integers(0, 1000), min_size=4, max_size=4), min_size=40, max_size=80))
@settings(max_examples=50, deadline=None)
def test_nobody_starves_however_fresh_the_others_are(freshness: list[list[int]]) -> None:
    turns, unserved = Turns(), dict.fromkeys("abcd", 0)
    for ranks in freshness:
        served = turns.next(zip("abcd", ranks, strict=True))
        unserved = {name: 0 if name == served else count + 1 for name, count in unserved.items()}
        assert max(unserved.values()) < 2 * len(unserved) * SLACK


def test_who_was_away_is_owed_little() -> None:
    turns = Turns()
    for _ in range(100):
        turns.next([("a", 0), ("b", 0)])
    order = [turns.next([("a", 0), ("b", 0), ("late", 0)]) for _ in range(12)]
    assert order[:REMEMBERED].count("late") == REMEMBERED
    assert order.count("late") <= REMEMBERED + 3
