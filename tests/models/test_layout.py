"""Which layouts are tried, how they are timed and which one wins: on invented machines, without a clock."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from engine.models.layout import (
    HARD_LIMIT_S,
    Bounds,
    Layout,
    Measured,
    batches,
    choose,
    describe,
    inference_cores,
    measure,
    shapes,
)  # fmt: skip


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(cores=1), [(1, 1)]),
        (Bounds(cores=2), [(2, 1), (1, 2)]),
        (Bounds(cores=3), [(3, 1), (1, 3)]),
        (Bounds(cores=4), [(4, 1), (2, 2), (1, 4)]),
        (Bounds(cores=8), [(8, 1), (4, 2), (2, 4), (1, 8)]),
        (Bounds(cores=8, calls=2), [(2, 4), (1, 8)]),
        (Bounds(cores=8, lanes=2), [(2, 4)]),
        (Bounds(cores=2, lanes=5), [(5, 1)]),
        (Bounds(cores=8, threads=3), [(2, 3)]),
        (Bounds(cores=2, threads=16), [(1, 16)]),
        (Bounds(cores=8, lanes=3, threads=1), [(3, 1)]),
    ],
)
def test_shapes_on_cores(bounds: Bounds, expected: list[tuple[int, int]]) -> None:
    assert shapes(bounds, on_cores=True) == expected


def test_a_gpu_has_one_lane_unless_configured() -> None:
    assert shapes(Bounds(cores=8), on_cores=False) == [(1, 1)]
    assert shapes(Bounds(cores=8, lanes=2), on_cores=False) == [(2, 1)]


def test_batches() -> None:
    assert batches(Bounds(frames=8)) == [1, 8]
    assert batches(Bounds(frames=1)) == [1]
    assert batches(Bounds(frames=8, batch=4)) == [4]
    assert batches(Bounds(frames=8, batch=4), fixed_batch=2, most=2) == [2]
    assert batches(Bounds(frames=8), most=4) == [1, 4]
    assert batches(Bounds(batch=8), most=4) == [4]


class Machine:
    """Says how long calls take: `call_s` of each layout, times a disturbance that may differ from trial to trial."""

    def __init__(self, call_s: Callable[[Layout], float], disturbance: Callable[[], float] = lambda: 1.0):
        self._call_s, self._disturbance = call_s, disturbance
        self.trials: list[tuple[Layout, int]] = []
        self.spent_s = 0.0

    def __call__(self, layout: Layout, calls: int) -> float:
        took_s = calls * self._call_s(layout) * self._disturbance()
        self.trials.append((layout, calls))
        self.spent_s += took_s
        return took_s


TWO_CORES = [Layout(2, 1), Layout(1, 2)]


def small(layout: Layout) -> float:
    """Layers too small to be worth splitting: 10 ms on one thread, 9 ms on two."""
    return 0.010 * layout.batch if layout.threads == 1 else 0.009 * layout.batch


def test_lanes_win_where_layers_are_small() -> None:
    table = measure(TWO_CORES, Machine(small))
    assert choose(table).layout == Layout(2, 1)
    assert [entry.frames_per_s for entry in table] == pytest.approx([200, 1 / 0.009])
    assert describe(table) == "2×1 200/s, 1×2 111/s"


def test_batches_win_where_they_are_faster() -> None:
    layouts = [Layout(1, 1), Layout(1, 1, 8)]
    table = measure(layouts, Machine(lambda layout: 0.005 + 0.001 * layout.batch))
    assert choose(table).layout == Layout(1, 1, 8)


def test_what_is_as_good_goes_to_the_smaller_batch_and_more_lanes() -> None:
    table = [
        Measured(Layout(2, 1, 8), 102.0, 0.16), Measured(Layout(1, 2), 99.5, 0.010),
        Measured(Layout(2, 1), 90.0, 0.022), Measured(Layout(1, 1), 60.0, 0.016),
    ]  # fmt: skip
    assert choose(table).layout == Layout(2, 1)
    assert choose(table[:2]).layout == Layout(1, 2)
    assert choose([*table, Measured(Layout(1, 4), 119.0, 0.008)]).layout == Layout(1, 4)


def held_up_now_and_then(dice: random.Random) -> Callable[[], float]:
    return lambda: dice.choice([1.0, 1.0, 1.02, dice.uniform(1.2, 4.0)])


def test_a_disturbed_machine_gives_the_same_answer() -> None:
    """Every fourth trial is held up, some of them by a lot."""
    for seed in range(20):
        machine = Machine(small, held_up_now_and_then(random.Random(seed)))
        assert choose(measure(TWO_CORES, machine)).layout == Layout(2, 1), seed


def test_a_phase_of_disturbance_meets_all_alike() -> None:
    """The machine becomes three times slower half-way: the order of the layouts stays."""
    machine = Machine(small)
    machine._disturbance = lambda: 3.0 if machine.spent_s > 0.6 else 1.0
    table = {entry.layout: entry.frames_per_s for entry in measure(TWO_CORES, machine)}
    assert table[Layout(2, 1)] / table[Layout(1, 2)] == pytest.approx(1.8, rel=0.1)


@pytest.mark.parametrize("call_s", [0.0005, 0.005, 0.05, 0.2, 0.5, 3.0])
def test_measuring_takes_bounded_time(call_s: float) -> None:
    layouts = [Layout(*shape, batch) for shape in shapes(Bounds(cores=8), on_cores=True) for batch in (1, 8)]
    machine = Machine(lambda layout: call_s * layout.batch / layout.threads)
    choose(measure(layouts, machine))
    first_calls_s = sum(call_s / layout.threads for layout in layouts if layout.batch == 1)
    assert machine.spent_s <= HARD_LIMIT_S + first_calls_s + 4 * 0.5


def test_batches_that_take_too_long_are_not_tried() -> None:
    machine = Machine(lambda layout: 0.1 * layout.batch)
    table = measure([Layout(2, 1), Layout(2, 1, 8)], machine)
    assert [entry.layout for entry in table] == [Layout(2, 1)]
    assert Layout(2, 1, 8) not in [layout for layout, _ in machine.trials]


def test_a_fixed_batch_is_tried_however_long_it_takes() -> None:
    table = measure([Layout(2, 1, 8), Layout(1, 2, 8)], Machine(lambda layout: 2.0 / layout.threads))
    assert {entry.layout for entry in table} == {Layout(2, 1, 8), Layout(1, 2, 8)}


@pytest.mark.parametrize(
    ("cores", "cameras", "expected"),
    [
        (1, 8, 1), (2, 0, 2), (2, 8, 2), (3, 8, 3), (4, 0, 4), (4, 1, 3), (4, 4, 3), (4, 5, 2), (4, 40, 2),
        (8, 8, 6), (8, 40, 4),
    ],
)  # fmt: skip
def test_cores_of_inference(cores: int, cameras: int, expected: int) -> None:
    chosen, reason = inference_cores(cores, cameras)
    assert chosen == expected and str(chosen) in reason
