"""How well the objects of a result keep their identities: MOTA, IDF1, HOTA and their counts.

Knows which boxes are judged. Does not know files, and leaves the definitions to `clear` and `hota`.

A box of the result counts as found from overlap 0.5 with a true one. A box that overlaps an ignore region by as much,
and no judged person, is neither right nor wrong: it is left out, from all measures.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.evaluation import hota
from engine.evaluation.clear import LEAST_OVERLAP, Clear, clear_of
from engine.evaluation.hota import Hota
from engine.evaluation.mot_sequence import Sequence, TruthFrame
from engine.types import I64

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ResultFrame:
    """What a tracker says of one frame: ids int64 (n,), boxes_xyxy float64 (n, 4)."""

    ids: I64
    boxes_xyxy: F64

    @classmethod
    def empty(cls) -> ResultFrame:
        """Nobody."""
        return cls(np.empty(0, np.int64), np.empty((0, 4)))


@dataclass(frozen=True, slots=True)
class MotScore:
    """The score of one result on one sequence, or of several together.

    ids     identities given, over all judged frames; `people` true ones
    hota    None where TrackEval is not installed
    left_out  boxes in ignore regions
    """

    sequence: str
    frames: int
    people: int
    ids: int
    left_out: int
    clear: Clear
    hota: Hota | None


def judge(sequence: Sequence, result: Several[ResultFrame]) -> MotScore:
    """Score a result, which has one entry for each frame of the truth.

    Raises `ConfigError` where the package that defines the measures is missing, `ValueError` for another length.
    """
    if len(result) != sequence.frames:
        raise ValueError(f"{len(result)} frames of result for {sequence.frames} of truth")
    frames = [_judged(truth, given) for truth, given in zip(sequence.truth, result, strict=True)]
    kept = sum(len(ids) for _, ids, _ in frames)
    return MotScore(
        sequence.name,
        sequence.frames,
        sequence.people,
        len(set().union(*(ids.tolist() for _, ids, _ in frames))),
        sum(len(given.ids) for given in result) - kept,
        clear_of(frames),
        hota.hota_of(frames) if hota.available() else None,
    )


def overall(scores: Several[MotScore], name: str = "overall") -> MotScore:
    """All sequences as if they were one, in which nobody is there twice."""
    clear = scores[0].clear
    for score in scores[1:]:
        clear += score.clear
    parts = [score.hota for score in scores if score.hota is not None]
    return MotScore(
        name,
        sum(score.frames for score in scores),
        sum(score.people for score in scores),
        sum(score.ids for score in scores),
        sum(score.left_out for score in scores),
        clear,
        hota.combined(parts) if len(parts) == len(scores) else None,
    )


def _judged(truth: TruthFrame, given: ResultFrame) -> tuple[I64, I64, F64]:
    overlaps = overlap(truth.boxes_xyxy, given.boxes_xyxy)
    ignored = overlap(truth.ignored_xyxy, given.boxes_xyxy).max(axis=0, initial=0.0) >= LEAST_OVERLAP
    kept = ~ignored | (overlaps.max(axis=0, initial=0.0) >= LEAST_OVERLAP)
    return truth.ids, given.ids[kept], overlaps[:, kept]


def overlap(a_xyxy: F64, b_xyxy: F64) -> F64:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4); 0 for boxes without area."""
    corner = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    sides = np.maximum(corner - np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2]), 0.0)
    shared = sides[..., 0] * sides[..., 1]
    areas = [np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1) for boxes in (a_xyxy, b_xyxy)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))
