"""The budget for crops: in the frames' own time, and never spent on who can wait."""

from __future__ import annotations

import pytest

from engine.tracking.demand import Need
from engine.workers.infer_budget import CropBudget


def taken(budget: CropBudget, need: Need, wanted: int = 1000) -> int:
    return sum(budget.take(need) for _ in range(wanted))


def test_a_burst_is_there_at_the_start_and_then_the_rate() -> None:
    budget = CropBudget(20)
    budget.come_to(100.0)
    assert taken(budget, Need.NEW) == 20
    budget.come_to(100.25)
    assert taken(budget, Need.NEW) == 5
    budget.come_to(1000.0)
    assert taken(budget, Need.NEW) == 20, "what was not used for long is not kept"


def test_over_a_minute_no_more_than_the_rate_is_spent() -> None:
    budget = CropBudget(7)
    spent = 0
    for frame in range(60 * 25):
        budget.come_to(frame / 25)
        spent += taken(budget, Need.NEW)
    assert spent == pytest.approx(7 + 7 * 60, abs=1)


def test_a_part_is_left_for_those_who_need_it_more() -> None:
    budget = CropBudget(20)
    budget.come_to(0.0)
    assert [taken(budget, need) for need in (Need.REFRESH, Need.AMBIGUOUS, Need.NEW)] == [10, 5, 5]


@pytest.mark.parametrize("need", Need)
def test_a_budget_below_one_a_second_is_spent_all_the_same(need: Need) -> None:
    budget = CropBudget(0.5)
    spent = 0
    for second in range(20):
        budget.come_to(float(second))
        spent += budget.take(need)
    assert spent == 10


def test_time_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    budget = CropBudget(10)
    budget.come_to(50.0)
    taken(budget, Need.NEW)
    budget.come_to(0.0)
    assert not budget.take(Need.NEW)
    budget.come_to(0.2)
    assert taken(budget, Need.NEW) == 2


def test_without_a_limit_everything_is_granted() -> None:
    budget = CropBudget(0)
    assert taken(budget, Need.REFRESH, 5000) == 5000
