"""What keyframes cost, learnt from recorded and made-up ones."""

from __future__ import annotations

import random

import pytest

from engine.segmentation.costs import CostModel, Costs, Estimate, Load
from engine.segmentation.jobs import KeyframeJob, KeyframeResult, Memory, ObjectRequest
from engine.types import MaskSource
from tests.segmentation.scenario import box_prompt

TRUE = Costs(0.165, 0.02, 0.008)
"""SAM2-tiny at 448 on two cores: seconds for a row of each kind; the picture takes 0.18."""


def result(load: Load, slower: float = 1.0) -> KeyframeResult:
    return KeyframeResult("door", 1, (), (), 0.18 * slower, TRUE.of(load) * slower)


def test_the_rows_of_a_job() -> None:
    requests = tuple(
        ObjectRequest(number, memory, MaskSource.BOX, box_prompt(0, 0, 9, 9))
        for number, memory in enumerate(Memory)
    )
    assert Load.of(KeyframeJob("door", 1, requests)) == Load(memory=3, prompts=2)
    assert Load.of(KeyframeJob("door", 1, ())).empty


def test_one_kind_is_known_after_one_keyframe() -> None:
    costs = CostModel()
    costs.learn(Load(memory=2), result(Load(memory=2)))
    assert costs.costs().memory_s == pytest.approx(TRUE.memory_s)
    assert costs.expected_s(Load(memory=3)) == pytest.approx(0.18 + 3 * TRUE.memory_s)


def test_kinds_are_told_apart_by_varied_keyframes() -> None:
    rng, costs = random.Random(1), CostModel()
    for _ in range(300):
        load = Load(rng.randrange(4), rng.randrange(4), rng.choice((0, 0, 8, 16)))
        costs.learn(load, result(load, rng.uniform(0.9, 1.1)))
    for load in (Load(memory=2), Load(prompts=4), Load(memory=1, points=16)):
        assert costs.expected_s(load) == pytest.approx(0.18 + TRUE.of(load), rel=0.3)


def test_a_device_that_slows_down_is_noticed_within_ten_keyframes() -> None:
    costs, load = CostModel(), Load(memory=2, prompts=1)
    for _ in range(20):
        costs.learn(load, result(load))
    for _ in range(10):
        costs.learn(load, result(load, 3.0))
    assert costs.expected_s(load) == pytest.approx(3.0 * (0.18 + TRUE.of(load)), rel=0.15)


def test_plans_are_careful_where_costs_swing() -> None:
    """The cores are shared with a detector: every third keyframe takes three times as long."""
    costs, load = CostModel(), Load(memory=1)
    over = 0
    for number in range(300):
        slower = 3.0 if number % 3 == 0 else 1.0
        over += number > 20 and TRUE.memory_s * slower > 1.5 * costs.costs().memory_s
        costs.learn(load, result(load, slower))
    assert costs.costs().memory_s > 1.5 * TRUE.memory_s
    assert over < 100, "one in three is slow, and even of those some are foreseen"


def test_one_keyframe_after_a_sleep_is_not_believed() -> None:
    estimate = Estimate(0.1)
    estimate.learn(0.1)
    estimate.learn(60.0)
    assert estimate.mean_s < 0.2


def test_a_job_that_only_gives_memories_back_teaches_nothing() -> None:
    costs = CostModel()
    before = costs.to_dict()
    costs.learn(Load(), KeyframeResult("door", 1, (), (), 9.0, 9.0))
    assert costs.to_dict() == before
