"""What nano-det is trained on: which cells answer for whom, and what a wrong answer costs.

Assignment is task-aligned (TOOD, arXiv:2108.07755, §3.2): of the cells whose middle lies in a person's box those few
count whose own score and overlap are best, and the score they are to give is their overlap. Losses: binary cross
entropy for the scores, CIoU (arXiv:1911.08287) and the distribution focal loss (arXiv:2006.04388) for the boxes.

Knows tensors; neither the network's inside nor pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tools.nano.detector import BINS, boxes_xyxy

SCORE_POWER, OVERLAP_POWER = 0.5, 6.0
CANDIDATES = 10
"""Cells that may answer for one person."""
LEAST_REACH = 0.75
"""Strides around the middle of a person in which cells are candidates, however narrow the box is."""
SCORE_WEIGHT, BOX_WEIGHT, DISTRIBUTION_WEIGHT = 0.5, 7.5, 1.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is to be found in a batch.

    boxes_xyxy  float32 (n, people, 4) in input pixels; zeros fill up where there are fewer
    counts      bool (n, people): True for people, False for what fills up
    ignored     float32 (n, regions, 4): where neither finding nor missing somebody counts; zeros fill up
    """

    boxes_xyxy: Tensor
    counts: Tensor
    ignored: Tensor


@dataclass(frozen=True, slots=True)
class Assigned:
    """What each cell is to answer.

    answers  bool (n, cells): the cell answers for somebody
    person   int64 (n, cells): for whom, 0 where it does not
    scores   float32 (n, cells): the score to give, 0 where it does not
    weights  float32 (n, cells): 0 where an ignored region hides what is right, else 1
    """

    answers: Tensor
    person: Tensor
    scores: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True)
class Losses:
    """The three parts, already weighted, each a scalar."""

    score: Tensor
    box: Tensor
    distribution: Tensor

    @property
    def total(self) -> Tensor:
        """What is made smaller."""
        return self.score + self.box + self.distribution


def losses(raw: Tensor, wanted: Wanted, middles: Tensor, strides: Tensor) -> Losses:
    """Of a raw answer float32 (n, 1 + 4 × BINS, cells) for these cells (`tools.nano.detector.cells`)."""
    found = boxes_xyxy(raw, middles, strides)
    logits = raw[:, 0]
    with torch.no_grad():
        assigned = assign(logits.sigmoid(), found, wanted, middles, strides)
    total = assigned.scores.sum().clamp(min=1.0)
    entropy = functional.binary_cross_entropy_with_logits(logits, assigned.scores, reduction="none")
    score = SCORE_WEIGHT * (entropy * assigned.weights).sum() / total
    rows, columns = assigned.answers.nonzero(as_tuple=True)
    if not len(rows):
        nothing = found.sum() * 0
        return Losses(score, nothing, nothing)
    boxes = wanted.boxes_xyxy[rows, assigned.person[rows, columns]]
    importance = assigned.scores[rows, columns]
    overlap = ciou(found[rows, columns], boxes)
    box = BOX_WEIGHT * ((1 - overlap) * importance).sum() / total
    bins = raw.transpose(1, 2)[rows, columns, 1:].unflatten(1, (4, BINS))
    at, stride = middles[columns], strides[columns, None]
    reach = torch.cat([at - boxes[:, :2], boxes[:, 2:] - at], 1) / stride
    spread = distribution_loss(bins, reach)
    return Losses(score, box, DISTRIBUTION_WEIGHT * (spread * importance).sum() / total)


def assign(scores: Tensor, found: Tensor, wanted: Wanted, middles: Tensor, strides: Tensor) -> Assigned:
    """Which cells answer for whom.

    scores  float32 (n, cells), 0..1; found  float32 (n, cells, 4) boxes as the network has them now
    """
    overlap = iou(wanted.boxes_xyxy[:, :, None], found[:, None])
    fit = scores[:, None].pow(SCORE_POWER) * overlap.pow(OVERLAP_POWER)
    possible = _near(wanted.boxes_xyxy, middles, strides) & wanted.counts[:, :, None]
    # Cells that do not overlap at all are better than none for somebody whom no cell overlaps yet.
    rank = torch.where(possible, fit + 1e-9 * (1 + overlap), 0.0)
    best = rank.topk(min(CANDIDATES, rank.shape[2]), dim=2)
    chosen = torch.zeros_like(rank).scatter_(2, best.indices, (best.values > 0).float()) > 0
    # A cell that two people want answers for the one whom it overlaps more.
    person = torch.where(chosen, overlap + 1e-6, 0.0).argmax(1)
    answers = chosen.any(1)
    mine = functional.one_hot(person, rank.shape[1]).transpose(1, 2).bool() & chosen
    fit, overlap = fit * mine, overlap * mine
    most_fit, most_overlap = fit.amax(2, keepdim=True), overlap.amax(2, keepdim=True)
    target = (fit * most_overlap / (most_fit + 1e-9)).amax(1)
    hidden = _inside(wanted.ignored, middles).any(1) & ~answers
    return Assigned(answers, person * answers, target * answers, (~hidden).float())


def _near(boxes: Tensor, middles: Tensor, strides: Tensor) -> Tensor:
    """bool (n, people, cells): the cell's middle lies in the box, or next to the middle of a narrow one."""
    centre, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    reach = torch.maximum(half[:, :, None], LEAST_REACH * strides[None, None, :, None])
    return ((middles - centre[:, :, None]).abs() < reach).all(-1)


def _inside(boxes: Tensor, middles: Tensor) -> Tensor:
    """bool (n, regions, cells)"""
    after = (middles > boxes[:, :, None, :2]).all(-1)
    return after & (middles < boxes[:, :, None, 2:]).all(-1)


def iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Intersection over union of boxes (…, 4) that belong together by position or by broadcasting."""
    shared, union = _shared_and_union(a_xyxy, b_xyxy)
    return shared / union


def ciou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """IoU less what middles lie apart and what shapes differ by: (n,) for boxes (n, 4)."""
    shared, union = _shared_and_union(a_xyxy, b_xyxy)
    overlap = shared / union
    around_low = torch.minimum(a_xyxy[:, :2], b_xyxy[:, :2])
    around_high = torch.maximum(a_xyxy[:, 2:], b_xyxy[:, 2:])
    diagonal = (around_high - around_low).square().sum(1) + 1e-7
    apart = ((a_xyxy[:, :2] + a_xyxy[:, 2:] - b_xyxy[:, :2] - b_xyxy[:, 2:]) / 2).square().sum(1)
    shape = (4 / math.pi**2) * (_slope(a_xyxy) - _slope(b_xyxy)).square()
    with torch.no_grad():
        weight = shape / (1 - overlap + shape + 1e-7)
    return overlap - apart / diagonal - weight * shape


def _slope(boxes: Tensor) -> Tensor:
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    return torch.atan2(width, height.clamp(min=1e-6))


def _shared_and_union(a_xyxy: Tensor, b_xyxy: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
    high = torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (a_xyxy, b_xyxy)]
    return shared, areas[0] + areas[1] - shared + 1e-7


def distribution_loss(logits: Tensor, reach: Tensor) -> Tensor:
    """Cross entropy against the two bins on either side of the true distance: (n,) for (n, 4, BINS) and (n, 4)."""
    reach = reach.clamp(0, BINS - 1 - 0.01)
    below = reach.long()
    share = reach - below
    logs = logits.log_softmax(2)
    lower, upper = (logs.gather(2, index[..., None])[..., 0] for index in (below, below + 1))
    return -(lower * (1 - share) + upper * share).mean(1)
