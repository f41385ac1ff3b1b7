"""One keyframe: what the policy asks for, put to the segmenter, and the answers in the policy's words.

Joins `engine.segmentation.jobs` and `engine.models.sam2`, which do not know each other. Runs in the lane's thread. Does
not decide anything: who is asked for what is in the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from engine.clock import Clock
from engine.errors import PromptError
from engine.models.sam2 import Segmenter
from engine.models.sam2_automatic import AutomaticMasks, automatic
from engine.models.sam2_grids import grid_of
from engine.models.sam2_memory import MemoryBank
from engine.models.sam2_predictions import Features, Predictions
from engine.models.sam2_prompts import check_prompt
from engine.segmentation.jobs import KeyframeJob, KeyframeResult, Memory, ObjectMask, ObjectRequest
from engine.types import F32, I64, FrameNv12, MaskSource

_NO_MASK = np.zeros((0, 0), np.bool_)
_NO_RECT = np.zeros(4, np.float32)
_NO_POINTER = np.zeros(256, np.float32)


class _Call(Enum):
    """What of the segmenter answers a request."""

    PROMPT = "prompt"
    REFINE = "refine"
    TRACK = "track"


@dataclass(slots=True)
class _Row:
    """A request on its way. `row` is that of the memory, -1 without one."""

    request: ObjectRequest
    call: _Call
    row: int = -1
    failure: str = ""
    mask: ObjectMask | None = None


@dataclass(slots=True)
class _Keyframe:
    segmenter: Segmenter
    bank: MemoryBank
    features: Features
    job: KeyframeJob
    rows: list[_Row]
    evicted: list[int] = field(default_factory=list)
    problems: dict[str, None] = field(default_factory=dict)


def run_job(
    segmenter: Segmenter,
    bank: MemoryBank,
    frame: FrameNv12,
    job: KeyframeJob,
    clock: Clock,
    interrupted: Callable[[], bool] = lambda: False,
) -> KeyframeResult | None:
    """Segment one frame. An object that gets no answer says why in its mask, the others go on.

    interrupted  asked between the segmenter's calls: something is more urgent, and there is no answer (None)

    Raises `BackendError` where no backend is left.
    """
    for key in job.given_back():
        bank.remove(key)
    began_ns = clock.now_ns()
    features = segmenter.encode([frame])
    encoded_ns = clock.now_ns()
    keyframe = _Keyframe(
        segmenter, bank, features, job, [_Row(each, _call_of(each)) for each in job.requests]
    )
    _take_rows(keyframe)
    for call in _Call:
        if interrupted():
            return None
        rows = [row for row in keyframe.rows if row.call is call and not row.failure]
        if rows:
            _ask(keyframe, call, rows)
    masks = [row.mask or _unanswered(row) for row in keyframe.rows]
    keyframe.problems |= dict.fromkeys(mask.failure for mask in masks if mask.failure)
    masks += _found_by_points(keyframe)
    return KeyframeResult(
        job.camera, job.frame_seq, tuple(masks), tuple(keyframe.evicted),
        (encoded_ns - began_ns) / 1e9, (clock.now_ns() - encoded_ns) / 1e9, tuple(keyframe.problems),
    )  # fmt: skip


def forget_only(bank: MemoryBank, job: KeyframeJob) -> KeyframeResult:
    """A job that gives memories back and needs no picture."""
    for key in job.given_back():
        bank.remove(key)
    return KeyframeResult(job.camera, job.frame_seq, ())


def _call_of(request: ObjectRequest) -> _Call:
    if request.memory is Memory.REFINE:
        return _Call.REFINE
    return _Call.PROMPT if request.memory in (Memory.NONE, Memory.START) else _Call.TRACK


def _take_rows(keyframe: _Keyframe) -> None:
    """Check prompts, and find each object's row of the memory, or give it one."""
    bank, camera = keyframe.bank, keyframe.job.camera
    for row in keyframe.rows:
        request, key = row.request, (camera, row.request.object_id)
        row.failure = _refusal(keyframe, request)
        if row.failure or request.memory is Memory.NONE:
            continue
        if request.memory is Memory.REFINE and not bank.remembers(key):
            row.call = _Call.PROMPT
        if row.call is _Call.PROMPT:
            number, evicted = bank.add(key)
            bank.forget(number)
            if evicted is not None and evicted[0] == camera:
                keyframe.evicted.append(evicted[1])
        elif not bank.remembers(key):
            row.failure = "nothing is remembered of it"
    for row in keyframe.rows:  # now that nobody has to give way any more
        found = bank.row((camera, row.request.object_id))
        row.row = -1 if found is None or row.request.memory is Memory.NONE else found
        if row.row < 0 and row.request.memory is not Memory.NONE:
            row.failure = row.failure or "its memory went to another object"


def _refusal(keyframe: _Keyframe, request: ObjectRequest) -> str:
    """Why its prompt cannot be answered, "" if it can."""
    if request.prompt is None:
        return "" if _call_of(request) is _Call.TRACK else "nothing points at it"
    try:
        refining = request.memory is Memory.REFINE
        check_prompt(request.prompt, keyframe.features.sizes_wh[0], refining=refining)
    except PromptError as error:
        return str(error)
    return ""


def _ask(keyframe: _Keyframe, call: _Call, rows: Sequence[_Row]) -> None:
    """One kind of call for all rows that need it, and what of the answers is remembered."""
    segmenter, features, bank = keyframe.segmenter, keyframe.features, keyframe.bank
    frame_index = np.zeros(len(rows), np.int64)
    prompts = [row.request.prompt for row in rows if row.request.prompt is not None]
    numbers = np.array([row.row for row in rows], np.int64)
    if call is _Call.PROMPT:
        found = segmenter.prompt(features, frame_index, prompts)
    elif call is _Call.REFINE:
        found = segmenter.refine(features, frame_index, bank, numbers, prompts)
    else:
        found = segmenter.track(features, frame_index, bank, numbers)
    kept = [row.row >= 0 and row.request.memory is not Memory.LOOK for row in rows]
    remembered = np.zeros(len(rows), np.bool_)
    index = np.flatnonzero(kept)
    if len(index):
        part = _rows_of(found, index)
        remembered[index] = segmenter.remember(features, bank, numbers[index], part)
        for kept_at, failure in zip(index, part.failures, strict=True):
            found.failures[int(kept_at)] = failure
    size_wh = features.sizes_wh[0]
    for at, row in enumerate(rows):
        row.failure = found.failures[at]
        if not row.failure:
            row.mask = _mask(row.request, found, at, size_wh, remembered=bool(remembered[at]))


def _rows_of(found: Predictions, index: I64) -> Predictions:
    """Some rows of predictions, as predictions."""
    return Predictions(
        found.low_res_masks[index], found.ious[index], found.object_scores[index], found.pointers[index],
        found.motion_ious[index], [found.failures[at] for at in index],
        frame_index=found.frame_index[index], prompted=found.prompted[index],
    )  # fmt: skip


def _mask(
    request: ObjectRequest, found: Predictions, at: int, size_wh: tuple[int, int], *, remembered: bool
) -> ObjectMask:
    grid, rect_xyxy = grid_of(found.low_res_masks[at], size_wh)
    return ObjectMask(
        request.object_id, request.source, grid, rect_xyxy, _confidence(found.ious[at]),
        float(found.object_scores[at]), found.pointers[at].copy(), remembered,
    )  # fmt: skip


def _unanswered(row: _Row) -> ObjectMask:
    return ObjectMask(
        row.request.object_id, row.request.source, _NO_MASK, _NO_RECT, 0.0, 0.0, _NO_POINTER,
        failure=row.failure or "no answer",
    )  # fmt: skip


def _found_by_points(keyframe: _Keyframe) -> list[ObjectMask]:
    points_xy = keyframe.job.automatic_points_xy
    if points_xy is None:
        return []
    found = automatic(keyframe.segmenter, keyframe.features, 0, points_xy)
    keyframe.problems |= dict.fromkeys(found.failures)
    return list(_automatic_masks(found, keyframe.features.sizes_wh[0]))


def _automatic_masks(found: AutomaticMasks, size_wh: tuple[int, int]) -> Iterator[ObjectMask]:
    for at in range(len(found)):
        grid, rect_xyxy = grid_of(found.low_res_masks[at], size_wh)
        yield ObjectMask(
            0, MaskSource.AUTOMATIC, grid, rect_xyxy, _confidence(found.ious[at]),
            float(found.object_scores[at]), found.pointers[at].copy(),
        )  # fmt: skip


def _confidence(iou: F32) -> float:
    """A predicted IoU as one: the head that predicts it is not bounded."""
    return min(1.0, max(0.0, float(iou)))
