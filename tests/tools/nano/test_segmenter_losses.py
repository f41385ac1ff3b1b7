"""Losses of nano-sam against cases that can be worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tools.nano.segmenter_losses import Losses, losses, mask_loss, mean, overlaps  # noqa: E402  # needs torch
from tools.nano.segmenter_rollout import Decoded  # noqa: E402  # needs torch

SIDE = 8


def square(rows: int) -> Any:
    """(1, 8, 8): the upper rows are covered."""
    truth = torch.zeros(1, SIDE, SIDE)
    truth[:, :rows] = 1
    return truth


def decoded(masks: Any, ious: Any = None, score: float = 0.0) -> Decoded:
    rows = len(masks)
    return Decoded(
        masks, torch.full((rows, 4), 0.5) if ious is None else ious, torch.full((rows,), score),
        torch.zeros(rows, 4, 2), torch.zeros(rows, dtype=torch.int64),
    )  # fmt: skip


def test_a_right_mask_costs_nothing_and_the_opposite_most() -> None:
    truth = square(4)
    right, wrong = (truth * 2 - 1) * 30, (1 - truth * 2) * 30
    assert float(mask_loss(right, truth)) == pytest.approx(0.0, abs=1e-4)
    # 64 cells wrong by 30 each, over an area of 32 and 20 more; dice: nothing in common.
    assert float(mask_loss(wrong, truth)) == pytest.approx(64 * 30 / 52 + 1 - 20 / (32 + 32 + 20), rel=1e-4)


def test_a_mask_of_no_opinion() -> None:
    truth = square(4)
    focal = 64 * 0.5 * math.log(2) / 52
    dice = 1 - (2 * 16 + 20) / (16 + 32 + 20)
    assert float(mask_loss(torch.zeros(1, SIDE, SIDE), truth)) == pytest.approx(focal + dice, rel=1e-5)


def test_a_half_covered_cell_wants_a_logit_of_zero() -> None:
    truth = square(4) * 0.5
    at_half = torch.where(truth > 0, 0.0, -30.0)
    cost = float(mask_loss(at_half, truth))
    for shift in (-1.0, 1.0):
        assert float(mask_loss(torch.where(truth > 0, shift, -30.0), truth)) > cost


def test_a_background_of_no_weight_weighs_as_much_as_the_object() -> None:
    truth, nothing = square(2), torch.zeros(1, SIDE, SIDE)
    unknown = 64 * 0.5 * math.log(2) / 36
    dice = 1 - (2 * 8 + 20) / (16 + 16 + 20)
    assert mask_loss(nothing, truth).item() == pytest.approx(unknown + dice, rel=1e-5)
    assert mask_loss(nothing, truth, 0.0).item() == pytest.approx(unknown / 2 + dice, rel=1e-5)
    assert mask_loss(nothing, truth, 0.7).item() == pytest.approx(
        unknown * (0.25 + 0.75 * 0.7) + dice, rel=1e-5
    )


def test_overlaps() -> None:
    truth = square(4)
    masks = torch.stack([square(4), square(2), square(8), 1 - square(4)], 1) * 2 - 1
    assert overlaps(masks, truth)[0].tolist() == pytest.approx([1.0, 0.5, 0.5, 0.0])
    assert overlaps(-torch.ones(1, 1, SIDE, SIDE), square(0)).tolist() == [[1.0]]


def test_only_the_single_mask_and_the_best_of_three_are_trained() -> None:
    truth = square(4)
    masks = torch.stack([square(3), square(1), square(5), square(8)], 1) * 6 - 3
    masks.requires_grad_(True)
    losses(decoded(masks), truth, torch.tensor([True])).mask.backward()
    touched = masks.grad.abs().sum((0, 2, 3)) > 0
    assert touched.tolist() == [True, False, True, False]


def test_all_four_learn_how_good_they_are() -> None:
    truth = square(4)
    masks = torch.stack([square(4), square(2), square(8), 1 - square(4)], 1) * 2 - 1
    ious = torch.tensor([[1.0, 0.5, 0.5, 0.4]])
    found = losses(decoded(masks, ious), truth, torch.tensor([True]))
    assert float(found.iou) == pytest.approx(0.1)


def test_masks_of_absent_objects_say_nothing() -> None:
    truth = torch.cat([square(4), square(0)])
    masks = torch.zeros(2, 4, SIDE, SIDE, requires_grad=True)
    found = losses(decoded(masks, score=0.0), truth, torch.tensor([True, False]))
    (found.mask + found.iou).backward()
    assert masks.grad[1].abs().sum() == 0 and masks.grad[0].abs().sum() > 0
    assert float(found.score) == pytest.approx(math.log(2))
    alone = losses(decoded(masks[:1].detach()), truth[:1], torch.tensor([True]))
    assert found.mask.item() == pytest.approx(alone.mask.item())


def test_a_score_is_judged_by_presence() -> None:
    truth, masks = square(4), torch.zeros(1, 4, SIDE, SIDE)
    sure = losses(decoded(masks, score=20.0), truth, torch.tensor([True]))
    wrong = losses(decoded(masks, score=20.0), truth * 0, torch.tensor([False]))
    assert float(sure.score) < 1e-6 and float(wrong.score) == pytest.approx(20.0)
    assert float(wrong.mask) == 0.0


def test_means_weigh_rows_not_calls() -> None:
    one, other = (
        Losses(value, value, value, value, torch.zeros(()))
        for value in (torch.tensor(1.0), torch.tensor(4.0))
    )
    found = mean([(one, 2), (other, 1)], torch.tensor(0.5))
    assert float(found.mask) == pytest.approx(2.0) and float(found.people) == 0.5
    assert float(found.total) == pytest.approx(2.0 + 2.0 + 1.0 + 0.25)
