"""How well a run on a rendered scene has found, kept apart, cut out and followed people, against exact truth.

Pure: arrays in, figures out. Reading of files is in `scene_files`, words are in `scene_report`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from engine.types import I64, Bools

F64 = NDArray[np.float64]

RIGHT_IOU = 0.5
"""Overlap from which a box is somebody's."""


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """One picture: who was there, and what the run has said of it.

    time_s        seconds since 1970
    true_ids      int64 (n,)
    true_boxes_xyxy     (n, 4) whole bodies, clipped to the picture
    visible_boxes_xyxy  (n, 4) what is to be seen of them
    required      bool (n,): has to be found; the others may be found or not
    ids           int64 (m,) identities given, -1 where there is none
    boxes_xyxy    (m, 4)
    mask_ious     (n, m) of exact and given masks, NaN where none is given; None: not compared in this picture
    """

    time_s: float
    true_ids: I64
    true_boxes_xyxy: F64
    visible_boxes_xyxy: F64
    required: Bools
    ids: I64
    boxes_xyxy: F64
    mask_ious: F64 | None = None


@dataclass(frozen=True, slots=True)
class Identities:
    """Frames in which a person and an identity shared a box, by both; persons' and identities' frames in all."""

    shared: dict[tuple[int, int], int]
    true_boxes: int
    boxes: int

    @property
    def right(self) -> int:
        """Most boxes that one identity a person, and one person an identity, can explain."""
        people = sorted({person for person, _ in self.shared})
        given = sorted({identity for _, identity in self.shared})
        weights = np.zeros((len(people), len(given)))
        for (person, identity), frames in self.shared.items():
            weights[people.index(person), given.index(identity)] = frames
        return int(sum(weights[row, column] for row, column in best_pairs(weights)))


@dataclass(frozen=True, slots=True)
class SceneScore:
    """Counts of one camera, or of several together, from which the figures follow.

    frames        pictures that were judged
    seconds       from the first to the last of them
    required, found    people who had to be found, who were
    boxes, false  boxes given, less those of people who did not have to be found; those that are nobody's
    id_right, id_true, id_given  boxes under the right identity; of people; under any identity (Ristani et al., 2016)
    masks, masks_missing  found people whose masks were compared, who had none
    mask_iou_sum  of the former
    target_frames, target_in  pictures of cameras that follow; those with the middles of all targets in them
    masked_fps    frames with a mask each second, the smallest of several cameras; NaN: no masks at all
    """

    frames: int = 0
    seconds: float = 0.0
    required: int = 0
    found: int = 0
    boxes: int = 0
    false: int = 0
    id_right: int = 0
    id_true: int = 0
    id_given: int = 0
    masks: int = 0
    masks_missing: int = 0
    mask_iou_sum: float = 0.0
    target_frames: int = 0
    target_in: int = 0
    masked_fps: float = math.nan

    @property
    def recall(self) -> float:
        """Share of the people who had to be found that were."""
        return _share(self.found, self.required)

    @property
    def precision(self) -> float:
        """Share of the boxes that are somebody's."""
        return _share(self.boxes - self.false, self.boxes)

    @property
    def idf1(self) -> float:
        """Boxes under the right identity, over the mean number of true and given ones."""
        return _share(2 * self.id_right, self.id_true + self.id_given)

    @property
    def mask_iou(self) -> float:
        """Mean over found people with a mask."""
        return _share(self.mask_iou_sum, self.masks)

    @property
    def time_in_frame(self) -> float:
        """Share of the pictures that had all targets in them."""
        return _share(self.target_in, self.target_frames)


def score_frames(frames: Iterable[SceneFrame]) -> SceneScore:
    """Judge the pictures of one camera, in order. Targets and masks a second are for others to add."""
    count, first_s, last_s = 0, 0.0, 0.0
    totals = dict.fromkeys(("required", "found", "boxes", "false", "masks", "masks_missing"), 0)
    mask_iou_sum, shared, id_given = 0.0, dict[tuple[int, int], int](), 0
    for frame in frames:
        first_s, last_s, count = (first_s if count else frame.time_s), frame.time_s, count + 1
        pairs, left_out = pairs_of(frame)
        judged = np.setdiff1d(np.arange(len(frame.boxes_xyxy)), left_out)
        totals["required"] += int(frame.required.sum())
        totals["found"] += len(pairs)
        totals["boxes"] += len(judged)
        totals["false"] += len(judged) - len(pairs)
        for person, box in pairs if frame.mask_ious is not None else ():
            assert frame.mask_ious is not None
            iou = float(frame.mask_ious[person, box])
            totals["masks_missing" if math.isnan(iou) else "masks"] += 1
            mask_iou_sum += 0.0 if math.isnan(iou) else iou
        id_given += int((frame.ids[judged] >= 0).sum())
        overlap = ious(frame.true_boxes_xyxy, frame.boxes_xyxy) >= RIGHT_IOU
        for person, box in np.argwhere(overlap & frame.required[:, None]).tolist():
            if frame.ids[box] >= 0:
                pair = int(frame.true_ids[person]), int(frame.ids[box])
                shared[pair] = shared.get(pair, 0) + 1
    identities = Identities(shared, totals["required"], id_given)
    return SceneScore(
        frames=count, seconds=last_s - first_s, mask_iou_sum=mask_iou_sum, id_right=identities.right,
        id_true=identities.true_boxes, id_given=identities.boxes, **totals,
    )  # fmt: skip


def pairs_of(frame: SceneFrame) -> tuple[list[tuple[int, int]], list[int]]:
    """Whose box is whose, and boxes of people who did not have to be found, which are neither right nor wrong."""
    overlaps = ious(frame.true_boxes_xyxy, frame.boxes_xyxy)
    required = np.flatnonzero(frame.required)
    pairs = [(int(required[row]), box) for row, box in _overlapping(overlaps[required])]
    free = np.setdiff1d(np.arange(len(frame.boxes_xyxy)), [box for _, box in pairs])
    others = np.flatnonzero(~frame.required)
    # A detector may show the whole of somebody of whom little is to be seen, or only that.
    partly = np.maximum(overlaps, ious(frame.visible_boxes_xyxy, frame.boxes_xyxy))
    left_out = [int(free[column]) for _, column in _overlapping(partly[np.ix_(others, free)])]
    return pairs, left_out


def together(scores: Sequence[SceneScore]) -> SceneScore:
    """Several cameras as one."""
    sums = {
        each.name: sum(getattr(score, each.name) for score in scores)
        for each in fields(SceneScore)
        if each.name not in ("seconds", "masked_fps")
    }
    rates = [score.masked_fps for score in scores if not math.isnan(score.masked_fps)]
    return SceneScore(
        **sums,
        seconds=max((score.seconds for score in scores), default=0.0),
        masked_fps=min(rates, default=math.nan),
    )


def ious(one_xyxy: F64, other_xyxy: F64) -> F64:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4); 0 for boxes without an inside."""
    low = np.maximum(one_xyxy[:, None, :2], other_xyxy[None, :, :2])
    high = np.minimum(one_xyxy[:, None, 2:], other_xyxy[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=-1) for boxes in (one_xyxy, other_xyxy)]
    return np.asarray(common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9))


def best_pairs(weights: F64) -> list[tuple[int, int]]:
    """Pairs of rows and columns of (n, m) weights ≥ 0, each once, with the largest sum (Kuhn, 1955; Munkres, 1957).

    By shortest augmenting paths. Pairs of weight 0 are left out.
    """
    if weights.shape[0] > weights.shape[1]:
        return sorted((row, column) for column, row in best_pairs(weights.T))
    rows, columns = weights.shape
    cost = weights.max(initial=0.0) - weights
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)
    for new in range(rows):
        _augment(new, cost, row_price, column_price, owner)
    found = [(int(owner[column]), column) for column in range(columns) if owner[column] >= 0]
    return sorted(pair for pair in found if weights[pair] > 0)


def _augment(new: int, cost: F64, row_price: F64, column_price: F64, owner: NDArray[np.intp]) -> None:
    """Give one more row a column, at the least cost of moving others; prices keep all reduced costs ≥ 0."""
    columns = cost.shape[1]
    distance, came_from = np.full(columns, np.inf), np.full(columns, -1)
    done = np.zeros(columns, bool)
    row, reached, column = new, 0.0, -1
    while True:
        through = reached + cost[row] - row_price[row] - column_price
        nearer = ~done & (through < distance - 1e-12)
        distance[nearer] = through[nearer]
        came_from[nearer] = row
        column = int(np.where(done, np.inf, distance).argmin())
        reached = float(distance[column])
        done[column] = True
        if owner[column] < 0:
            break
        row = int(owner[column])
    # Columns on the way become as dear as they were near.
    row_price[new] += reached
    passed = done & (owner >= 0)
    row_price[owner[passed]] += reached - distance[passed]
    column_price[done] -= reached - distance[done]
    while column >= 0:
        row = int(came_from[column])
        before = np.flatnonzero(owner == row)
        owner[column] = row
        column = -1 if row == new else int(before[0])


def _overlapping(overlaps: F64) -> list[tuple[int, int]]:
    """The pairs with enough overlap, as many as possible, the best."""
    enough = overlaps >= RIGHT_IOU
    if (enough.sum(axis=0) <= 1).all() and (enough.sum(axis=1) <= 1).all():
        return [(row, column) for row, column in np.argwhere(enough).tolist()]
    # One pair more is worth more than any overlap.
    return best_pairs(np.where(enough, 1.0 + overlaps / (2 * min(overlaps.shape)), 0.0))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
