"""nano-det's assignment and losses against cases worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is missing: pip install -e '.[export]'")

from tools.nano.detector import BINS, boxes_xyxy, cells  # noqa: E402
from tools.nano.detector_loss import (  # noqa: E402
    CANDIDATES,
    Wanted,
    assign,
    ciou,
    distribution_loss,
    iou,
    losses,
)

SIZE_WH = (64, 64)
MIDDLES, STRIDES = cells(SIZE_WH)
NOTHING = torch.zeros(1, 1, 4)


def wanted(*people: tuple[float, float, float, float], ignored: Any = NOTHING) -> Wanted:
    rows = torch.tensor([people]) if people else torch.zeros(1, 0, 4)
    filled = torch.cat([rows, torch.zeros(1, 1, 4)], 1)
    counts = torch.tensor([[True] * len(people) + [False]])
    return Wanted(filled, counts, ignored)


def test_cells_lie_in_the_middle_of_their_squares_strides_one_after_the_other() -> None:
    assert len(MIDDLES) == 64 + 16 + 4
    assert MIDDLES[0].tolist() == [4, 4] and MIDDLES[1].tolist() == [12, 4] and MIDDLES[8].tolist() == [4, 12]
    assert MIDDLES[64].tolist() == [8, 8] and MIDDLES[-1].tolist() == [48, 48]
    assert STRIDES[63] == 8 and STRIDES[64] == 16 and STRIDES[-1] == 32


def test_overlaps_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[2.0, 0, 6, 4]])
    assert float(iou(a, b)) == pytest.approx(8 / 24, abs=1e-6)
    # Middles 2 apart; the box around both is 6 by 4; the same shape.
    assert float(ciou(a, b)) == pytest.approx(8 / 24 - 4 / 52, abs=1e-6)
    assert float(ciou(a, a)) == pytest.approx(1.0, abs=1e-6)


def test_another_shape_costs() -> None:
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[0.0, 0, 2, 4]])
    overlap, apart = 0.5, 1 / 32
    shape = 4 / math.pi**2 * (math.atan(0.5) - math.atan(1.0)) ** 2
    weight = shape / (1 - overlap + shape)
    assert float(ciou(a, b)) == pytest.approx(overlap - apart - weight * shape, abs=1e-5)


def test_a_distance_between_two_bins_is_shared_by_both() -> None:
    logits = torch.full((1, 4, BINS), -50.0)
    logits[..., 2] = logits[..., 3] = 0.0
    reach = torch.full((1, 4), 2.25)
    # Both have half; the cross entropy of (0.75, 0.25) with it is log 2.
    assert float(distribution_loss(logits, reach)) == pytest.approx(math.log(2), abs=1e-5)


def test_raw_answers_become_boxes() -> None:
    raw = torch.full((1, 1 + 4 * BINS, len(MIDDLES)), -50.0)
    for side, distance in enumerate((1, 2, 3, 4)):
        raw[0, 1 + side * BINS + distance] = 0.0
    found = boxes_xyxy(raw, MIDDLES, STRIDES)
    assert found[0, 0].tolist() == pytest.approx([4 - 8, 4 - 16, 4 + 24, 4 + 32])
    assert found[0, -1].tolist() == pytest.approx([48 - 32, 48 - 64, 48 + 96, 48 + 128])


def perfect(person: tuple[float, float, float, float]) -> Any:
    return torch.tensor(person).expand(1, len(MIDDLES), 4)


def test_cells_in_the_box_answer_and_no_others() -> None:
    person = (8.0, 8.0, 24.0, 40.0)
    assigned = assign(torch.full((1, len(MIDDLES)), 0.5), perfect(person), wanted(person), MIDDLES, STRIDES)
    answering = MIDDLES[assigned.answers[0]]
    # Of stride 8 eight, of stride 16 two, of stride 32 one that lies beside the middle of the narrow box.
    assert len(answering) == CANDIDATES
    assert ((answering[:, 0] - 16).abs() < 24).all() and ((answering[:, 1] - 24).abs() < 24).all()
    assert assigned.scores[assigned.answers].tolist() == pytest.approx([1.0] * CANDIDATES, abs=1e-4)
    assert not assigned.scores[~assigned.answers].any()


def test_better_cells_are_chosen_and_asked_for_more() -> None:
    person = (0.0, 0.0, 64.0, 64.0)
    found = perfect(person).clone()
    found[0, 20:] = torch.tensor([0.0, 0.0, 64.0, 48.0])  # IoU 0.75
    assigned = assign(torch.full((1, len(MIDDLES)), 0.5), found, wanted(person), MIDDLES, STRIDES)
    assert assigned.answers[0, :20].sum() == CANDIDATES and not assigned.answers[0, 20:].any()
    found[0, 3:20] = torch.tensor([0.0, 0.0, 64.0, 48.0])
    assigned = assign(torch.full((1, len(MIDDLES)), 0.5), found, wanted(person), MIDDLES, STRIDES)
    scores = assigned.scores[0][assigned.answers[0]]
    assert scores[:3].tolist() == pytest.approx([1.0] * 3, abs=1e-4)
    assert scores[3:].tolist() == pytest.approx([0.75**6] * (CANDIDATES - 3), abs=1e-3)


def test_a_cell_that_two_want_answers_for_the_one_it_overlaps_more() -> None:
    left, right = (0.0, 0.0, 20.0, 16.0), (10.0, 0.0, 30.0, 16.0)
    assigned = assign(
        torch.full((1, len(MIDDLES)), 0.5), perfect(right), wanted(left, right), MIDDLES, STRIDES
    )
    # Both want the two cells at 12 and the one of stride 32; the left one keeps those at 4 and one of stride 16.
    assert assigned.person[0][assigned.answers[0] & (MIDDLES[:, 0] == 12)].tolist() == [1, 1]
    assert assigned.person[0][assigned.answers[0] & (STRIDES == 32)].tolist() == [1]
    assert assigned.person[0][assigned.answers[0] & (MIDDLES[:, 0] < 12)].tolist() == [0, 0, 0]
    # What is asked for is the overlap: intersection 10 of union 30 wide.
    assert assigned.scores[0][MIDDLES[:, 0] == 4][:2].tolist() == pytest.approx([1 / 3] * 2, abs=1e-3)


def test_somebody_smaller_than_a_cell_has_cells() -> None:
    person = (17.0, 17.0, 19.0, 23.0)
    assigned = assign(
        torch.full((1, len(MIDDLES)), 0.01), torch.zeros(1, len(MIDDLES), 4), wanted(person), MIDDLES, STRIDES
    )
    assert assigned.answers.any()


def test_ignored_regions_neither_ask_nor_punish() -> None:
    everywhere = torch.tensor([[[0.0, 0.0, 64.0, 32.0]]])
    raw = torch.zeros(1, 1 + 4 * BINS, len(MIDDLES))
    none, upper = (
        losses(raw, wanted(), MIDDLES, STRIDES),
        losses(raw, wanted(ignored=everywhere), MIDDLES, STRIDES),
    )
    assert float(upper.score) == pytest.approx(float(none.score) / 2, rel=1e-5)
    # 84 cells that say one half where nobody is, each log 2, with the weight 0.5.
    assert float(none.score) == pytest.approx(0.5 * 84 * math.log(2), rel=1e-4)
    assert float(none.box) == float(none.distribution) == 0.0


def test_people_in_ignored_regions_are_asked_for() -> None:
    person = (8.0, 8.0, 24.0, 40.0)
    beside = torch.tensor([[[0.0, 0.0, 64.0, 64.0]]])
    assigned = assign(
        torch.full((1, len(MIDDLES)), 0.5), perfect(person), wanted(person, ignored=beside), MIDDLES, STRIDES
    )
    assert (assigned.weights[assigned.answers] == 1).all() and not assigned.weights[~assigned.answers].any()


def test_losses_have_gradients_everywhere_and_are_finite() -> None:
    torch.manual_seed(1)
    raw = (torch.randn(2, 1 + 4 * BINS, len(MIDDLES)) * 3).requires_grad_()
    both = wanted((2.0, 2.0, 30.0, 60.0), (40.0, 10.0, 50.0, 30.0))
    twice = Wanted(*(torch.cat([each, each]) for each in (both.boxes_xyxy, both.counts, both.ignored)))
    found = losses(raw, twice, MIDDLES, STRIDES)
    found.total.backward()
    assert torch.isfinite(raw.grad).all() and found.total.item() > 0
    assert found.box.item() > 0 and found.distribution.item() > 0
