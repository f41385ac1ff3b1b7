"""Masks of everything in a picture: a grid of points, each a prompt of its own, and which answers are worth keeping.

Every point gives three masks (a part, a whole, something between). Kept are those of which the segmenter is sure,
whose outline does not hang on the threshold, and that are not the same as a better one. Filters and their defaults
are those of the official automatic mask generator; on top of its comparison by boxes, masks are compared themselves.
Looks at one picture with any of the points of a grid, so that a stream may spread the grid over its keyframes. Does
not know which objects are known already.

Differs from the official generator in one thing: outlines are judged at the decoder's resolution, not after
interpolation to the picture's.

Source: Kirillov et al., "Segment Anything", arXiv 2304.02643, sections 5 and B; the published code of SAM 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.models.sam2 import Segmenter
from engine.models.sam2_predictions import Features
from engine.models.sam2_selection import boxes_of, iou_xyxy
from engine.types import F32, I64, U8, Bools, Prompt

F16 = NDArray[np.float16]

_FIRST_MULTIMASK = 1
_ON_OBJECT = np.ones(1, np.int32)
_MOST_LOGIT = 32.0


@dataclass(frozen=True, slots=True)
class AutomaticFilters:
    """Which masks are kept.

    predicted_iou    only masks with a predicted IoU above this
    stability        least IoU of the mask by logits above `stability_offset` with that by logits above minus that
    stability_offset
    box_iou          of two masks whose boxes overlap by more than this the one with the lower predicted IoU goes
    mask_iou         of two masks that overlap by more than this likewise
    least_area_px    pixels of the picture that a mask covers at least
    points_per_call  points whose candidates are in memory at the same time: 16 × m² bytes each
    """

    predicted_iou: float = 0.8
    stability: float = 0.95
    stability_offset: float = 1.0
    box_iou: float = 0.7
    mask_iou: float = 0.7
    least_area_px: float = 0.0
    points_per_call: int = 32


@dataclass(frozen=True, slots=True)
class AutomaticMasks:
    """What was kept of n masks, the best first.

    low_res_masks  float32 (n, m, m): logits over the whole picture, to about three digits
    ious           float32 (n,): predicted IoU
    stabilities    float32 (n,)
    object_scores  float32 (n,): logit of something being there at all; as in the official generator no filter
    pointers       float32 (n, C): the segmenter's own description of each
    points_xy      float32 (n, 2): the point that each was found from, pixels of the picture
    failures       why there are points without an answer, each reason once
    """

    low_res_masks: F32
    ious: F32
    stabilities: F32
    object_scores: F32
    pointers: F32
    points_xy: F32
    failures: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ious)


def point_grid(points_per_side: int, size_wh: tuple[int, int]) -> F32:
    """float32 (points_per_side², 2): centres of as many equal parts of a picture, row by row from the upper left."""
    centres = (np.arange(points_per_side) + 0.5) / points_per_side
    x, y = np.meshgrid(centres * size_wh[0], centres * size_wh[1])
    return np.stack([x.reshape(-1), y.reshape(-1)], axis=1).astype(np.float32)


def automatic(
    segmenter: Segmenter,
    features: Features,
    frame_index: int,
    points_xy: F32,
    filters: AutomaticFilters | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AutomaticMasks:
    """Masks of what is at these points of one frame in `features`.

    points_xy  float32 (k, 2), pixels of the picture: all of a `point_grid`, or some of it
    progress   called after each call of the decoder with the points done and all points

    Raises `PromptError` for a point outside of the picture, and `BackendError`.
    """
    filters = filters or AutomaticFilters()
    found = _Kept(segmenter.mask_side, segmenter.sidecar.width)
    failures: dict[str, None] = {}
    for first in range(0, len(points_xy), filters.points_per_call):
        points = points_xy[first : first + filters.points_per_call]
        prompts = [Prompt(points_xy=point[None], labels=_ON_OBJECT) for point in points]
        index = np.full(len(points), frame_index, np.int64)
        answer = segmenter.prompt(features, index, prompts, candidates=True)
        assert answer.candidate_masks is not None and answer.candidate_ious is not None
        assert answer.candidate_pointers is not None
        failures |= dict.fromkeys(failure for failure in answer.failures if failure)
        fine = np.array([not failure for failure in answer.failures], np.bool_)
        masks = answer.candidate_masks[fine, _FIRST_MULTIMASK:]
        chosen, stabilities = select(
            masks.reshape(-1, *masks.shape[2:]),
            answer.candidate_ious[fine, _FIRST_MULTIMASK:].reshape(-1),
            features.sizes_wh[frame_index],
            filters,
        )
        row, candidate = np.divmod(chosen, masks.shape[1])
        found.add(
            low_res_masks=masks[row, candidate].clip(-_MOST_LOGIT, _MOST_LOGIT).astype(np.float16),
            ious=answer.candidate_ious[fine][row, _FIRST_MULTIMASK + candidate],
            stabilities=stabilities,
            object_scores=answer.object_scores[fine][row],
            pointers=answer.candidate_pointers[fine][row, _FIRST_MULTIMASK + candidate],
            points_xy=points[fine][row],
        )
        if progress is not None:
            progress(first + len(points), len(points_xy))
    return found.distinct(filters, tuple(failures))


def select(
    logits_nhw: F32, ious: F32, size_wh: tuple[int, int], filters: AutomaticFilters
) -> tuple[I64, F32]:
    """Which of n masks pass the filters that look at one mask alone, in their order; and their stabilities.

    logits_nhw  float32 (n, h, w) over a picture of this size
    ious        float32 (n,): predicted
    """
    sure = np.flatnonzero(ious > filters.predicted_iou)
    stabilities = stability_of(logits_nhw[sure], filters.stability_offset)
    cells = (logits_nhw[sure] > 0).sum(axis=(1, 2))
    cell_px = size_wh[0] * size_wh[1] / (logits_nhw.shape[1] * logits_nhw.shape[2])
    passed = (stabilities >= filters.stability) & (cells > 0) & (cells * cell_px >= filters.least_area_px)
    return sure[passed], stabilities[passed]


def stability_of(logits_nhw: F32, offset: float) -> F32:
    """float32 (n,): overlap of each mask with a higher and a lower threshold; 0 where not even the lower has any."""
    smaller, larger = ((logits_nhw > threshold).sum(axis=(1, 2)) for threshold in (offset, -offset))
    stability: F32 = (smaller / np.maximum(larger, 1)).astype(np.float32)
    return stability


def distinct_boxes(boxes_xyxy: F32, ious: F32, most: float) -> I64:
    """Indices of the boxes that overlap no better one by more than `most`, best first."""
    return _distinct(ious, lambda one, others: iou_xyxy(boxes_xyxy[one], boxes_xyxy[others]), most)


def distinct_masks(masks_nhw: Bools, ious: F32, most: float) -> I64:
    """Indices of the masks that overlap no better one by more than `most`, best first."""
    packed: U8 = np.packbits(masks_nhw.reshape(len(masks_nhw), math.prod(masks_nhw.shape[1:])), axis=1)
    cells = np.bitwise_count(packed).sum(axis=1, dtype=np.int64)

    def overlaps(one: int, others: I64) -> F32:
        shared = np.bitwise_count(packed[one] & packed[others]).sum(axis=1, dtype=np.int64)
        overlap: F32 = (shared / np.maximum(cells[one] + cells[others] - shared, 1)).astype(np.float32)
        return overlap

    return _distinct(ious, overlaps, most)


def _distinct(scores: F32, overlaps: Callable[[int, I64], F32], most: float) -> I64:
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        waiting = waiting[overlaps(best, waiting) <= most]
    return np.array(kept, np.int64)


class _Kept:
    """What has passed so far, call by call. Logits are kept as float16: there may be thousands of masks."""

    def __init__(self, mask_side: int, width: int) -> None:
        empty = {"low_res_masks": (0, mask_side, mask_side), "pointers": (0, width), "points_xy": (0, 2)}
        self._parts: dict[str, list[NDArray[Any]]] = {
            name: [np.zeros(empty.get(name, (0,)), np.float16 if name == "low_res_masks" else np.float32)]
            for name in ("low_res_masks", "ious", "stabilities", "object_scores", "pointers", "points_xy")
        }

    def add(self, **arrays: F32 | F16) -> None:
        for name, part in self._parts.items():
            part.append(arrays[name])

    def distinct(self, filters: AutomaticFilters, failures: tuple[str, ...]) -> AutomaticMasks:
        """All of them, without those that are the same as a better one."""
        arrays = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        kept = distinct_boxes(boxes_of(arrays["low_res_masks"] > 0), arrays["ious"], filters.box_iou)
        chosen = distinct_masks(arrays["low_res_masks"][kept] > 0, arrays["ious"][kept], filters.mask_iou)
        final = {name: array[kept[chosen]] for name, array in arrays.items()}
        final["low_res_masks"] = final["low_res_masks"].astype(np.float32)
        return AutomaticMasks(**final, failures=failures)
