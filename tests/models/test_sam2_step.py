"""One step over everything that is asked: who is predicted, remembered, evicted, and who says why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.sam2_clip import figure_box, frame_at
from engine.models.ort_graph import OrtCpuGraph
from engine.models.sam2 import Segmenter, SegmenterOptions
from engine.models.sam2_predictions import Features
from engine.models.sam2_step import Action, Ask, Step, step
from engine.types import F32, Prompt

SIZE_WH = (320, 240)


@pytest.fixture(scope="module")
def segmenter(sam2_folder: Path) -> Iterator[Segmenter]:
    loaded = Segmenter.load(sam2_folder, SegmenterOptions(freeze_iou=0.0))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def features(segmenter: Segmenter) -> Features:
    return segmenter.encode([frame_at(0, SIZE_WH), frame_at(2, SIZE_WH)])


def key(number: int) -> tuple[str, int]:
    return "a", number


def box(figure: int) -> Prompt:
    return Prompt.of_box(figure_box(figure, 0, SIZE_WH))


def start(*numbers: int, protected: bool = False) -> list[Ask]:
    return [Ask(key(number), Action.START, box(number % 3), protected=protected) for number in numbers]


def masks(found: Step) -> F32:
    return found.predictions.low_res_masks


def test_everything_at_once(segmenter: Segmenter, features: Features) -> None:
    bank = segmenter.new_bank(8)
    assert step(segmenter, bank, features, start(1, 2, 3)).remembered.all()
    asks = [
        Ask(key(1), Action.GO_ON, frame_index=1),
        Ask(key(9), Action.NONE, box(0)),
        Ask(key(2), Action.LOOK, frame_index=1),
        Ask(key(3), Action.REFINE, Prompt(np.array([[50, 60]], np.float32), np.array([0], np.int32)), 1),
        *start(4),
        Ask(key(7), Action.REFINE, box(1)),
    ]
    found = step(segmenter, bank, features, asks)
    assert not any(found.predictions.failures)
    assert found.remembered.tolist() == [True, False, False, True, True, True]
    assert found.predictions.prompted.tolist() == [False, True, False, True, True, True]
    assert {k[1]: bank.steps(k) for k in bank.keys} == {1: 2, 2: 1, 3: 2, 4: 1, 7: 1}
    # A refined frame is the conditioning frame from then on.
    row = bank.row(key(3))
    assert row is not None and bank._memory_step[row].tolist() == [1, -1, -1, -1, -1, -1, -1]
    alone = segmenter.prompt(features, np.array([0]), [box(0)])
    assert np.abs(masks(found)[1] - alone.low_res_masks[0]).max() < 1e-3


def test_a_step_is_the_same_as_its_calls(segmenter: Segmenter, features: Features) -> None:
    bank, other = segmenter.new_bank(2), segmenter.new_bank(2)
    step(segmenter, bank, features, start(1, 2))
    rows = np.array([other.add(key(number))[0] for number in (1, 2)])
    index = np.zeros(2, np.int64)
    segmenter.remember(features, other, rows, segmenter.prompt(features, index, [box(1), box(2)]))
    found = step(
        segmenter, bank, features, [Ask(key(number), Action.GO_ON, frame_index=1) for number in (1, 2)]
    )
    wanted = segmenter.track(features, index + 1, other, rows)
    assert np.abs(masks(found) - wanted.low_res_masks).max() < 1e-4


def test_a_start_forgets_what_was_known(segmenter: Segmenter, features: Features) -> None:
    bank = segmenter.new_bank(2)
    for _ in range(3):
        step(segmenter, bank, features, start(1))
    assert bank.steps(key(1)) == 1
    assert len(bank) == 1


def test_each_failure_is_its_own(segmenter: Segmenter, features: Features) -> None:
    bank = segmenter.new_bank(4)
    step(segmenter, bank, features, start(1))
    far = Prompt(np.array([[999, 60]], np.float32), np.array([1], np.int32))
    empty = Prompt(mask_hw=np.zeros(SIZE_WH[::-1], np.bool_))
    asks = [
        Ask(key(5), Action.START, far), Ask(key(6), Action.GO_ON), Ask(key(6), Action.LOOK), Ask(key(7), Action.START),
        Ask(key(1), Action.GO_ON), Ask(key(1), Action.START, box(0)), Ask(key(8), Action.START, empty),
    ]  # fmt: skip
    found = step(segmenter, bank, features, asks)
    expected = [
        "outside",
        "nothing is remembered",
        "nothing is remembered",
        "nothing points",
        "",
        "twice",
        "empty",
    ]
    for failure, part in zip(found.predictions.failures, expected, strict=True):
        assert part in failure and bool(part) == bool(failure)
    assert found.remembered.tolist() == [False, False, False, False, True, False, False]
    assert bank.keys == (key(1),), "a prompt that fails takes no row"
    assert (masks(found)[0] == -1024).all()


def test_nothing_asked_is_nothing_done(segmenter: Segmenter, features: Features) -> None:
    found = step(segmenter, segmenter.new_bank(1), features, [])
    assert len(found.predictions) == 0 and not found.evicted


def test_more_objects_than_the_bank_holds(segmenter: Segmenter, features: Features) -> None:
    bank = segmenter.new_bank(3)
    step(segmenter, bank, features, start(1, protected=True) + start(2, 3))
    step(segmenter, bank, features, [Ask(key(2), Action.GO_ON), Ask(key(1), Action.LOOK, protected=True)])
    found = step(segmenter, bank, features, start(4))
    assert found.evicted == (key(3),), "the one that nobody has looked at for longest"
    assert set(bank.keys) == {key(1), key(2), key(4)}
    found = step(segmenter, bank, features, start(5, 6, protected=True) + start(7))
    assert found.evicted == (key(2), key(4))
    assert "all 3 objects of the bank are protected" in found.predictions.failures[2]
    assert set(bank.keys) == {key(1), key(5), key(6)}
    assert found.remembered.tolist() == [True, True, False]


def test_one_that_goes_on_and_is_evicted_in_the_same_step_keeps_its_mask(
    segmenter: Segmenter, features: Features
) -> None:
    bank = segmenter.new_bank(1)
    step(segmenter, bank, features, start(1))
    found = step(segmenter, bank, features, [Ask(key(1), Action.GO_ON), *start(2)])
    assert found.evicted == (key(1),)
    assert not any(found.predictions.failures) and (masks(found)[0] > -1024).any()
    assert found.remembered.tolist() == [False, True]


class NanMemory(OrtCpuGraph, name="test-graph-nan-memory"):
    """Its memory encoder gives NaN for the first row of every call."""

    def run(
        self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        found = super().run(feeds, outputs)
        if "memory" in found:
            found["memory"][0, 0, 0] = np.nan
        return found


def test_a_start_whose_frame_cannot_be_remembered_leaves_no_empty_row(
    sam2_folder: Path, features: Features
) -> None:
    spoiled = Segmenter.load(sam2_folder, SegmenterOptions(backends=("test-graph-nan-memory",)))
    bank = spoiled.new_bank(3)
    found = step(spoiled, bank, features, start(1, 2))
    assert "memory_encoder" in found.predictions.failures[0] and not found.predictions.failures[1]
    assert (masks(found)[0] > 0).any(), "the mask itself is fine"
    assert found.remembered.tolist() == [False, True]
    assert bank.keys == (key(2),)
    spoiled.close()
