"""From a head's candidates to detections: sound numbers, thresholds, wanted classes, suppression, source pixels.

The same for every backend and every head. Knows no sessions and no pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.models.base import DetectorOptions
from engine.models.heads.base import Candidates, Head
from engine.registry import nearest
from engine.types import F32, I32, Detections, Masks
from kernels import cpu as kernels
from kernels.letterbox import Letterbox

_MOST_CANDIDATES = 1024
"""Boxes that go into non-maximum suppression, whose time grows with their square: 3 ms for this many."""
_CELLS_PER_PROTOTYPE_CELL = 4
"""Outlines lie between prototype cells. Against full resolution, thin objects keep an IoU of 0.96 with two cells,
0.975 with four, which are the input's own pixels."""
_MOST_CELLS = 128
"""Rows or columns of one mask: 2 KiB for an object that fills the picture."""


class Selection:
    """What of a head's answer is returned. For one thread at a time.

    discarded  boxes thrown away so far because their numbers were NaN, infinite or of no known class
    """

    def __init__(self, head: Head, labels: tuple[str, ...], options: DetectorOptions) -> None:
        self._head, self._labels, self._options = head, labels, options
        self._least = _least_scores(labels, options)
        self._lowest = float(self._least.min(initial=np.inf))
        self.discarded = 0

    def detections(self, outputs: Sequence[F32], index: int, letterbox: Letterbox) -> Detections:
        """Detections of picture `index` of a batch, in source pixels, best score first."""
        candidates = self._head.decode(outputs, index, self._lowest)
        candidates, discarded = _drop_senseless(candidates, len(self._labels))
        self.discarded += discarded
        candidates = _take(candidates, candidates.scores >= self._least[candidates.class_ids])
        kept = candidates.take(self._survivors(candidates))
        source = kernels.boxes_to_source(kept.boxes_xyxy, letterbox)
        # Boxes that lie in the padding have nothing left after clipping.
        real = (source[:, 2] > source[:, 0]) & (source[:, 3] > source[:, 1])
        shown = np.flatnonzero(real)[: self._options.max_objects]
        kept, source = kept.take(shown), source[shown]
        masks = None
        if self._options.masks and kept.mask_coefficients is not None:
            prototypes_chw = self._head.prototypes(outputs, index)
            if prototypes_chw is not None:
                masks = _masks(kept, prototypes_chw, source, letterbox)
        return Detections(source, kept.scores, kept.class_ids, masks=masks)

    def _survivors(self, candidates: Candidates) -> NDArray[np.intp]:
        """The candidates that suppression leaves, best score first; ties in their order."""
        order = _best_first(candidates.scores, _MOST_CANDIDATES)
        if not self._head.needs_nms:
            return order
        best = candidates.take(order)
        return order[kernels.nms(best.boxes_xyxy, best.scores, best.class_ids, self._options.nms_iou)]


def labels_of(head: Head, options: DetectorOptions, path: Path) -> tuple[str, ...]:
    """The labels to use: the configured ones, else the head's. Raises `ConfigError` where names do not fit."""
    labels, classes = options.labels or head.labels, len(head.labels)
    missing = classes - len(labels)
    if head.counts_classes and not 0 <= missing <= head.spare_classes:
        raise ConfigError(
            f"{path}: labels names {len(labels)} classes, but the model has {classes}; name them all"
        )
    if head.counts_classes:
        labels += tuple(f"class_{number}" for number in range(len(labels), classes))
    _check_names("classes", options.classes, labels, path)
    _check_names("thresholds", options.thresholds, labels, path)
    return labels


def _check_names(setting: str, names: Iterable[str], labels: tuple[str, ...], path: Path) -> None:
    unknown = next((name for name in names if name not in labels), None)
    if unknown is not None:
        raise ConfigError(
            f"{path}: {setting} names {unknown!r}, which is not a label of this model{nearest(unknown, labels)}"
        )


def _least_scores(labels: tuple[str, ...], options: DetectorOptions) -> F32:
    """float32 (classes,): the lowest score of each class, infinite where it is not wanted."""
    wanted = frozenset(options.classes or labels)
    scores = [options.thresholds.get(name, options.confidence) for name in labels]
    return np.array(
        [score if name in wanted else np.inf for name, score in zip(labels, scores, strict=True)], np.float32
    )


def _drop_senseless(candidates: Candidates, classes: int) -> tuple[Candidates, int]:
    """Without the boxes whose numbers are NaN, infinite or of no known class, and how many these were."""
    sound = np.isfinite(candidates.boxes_xyxy).all(axis=1) & np.isfinite(candidates.scores)
    sound &= (candidates.class_ids >= 0) & (candidates.class_ids < classes)
    return _take(candidates, sound), len(sound) - int(np.count_nonzero(sound))


def _take(candidates: Candidates, chosen: NDArray[np.bool_]) -> Candidates:
    return candidates if chosen.all() else candidates.take(chosen)


def _best_first(scores: F32, most: int) -> NDArray[np.intp]:
    """Positions of the `most` best scores, best first, ties in their order: a sort of the few that can be it."""
    if len(scores) <= most:
        return np.argsort(-scores, kind="stable")
    likely = np.flatnonzero(scores >= np.partition(scores, -most)[-most])
    return likely[np.argsort(-scores[likely], kind="stable")[:most]]


def _masks(kept: Candidates, prototypes_chw: F32, source_xyxy: F32, letterbox: Letterbox) -> Masks:
    """One grid for each box, over the part of it that lies in the picture."""
    assert kept.mask_coefficients is not None
    input_wh = (letterbox.input_width, letterbox.input_height)
    start = np.array([letterbox.left, letterbox.top] * 2, np.float32)
    stop = start + np.array([letterbox.width, letterbox.height] * 2, np.float32)
    rects = np.clip(kept.boxes_xyxy, start, stop)
    sizes_hw = _grid_sizes(rects, prototypes_chw.shape, input_wh)
    cells = kernels.assemble_masks(prototypes_chw, kept.mask_coefficients, rects, sizes_hw, input_wh)
    parts = np.split(cells.view(np.bool_), np.cumsum(sizes_hw.prod(axis=1))[:-1])
    grids = [part.reshape(size) for part, size in zip(parts, sizes_hw.tolist(), strict=False)]
    return Masks.of_grids(source_xyxy, grids)


def _grid_sizes(rects_xyxy: F32, prototypes_shape: Sequence[int], input_wh: tuple[int, int]) -> I32:
    """int32 (n, 2): rows and columns of the grid of each rectangle in input pixels."""
    per_pixel_wh = np.array(prototypes_shape[:0:-1], np.float64) / np.array(input_wh)
    cells_wh = (rects_xyxy[:, 2:] - rects_xyxy[:, :2]) * (per_pixel_wh * _CELLS_PER_PROTOTYPE_CELL)
    sizes_hw: I32 = np.clip(np.ceil(cells_wh), 1, _MOST_CELLS).astype(np.int32)[:, ::-1]
    return np.ascontiguousarray(sizes_hw)
