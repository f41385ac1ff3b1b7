"""What the grid of points has found: which masks are objects that nobody holds yet.

Knows masks and the table. Which of the grid's masks are any good is decided before (stability, predicted IoU, NMS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.segmentation.answers import Flight
from engine.segmentation.geometry import Outline, iou, outline_iou, outline_of
from engine.segmentation.jobs import ObjectMask
from engine.segmentation.table import HeldObject, ObjectTable, Origin

KNOWN_IOU = 0.5
"""A mask that overlaps a known object's mask or box by this much is that object."""


def adopt(
    table: ObjectTable, flight: Flight, masks: Sequence[ObjectMask]
) -> tuple[tuple[ObjectMask, ...], int]:
    """New objects, with IDs of their own, and how many found no room. The surest come first.

    On a track the object has the track's ID; a track that has an object is left to that.
    """
    placed: list[ObjectMask] = []
    refused = 0
    for mask in sorted(masks, key=lambda mask: -mask.confidence):
        outline = outline_of(mask.grid, mask.rect_xyxy)
        if mask.failure or outline is None or _known(table, flight, outline):
            continue
        held = _held(table, flight, outline, mask)
        if held.object_id in table.objects:
            continue
        if not table.seat(table.add(held), insist=False):
            table.drop(held, "no room")
            refused += 1
            continue
        table.announce(held, "found by the grid of points")
        placed.append(replace(mask, object_id=held.object_id))
    return tuple(placed), refused


def _known(table: ObjectTable, flight: Flight, outline: Outline) -> bool:
    box_xyxy = outline.box_xyxy
    for held in table.objects.values():
        if held.lost_since_s is not None:
            continue
        theirs = held.current_outline()
        if theirs is None:
            if iou(box_xyxy, flight.boxes.get(held.object_id, held.box_xyxy)) >= KNOWN_IOU:
                return True
        elif outline_iou(outline, theirs) >= KNOWN_IOU:
            return True
    return False


def _held(table: ObjectTable, flight: Flight, outline: Outline, mask: ObjectMask) -> HeldObject:
    box_xyxy = outline.box_xyxy
    track = max(flight.tracks, key=lambda track: iou(box_xyxy, track.box_xyxy), default=None)
    if track is not None and iou(box_xyxy, track.box_xyxy) < KNOWN_IOU:
        track = None
    object_id = table.identities.own_id() if track is None else table.identities.of(track.track_id)
    held = HeldObject(object_id, Origin.AUTOMATIC, box_xyxy, table.now_s, flight.time_s)
    if track is not None:
        held.class_id, held.last_track_id, held.tracked_s = track.class_id, track.track_id, flight.time_s
        held.track_id = track.track_id if track.track_id in table.present else 0
    held.sure, held.confidence, held.masked_s = True, mask.confidence, flight.time_s
    held.outline, held.outline_box_xyxy = outline, box_xyxy
    return held
