"""A keyframe's answers to the objects of a camera: what each mask says of its object, alone and beside the others.

Masks correct boxes and boxes correct masks. Where both agree, the published box is drawn towards the mask
(`HeldObject.tighten`). Where they disagree on two keyframes running, the object begins again from the detector's box:
`Memory.START`, not `REFINE`, because by then up to six frames of the wrong thing are in its memory and would draw it
back. What somebody pointed at inside a track's box is taken for a part of that object and does not disagree. Where
the track has gone and the mask shows the object, the object goes on with the mask's box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.segmentation.events import EventKind
from engine.segmentation.gallery import SAM2_POINTER
from engine.segmentation.geometry import Outline, iou, outline_iou, outline_of, share_inside
from engine.segmentation.jobs import KeyframeJob, KeyframeResult, Memory, ObjectMask, ObjectRequest
from engine.segmentation.recognition import recognise
from engine.segmentation.table import HeldObject, ObjectTable, Origin
from engine.types import F32, MaskSource

AGREE_IOU = 0.5
"""Box of the mask and box of the track: from here on they agree, …"""
DISAGREE_IOU = 0.3
"""… below this they disagree, and between the two nothing is concluded."""
DISAGREEMENTS = 2
"""Keyframes running; doubled each time that a new beginning did not help, up to 64."""
TIGHTEN_IOU, TIGHTEN_CONFIDENCE = 0.7, 0.7
"""From here on a mask is trusted with the edges of the published box."""
SAME_IOU = 0.8
"""Two masks that overlap by more show one object."""
NEAR_IOU = 0.4
"""Their boxes overlap by at least this; only then the masks are compared."""
MOST_FAILURES = 3
"""After so many keyframes without a usable answer an object begins again from its box, or goes."""
FROZEN_S, MOST_FROZEN_S = 1.0, 30.0
"""How long an object is left alone after a failure, doubled each time."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackThen:
    """A track on the frame of a job."""

    track_id: int
    object_id: int
    class_id: int
    box_xyxy: F32


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A job under way, and how things stood on its frame. `boxes` are of objects that had a track."""

    job: KeyframeJob
    time_s: float
    size_wh: tuple[int, int]
    tracks: tuple[TrackThen, ...]
    boxes: dict[int, F32]


@dataclass(slots=True)
class Requests:
    """Requests of a camera so far: planned = answered + failed + orphaned + cancelled + those under way.

    failed     without a usable answer
    orphaned   the object was gone when the answer came
    cancelled  the job was not run
    """

    planned: int = 0
    answered: int = 0
    failed: int = 0
    orphaned: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller does with the masks of a keyframe: move and show these; show none for those any more."""

    place: tuple[ObjectMask, ...] = ()
    hide: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class Settling:
    """The answers of one keyframe while they are gone through."""

    table: ObjectTable
    flight: Flight
    requests: Requests
    shown: list[tuple[HeldObject, ObjectMask]] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)


def settle(table: ObjectTable, flight: Flight, result: KeyframeResult, requests: Requests) -> Answer:
    """Take over the answers to a job's requests; those of the automatic grid are not looked at."""
    settling = Settling(table, flight, requests)
    for request, mask in zip(flight.job.requests, result.masks, strict=False):
        _settle_one(settling, request, mask)
    for request in flight.job.requests[len(result.masks) :]:
        _missing(settling, request)
    for object_id in result.evicted:
        held = table.objects.get(object_id)
        if held is not None and held.seated:
            table.unseat(held)
            table.lose_memory(held)
    _part_doubles(settling)
    place = tuple(mask for held, mask in settling.shown if table.objects.get(held.object_id) is held)
    return Answer(place, tuple(settling.hidden))


def cancel(table: ObjectTable, flight: Flight, requests: Requests) -> None:
    """The job was not run: everybody is asked again, and prompts wait for the next frame."""
    for request in flight.job.requests:
        table.asked.pop(request.object_id, None)
        requests.cancelled += 1
        held = table.objects.get(request.object_id)
        if held is not None:
            _give_prompt_back(held, request, flight)
    for object_id in flight.job.forget:
        table.forgets[object_id] = None


def _settle_one(settling: Settling, request: ObjectRequest, mask: ObjectMask) -> None:
    table = settling.table
    table.asked.pop(request.object_id, None)
    held = table.objects.get(request.object_id)
    if held is None:
        settling.requests.orphaned += 1
        return
    if mask.failure:
        settling.requests.failed += 1
        _fail(settling, held, request, mask.failure)
        return
    settling.requests.answered += 1
    held.failures, held.frozen_until_s = 0, 0.0
    if request.memory is Memory.START:
        held.remembers = held.seated and mask.remembered
    outline = outline_of(mask.grid, mask.rect_xyxy) if mask.object_score > 0 else None
    if request.memory is Memory.LOOK:
        if outline is not None and held.lost_since_s is not None:
            kept = recognise(table, settling.flight.tracks, held, outline, mask.pointer)
            if kept:
                _show(settling, held, mask, outline)
        return
    if outline is None:
        _hide(settling, held, request)
    else:
        _show(settling, held, mask, outline)
        _agree(settling, held, request, outline)


def _show(settling: Settling, held: HeldObject, mask: ObjectMask, outline: Outline) -> None:
    flight, box_xyxy = settling.flight, outline.box_xyxy
    held.sure, held.confidence, held.masked_s = True, mask.confidence, flight.time_s
    held.outline, held.outline_box_xyxy = outline, flight.boxes.get(held.object_id, box_xyxy)
    held.seen_s = max(held.seen_s, flight.time_s)
    if not held.tracked:
        held.box_xyxy = box_xyxy
    if mask.pointer.size:
        settling.table.gallery.add(held.object_id, SAM2_POINTER.name, mask.pointer)
    settling.shown.append((held, mask))


def _hide(settling: Settling, held: HeldObject, request: ObjectRequest) -> None:
    """The mask says that the object is not there."""
    first = held.masked_s is None and request.memory is Memory.START
    held.sure = False
    held.outline = held.tighten = None
    held.masked_s = settling.flight.time_s
    settling.hidden.append(held.object_id)
    if held.object_id in settling.flight.boxes:
        _disagree(settling.table, held, request, "its mask is empty, its box is not")
    elif not held.tracked:
        if held.remembers and not first:
            settling.table.lose(held, "neither a track nor a mask shows it")
        else:
            settling.table.drop(held, "nothing was found where it was pointed at")


def _agree(settling: Settling, held: HeldObject, request: ObjectRequest, outline: Outline) -> None:
    track_xyxy = settling.flight.boxes.get(held.object_id)
    if track_xyxy is None or request.memory is Memory.NONE:
        held.tighten = None
        return
    box_xyxy = outline.box_xyxy
    overlap = iou(box_xyxy, track_xyxy)
    part = held.origin is Origin.PROMPT and share_inside(box_xyxy, track_xyxy) >= AGREE_IOU
    held.tighten = None
    if overlap >= AGREE_IOU or part:
        held.disagreements = held.begun_again = 0
        if overlap >= TIGHTEN_IOU and held.confidence >= TIGHTEN_CONFIDENCE:
            width, height = track_xyxy[2:] - track_xyxy[:2]
            held.tighten = (box_xyxy - track_xyxy) / [width, height, width, height]
    elif overlap < DISAGREE_IOU:
        _disagree(settling.table, held, request, f"its mask and its box overlap by {overlap:.2f} only")


def _disagree(table: ObjectTable, held: HeldObject, request: ObjectRequest, why: str) -> None:
    if request.source is MaskSource.PROMPT or request.memory is Memory.NONE:
        return  # what somebody has just said, or what remembers nothing, is not to be corrected
    held.disagreements += 1
    if held.disagreements >= DISAGREEMENTS << min(held.begun_again, 5):
        held.disagreements = 0
        held.begun_again += 1
        held.begin_again = True
        table.note(EventKind.REPROMPTED, held, f"{why}; it begins again from the box")


def _missing(settling: Settling, request: ObjectRequest) -> None:
    settling.table.asked.pop(request.object_id, None)
    held = settling.table.objects.get(request.object_id)
    if held is None:
        settling.requests.orphaned += 1
    else:
        settling.requests.failed += 1
        _fail(settling, held, request, "the segmenter gave no answer")


def _fail(settling: Settling, held: HeldObject, request: ObjectRequest, why: str) -> None:
    """No usable answer: the object is left alone for a while, the others go on."""
    table = settling.table
    table.note(EventKind.FROZEN, held, why)
    held.frozen_until_s = table.now_s + min(MOST_FROZEN_S, FROZEN_S * 2.0**held.failures)
    held.failures += 1
    if held.failures < MOST_FAILURES:
        _give_prompt_back(held, request, settling.flight)
        return
    table.unseat(held)
    held.sure = False
    if not held.tracked:
        table.drop(held, f"no usable answer {held.failures} times running: {why}")


def _give_prompt_back(held: HeldObject, request: ObjectRequest, flight: Flight) -> None:
    if request.source is MaskSource.PROMPT and request.prompt is not None and held.pointed is None:
        held.point(request.prompt, flight.boxes.get(held.object_id))
    elif request.memory is Memory.START:
        held.begin_again = held.remembers


def _doubles(settling: Settling) -> Iterator[tuple[HeldObject, HeldObject]]:
    """Pairs of objects whose masks on this frame coincide, the older one first."""
    shown = [held for held, _ in settling.shown]
    for index, held in enumerate(shown):
        for other in shown[:index]:
            a, b = held.outline, other.outline
            if a is None or b is None or iou(a.box_xyxy, b.box_xyxy) < NEAR_IOU:
                continue
            if outline_iou(a, b) > SAME_IOU:
                pair = sorted((held, other), key=lambda each: (each.added_s, each.object_id))
                yield pair[0], pair[1]


def _part_doubles(settling: Settling) -> None:
    table = settling.table
    for older, younger in list(_doubles(settling)):
        alive = all(table.objects.get(each.object_id) is each for each in (older, younger))
        if alive and older.visible and younger.visible:
            _part(table, older, younger)


def _part(table: ObjectTable, older: HeldObject, younger: HeldObject) -> None:
    same = "their masks coincide"
    if older.tracked and younger.tracked:
        _part_tracked(table, older, younger)
    elif older.tracked or younger.tracked:
        tracked, other = (older, younger) if older.tracked else (younger, older)
        if other.was_beside(tracked):
            table.lose(other, f"its mask fell on object {tracked.object_id}, which has a track of its own")
        else:
            table.merge(older, younger, f"is object {older.object_id}: {same}")
    elif older.protected >= younger.protected:
        table.merge(older, younger, f"is object {older.object_id}: {same}")
    else:
        table.merge(younger, older, f"is object {younger.object_id}: {same}")


def _part_tracked(table: ObjectTable, older: HeldObject, younger: HeldObject) -> None:
    """Two tracks, one mask: the less sure one begins again from its own box. Boxes that coincide as well are the
    tracker's affair."""
    if iou(older.box_xyxy, younger.box_xyxy) > SAME_IOU:
        return
    weaker, other = (older, younger) if older.confidence < younger.confidence else (younger, older)
    if weaker.remembers and not weaker.begin_again:
        weaker.begin_again = True
        table.note(
            EventKind.REPROMPTED,
            weaker,
            f"its mask fell on object {other.object_id}; it begins again from its box",
        )
