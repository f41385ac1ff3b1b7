"""How well nano-sam does on clips it was not trained on, by torch: from boxes, and by memory from one box.

For the line that training prints; what counts is measured through the engine (`bench.nano_sam_tracking`). Pictures are
whole, boxes exact, frames every one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from tools.nano.pictures import Clip
from tools.nano.segmenter_batches import Batch, BatchSettings, Piece, assembled, piece_of
from tools.nano.segmenter_prompts import as_points
from tools.nano.segmenter_rollout import (
    History,
    Points,
    attend,
    decode,
    encode,
    first_features,
    pointer_of,
    remember,
)
from tools.nano.segmenter_steps import SURE_IOU, as_input, stacked

Tensor = Any
_TALL_PX = 32
"""People that are smaller in the model's picture are another matter, and left out."""
_CLIPS_AT_ONCE = 4
_OBJECTS = 4


@dataclass(frozen=True, slots=True)
class Validation:
    """Mean overlaps of masks, over people.

    box      in the first frame, from the exact box
    memory   over the later frames in which they are there
    absent   share of the frames without them of which it is said so
    present  share of the frames with them of which it is said so
    """

    box: float
    memory: float
    absent: float
    present: float

    def line(self) -> str:
        """For the terminal."""
        return (
            f"box {self.box:.3f}, memory {self.memory:.3f}, "
            f"present {self.present:.2f}, absent {self.absent:.2f}"
        )


def fixed_batches(data: Sequence[Clip], frames: int, size: int, most: int) -> list[Batch]:
    """The same batches every time: whole pictures of the first clips, and the people in them that are large enough."""
    settings = BatchSettings(_CLIPS_AT_ONCE, frames, _OBJECTS, size, augment=False)
    rng = np.random.default_rng(0)
    pieces = []
    for index in range(min(most, len(data))):
        piece = piece_of(rng, data[index], settings)
        if piece is not None and (tall := _tall(piece.ids[0], piece.people)).any():
            pieces.append(Piece(piece.frames_bgr, piece.ids, piece.people[tall], piece.full_boxes[tall]))
    return [assembled(pieces[at : at + _CLIPS_AT_ONCE], size) for at in range(0, len(pieces), _CLIPS_AT_ONCE)]


def _tall(ids: Any, people: Any) -> Any:
    """bool: whose pixels, of twice the model's side, are tall enough."""
    return np.array([np.ptp(np.flatnonzero((ids == person).any(1))) + 1 >= 2 * _TALL_PX for person in people])


def validate(model: Any, batches: Sequence[Batch]) -> Validation:
    """Judge a model, which is put into evaluation mode."""
    model.eval()
    boxes, memories, absent, present = [], [], [], []
    with torch.no_grad():
        for batch in batches:
            overlaps, seen = followed(model, batch)
            boxes += list(overlaps[0])
            there = batch.present[1:]
            memories += [
                float(each[on].mean()) for each, on in zip(overlaps[1:].T, there.T, strict=True) if on.any()
            ]
            present += list(seen[1:][there])
            absent += list(~seen[1:][~there])
    return Validation(_mean(boxes), _mean(memories), _mean(absent), _mean(present))


def followed(model: Any, batch: Batch) -> tuple[Any, Any]:
    """Overlaps float (T, N) and whether the object is said to be there, bool (T, N), each from its first box."""
    rows = len(batch.person)
    history = History()
    overlaps, said = [], []
    for frame, pictures in enumerate(batch.pictures_bgr):
        own = encode(model, as_input(pictures)).rows(batch.clip_index)
        if frame == 0:
            points = stacked([as_points(batch.box(0, row)) for row in range(rows)])
            decoded = decode(model, own, first_features(model, own), points)
        else:
            decoded = decode(model, own, attend(model, own, history), Points.nothing(rows))
        seen = decoded.score > 0
        first = np.full(rows, frame == 0)
        sure = (seen & (decoded.iou() > SURE_IOU)).numpy() | first
        logits = decoded.mask()
        remembered = torch.where(torch.from_numpy(first)[:, None, None], (logits > 0) * 20.0 - 10.0, logits)
        history.add(remember(model, own, remembered, seen), pointer_of(model, decoded, seen), sure, first)
        overlaps.append(_overlaps(batch, frame, torch.where(seen[:, None, None], logits, -1.0)))
        said.append(seen.numpy())
    return np.stack(overlaps), np.stack(said)


def _overlaps(batch: Batch, frame: int, logits: Tensor) -> Any:
    side = batch.ids.shape[-1]
    large = functional.interpolate(logits[:, None], size=(side, side), mode="bilinear", align_corners=False)
    found = (large[:, 0] > 0).numpy()
    wanted = np.stack([batch.full_mask(frame, row) for row in range(len(found))])
    both, either = (found & wanted).sum((1, 2)), (found | wanted).sum((1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def _mean(values: Sequence[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
