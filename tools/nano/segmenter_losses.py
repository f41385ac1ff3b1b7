"""What nano-sam is trained for: masks, their predicted quality, and whether the object is there at all.

Of the four candidates of a decoder the single one and the best of the other three are drawn towards the truth, so that
either can be the answer; all four learn to say how good they are. Masks of absent objects say nothing. The truth of a
mask is the covered share of each cell: an outline then lies where the logits between two cells are zero, which is where
the engine, which interpolates them, finds it.

Source: Ravi et al., arXiv 2408.00714, appendix: losses; Li et al., "Generalized Focal Loss", arXiv 2006.04388: focal
loss for shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tools.nano.segmenter_rollout import Decoded, Features

Tensor = Any
FOCUS = 1.0
"""Exponent of the focal loss: how much less cells count that are nearly right."""
_PEOPLE_WEIGHT = 3.0
_SIDES_PX = 32.0
_SMOOTH_CELLS = 20.0
"""Added to areas, so that the smallest people do not outweigh all others."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Means over rows, each a scalar tensor; `total` is what is minimised. `overlap` is that of the answers."""

    mask: Tensor
    iou: Tensor
    score: Tensor
    overlap: Tensor
    people: Tensor

    @property
    def total(self) -> Tensor:
        """The weighted sum."""
        return self.mask + self.iou + 0.5 * self.score + 0.5 * self.people


class People(nn.Module):  # type: ignore[misc]  # torch is not looked into
    """Where anybody is and where that body ends, read from the encoder's finer features: for training alone.

    What a mask says reaches the encoder only through a decoder that, at first, looks anywhere. This does at once. The
    distances to a body's sides tell neighbours apart (Tian et al., "FCOS", arXiv 1904.01355).
    """

    def __init__(self, finest: int, fine: int) -> None:
        super().__init__()
        self.finest, self.fine = nn.Conv2d(finest, 1, 1), nn.Conv2d(fine, 1, 1)
        self.sides = nn.Conv2d(fine, 4, 1)

    def forward(self, features: Features, truth: Tensor, sides: Tensor) -> Tensor:
        """The loss; truth (F, 8r, 8r): covered share of each cell; sides (F, 4, 4r, 4r) as `Batch.sides`."""
        logits = self.finest(features.high_res_0) + functional.interpolate(
            self.fine(features.high_res_1), scale_factor=2.0, mode="nearest"
        )
        logits = logits[:, 0].float()
        weight = 1 + _PEOPLE_WEIGHT * truth
        entropy = functional.binary_cross_entropy_with_logits(logits, truth, weight, reduction="mean")
        chance = torch.sigmoid(logits)
        dice = 1 - 2 * (chance * truth).sum() / ((chance**2).sum() + (truth**2).sum() + _SMOOTH_CELLS)
        somewhere = (sides.sum(1) > 0).float()
        off = functional.smooth_l1_loss(
            self.sides(features.high_res_1).float(), sides / _SIDES_PX, reduction="none"
        )
        return 2 * entropy + dice + (off.mean(1) * somewhere).sum() / somewhere.sum().clamp(min=1)


def mask_loss(logits: Tensor, truth: Tensor, background: float = 1.0) -> Tensor:
    """(n,): focal loss over the object's area plus dice loss.

    logits      (n, m, m); truth (n, m, m) shares 0..1
    background  weight of cells beside the object: 1 = as those on it; less, but never less than that all of them
                together weigh as much as the object. Of people, who are small, a network that knows nothing yet
                would otherwise learn first that there is nobody anywhere, and stay with it for long
    """
    logits, truth = logits.flatten(1), truth.flatten(1)
    chance = torch.sigmoid(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    area = truth.sum(1)
    beside = (area / (truth.shape[1] - area).clamp(min=1)).clamp(min=background, max=1.0)[:, None]
    weight = beside + (1 - beside) * truth
    focal = (weight * (chance - truth).abs() ** FOCUS * entropy).sum(1) / (area + _SMOOTH_CELLS)
    both = 2 * (chance * truth).sum(1) + _SMOOTH_CELLS
    dice = 1 - both / ((chance**2).sum(1) + (truth**2).sum(1) + _SMOOTH_CELLS)
    return focal + dice


def overlaps(logits: Tensor, truth: Tensor) -> Tensor:
    """(n, k): overlap of masks, logits (n, k, m, m) above zero, with truth (n, m, m) above one half; no gradient."""
    with torch.no_grad():
        found, wanted = logits > 0, (truth > 0.5)[:, None]
        both = (found & wanted).flatten(2).sum(2).float()
        either = (found | wanted).flatten(2).sum(2).float()
        return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both))


def losses(decoded: Decoded, truth: Tensor, present: Tensor, background: float = 1.0) -> Losses:
    """Of n rows with truth (n, m, m) and present bool (n,); background as in `mask_loss`."""
    there = present.float()
    count = there.sum().clamp(min=1)
    fine = decoded.masks
    quality = overlaps(fine, truth)
    iou = ((decoded.ious - quality).abs().mean(1) * there).sum() / count
    with torch.no_grad():
        candidates = torch.stack([mask_loss(fine[:, at].detach(), truth, background) for at in (1, 2, 3)], 1)
        best = candidates.argmin(1) + 1
    rows = torch.arange(len(best))
    single = mask_loss(fine[:, 0], truth, background)
    several = mask_loss(fine[rows, best], truth, background)
    mask = (0.5 * (single + several) * there).sum() / count
    # Absence is rare.
    weight = 2 - there
    score = functional.binary_cross_entropy_with_logits(decoded.score, there, weight / weight.mean())
    overlap = (quality[rows, decoded.chosen] * there).sum() / count
    return Losses(mask, iou, score, overlap, torch.zeros(()))


def mean(parts: Sequence[tuple[Losses, int]], people: Tensor) -> Losses:
    """Of several decodings of so many rows each, and what `People` says."""
    counts = torch.tensor([float(count) for _, count in parts])
    shares = counts / counts.sum()
    mask, iou, score, overlap = (
        (torch.stack([getattr(each, name) for each, _ in parts]) * shares).sum() for name in _OF_ROWS
    )
    return Losses(mask, iou, score, overlap, people)


_OF_ROWS = ("mask", "iou", "score", "overlap")
