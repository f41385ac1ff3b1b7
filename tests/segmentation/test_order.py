"""Who goes into a keyframe, and that nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.segmentation.costs import Costs, Load
from engine.segmentation.order import PATIENCE, Allowance, Candidate, choose, in_order

ROW = Load(memory=1)
COSTS = Costs(0.1, 0.05, 0.01)


def allowance(rows: float) -> Allowance:
    return Allowance(rows * COSTS.memory_s + 1e-9, COSTS)


def order(*candidates: Candidate, turn: int = 0) -> list[int]:
    return [candidate.object_id for candidate in in_order(candidates, 1.0, turn)]


def test_pointed_protected_stale_fast() -> None:
    assert order(
        Candidate(1, ROW, age_s=0.2),
        Candidate(2, ROW, age_s=0.1, motion=0.5),
        Candidate(3, ROW, age_s=2.5),
        Candidate(4, ROW, protected=True, age_s=0.1),
        Candidate(5, ROW, pointed=True, age_s=0.0),
        Candidate(6, ROW),
    ) == [5, 4, 6, 3, 2, 1]  # fmt: skip


def test_who_was_passed_over_too_often_comes_second_and_every_other_time_first() -> None:
    waiting = [
        Candidate(1, ROW, protected=True, age_s=0.1), Candidate(2, ROW, age_s=0.5, passed=PATIENCE),
        Candidate(3, ROW, age_s=9.0),
    ]  # fmt: skip
    assert order(*waiting, turn=0) == [1, 2, 3]
    assert order(*waiting, turn=1) == [2, 1, 3]


def test_at_least_one_row_and_no_more_than_fit() -> None:
    four = [Candidate(number, ROW) for number in range(4)]
    assert len(choose(four, allowance(0.1))) == 1
    assert len(choose(four, allowance(2.9))) == 2
    assert len(choose(four, Allowance(None, COSTS))) == 4


def test_all_who_are_pointed_at_go() -> None:
    assert len(choose([Candidate(number, ROW, pointed=True) for number in range(3)], allowance(1))) == 3


@settings(max_examples=60, deadline=None)
@given(
    protected=st.integers(0, 6),
    others=st.integers(0, 12),
    rows=st.integers(1, 5),
    motions=st.lists(st.floats(0, 5), min_size=18, max_size=18),
    newcomers=st.booleans(),
)
def test_everybody_is_refreshed_within_a_bounded_number_of_keyframes(
    protected: int, others: int, rows: int, motions: list[float], newcomers: bool
) -> None:
    """Also where a new object, which has no mask yet, comes with every keyframe and leaves again."""
    count = protected + others
    objects = {
        number: Candidate(number, ROW, protected=number < protected, motion=motions[number])
        for number in range(count)
    }
    bound = 2 * protected + PATIENCE + 2 * (others + 1) + 2
    waited = dict.fromkeys(objects, 0)
    for turn in range(200):
        fresh = [Candidate(1000 + turn, ROW)] if newcomers else []
        chosen = {
            c.object_id for c in choose(in_order([*objects.values(), *fresh], 1.0, turn), allowance(rows))
        }
        for number, candidate in objects.items():
            served = number in chosen
            waited[number] = 0 if served else waited[number] + 1
            objects[number] = replace(
                candidate, passed=waited[number], age_s=0.1 if served else candidate.age_s + 0.1
            )
            assert waited[number] <= bound, f"object {number} has waited for {waited[number]} keyframes"
