"""Whether what the memory of a lost object shows is that object, and which track it is now.

A lost object is found where its memory shows a mask that is neither another object's nor unlike it: on a track that
began after the object was lost, or where no track is. The gallery (`gallery`) has a veto, the mask's place decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.segmentation.gallery import SAM2_POINTER
from engine.segmentation.geometry import Outline, iou
from engine.segmentation.table import NO_CLASS, HeldObject, ObjectTable
from engine.types import F32

SAME_PLACE_IOU = 0.5
"""Box of the mask and box of a track or another object."""
BEFORE_S = 10.0
"""A track of the same object may have begun so long before a keyframe told that the old one has gone."""


class Track(Protocol):
    """A track on the frame of the mask."""

    @property
    def track_id(self) -> int: ...
    @property
    def object_id(self) -> int: ...
    @property
    def class_id(self) -> int: ...
    @property
    def box_xyxy(self) -> F32: ...


def recognise(
    table: ObjectTable, tracks: Sequence[Track], held: HeldObject, outline: Outline, pointer: F32
) -> bool:
    """Whether the lost object is found by this mask; then it has its track again, if there is one."""
    box_xyxy = outline.box_xyxy
    at = max(tracks, key=lambda track: iou(box_xyxy, track.box_xyxy), default=None)
    if at is not None and iou(box_xyxy, at.box_xyxy) >= SAME_PLACE_IOU:
        return _on_track(table, at, held, pointer)
    taken = any(
        iou(box_xyxy, other.box_xyxy) >= SAME_PLACE_IOU
        for other in table.objects.values()
        if other is not held and other.visible
    )
    if taken or _unlike(table, held, {SAM2_POINTER.name: pointer}):
        return False
    table.find(held, "its memory shows it again")
    return True


def _on_track(table: ObjectTable, at: Track, held: HeldObject, pointer: F32) -> bool:
    other = table.objects.get(table.identities.of(at.track_id))
    if held.class_id not in (NO_CLASS, at.class_id):
        return False
    if other is None and table.identities.renamed(at.track_id):
        return False
    views: dict[str, F32] = {SAM2_POINTER.name: pointer}
    if other is not None:
        if held.was_beside(other) or other.added_s < (held.lost_since_s or 0.0) - BEFORE_S:
            return False
        views = table.gallery.views(other.object_id) or views
    if _unlike(table, held, views):
        return False
    text = f"track {at.track_id} is where its memory shows it"
    if other is not None:
        table.find(held, text)
        table.merge(held, other, f"is object {held.object_id}, which was lost")
    else:
        table.find(held, text)
        if at.track_id in table.present:
            table.bind(held, at.track_id)
        else:
            table.rename(held, at.track_id)
    return True


def _unlike(table: ObjectTable, held: HeldObject, views: dict[str, F32]) -> bool:
    likeness = table.gallery.likeness(held.object_id, views)
    return likeness is not None and likeness < 0
